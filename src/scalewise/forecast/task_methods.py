"""The error of a task at models beyond a cut: through their loss, or from their compute alone.

``two-step`` forecasts the loss by ``auto`` and turns it into an error by a sigmoid (Gadre et al.
2024; Bhagia et al. 2024), ``direct`` is a sigmoid of compute (Owen 2024). Both fall from the error
of guessing where chance is known, and towards an error of zero or more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.fit.engine import fit as fit_law
from scalewise.fit.result import FitResult, FitStatus
from scalewise.fit.uncertainty import Resampling
from scalewise.forecast.backtest import Policy, inputs_of
from scalewise.forecast.choose import choose
from scalewise.forecast.downstream import predict_error
from scalewise.forecast.splits import Split
from scalewise.forecast.tasks import Task, with_error
from scalewise.laws.catalogue import LAWS
from scalewise.laws.law import Law

if TYPE_CHECKING:
    from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

TWO_STEP, DIRECT = "two-step", "direct"
METHODS = (TWO_STEP, DIRECT)
_PLAIN = 2.0  # standard errors
_NO_ARM = 1e-6  # an interval that is clipped at its own forecast
_BY_LOSS, _BY_FLOPS = LAWS["error-sigmoid"], LAWS["error-by-flops"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Forecasts of a task's error, one entry per held-out model.

    ``noise`` is the scatter of the fitted models around the law of error.
    """

    predicted: Array
    low: Array
    high: Array
    noise: float

    def with_items(self, items: float, level: float) -> Bands:
        """No scatter of a few models says that an error over so many items has less noise."""
        item = self.predicted * (1 - self.predicted) / items
        more = NormalDist().inv_cdf((1 + level) / 2) ** 2 * np.maximum(item - self.noise**2, 0.0)
        return replace(
            self,
            low=self.predicted - np.sqrt((self.predicted - self.low) ** 2 + more),
            high=self.predicted + np.sqrt((self.high - self.predicted) ** 2 + more),
        )

    def widened(self, factor: float) -> Bands:
        """Both arms of the interval times a factor, ends held to shares."""
        low = self.predicted - factor * (self.predicted - self.low)
        high = self.predicted + factor * (self.high - self.predicted)
        return replace(self, low=np.clip(low, 0.0, 1.0), high=np.clip(high, 0.0, 1.0))

    def ratios(self, measured: Array) -> Array:
        """How far each forecast missed, in arms of its interval; NaN where there is no truth."""
        miss = measured - self.predicted
        arm = np.where(miss > 0, self.high - self.predicted, self.predicted - self.low)
        return np.asarray(np.abs(miss) / np.maximum(arm, _NO_ARM))


def loss_forecast(split: Split, column: str, policy: Policy, *, bootstrap: int) -> FitResult:
    """``auto`` on the small side of a split, with a column of the table as its loss."""
    return choose(with_loss(split.fitted, column), policy=policy, bootstrap=bootstrap)


def with_loss(table: RunTable, column: str) -> RunTable:
    """The table with a column as its ``loss``, such as bits per byte of the right answers."""
    if column == "loss":
        return table
    import polars as pl

    return replace(table, frame=table.frame.with_columns(pl.col(column).alias("loss")))


def through_loss(
    split: Split, task: Task, column: str, loss: FitResult, *, level: float, bootstrap: int,
    resampling: Resampling = "refit", seed: int = 0,
) -> Bands:  # fmt: skip
    """Forecast by loss: a sigmoid of the losses that the fitted models measured."""
    fitted = with_error(with_loss(split.fitted.finals(), column), task)
    law = fit_error(_BY_LOSS, fitted, task, bootstrap=bootstrap, resampling=resampling, seed=seed)
    forecast = predict_error(
        replace(loss, tasks={task.name: law}), task.name, level=level,
        **inputs_of(loss, split.held_out),
    )  # fmt: skip
    return Bands(
        predicted=np.asarray(forecast.error),
        low=np.asarray(forecast.low),
        high=np.asarray(forecast.high),
        noise=law.noise,
    )


def from_compute(
    split: Split, task: Task, *, level: float, bootstrap: int,
    resampling: Resampling = "refit", seed: int = 0,
) -> Bands:  # fmt: skip
    """Forecast by compute: a sigmoid of the fitted models' compute."""
    fitted = with_error(split.fitted.finals(), task)
    law = fit_error(_BY_FLOPS, fitted, task, bootstrap=bootstrap, resampling=resampling, seed=seed)
    forecast = law.predict(level=level, flops=split.held_out.column("flops"))
    value, low, high = (np.clip(v, 0.0, 1.0) for v in (forecast.value, forecast.low, forecast.high))
    return Bands(predicted=value, low=low, high=high, noise=law.noise)


def fit_error(
    law: Law, table: RunTable, task: Task, *, bootstrap: int, resampling: Resampling, seed: int
) -> FitResult:
    """A law of the table's ``error``, held to the error of guessing where that is known.

    Where the smallest models plainly do worse than guess, it is held to their error; where the
    runs do not determine towards which error it falls, that is zero.
    Raises UnfitDataError if the error does not fall, or the law is not determined even so.
    """
    (column,) = law.columns
    _require_fall(table, task, column)
    ceiling = 1.0 if task.chance is None else _ceiling(table, task.chance, column)
    fixed = {} if task.chance is None else {"eps": ceiling}
    settings: dict[str, Any] = {"bootstrap": bootstrap, "resampling": resampling, "seed": seed}
    found = fit_law(law, table, fixed=fixed, bounds={"a": (0.0, ceiling)}, **settings)
    if found.status is FitStatus.NOT_IDENTIFIED and fixed:
        found = fit_law(law, table, fixed={**fixed, "a": ceiling}, **settings)
    return found.required()


def _ceiling(table: RunTable, chance: float, column: str) -> float:
    """The error of guessing, or that of the weakest third of the models where it is worse."""
    x, error = table.column(column), table.column("error")
    known = np.isfinite(x) & np.isfinite(error)
    weakest = np.argsort(x[known] if column == "flops" else -x[known])[: max(known.sum() // 3, 2)]
    worst = error[known][weakest]
    excess = float(worst.mean()) - (1.0 - chance)
    is_worse = excess > _PLAIN * float(worst.std(ddof=1)) / np.sqrt(len(worst))
    return 1.0 - chance + (excess if is_worse and excess > 0 else 0.0)


def _require_fall(table: RunTable, task: Task, column: str) -> None:
    x, error = np.log(table.column(column)), table.column("error")
    known = np.isfinite(x) & np.isfinite(error)
    x, error = x[known], error[known]
    sign = 1.0 if column == "loss" else -1.0
    if len(x) < 2 or not sign * np.sum((x - x.mean()) * (error - error.mean())) > 0:
        raise UnfitDataError(
            f"The error of task {task.name!r} does not fall as {column} "
            f"{'falls' if sign > 0 else 'rises'}.",
            hint="Leave the task out, or fit its error to larger models.",
        )
