"""A fit without a size or a run: the answer that is left, and whether the rest carry the law."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import ScalewiseError, UnfitDataError
from scalewise.core.quantities import format_count
from scalewise.fit.engine import fit
from scalewise.fit.points import Points, points_of
from scalewise.fit.result import FitResult
from scalewise.fit.search import descend
from scalewise.fit.space import Space, space_of
from scalewise.fit.uncertainty import FEW_RUNS, robust_scale
from scalewise.forecast.fitted_rows import kept_rows
from scalewise.laws.law import Law
from scalewise.plan.target import FitSettings, Target, answers
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

SAME_SIZE = 0.01  # sizes closer than this share are one: counts are rounded, or read off a figure
MOST_GROUPS = 12
MOST_RUNS = 500
NO_WIDTH = 1e-9  # of the logarithm of an interval's ends
_WORK = 2_000_000  # residuals of one batch of fits; more runs than this allows are not refitted
_CHUNK = 100_000
_LEVELS = 3  # distinct values of an input that tell an exponent from an offset
_ENOUGH = 1e-10
_BASINS = 3  # other minima of the whole fit that descents begin from too
_MOST_SEARCHES = 40  # from scratch, for descents that did not converge


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """The answer without one size or run.

    ``shift`` is the change of its logarithm in half widths of the interval, None where it is not
    known; ``influential`` says that it exceeds one, or is the largest of its kind. ``doubt`` says
    why the rest no longer determine the law.
    """

    kind: Literal["size", "run"]
    label: str
    runs: int
    points: int
    value: float | None
    shift: float | None
    influential: bool
    doubt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What changes are measured against."""

    target: Target
    centre: float
    half: float

    def shift(self, value: float) -> float | None:
        """The change of an answer in half widths, None where the interval has no width."""
        if not (self.half >= NO_WIDTH and value > 0 and np.isfinite(value)):
            return None
        return float(np.log(value / self.centre) / self.half)


def size_groups(sizes: Array) -> list[tuple[str, Array]]:
    """Each size, or each of ``MOST_GROUPS`` groups of neighbouring sizes: its label and its rows.

    >>> [label for label, _ in size_groups(np.array([1e6, 1.001e6, 2e6]))]
    ['1M', '2M']
    """
    order = np.argsort(sizes, kind="stable")
    ordered = sizes[order]
    step = np.concatenate([[False], ordered[1:] > ordered[:-1] * (1 + SAME_SIZE)])
    level = np.cumsum(step)
    if level[-1] >= MOST_GROUPS:
        # Groups of about equally many runs, that never cut through one size.
        first = np.searchsorted(level, level)
        level = np.unique(first * MOST_GROUPS // len(sizes), return_inverse=True)[1]
    found = []
    for code in range(int(level[-1]) + 1):
        rows = np.zeros(len(sizes), dtype=bool)
        rows[order[level == code]] = True
        low, high = (format_count(float(f(sizes[rows]))) for f in (np.min, np.max))
        found.append((low if low == high else f"{low} to {high}", rows))
    return found


def refitted(
    kind: Literal["size", "run"],
    label: str,
    table: RunTable,
    keep: Array,
    law: Law,
    scale: Scale,
    settings: FitSettings,
) -> LeftOut:
    """The answer of a search from scratch on the rows that are kept."""
    lost = kept_rows(table, ~keep)
    value, doubt = None, ""
    try:
        if not keep.any():
            raise UnfitDataError("No run is left without it.", hint="Add runs of other sizes.")
        again: FitSettings = {**settings, "bootstrap": 0}
        result = fit(law, kept_rows(table, keep), rows="all", **again)
        doubt = _doubt(result)
        result.required()
        value = float(answers(law, result.theta, scale.target)[0])
    except ScalewiseError as error:
        doubt = doubt or error.message
    known = value is not None and np.isfinite(value)
    return LeftOut(
        kind=kind,
        label=label,
        runs=lost.run_count,
        points=len(lost),
        value=value if known else None,
        shift=scale.shift(value) if value is not None and known else None,
        influential=False,
        doubt=doubt,
    )


def _doubt(result: FitResult) -> str:
    """Why the runs that are left do not determine the law, or nothing."""
    try:
        result.required()
    except UnfitDataError:
        return result.status.value
    for symbol, column in result.law.variables.items():
        levels = len(np.unique(result.inputs[symbol]))
        if levels < _LEVELS:
            return f"{levels} values of {column} are left: its exponent is a guess."
    return ""


def each_run_out(
    base: FitResult, table: RunTable, scale: Scale, settings: FitSettings
) -> tuple[list[LeftOut], int]:
    """The answer without each run.

    By a search each where runs are few and the objective robust, for then every point that leaves
    may open another valley; else by descents from the minima of the whole fit, all runs at once.
    """
    law = base.law
    points = points_of(law, table, rows="all")
    names = np.unique(np.asarray(table.text("run_id")))
    if len(names) <= FEW_RUNS and np.isfinite(base.objective.delta):
        return [
            refitted("run", str(name), table, points.cluster != i, law, scale, settings)
            for i, name in enumerate(names)
        ], 0
    space = space_of(
        law,
        points,
        base.objective,
        bounds=settings.get("bounds") or {},
        fixed={name: base.theta[name] for name in base.fixed},
    )
    space = replace(space, penalty=base.penalty)
    minima = [base.theta, *(basin.theta for basin in base.certificate.basins[:_BASINS])]
    starts, observed = (
        np.array([space.q_of(m) for m in minima]),
        space.objective.observed(points.observed),
    )
    most = int(np.clip(_WORK // len(points), 10, MOST_RUNS))
    chosen = np.arange(len(names))
    if len(names) > most:
        score = np.abs(_first_order(space, starts[0], observed, points, scale.target))
        chosen = np.sort(np.argsort(-score, kind="stable")[:most])
    found, stuck, free = [], 0, int(space.free.sum())
    step = max(1, _CHUNK // (len(points) * starts.size))
    for begin in range(0, len(chosen), step):
        part = chosen[begin : begin + step]
        absent = points.cluster[None] == part[:, None]
        values, sound = _without(space, starts, observed, absent, scale.target)
        for i, run in enumerate(part):
            rows, label = points.cluster == run, str(names[run])
            ok = bool(sound[i] and np.isfinite(values[i]))
            stuck += not ok
            if (not ok and stuck <= _MOST_SEARCHES) or _deprives(points, rows, free):
                found.append(refitted("run", label, table, ~rows, law, scale, settings))
                continue
            found.append(
                LeftOut(
                    kind="run",
                    label=label,
                    runs=1,
                    points=int(rows.sum()),
                    value=float(values[i]) if ok else None,
                    shift=scale.shift(float(values[i])) if ok else None,
                    influential=False,
                    doubt="" if ok else "The descent did not converge without it.",
                )
            )
    return found, len(names) - len(chosen)


def _without(
    space: Space, starts: Array, observed: Array, absent: Array, target: Target
) -> tuple[Array, Array]:
    """Answers (S,) without the points marked in ``absent`` (S, n), and which have converged.

    Of the descents from each of ``starts`` (k, p) the lowest counts.
    """
    count, rows = len(absent), np.arange(len(absent))
    with np.errstate(all="ignore"):
        minimum = descend(
            space,
            np.repeat(starts, count, axis=0),
            observed,
            np.tile((~absent).astype(float), (len(starts), 1)),
            tolerance=_ENOUGH,
            warm=True,
        )
        lowest = np.nanargmin(minimum.objective.reshape(len(starts), count), axis=0)
        chosen = lowest * count + rows
        values = answers(space.law, space.theta(minimum.q[chosen]), target)
    return values, minimum.converged[chosen]


def _first_order(space: Space, q: Array, observed: Array, points: Points, target: Target) -> Array:
    """About how much each run moves the logarithm of the answer: one Gauss-Newton step."""
    residuals, jacobian = space.residuals(q[None], observed[None])
    pull = residuals[0]
    limit = max(space.objective.delta, robust_scale(pull, len(q)))
    pull = np.clip(pull, -limit, limit)
    moved = np.repeat(q[None], 2 * len(q), axis=0)
    size = 1e-5
    for i in range(len(q)):
        moved[2 * i, i] -= size
        moved[2 * i + 1, i] += size
    steps = np.log(answers(space.law, space.theta(moved), target)).reshape(len(q), 2)
    slope = (steps[:, 1] - steps[:, 0]) / (2 * size) * space.free
    effect = slope @ np.linalg.pinv(jacobian[0] @ jacobian[0].T, hermitian=True) @ jacobian[0]
    return np.bincount(points.cluster, weights=effect * pull)


def _deprives(points: Points, rows: Array, free: int) -> bool:
    """Whether leaving out the rows takes away what tells an exponent from an offset."""
    if len(points) - int(rows.sum()) < free:
        return True
    return any(
        len(np.unique(values)) >= _LEVELS > len(np.unique(values[~rows]))
        for values in points.inputs.values()
    )
