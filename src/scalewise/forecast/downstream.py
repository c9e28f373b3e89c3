"""From small runs to the downstream error of a large one: loss by size, then error by loss.

The chain of Gadre et al. 2024 (2403.08540): a law of loss gives the loss of the target, a law of
error by loss, fitted to the *measured* losses of the fitted models, turns it into an error. What
is not known of either step is carried to the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, UnfitDataError, UsageError
from scalewise.fit.engine import DEFAULT_BOOTSTRAP
from scalewise.fit.engine import fit as fit_law
from scalewise.fit.points import Rows
from scalewise.fit.prediction import Prediction, scalar
from scalewise.fit.result import FitResult, FitStatus, t_quantile
from scalewise.forecast.tasks import CLEAR_GAIN, Task, Tasks, tasks_of, with_error
from scalewise.laws.catalogue import LAWS, law_from
from scalewise.laws.law import Law
from scalewise.runs.columns import nearest
from scalewise.runs.quote import listed
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Ends = tuple[Array | float, Array | float]

ERROR_LAW = "error-exponential"
CEILING = "eps"
_AT_CHANCE = 0.02  # one standard error of 500 items: no more than luck
_NOISY = 0.25  # of the whole fall in error: scatter that no extrapolation survives
_PAIRS = 2000  # of a loss and a resample of the error law
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
# Interval levels at which the distribution of the loss is read off.
_LEVELS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99, 0.998)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorForecast:
    """A downstream error predicted through a loss, with what each step does to its interval.

    ``prediction`` is of the error that one newly trained model would measure. ``loss`` is the
    prediction that it went through, None where a loss was stated. ``from_loss`` is the interval
    if the error law were exact, ``from_error`` if the loss were known.
    """

    task: str
    law: str
    prediction: Prediction
    loss: Prediction | None
    at_loss: Array | float
    from_loss: Ends
    from_error: Ends

    @property
    def error(self) -> Array | float:
        """The predicted error, 1 - accuracy."""
        return self.prediction.error

    @property
    def low(self) -> Array | float:
        """Lower end of the interval."""
        return self.prediction.low

    @property
    def high(self) -> Array | float:
        """Upper end of the interval."""
        return self.prediction.high

    def __str__(self) -> str:
        return f"{self.task}: {self.prediction}"


def fit_tasks(
    result: FitResult,
    runs: object,
    tasks: Tasks,
    *,
    law: Law | str = ERROR_LAW,
    chance: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    where: str | None = None,
    rows: Rows = "finals",
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
) -> FitResult:
    """Add to a law of loss the laws of error by measured loss of downstream tasks.

    ``tasks`` are columns of error or accuracy in [0, 1] (``err17``, ``acc_arc_easy``), or means:
    ``{"mean2": ["acc_a", "acc_b"]}``. The runs may be others than those of the law of loss, but
    their losses must be on its evaluation set. ``chance`` accuracy, by task or column, holds the
    ceiling eps of ``error-sigmoid`` and bounds that of other laws.
    Raises UnfitDataError for a task at chance, or whose error does not fall with loss.

    >>> from scalewise.fit.storage import read_fit
    >>> runs = {"loss": [5.0, 4.0, 3.5, 3.0, 2.7], "err_a": [0.80, 0.75, 0.70, 0.63, 0.57]}
    >>> both = fit_tasks(read_fit("gadre2024-c4"), runs, ["err_a"], bootstrap=0)
    >>> round(predict_error(both, "err_a", loss=2.8).error, 2)
    0.59
    """
    law = law_from(law) if isinstance(law, str) else law
    _require_error_law(law)
    table = read_runs(runs, where=where)
    table = table.finals() if rows == "finals" else table
    fitted = dict(result.tasks)
    differing = _other_losses(result, table)
    for task in tasks_of(table, tasks, chance):
        found = _fit_task(
            table, task, law, dict(bounds or {}), rows=rows, bootstrap=bootstrap, seed=seed
        )
        fitted[task.name] = replace(found, warnings=(*found.warnings, *differing))
    return replace(result, tasks=fitted)


def _other_losses(result: FitResult, table: RunTable) -> tuple[str, ...]:
    """A warning where runs that both laws use have other losses here: another evaluation set."""
    columns = result.law.columns
    if not result.points or not all(table.has(name) for name in (*columns, "loss")):
        return ()
    here: dict[tuple[float, ...], list[float]] = {}
    for *place, loss in zip(*(table.column(name) for name in (*columns, "loss")), strict=True):
        here.setdefault(tuple(place), []).append(loss)
    places = zip(*(result.inputs[symbol] for symbol in result.law.variables), strict=True)
    shared = [(x, here[at]) for at, x in zip(places, result.observed, strict=True) if at in here]
    if not shared or any(np.isclose(x, losses, rtol=1e-6).any() for x, losses in shared):
        return ()
    x, losses = shared[0]
    return (
        f"All {len(shared)} runs that the law of loss was fitted to have another loss here, such "
        f"as {losses[0]:.4f} instead of {x:.4f}: is it another evaluation set?",
    )


def _require_error_law(law: Law) -> None:
    if law.quantity == "error" and law.columns == ("loss",):
        return
    able = [other.key for other in LAWS.values() if other.quantity == "error"]
    raise LawError(
        f"Law {law.key!r} predicts {law.quantity} from {', '.join(law.columns)}; a task needs a "
        "law of error by loss.",
        hint=f"Use one of {', '.join(able)}.",
    )


def _fit_task(
    table: RunTable,
    task: Task,
    law: Law,
    bounds: dict[str, tuple[float, float]],
    *,
    rows: Rows,
    bootstrap: int,
    seed: int,
) -> FitResult:
    measured = with_error(table, task)
    weak = _gain_warnings(measured, task)
    fixed: dict[str, float] = {}
    provenance = {"error": task.source}
    if task.chance is not None and CEILING in law.constant_names:
        ceiling = 1.0 - task.chance
        is_held = law.key == "error-sigmoid"
        if is_held:
            fixed[CEILING] = ceiling
        else:
            low, high = bounds.get(CEILING, (0.0, ceiling))
            bounds[CEILING] = (low, min(high, ceiling))
        provenance[CEILING] = (
            f"{'held at' if is_held else 'at most'} {ceiling:g}, the error of guessing at chance "
            f"accuracy {task.chance:g}"
        )
    found = fit_law(
        law, measured, rows=rows, bounds=bounds, fixed=fixed, bootstrap=bootstrap, seed=seed
    )
    return replace(
        found,
        provenance={**found.provenance, **provenance},
        warnings=(*found.warnings, *weak, *_noise_warnings(found)),
    )


def _gain_warnings(table: RunTable, task: Task) -> tuple[str, ...]:
    """Refuse what no law of loss can describe, warn of what is hardly above chance."""
    if not table.has("error"):
        raise UnfitDataError(
            f"Task {task.name!r} has no value in the {len(table)} rows that are left.",
            hint="Choose rows that hold it, or leave the task out.",
        )
    loss, error = table.column("loss"), table.column("error")
    known = np.isfinite(loss) & np.isfinite(error)
    loss, error = loss[known], error[known]
    if task.chance is not None and len(error):
        gain = 1.0 - task.chance - float(error.min())
        if gain <= _AT_CHANCE:
            raise UnfitDataError(
                f"All {len(error)} runs are at chance in task {task.name!r}: the best accuracy is "
                f"{1 - error.min():.3f}, guessing reaches {task.chance:g}.",
                hint="Leave the task out, or fit its error to larger models.",
            )
        if gain <= CLEAR_GAIN:
            return (
                f"The best run beats chance by {gain:.3f} only; below {CLEAR_GAIN:g} the law "
                "follows noise.",
            )
    if len(error) > 1 and not np.sum((loss - loss.mean()) * (error - error.mean())) > 0:
        raise UnfitDataError(
            f"The error of task {task.name!r} does not fall with loss: it is {error.min():.3f} to "
            f"{error.max():.3f} over losses from {loss.min():.3f} to {loss.max():.3f}.",
            hint="Leave the task out, or fit its error to larger models.",
        )
    return ()


def _noise_warnings(found: FitResult) -> tuple[str, ...]:
    fall = float(np.ptp(found.law.value(found.theta, **found.inputs)))
    if found.noise <= _NOISY * fall:
        return ()
    return (
        f"Runs scatter by {found.noise:.3f} around a law that falls by {fall:.3f} over all of "
        "them: the task is too noisy to extrapolate.",
    )


def error_law(result: FitResult, task: str) -> FitResult:
    """The law of a task's error by loss. Raises UsageError, naming the nearest, if it has none."""
    if task in result.tasks:
        return result.tasks[task]
    known = list(result.tasks)
    raise UsageError(
        f"The fit has no task {task!r}.",
        hint=f"{nearest(task, known)}Tasks: {listed(known)}."
        if known
        else "Fit with tasks first: scalewise fit RUNS --task COLUMN --out FIT.",
    )


def predict_error(
    result: FitResult,
    task: str,
    *,
    level: float = 0.9,
    loss: float | Array | None = None,
    **columns: Any,
) -> ErrorForecast:
    """Predict the downstream error of a new model, from its size and tokens or a stated loss.

    ``predict_error(result, "err17", params=7e9, tokens=2e12)``. The interval is for the error
    that one newly trained model would measure: the losses it may come to (the law's constants,
    its rivals, the noise between runs) times the error laws that the resamples allow, plus the
    noise of the error. ``loss`` states the loss instead, measured, in nats/token.
    """
    law = error_law(result, task)
    if loss is not None:
        if columns:
            raise UsageError(
                f"Both loss={loss} and {', '.join(columns)} are given.",
                hint="State the loss, or let it be predicted.",
            )
        return _at_stated_loss(law, task, np.asarray(loss, dtype=float), level)
    through = result.predict(level=level, **columns)
    centre = np.asarray(through.loss)
    known = law.predict(level=level, loss=centre)
    low, high = _joint_ends(result, law, level, columns, centre)
    prediction = Prediction(
        quantity="error",
        value=_share(known.value),
        low=_share(low),
        high=_share(high),
        level=level,
        extrapolation={**through.extrapolation, **known.extrapolation},
        runs=law.runs,
        rests_on=(*through.rests_on, f"{law.law.key} for {task}"),
        warnings=(*through.warnings, *task_warnings(law, task), *_below(law, task, centre)),
    )
    return ErrorForecast(
        task=task,
        law=law.law.key,
        prediction=prediction,
        loss=through,
        at_loss=through.loss,
        from_loss=(_share(error_at(law, through.low)), _share(error_at(law, through.high))),
        from_error=(_share(known.low), _share(known.high)),
    )


def _at_stated_loss(law: FitResult, task: str, loss: Array, level: float) -> ErrorForecast:
    known = law.predict(level=level, loss=loss)
    value, low, high = (_share(v) for v in (known.value, known.low, known.high))
    return ErrorForecast(
        task=task,
        law=law.law.key,
        prediction=replace(
            known,
            value=value,
            low=low,
            high=high,
            rests_on=(f"{law.law.key} for {task}",),
            warnings=(*task_warnings(law, task), *_below(law, task, loss)),
        ),
        loss=None,
        at_loss=scalar(loss),
        from_loss=(value, value),
        from_error=(low, high),
    )


def task_warnings(law: FitResult, task: str) -> tuple[str, ...]:
    """The doubts about a task's law, each with the name of the task."""
    doubtful = law.status in (FitStatus.NOT_IDENTIFIED, FitStatus.MAX_ITERATIONS)
    status = (law.status.value,) if doubtful else ()
    return tuple(f"{task}: {text}" for text in (*status, *law.warnings))


def _below(law: FitResult, task: str, loss: Array) -> tuple[str, ...]:
    """A warning where the error law is used below the losses it was fitted to."""
    least = law.ranges["loss"][0]
    gap = least - float(np.min(loss))
    if not gap > 0:
        return ()
    return (
        f"{task}: the loss {float(np.min(loss)):.3f} lies {gap:.3f} nats/token below the least "
        f"of the runs behind the error law ({least:.3f}).",
    )


def _share(values: Array | float) -> Array | float:
    """Errors as shares: an interval may not leave [0, 1]."""
    return scalar(np.clip(values, 0.0, 1.0))


def error_at(law: FitResult, loss: Array | float, theta: Mapping[str, Any] | None = None) -> Array:
    """The error that a task's law gives at a loss, with its own constants unless others are."""
    (symbol,) = law.law.variables
    return law.law.value(theta or law.theta, **{symbol: np.maximum(loss, 0.0)})


def _joint_ends(
    result: FitResult, law: FitResult, level: float, columns: Mapping[str, Any], centre: Array
) -> tuple[Array, Array]:
    """Both ends of the interval through both steps.

    Losses that the target may come to and resamples of the error law are paired along a lattice
    that fills their product evenly; the noise of the error adds in quadrature, as it does to a
    prediction of one step. With either step exact, this is the other one's interval.
    """
    losses = _loss_quantiles(result, columns, level, centre)
    middle = law.on_scale(error_at(law, centre))
    shape = (-1,) + (1,) * np.ndim(centre)
    draws = law.draws if len(law.draws) else np.array([list(law.theta.values())])
    chosen = draws[(np.arange(_PAIRS) * _GOLDEN % 1.0 * len(draws)).astype(int)]
    theta = {name: chosen[:, i].reshape(shape) for i, name in enumerate(law.law.constant_names)}
    with np.errstate(all="ignore"):
        values = law.on_scale(error_at(law, losses, theta))
    values = np.where(np.isfinite(values), values, middle)
    ends = []
    for probability in ((1 - level) / 2, (1 + level) / 2):
        distance = np.quantile(values, probability, axis=0) - middle
        z = t_quantile(probability, law.degrees)
        total = law.spread * np.hypot(distance, z * law.noise)
        ends.append(law.off_scale(middle + np.sign(z) * total))
    return ends[0], ends[1]


def _loss_quantiles(
    result: FitResult, columns: Mapping[str, Any], level: float, centre: Array
) -> Array:
    """Evenly likely losses of the target, shape (pairs, ...), from its intervals at many levels."""
    known: dict[float, Array] = {0.5: centre}
    for each in {*_LEVELS, level}:
        at = result.predict(level=each, **columns)
        known[(1 - each) / 2] = np.asarray(at.low)
        known[(1 + each) / 2] = np.asarray(at.high)
    grid = np.array(sorted(known))
    values = np.stack([np.broadcast_to(known[p], np.shape(centre)) for p in grid])
    wanted = (np.arange(_PAIRS) + 0.5) / _PAIRS
    right = np.clip(np.searchsorted(grid, wanted), 1, len(grid) - 1)
    share = np.clip((wanted - grid[right - 1]) / (grid[right] - grid[right - 1]), 0.0, 1.0)
    share = share.reshape((-1,) + (1,) * np.ndim(centre))
    return np.asarray((1 - share) * values[right - 1] + share * values[right])
