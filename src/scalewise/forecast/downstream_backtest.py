"""How good were the forecasts of a downstream error, and was it for the right reason?

The error of the chain has two parts: what the error law misses at the loss that was measured, and
what the missed loss adds. They can cancel: in Gadre et al. 2024 the error of the 6.9B model on C4
is forecast to 0.14 %, out of a loss that is 4.3 % too low and an error law that is 5.6 % too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalewise.core.errors import RunDataError
from scalewise.core.quantities import level_text
from scalewise.fit.result import FitResult
from scalewise.forecast.backtest import inputs_of
from scalewise.forecast.downstream import error_at, error_law, predict_error
from scalewise.forecast.fitted_rows import kept_rows
from scalewise.forecast.tasks import tasks_of, with_error
from scalewise.runs.quote import bare
from scalewise.runs.read import read_runs

if TYPE_CHECKING:
    from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

_TOLD = 3  # cancelling forecasts in the summary, those of the largest errors
_CANCELLED = 0.5  # of the larger part: a smaller sum owes more to luck than to the laws


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPoint:
    """One run whose error was forecast through its loss, beside what it measured.

    Losses are nats/token, errors shares. ``error_at_true_loss`` is what the error law gives at
    the measured loss. ``seen`` says that one of the two laws was fitted to this run.
    """

    run_id: str
    params: float
    tokens: float
    measured_loss: float
    predicted_loss: float
    measured_error: float
    predicted_error: float
    error_at_true_loss: float
    low: float
    high: float
    seen: bool

    @property
    def loss_error(self) -> float:
        """Predicted over measured loss, minus one."""
        return self.predicted_loss / self.measured_loss - 1.0

    @property
    def relative_error(self) -> float:
        """Predicted over measured error, minus one: the sum of the two parts."""
        return self.predicted_error / self.measured_error - 1.0

    @property
    def from_law(self) -> float:
        """What the error law misses at the true loss, relative to the measured error."""
        return self.error_at_true_loss / self.measured_error - 1.0

    @property
    def from_loss(self) -> float:
        """What the missed loss adds, relative to the measured error."""
        return (self.predicted_error - self.error_at_true_loss) / self.measured_error

    @property
    def cancels(self) -> bool:
        """Whether a good number rests on two errors of opposite sign."""
        opposite = self.from_law * self.from_loss < 0
        larger = max(abs(self.from_law), abs(self.from_loss))
        return opposite and abs(self.relative_error) < _CANCELLED * larger

    @property
    def inside(self) -> bool:
        """Whether the interval held the measured error."""
        return self.low <= self.measured_error <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class DownstreamBacktest:
    """Forecasts of a task's error beside the truth, run by run in the order of the table."""

    task: str
    points: tuple[ErrorPoint, ...]
    level: float
    warnings: tuple[str, ...] = ()

    @property
    def held_out(self) -> tuple[ErrorPoint, ...]:
        """The runs that neither law had seen."""
        return tuple(point for point in self.points if not point.seen)

    @property
    def cancelling(self) -> tuple[ErrorPoint, ...]:
        """The held-out runs that were right by two errors that cancel, the largest errors first."""
        found = [point for point in self.held_out if point.cancels]
        return tuple(sorted(found, key=lambda point: -abs(point.from_law)))

    @property
    def mean_abs_error(self) -> float:
        """Mean absolute relative error of the held-out runs."""
        return float(np.mean([abs(point.relative_error) for point in self.held_out]))

    @property
    def mean_abs_error_at_true_loss(self) -> float:
        """The same with the measured losses plugged in."""
        return float(np.mean([abs(point.from_law) for point in self.held_out]))

    @property
    def coverage(self) -> float:
        """Share of the held-out runs inside their intervals."""
        return float(np.mean([point.inside for point in self.held_out]))

    @property
    def summary(self) -> str:
        """One sentence that may be quoted, and a second where errors cancel."""
        count = len(self.held_out)
        inside = sum(point.inside for point in self.held_out)
        text = (
            f"{self.task}: error of {count} held-out run{'s' if count != 1 else ''} forecast to "
            f"{self.mean_abs_error:.2%} on average ({self.mean_abs_error_at_true_loss:.2%} with "
            f"the true losses plugged in); {inside} of {count} inside the {level_text(self.level)} "
            "interval."
        )
        shown = self.cancelling[:_TOLD]
        more = len(self.cancelling) - len(shown)
        told = [cancelling_sentence(point) for point in shown]
        return " ".join([text, *told, *([f"So do {more} more."] if more else [])])

    def __str__(self) -> str:
        return self.summary


def cancelling_sentence(point: ErrorPoint) -> str:
    """Why a good number is no reason for trust."""
    return (
        f"{bare(point.run_id)}: the {point.relative_error:+.2%} rests on two errors that cancel: "
        f"a loss that is off by {point.loss_error:+.1%} moves the error by {point.from_loss:+.1%}, "
        f"and the error law is off by {point.from_law:+.1%} at the true loss."
    )


def backtest_downstream(
    result: FitResult,
    runs: object,
    task: str,
    *,
    columns: str | Sequence[str] | None = None,
    where: str | None = None,
    level: float = 0.9,
) -> DownstreamBacktest:
    """Compare forecasts of a task's error with the runs that measured it.

    ``runs`` need the columns of the law of loss, ``loss`` and the task's own; for a mean over
    several columns, or a task of another name, give ``columns``. Runs that a law was fitted to
    are marked as seen and left out of every average. Raises RunDataError if no held-out run has
    both loss and error.
    """
    law = error_law(result, task)
    table = read_runs(runs, where=where)
    (meant,) = tasks_of(table, {task: task if columns is None else columns})
    table = with_error(table.finals(), meant)
    if not table.has("error"):
        raise RunDataError(f"No run has a value of task {task!r}.", hint="Choose other runs.")
    kept, lost = _complete(result, table)
    points = _points(result, law, kept, task, level)
    backtest = DownstreamBacktest(
        task=task,
        points=points,
        level=level,
        warnings=(f"{lost} runs lack loss, {task} or size; left out.",) if lost else (),
    )
    if not backtest.held_out:
        raise RunDataError(
            f"All {len(points)} runs with loss and {task} were in the fit.",
            hint="Give runs that the laws have not seen.",
        )
    return backtest


def _complete(result: FitResult, table: RunTable) -> tuple[RunTable, int]:
    """The rows with every number that a comparison takes, and how many others there are."""
    needed = [*inputs_of(result, table).values(), table.column("loss"), table.column("error")]
    whole = np.all([np.isfinite(values) & (values > 0) for values in needed], axis=0)
    return kept_rows(table, whole), int((~whole).sum())


def _points(
    result: FitResult, law: FitResult, table: RunTable, task: str, level: float
) -> tuple[ErrorPoint, ...]:
    loss, error = table.column("loss"), table.column("error")
    if not len(loss):
        return ()
    forecast = predict_error(result, task, level=level, **inputs_of(result, table))
    seen = _seen(result, table) | _seen(law, table)
    at_true = np.clip(error_at(law, loss), 0.0, 1.0)
    blank = np.full(len(loss), np.nan)
    params, tokens = (table.column(c) if table.has(c) else blank for c in ("params", "tokens"))
    numbers = np.broadcast_arrays(
        params, tokens, loss, forecast.at_loss, error, forecast.error, at_true,
        forecast.low, forecast.high,
    )  # fmt: skip
    names = (
        "params", "tokens", "measured_loss", "predicted_loss", "measured_error",
        "predicted_error", "error_at_true_loss", "low", "high",
    )  # fmt: skip
    return tuple(
        ErrorPoint(
            run_id=run_id,
            seen=bool(seen[i]),
            **{name: float(values[i]) for name, values in zip(names, numbers, strict=True)},
        )
        for i, run_id in enumerate(table.text("run_id"))
    )


def _seen(fitted: FitResult, table: RunTable) -> Array:
    """Which rows a result was fitted to: all inputs and the observation are the same numbers."""
    if not fitted.points:
        return np.zeros(len(table), dtype=bool)
    columns = [*fitted.law.columns, fitted.law.quantity]
    points = {*zip(*(fitted.inputs[s] for s in fitted.law.variables), fitted.observed, strict=True)}
    rows = zip(*(table.column(column) for column in columns), strict=True)
    return np.array([row in points for row in rows], dtype=bool)


def rank_correlation(points: Sequence[ErrorPoint]) -> float:
    """Spearman's correlation of predicted and measured errors, equal ones sharing their rank."""
    predicted = _ranks(np.array([point.predicted_error for point in points]))
    measured = _ranks(np.array([point.measured_error for point in points]))
    return float(np.corrcoef(predicted, measured)[0, 1])


def _ranks(values: Array) -> Array:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])
