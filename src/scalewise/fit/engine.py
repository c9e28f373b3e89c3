"""Fit one law to runs: the global optimum of a stated objective, and how it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.fit.information import information
from scalewise.fit.objective import objective_named
from scalewise.fit.points import Points, Rows, points_of, ranges_of
from scalewise.fit.priors import Prior, penalty_of, pinned, rise_per_chi_squared
from scalewise.fit.result import FitResult, FitStatus
from scalewise.fit.search import LARGE, THOROUGH, Effort, Optimum, Problem, search_all
from scalewise.fit.space import Space, space_of
from scalewise.fit.uncertainty import Resampling, asymptotic, refitted, robust_scale
from scalewise.laws.catalogue import law_from
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]

DEFAULT_BOOTSTRAP = 300
_DEPENDENT = 1e-7  # a direction this much weaker than the strongest is not in the data
_FEW_SIZES = 3
# Resamples times points that are refitted; with more, the normal approximation is as good.
_REFITTED = 20_000_000
_TOGETHER = 64  # tables searched side by side: more would only take memory
_CHANCE = 2.706  # chi-squared of one degree that nine in ten samples stay below
_APART = 0.1  # constants of two minima that differ by this share are worth telling
_CONFLICT = 2.5  # standard deviations between data and prior that a reader is told of


def fit(
    law: Law | str,
    runs: object,
    *,
    objective: str | None = None,
    delta: float | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    fixed: Mapping[str, float | str] | None = None,
    priors: Mapping[str, Prior] | None = None,
    weights: str | Array | None = None,
    rows: Rows = "finals",
    bootstrap: int = DEFAULT_BOOTSTRAP,
    resampling: Resampling = "refit",
    seed: int = 0,
    effort: Effort = THOROUGH,
) -> FitResult:
    """Estimate a law's constants from runs.

    ``law`` is a Law, a key of the catalogue or a formula; ``runs`` a run table, a path, a
    dataframe or a mapping of arrays by column. ``objective`` is huber-log (default, ``delta``
    1e-3), lad-log, ls-log or ls. ``bounds``, ``fixed`` and ``priors`` are in the units of
    ``law.unit``; a constant may be fixed at the value that a published set has, by its name.
    ``bootstrap`` resamples runs, never checkpoints; 0 leaves intervals out. Each resample is
    refitted, or with ``resampling="asymptotic"``, and with very many points, taken from the
    covariance at the optimum, which is a hundred times quicker and knows nothing of curvature.

    Raises UnfitDataError when there are fewer points than constants; a fit that is not
    identified or not converged comes back with that status, see ``FitResult.required``.
    """
    (result,) = fit_many(
        law,
        [runs],
        objective=objective,
        delta=delta,
        bounds=bounds,
        fixed=fixed,
        priors=priors,
        weights=weights,
        rows=rows,
        bootstrap=bootstrap,
        resampling=resampling,
        seed=seed,
        effort=effort,
    )
    return result


def fit_many(
    law: Law | str,
    tables: Sequence[object],
    *,
    objective: str | None = None,
    delta: float | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    fixed: Mapping[str, float | str] | None = None,
    priors: Mapping[str, Prior] | None = None,
    weights: str | Array | None = None,
    rows: Rows = "finals",
    bootstrap: int = DEFAULT_BOOTSTRAP,
    resampling: Resampling = "refit",
    seed: int = 0,
    effort: Effort = THOROUGH,
) -> list[FitResult]:
    """Fit one law to each of many tables of runs, searched side by side; as ``fit`` otherwise.

    The search takes every step for all tables at once, which for small tables is several times
    quicker than one after the other.
    """
    law = law_from(law) if isinstance(law, str) else law
    if bootstrap < 0:
        raise UsageError(f"bootstrap={bootstrap} is negative.", hint="Give 0 or more resamples.")
    goal = objective_named(objective or law.default_objective, delta)
    values, provenance = pinned(law, fixed)
    provenance |= {name: f"prior {prior}" for name, prior in (priors or {}).items()}
    parts = []
    for runs in tables:
        every = points_of(law, runs, weights=weights, rows=rows)
        points = every.merged() if len(every) > LARGE else every
        space = space_of(law, points, goal, bounds=bounds or {}, fixed=values)
        _require_enough(space, points, len(priors or {}))
        parts.append(_Part(points, len(every), space, goal.observed(points.observed)))
    found = []
    for begin in range(0, len(parts), _TOGETHER):
        together = parts[begin : begin + _TOGETHER]
        with np.errstate(all="ignore"):
            optima = search_all([part.problem for part in together], effort)
            if priors:
                together = [
                    _with_priors(part, optimum, priors)
                    for part, optimum in zip(together, optima, strict=True)
                ]
                optima = [search_all([part.problem], effort)[0] for part in together]
            for part, optimum in zip(together, optima, strict=True):
                result = _result(
                    part.space, part.points, optimum, part.observed, bootstrap=bootstrap,
                    resampling=resampling, seed=seed,
                )  # fmt: skip
                told = (*result.warnings, *part.warnings)
                found.append(replace(result, provenance=provenance, warnings=told))
    return found


@dataclass(frozen=True, slots=True)
class _Part:
    """One table as it is searched; ``rows`` is how many rows its points come from."""

    points: Points
    rows: int
    space: Space
    observed: Array
    conflicts: tuple[str, ...] = ()

    @property
    def problem(self) -> Problem:
        return Problem(self.space, self.observed, self.points.weights)

    @property
    def warnings(self) -> tuple[str, ...]:
        if self.rows == len(self.points):
            return self.conflicts
        count = len(self.points)
        repeated = f"{self.rows:,} rows repeat {count:,} points, which count so many times."
        return (repeated, *self.conflicts)


def _require_enough(space: Space, points: Points, priors: int) -> None:
    free = int(space.free.sum()) - priors
    if len(points) < max(free, 1):
        raise UnfitDataError(
            f"Law {space.law.key!r} has {free} free constants and there are {len(points)} points.",
            hint="Add runs, fix constants, or choose a law with fewer constants.",
        )


def _with_priors(part: _Part, optimum: Optimum, priors: Mapping[str, Prior]) -> _Part:
    """The table with priors, weighed by the noise around the fit without them.

    What the data say against them is told.
    """
    space, points = part.space, part.points
    held = [n for n, free in zip(space.names, space.free, strict=True) if n in priors and not free]
    if held:
        raise UsageError(f"{held[0]} is fixed and has a prior.", hint="Give it one of the two.")
    residuals, _ = space.residuals(optimum.q[None], part.observed[None])
    sigma = robust_scale(residuals[0], int(space.free.sum()))
    known = information(space, optimum.q, part.observed, points.weights, points.cluster)
    space = replace(space, penalty=penalty_of(space.law, priors, sigma, len(points) / points.runs))
    surprise, slope = space.surprise(optimum.q[None])
    conflicts = []
    for name, apart, gradient in zip(priors, surprise[0], slope[0], strict=True):
        deviations = abs(float(apart)) / float(np.hypot(1.0, known.standard_error(gradient)))
        if deviations > _CONFLICT:
            value = float(space.theta(optimum.q)[name])
            conflicts.append(
                f"The data alone give {name} = {value:.4g}, {deviations:.1f} standard deviations "
                f"from its prior, {priors[name]}."
            )
    return replace(part, space=space, conflicts=tuple(conflicts))


def _result(
    space: Space,
    points: Points,
    optimum: Optimum,
    observed: Array,
    *,
    bootstrap: int,
    resampling: Resampling,
    seed: int,
) -> FitResult:
    law, q = space.law, optimum.q
    residuals, jacobian = space.residuals(q[None], observed[None])
    at_bound = _at_bound(space, q)
    loose = _not_identified(space, jacobian[0], q)
    status = _status(optimum, at_bound, loose)
    draws, method, failed = np.empty((0, len(q))), "none", 0
    if bootstrap and not loose:
        affordable = bootstrap * len(points) <= _REFITTED
        draw = refitted if resampling == "refit" and affordable else asymptotic
        resamples = draw(
            space, q, observed, points.weights, points.cluster, count=bootstrap, seed=seed
        )
        theta = space.theta(resamples.q)
        draws = np.stack([theta[name] for name in law.constant_names], axis=1)
        method, failed = resamples.method, resamples.failed
    return FitResult(
        law=law,
        theta={name: float(value) for name, value in space.theta(q).items()},
        status=status,
        objective=space.objective,
        objective_value=optimum.objective,
        certificate=optimum.certificate,
        points=len(points),
        runs=points.runs,
        ranges=ranges_of(law, points),
        noise=_noise(
            residuals[0], points.weights, int(space.free.sum()) - len(at_bound), points.runs
        ),
        draws=draws,
        resampling=method,
        seed=seed,
        correlation=_correlation(space, jacobian[0], points.weights, q),
        penalty=space.penalty,
        inputs=points.inputs,
        observed=points.observed,
        weights=points.weights,
        cluster=points.cluster,
        sha256=points.sha256,
        source=points.source,
        fixed=tuple(n for n, f in zip(space.names, space.free, strict=True) if not f),
        at_bound=at_bound,
        not_identified=loose,
        warnings=(
            *_warnings(space, points, at_bound, loose, failed, bootstrap),
            *_as_good(space, points, optimum, residuals[0]),
        ),
    )


def _at_bound(space: Space, q: Array) -> tuple[str, ...]:
    at_edge = space.free & ((q <= space.low) | (q >= space.high))
    return tuple(name for name, edge in zip(space.names, at_edge, strict=True) if edge)


def _not_identified(space: Space, jacobian: Array, q: Array) -> tuple[str, ...]:
    """Constants that can move together without changing any prediction."""
    open_ = np.flatnonzero(space.free & (q > space.low) & (q < space.high))
    if not len(open_):
        return ()
    columns = jacobian[open_]
    if space.penalty is not None:  # priors are observations of constants
        _, slope = space.surprise(q[None])
        jacobian = np.concatenate([jacobian, slope[0].T * space.penalty.sigma], axis=1)
        columns = jacobian[open_]
    size = np.linalg.norm(columns, axis=1)
    dead = tuple(space.names[i] for i, s in zip(open_, size, strict=True) if s < 1e-12)
    alive = open_[size >= 1e-12]
    if not len(alive):
        return dead
    scaled = jacobian[alive] / np.linalg.norm(jacobian[alive], axis=1, keepdims=True)
    directions, strength, _ = np.linalg.svd(scaled, full_matrices=False)
    weak = directions[:, strength < _DEPENDENT * strength[0]]
    if len(alive) > jacobian.shape[1]:
        weak = directions
    moved = np.any(np.abs(weak) > 0.1, axis=1) if weak.size else np.zeros(len(alive), dtype=bool)
    return dead + tuple(space.names[i] for i, m in zip(alive, moved, strict=True) if m)


def _status(optimum: Optimum, at_bound: tuple[str, ...], loose: tuple[str, ...]) -> FitStatus:
    if not optimum.converged:
        return FitStatus.MAX_ITERATIONS
    if loose:
        return FitStatus.NOT_IDENTIFIED
    return FitStatus.AT_BOUND if at_bound else FitStatus.CONVERGED


def _noise(residuals: Array, weights: Array, free: int, runs: int) -> float:
    """Standard deviation of one run around the law, with outliers pulled in to three sigma.

    Plain standard deviation would let one odd run widen every interval; the median alone would
    ignore a real tail. Finished models branched from one run share its deviation, which the
    constants absorb as they would a single point: degrees of freedom are counted in runs.
    """
    kept = residuals[weights > 0]
    scale = robust_scale(kept, free)
    if scale > 0:
        kept = np.clip(kept, -3 * scale, 3 * scale)
    return float(np.sqrt(np.mean(kept**2) * runs / max(runs - free, 1)))


def _correlation(space: Space, jacobian: Array, weights: Array, q: Array) -> Array:
    """Correlation of the constants (amplitudes by logarithm) in the user's units."""
    information = (jacobian * weights) @ jacobian.T
    covariance = np.linalg.pinv(information, hermitian=True)
    to_user = np.stack([_in_user_units(space, q, i) for i in range(len(q))], axis=1)
    covariance = to_user @ covariance @ to_user.T
    sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    safe = np.where(sd > 0, sd, 1.0)
    return np.clip(covariance / np.outer(safe, safe), -1.0, 1.0)


def _in_user_units(space: Space, q: Array, index: int, step: float = 1e-6) -> Array:
    """Derivative of the constants (amplitudes by logarithm) by one coordinate."""
    moved = np.repeat(q[None], 2, axis=0)
    moved[0, index] -= step
    moved[1, index] += step
    theta = space.theta(moved)
    values = np.stack([theta[name] for name in space.names])
    values = np.where(space.logged[:, None], np.log(np.maximum(values, 1e-300)), values)
    return (values[:, 1] - values[:, 0]) / (2 * step)


def _warnings(
    space: Space,
    points: Points,
    at_bound: tuple[str, ...],
    loose: tuple[str, ...],
    failed: int,
    count: int,
) -> tuple[str, ...]:
    found = [f"{text}; left out of the fit." for text in points.left_out]
    for symbol, column in space.law.variables.items():
        levels = len(np.unique(points.inputs[symbol]))
        if levels < _FEW_SIZES:
            found.append(
                f"Only {levels} distinct value{'s' if levels != 1 else ''} of {column}: its "
                "exponent cannot be told from the offset. Add a third."
            )
    if loose:
        found.append(
            f"{', '.join(loose)} not identified: they can move together without changing any "
            "prediction at the fitted points."
        )
    found += [f"{name} stopped at its bound." for name in at_bound]
    spare = len(points) - int(space.free.sum())
    if spare < 3:
        found.append(
            f"{len(points)} points for {int(space.free.sum())} constants leave {spare} degrees "
            "of freedom: the intervals rest on almost nothing."
        )
    if count and failed > 0.05 * count:
        found.append(f"{failed} of {count} resamples did not converge.")
    return tuple(found)


def _as_good(space: Space, points: Points, optimum: Optimum, residuals: Array) -> tuple[str, ...]:
    """Other minima that fit the runs as well as the best, as far as noise lets one tell."""
    sigma = robust_scale(residuals, int(space.free.sum()))
    rise = rise_per_chi_squared(sigma, space.objective.delta) * len(points) / points.runs
    limit = optimum.objective + _CHANCE * rise
    theta = space.theta(optimum.q)
    near = [b.theta for b in optimum.certificate.basins if b.objective <= limit]
    moved = []
    for i in np.flatnonzero(space.free):
        name = space.names[i]
        values = np.array([float(theta[name]), *(float(t[name]) for t in near)])
        if values.max() - values.min() > _APART * max(np.abs(values).max(), 1e-300):
            moved.append(f"{name} from {values.min():.3g} to {values.max():.3g}")
    if not moved:
        return ()
    return (
        f"{len(near)} other {'minima fit' if len(near) > 1 else 'minimum fits'} the runs as well, "
        f"within noise: {', '.join(moved)}. Read "
        "predictions, not these constants, or profile them.",
    )
