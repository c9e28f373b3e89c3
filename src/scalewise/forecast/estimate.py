"""The constants of a trajectory from the curves of small models, in stages and jointly.

==================  ============================================================================
curves              constant rate, past warm-up and early transient, evenly in log step
contours            steps and tokens to equal losses, and B_crit of each loss
form                chosen by hold-out: B_crit by loss or by tokens, with or without a floor
joint fit           all constants at once, robustly, resampled by run
asymptotes          the floor of each size, beside the loss where its runs ended
==================  ============================================================================

Forms are judged by the curves of the largest size and by those of the batch furthest out, each
forecast from all others. The plain law stands unless another form's error is clearly lower. What
each stage found, or why it was not possible, is kept with the fit as ``FitResult.stages``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.priors import Prior
from scalewise.fit.result import FitResult, FitStatus
from scalewise.fit.search import THOROUGH, Effort
from scalewise.forecast.asymptotes import Asymptote, asymptotes
from scalewise.forecast.contours import Contours, batch_contours
from scalewise.forecast.curves import WARMUPS, Curves, read_curves
from scalewise.forecast.fitted_rows import kept_rows
from scalewise.forecast.stage_notes import NOT_TESTED, FormScore, stage_notes
from scalewise.forecast.trajectory import Trajectory
from scalewise.laws.trajectory import TRAJECTORY_LAWS
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

PLAIN = "trajectory"
FORMS = tuple(law.key for law in TRAJECTORY_LAWS)
POINTS = 60  # per curve, evenly in log step
GAP = 1.5  # nats/token above the floor: earlier points are of the transient (Su et al. 2024)
DELTA = 3e-3  # of the Huber loss of log loss
CLEARLY = 0.9  # of the plain law's held-out error, which another form must stay below
_FEWEST_LEFT = 3  # sizes or batches from which the held-out one is forecast
_HELD_OUT_DRAWS = 100
# Of fits that only forecast held-out curves: a place in a flat valley is as good as its bottom.
_BRIEF = replace(THOROUGH, refined=8, tolerance=1e-9, follows_valleys=False)
_EXACT = 1e-9  # of log loss: errors below are rounding, and judge nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrajectoryFit:
    """A joint fit of loss curves, with the stages that led to it.

    ``result`` predicts like any fit; its ``spread`` is what the held-out curves found missing in
    its intervals. ``held_out`` names the sets that judged the ``forms``, best first. Where no size
    was scanned over enough batches, ``contours`` are none and a warning says so.
    """

    result: FitResult
    forms: tuple[FormScore, ...]
    held_out: tuple[str, ...]
    contours: Contours
    asymptotes: tuple[Asymptote, ...]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def trajectory(self) -> Trajectory:
        """The constants, ready to answer; their intervals hold no noise of a run."""
        return Trajectory.from_fit(self.result)


def fit_trajectory(
    runs: object,
    *,
    forms: Sequence[str] = FORMS,
    objective: str | None = None,
    delta: float | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    fixed: Mapping[str, float | str] | None = None,
    priors: Mapping[str, Prior] | None = None,
    warmups: float = WARMUPS,
    gap: float = GAP,
    points: int = POINTS,
    bootstrap: int = 200,
    level: float = 0.9,
    seed: int = 0,
) -> TrajectoryFit:
    """Estimate a trajectory from whole loss curves of several sizes and a batch scan.

    ``runs`` has params_nonembed, step, batch_tokens and loss, one row per checkpoint. Curves begin
    after ``warmups`` times their warm-up and less than ``gap`` nats/token above their floor, and
    count with ``points`` rows each. Of the ``forms`` the one that forecasts held-out curves best
    is kept, the plain law unless another errs by a tenth less. ``objective`` (huber-log, its
    ``delta`` 3e-3), ``bounds``, ``fixed`` and ``priors`` go to every fit of a form, as in
    ``scalewise.fit``. Raises RunDataError for missing columns and UnfitDataError if the rows
    cannot carry six constants.
    """
    if unknown := [form for form in forms if form not in FORMS] or not forms:
        raise UsageError(
            f"forms={unknown if forms else ()} are no forms of a trajectory.",
            hint=f"Choose from {', '.join(FORMS)}.",
        )
    if points < 2 or not gap > 0:
        raise UsageError(
            f"points={points} and gap={gap:g} leave no curve.",
            hint=f"{POINTS} points and a gap of {GAP:g} nats/token are usual.",
        )
    if delta is None and objective in (None, "huber-log"):
        delta = DELTA
    how = {"objective": objective, "delta": delta, "bounds": bounds, "fixed": fixed,
           "priors": priors}  # fmt: skip
    read = read_curves(runs, warmups=warmups)
    table, left_out = _below_transient(read.thinned(points), gap)
    splits = _splits(table)
    scores = sorted((_score(form, splits, how) for form in forms), key=lambda s: s.error)
    chosen = _chosen(scores, forms)
    result = _fit(chosen, table, how, bootstrap=bootstrap, seed=seed, effort=THOROUGH)
    spread = _spread(chosen, splits, how, level, seed) if bootstrap else 1.0
    contours, told = _contours(read)
    told += _doubts(chosen, scores, splits)
    floors = asymptotes(result, level=level)
    notes = stage_notes(
        result, tuple(scores), tuple(splits), contours=contours, floors=floors, left_out=left_out
    )
    result = replace(result, spread=spread, warnings=(*result.warnings, *told), stages=notes)
    return TrajectoryFit(
        result=result,
        forms=tuple(scores),
        held_out=tuple(splits),
        contours=contours,
        asymptotes=floors,
        left_out=left_out,
        warnings=result.warnings,
    )


def _fit(
    form: str, table: RunTable, how: Mapping[str, Any], *, bootstrap: int = 0, seed: int = 0,
    effort: Effort = _BRIEF,
) -> FitResult:  # fmt: skip
    return fit(form, table, rows="all", bootstrap=bootstrap, seed=seed, effort=effort, **how)


def _below_transient(read: Curves, gap: float) -> tuple[RunTable, tuple[str, ...]]:
    """The rows less than ``gap`` above the floor that a first fit gives their size."""
    table, told = read.table, read.left_out
    first = _fit(PLAIN, table, {"delta": DELTA})
    if first.status is FitStatus.NOT_IDENTIFIED:
        # Its floors are no floors: nothing can be called early by them.
        return table, told
    floor = np.asarray(Trajectory.from_fit(first).floor(table.column("params_nonembed")))
    late = table.column("loss") - floor < gap
    if not late.any():
        raise UnfitDataError(
            f"Every row lies {gap:g} nats/token or more above the floor of its size.",
            hint="Train for longer, or raise gap.",
        )
    if early := int((~late).sum()):
        told = (*told, f"{early} rows {gap:g} nats/token or more above the floor of their size")
    return kept_rows(table, late), told


def _splits(table: RunTable) -> dict[str, tuple[RunTable, RunTable]]:
    """What forecasts and what is forecast, by name."""
    size, batch = table.column("params_nonembed"), table.column("batch_tokens")
    splits = {}
    sizes, batches = np.unique(size), np.unique(batch)
    if len(sizes) > _FEWEST_LEFT:
        out = size == sizes[-1]
        splits["largest size"] = (kept_rows(table, ~out), kept_rows(table, out))
    if len(batches) > _FEWEST_LEFT:
        away = np.abs(np.log(batches) - np.log(np.median(batch)))
        out = batch == batches[len(batches) - 1 - np.argmax(away[::-1])]
        splits["furthest batch"] = (kept_rows(table, ~out), kept_rows(table, out))
    return {
        name: split
        for name, split in splits.items()
        if len(np.unique(split[0].column("params_nonembed"))) >= _FEWEST_LEFT
        and len(np.unique(split[0].column("batch_tokens"))) >= _FEWEST_LEFT
    }


def _score(
    form: str, splits: Mapping[str, tuple[RunTable, RunTable]], how: Mapping[str, Any]
) -> FormScore:
    errors: dict[str, float] = {}
    for name, (rest, out) in splits.items():
        try:
            result = _fit(form, rest, how)
        except UnfitDataError as error:
            return FormScore(law=form, errors=errors, told=error.message)
        if result.status is FitStatus.NOT_IDENTIFIED:
            told = f"Without the {name}: {result.status.value}"
            return FormScore(law=form, errors=errors, told=told)
        errors[name] = float(np.mean(np.abs(_misses(result, out))))
    return FormScore(law=form, errors=errors)


def _misses(result: FitResult, out: RunTable) -> Array:
    """Log measured over predicted of each held-out row."""
    inputs = {symbol: out.column(column) for symbol, column in result.law.variables.items()}
    predicted = np.asarray(result.law.value(result.theta, **inputs))
    return np.asarray(np.log(out.column("loss")) - np.log(predicted))


def _chosen(scores: Sequence[FormScore], forms: Sequence[str]) -> str:
    """The plain law, unless another errs clearly less; the best where it was not asked for."""
    best, errors = scores[0], {score.law: score.error for score in scores}
    if not np.isfinite(best.error):
        return PLAIN if PLAIN in forms else forms[0]
    is_clear = best.error < CLEARLY * max(errors.get(PLAIN, np.inf), _EXACT)
    return best.law if is_clear else PLAIN


def _spread(
    form: str, splits: Mapping[str, tuple[RunTable, RunTable]], how: Mapping[str, Any],
    level: float, seed: int,
) -> float:  # fmt: skip
    """By how much held-out curves missed the intervals, at least 1; one set counts as a prior."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    squared = [1.0]
    for rest, out in splits.values():
        result = _fit(form, rest, how, bootstrap=_HELD_OUT_DRAWS, seed=seed)
        columns: dict[str, Any] = {column: out.column(column) for column in result.law.columns}
        found = result.predict(level=level, **columns)
        sd = np.log(np.asarray(found.high) / np.asarray(found.low)) / (2 * z)
        with np.errstate(divide="ignore", invalid="ignore"):
            squared.append(float(np.nan_to_num(np.mean((_misses(result, out) / sd) ** 2))))
    return float(max(1.0, np.sqrt(np.mean(squared))))


def _contours(read: Curves) -> tuple[Contours, tuple[str, ...]]:
    try:
        found = batch_contours(read.table, warmups=0)
    except UnfitDataError as error:
        told = f"No contours: {error.message} {error.hint}"
        return Contours(contours=(), warnings=(told,)), (told,)
    return found, found.warnings


def _doubts(
    chosen: str, scores: Sequence[FormScore], splits: Mapping[str, object]
) -> tuple[str, ...]:
    told = []
    if not splits:
        told.append(
            f"{NOT_TESTED}: the form is not tested, and the intervals hold only what resampled "
            "runs show."
        )
    elif chosen != PLAIN:
        errors = {score.law: score.error for score in scores}
        told.append(
            f"Held-out curves chose {chosen} ({errors[chosen]:.2%}) over {PLAIN} "
            f"({errors.get(PLAIN, float('nan')):.2%})."
        )
    return tuple(told)
