"""How well would the error of larger models in each task have been forecast from smaller ones?

Every task of a table is forecast by each method from the models up to a cut of compute, cut after
cut; naive rules are scored beside them, and each task gets a verdict. The intervals of a cut are
widened or narrowed by what forecasts from further down missed of the models up to it, over all
tasks: nothing beyond a cut enters its intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from scalewise.core.errors import RunDataError, UsageError
from scalewise.forecast.backtest import NAIVE, QUICK_DRAWS
from scalewise.forecast.splits import Split
from scalewise.forecast.task_forecasts import Asked, Forecasts, Settings, forecasts, widened
from scalewise.forecast.task_methods import METHODS
from scalewise.forecast.task_splits import FEWEST, splits_by_compute
from scalewise.forecast.task_verdict import Measured, Verdict, judged, too_narrow
from scalewise.forecast.tasks import Task, Tasks, columns_of, stem_of, task_errors, tasks_of
from scalewise.runs.columns import nearest
from scalewise.runs.quote import listed
from scalewise.runs.read import read_runs

if TYPE_CHECKING:
    import polars as pl

    from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

ALL: Literal["all"] = "all"
_Stated = TypeVar("_Stated", float, str)
SCORED = 3  # cuts that are scored; those further down only tell how far intervals are right


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPoint:
    """One model that a forecast had not seen: errors are shares, ``reach`` a factor of compute."""

    run_id: str
    flops: float
    reach: float
    measured: float
    predicted: float
    low: float
    high: float

    @property
    def off_by(self) -> float:
        """Forecast error rate minus the measured one."""
        return self.predicted - self.measured

    @property
    def inside(self) -> bool:
        """Whether the interval held the measured error."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """How one method, or naive rule, did on a task at all cuts that are scored.

    ``coverage``, ``mean_width`` and ``interval_score`` (shares; lower is better: Gneiting &
    Raftery 2007) are None for rules that give no interval, and where there is no point.
    ``naive_error`` is the mean absolute error of the better naive rule at the same points.
    """

    method: str
    points: tuple[TaskPoint, ...]
    coverage: float | None
    mean_width: float | None
    interval_score: float | None
    naive_error: float | None
    status: str = "fitted"

    @property
    def mean_abs_error(self) -> float:
        """Mean absolute difference to the measured error; infinite without a forecast."""
        return float(np.mean([abs(p.off_by) for p in self.points])) if self.points else np.inf

    @property
    def bias(self) -> float:
        """Mean signed difference."""
        return float(np.mean([p.off_by for p in self.points])) if self.points else np.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutcome:
    """A task's verdict with its reason, the methods' scores, and what was measured."""

    task: Task
    items: float | None
    verdict: Verdict
    why: str
    scores: tuple[TaskScore, ...]

    @property
    def methods(self) -> tuple[TaskScore, ...]:
        """The scores of methods, without the naive rules."""
        return tuple(s for s in self.scores if s.method not in NAIVE)

    def score_of(self, method: str) -> TaskScore:
        """The score of one method or naive rule."""
        return next(s for s in self.scores if s.method == method)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskBacktest:
    """Every task with its verdict and scores, over the same cuts of one table."""

    outcomes: tuple[TaskOutcome, ...]
    splits: tuple[Split, ...]
    level: float
    spreads: Mapping[str, tuple[float, ...]]
    warnings: tuple[str, ...] = ()

    def with_verdict(self, verdict: Verdict) -> tuple[TaskOutcome, ...]:
        """The tasks of one verdict, in the order of the table."""
        return tuple(o for o in self.outcomes if o.verdict is verdict)

    @property
    def frame(self) -> pl.DataFrame:
        """One row per task and method, naive rules included."""
        import polars as pl

        rows = [
            {
                "task": outcome.task.name,
                "method": score.method,
                "verdict": outcome.verdict.value,
                "points": len(score.points),
                "mean_abs_error": score.mean_abs_error if score.points else None,
                "bias": score.bias if score.points else None,
                "coverage": score.coverage,
                "mean_width": score.mean_width,
                "interval_score": score.interval_score,
                "naive_error": score.naive_error,
                "status": score.status,
            }
            for outcome in self.outcomes
            for score in outcome.scores
        ]
        return pl.DataFrame(rows, infer_schema_length=None)


def backtest_tasks(
    runs: object,
    tasks: Tasks | Literal["all"] = ALL,
    *,
    chance: Mapping[str, float] | None = None,
    items: Mapping[str, float] | None = None,
    losses: Mapping[str, str] | None = None,
    held_out: str | None = None,
    level: float = 0.9,
    bootstrap: int = QUICK_DRAWS,
    seed: int = 0,
) -> TaskBacktest:
    """Forecast the error of larger models in every task from smaller ones, and judge each task.

    ``tasks`` are as in ``fit_tasks``, or all columns of error or accuracy. ``chance`` accuracy
    and the number of ``items`` are by task or column; ``losses`` names the column that stands for
    loss in the two-step forecast of a task, such as bits per byte of its right answers.
    ``held_out`` is a condition on the models to forecast; else they are those beyond 1/4, 1/16
    and 1/64 of the most compute. Raises UnfitDataError if fewer than six would be left to fit.

    >>> import numpy as np
    >>> flops = np.geomspace(1e18, 1e22, 13)
    >>> runs = {"flops": flops, "err_quiz": 0.75 - 0.5 / (1 + (1e20 / flops) ** 0.4)}
    >>> found = backtest_tasks(runs, chance={"err_quiz": 0.25}, bootstrap=20)
    >>> found.outcomes[0].verdict.value
    'forecastable'
    """
    table = read_runs(runs)
    meant = {c: c for c in columns_of(table, ["*"])} if isinstance(tasks, str) else tasks
    found = tasks_of(table, meant, _by_column(table, meant, chance))
    asked = _asked(table, found, _by_column(table, meant, items), _by_column(table, meant, losses))
    splits = splits_by_compute(table, held_out)
    scored = splits[: 1 if held_out is not None else SCORED]
    made = forecasts(splits, asked, Settings(level=level, bootstrap=bootstrap, seed=seed))
    spreads = {
        method: tuple(
            widened(made, asked, splits, method, s, level=level) for s in range(len(scored))
        )
        for method in METHODS
    }
    told = [_outcome(each, t, made, scored, spreads, level) for t, each in enumerate(asked)]
    loose = listed(outcome.task.name for outcome, narrow in told if narrow)
    warning = f"Forecastable, but with intervals too narrow to defend: {loose}."
    return TaskBacktest(
        outcomes=tuple(outcome for outcome, _ in told),
        splits=scored,
        level=level,
        spreads=spreads,
        warnings=(warning,) if loose else (),
    )


def _by_column(
    table: RunTable, tasks: Iterable[str], stated: Mapping[str, _Stated] | None
) -> dict[str, _Stated]:
    """What was stated by a column's name without its prefix, by that column."""
    found: dict[str, _Stated] = {}
    for name, value in (stated or {}).items():
        matches = () if name in tasks else columns_of(table, ["*"])
        named = [column for column in matches if stem_of(column) == name.casefold()]
        found[named[0] if len(named) == 1 and name not in matches else name] = value
    return found


def _asked(
    table: RunTable,
    tasks: Sequence[Task],
    counts: Mapping[str, float],
    columns: Mapping[str, str],
) -> tuple[Asked, ...]:
    """The tasks with what was stated of each, by its name or that of its column."""
    known = sorted({name for task in tasks for name in (task.name, *task.columns)})
    for what, stated in (("A number of items", counts), ("A column of loss", columns)):
        if unused := [name for name in stated if name not in known]:
            raise UsageError(
                f"{what} is given for {listed(unused)}, which is no task here.",
                hint=f"{nearest(unused[0], known)}Tasks: {listed([t.name for t in tasks])}.",
            )
    for name, count in counts.items():
        if not count >= 1:
            raise UsageError(f"Task {name} has {count:g} items.", hint="Give 1 or more.")
    for column in {*columns.values()}:
        if not table.has(column):
            raise RunDataError(
                f"There is no column {column!r} of loss.",
                hint=f"{nearest(column, list(table.columns))}Name one that holds it.",
            )
    plain = "loss" if table.has("loss") else None
    return tuple(
        Asked(task=task, items=_items(task, counts), loss=_stated(task, columns) or plain)
        for task in tasks
    )


def _stated(task: Task, stated: Mapping[str, str]) -> str | None:
    return next((stated[name] for name in (task.name, *task.columns) if name in stated), None)


def _items(task: Task, counts: Mapping[str, float]) -> float | None:
    """The items of a task; of a mean over columns so many as would have its noise."""
    if task.name in counts:
        return float(counts[task.name])
    if not all(column in counts for column in task.columns):
        return None
    return len(task.columns) ** 2 / sum(1 / counts[column] for column in task.columns)


def _outcome(
    each: Asked,
    number: int,
    made: Forecasts,
    splits: Sequence[Split],
    spreads: Mapping[str, tuple[float, ...]],
    level: float,
) -> tuple[TaskOutcome, str]:
    """The outcome of a task, and what speaks against the intervals of its forecast, if any."""
    naive = {rule: _naive_points(rule, each.task, splits) for rule in NAIVE}
    scores = []
    for method in METHODS:
        points: list[TaskPoint] = []
        for s, split in enumerate(splits):
            bands = made.bands.get((s, number, method))
            if bands is not None:
                bands = bands.widened(spreads[method][s])
                points += _points(split, each.task, bands.predicted, bands.low, bands.high)
        lost = [made.reasons[s, number, method] for s in range(len(splits))
                if (s, number, method) in made.reasons]  # fmt: skip
        status = lost[0] if lost else "fitted"
        scores.append(_score(method, points, naive, level=level, status=status))
    # The first method that could be fitted, not the better one: that is known in hindsight only.
    chosen = next((score for score in scores if score.points), scores[0])
    verdict, why = judged(
        _measured(each, number, made, splits),
        chosen.method,
        chosen.mean_abs_error if chosen.points else chosen.status,
        chosen.naive_error,
    )
    narrow = ""
    if verdict is Verdict.FORECASTABLE:
        held = sum(point.inside for point in chosen.points)
        if narrow := too_narrow(held, len(chosen.points), level):
            why = f"{why.removesuffix('.')}; {narrow}."
    rules = (_score(rule, naive[rule], naive, level=level) for rule in NAIVE)
    outcome = TaskOutcome(
        task=each.task, items=each.items, verdict=verdict, why=why, scores=(*scores, *rules)
    )
    return outcome, narrow


def _measured(
    each: Asked, number: int, made: Forecasts, splits: Sequence[Split]
) -> Measured | None:
    """What was measured on either side of the first cut with values on both."""
    for s, split in enumerate(splits):
        fitted = split.fitted.finals()
        error, flops = task_errors(fitted, each.task), fitted.column("flops")
        known = np.isfinite(error)
        beyond = task_errors(split.held_out, each.task)
        beyond = beyond[np.isfinite(beyond)]
        if known.sum() < FEWEST or not len(beyond):
            continue
        noises = [made.bands[s, number, m].noise for m in METHODS if (s, number, m) in made.bands]
        return Measured(
            task=each.task,
            flops=flops[known],
            error=error[known],
            held_out=beyond,
            items=each.items,
            scatter=min(noises, default=_scatter(flops[known], error[known])),
        )
    return None


def _scatter(flops: Array, error: Array) -> float:
    """Standard deviation around a line in log compute, for want of a law."""
    line = np.polyfit(np.log(flops), error, 1)
    rest = error - np.polyval(line, np.log(flops))
    return float(np.sqrt(np.sum(rest**2) / (len(rest) - 2)))


def _naive_points(rule: str, task: Task, splits: Sequence[Split]) -> list[TaskPoint]:
    points: list[TaskPoint] = []
    for split in splits:
        fitted = split.fitted.finals()
        error, flops = task_errors(fitted, task), fitted.column("flops")
        known = np.isfinite(error)
        if not known.any():
            continue
        error, flops = error[known], flops[known]
        guess = error.min() if rule == "best seen" else error[int(np.argmax(flops))]
        flat = np.full(len(split.held_out), guess)
        points += _points(split, task, flat, flat, flat)
    return points


def _points(split: Split, task: Task, predicted: Array, low: Array, high: Array) -> list[TaskPoint]:
    """The held-out models that measured the task, beside what was forecast of them."""
    names, flops = split.held_out.text("run_id"), split.held_out.column("flops")
    measured = task_errors(split.held_out, task)
    return [
        TaskPoint(
            run_id=names[i],
            flops=float(flops[i]),
            reach=float(flops[i] / split.max_fitted_flops),
            measured=float(measured[i]),
            predicted=float(predicted[i]),
            low=float(low[i]),
            high=float(high[i]),
        )
        for i in np.flatnonzero(np.isfinite(measured) & np.isfinite(predicted))
    ]


def _score(
    method: str,
    points: Sequence[TaskPoint],
    naive: Mapping[str, Sequence[TaskPoint]],
    *,
    level: float,
    status: str = "fitted",
) -> TaskScore:
    measures: tuple[float | None, ...] = (None, None, None)
    if points and method not in NAIVE:
        measured, low, high = (
            np.array([getattr(p, name) for p in points]) for name in ("measured", "low", "high")
        )
        outside = np.maximum(low - measured, 0.0) + np.maximum(measured - high, 0.0)
        measures = (
            float(np.mean([p.inside for p in points])),
            float(np.mean(high - low)),
            float(np.mean(high - low + 2.0 / (1.0 - level) * outside)),
        )
    at = {(p.run_id, p.flops, p.reach) for p in points}
    beside = [
        np.mean([abs(p.off_by) for p in naive[rule] if (p.run_id, p.flops, p.reach) in at])
        for rule in NAIVE
    ] if points else []  # fmt: skip
    return TaskScore(
        method=method,
        points=tuple(points),
        coverage=measures[0],
        mean_width=measures[1],
        interval_score=measures[2],
        naive_error=float(min(beside)) if beside else None,
        status=status,
    )
