"""How far the constants could have fallen otherwise: the bootstrap, always by run.

Checkpoints of one run share its seed and data order, so the run is what is resampled. With many
runs they are drawn with replacement; with few, a redrawn design would lose whole sizes, so the
design is kept and each run's residuals are flipped and scaled together (wild cluster bootstrap
with Webb's six points: Cameron, Gelbach & Miller 2008; Webb 2014).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scalewise.fit.priors import Penalty
from scalewise.fit.search import descend
from scalewise.fit.solver import minimise
from scalewise.fit.space import Space

Array = np.ndarray[Any, np.dtype[Any]]

Resampling = Literal["refit", "asymptotic"]

FEW_RUNS = 40
_MOST_LEVERAGE = 0.78  # of a run in its own fit that is undone: beyond, one run is the fit
_WEBB = np.sqrt(np.array([0.5, 1.0, 1.5]))
_ENOUGH = 1e-8  # a resample need not be solved more finely than it is drawn
_CHUNK = 100_000  # numbers per array: bounds memory, and stays in a core's cache


@dataclass(frozen=True, slots=True)
class Resamples:
    """Coordinates refitted to each resample, shape (count, p), and how they were drawn."""

    q: Array
    method: str
    failed: int


def refitted(
    space: Space,
    q: Array,
    observed: Array,
    weights: Array,
    cluster: Array,
    *,
    count: int,
    seed: int,
) -> Resamples:
    """Refit ``count`` resamples of the runs, each from the optimum ``q`` (p,)."""
    rng = np.random.default_rng(seed)
    runs = len(np.unique(cluster))
    wild = runs < FEW_RUNS
    fitted = observed + space.residuals(q[None], observed[None])[0][0]
    noise = _smooth_noise(space, q, observed, weights, cluster) if wild else np.zeros(len(observed))
    step = max(1, _CHUNK // (len(observed) * max(len(q), 1)))
    parts, failed = [], 0
    for begin in range(0, count, step):
        size = min(step, count - begin)
        if wild:
            flips = rng.choice(np.concatenate([-_WEBB, _WEBB]), size=(size, runs))
            y, w = fitted + flips[:, cluster] * noise, np.broadcast_to(weights, (size, len(fitted)))
        else:
            draws = rng.multinomial(runs, np.full(runs, 1.0 / runs), size=size)
            y, w = np.broadcast_to(observed, (size, len(fitted))), weights * draws[:, cluster]
        drawn = space if space.penalty is None else _redrawn(space, space.penalty, size, rng)
        found = descend(drawn, np.repeat(q[None], size, axis=0), y, w, tolerance=_ENOUGH, warm=True)
        good = np.isfinite(found.objective)
        failed += int((~found.converged).sum())
        parts.append(found.q[good])
    method = "wild cluster bootstrap by run" if wild else "pairs bootstrap by run"
    return Resamples(np.concatenate(parts) if parts else np.empty((0, len(q))), method, failed)


def _redrawn(space: Space, penalty: Penalty, count: int, rng: np.random.Generator) -> Space:
    """The space with the means of the priors drawn anew: they are observations like the runs."""
    chance = rng.standard_normal((count, len(penalty.names)))
    return replace(space, penalty=replace(penalty, mean=penalty.mean + penalty.sd * chance))


def _smooth_noise(space: Space, q: Array, observed: Array, weights: Array, cluster: Array) -> Array:
    """Residuals to flip, from a least-squares-like fit beside the optimum, for their leverage.

    A small delta makes the fit pass exactly through as many points as there are constants, and a
    residual of zero stays zero however it is flipped: the draws would be far too narrow.
    """
    residuals, _ = space.residuals(q[None], observed[None])
    delta = max(1.5 * robust_scale(residuals[0], int(space.free.sum())), space.objective.delta)
    if delta > 0 and np.isfinite(delta):
        smooth = minimise(space, q[None], observed, weights, delta=delta, tolerance=_ENOUGH).q
        q = smooth[0]
    residuals, jacobian = space.residuals(q[None], observed[None])
    return -_deleted(residuals[0], jacobian[0], weights, cluster)


def _deleted(residuals: Array, jacobian: Array, weights: Array, cluster: Array) -> Array:
    """Residuals as they would be had each run been left out of the fit (CR3).

    A run draws the fit towards itself by its leverage: its residuals r_g shrink to
    (I - H_gg) r_g, which is undone here run by run (Bell & McCaffrey 2002), as far as the data
    can support it.
    """
    root = np.sqrt(weights)
    basis, size, _ = np.linalg.svd((jacobian * root).T, full_matrices=False)
    basis = basis[:, size > 1e-9 * max(size[0], 1e-300)]
    order = np.argsort(cluster, kind="stable")
    ends = np.flatnonzero(np.diff(cluster[order])) + 1
    out = residuals.copy()
    for run in np.split(order, ends):
        values, vectors = np.linalg.eigh(basis[run].T @ basis[run])
        share = np.clip(values, 0.0, _MOST_LEVERAGE)
        # (I - U U')**-1 = I + U (I - U'U)**-1 U', in the eigenvectors of U'U.
        pulled = vectors.T @ (basis[run].T @ (root[run] * residuals[run]))
        undone = basis[run] @ (vectors @ (pulled / (1.0 - share)))
        out[run] += np.where(root[run] > 0, undone / np.maximum(root[run], 1e-300), 0.0)
    return out


def robust_scale(residuals: Array, free: int) -> float:
    """Robust standard deviation, without the points that a robust fit passes through."""
    passed = min(free, len(residuals) - 1)
    return 1.4826 * float(np.median(np.sort(np.abs(residuals))[passed:]))


def asymptotic(
    space: Space,
    q: Array,
    observed: Array,
    weights: Array,
    cluster: Array,
    *,
    count: int,
    seed: int,
) -> Resamples:
    """Draw coordinates from the cluster-robust normal approximation at the optimum.

    Residuals are scaled up by their leverage and by the number of runs (CR2-like), so that few
    runs give wide draws. A delta far below the noise makes the fit one of least absolute
    deviations, whose constants scatter sqrt(pi / 2) times as far as those of least squares.
    """
    rng = np.random.default_rng(seed)
    runs = len(np.unique(cluster))
    residuals, jacobian = space.residuals(q[None], observed[None])
    open_ = space.free & (q > space.low) & (q < space.high)
    slopes = jacobian[0] * open_[:, None]
    bread = np.linalg.pinv((slopes * weights) @ slopes.T, rcond=1e-12, hermitian=True)
    scores = slopes * weights * residuals[0] / np.sqrt(1.0 - leverage(slopes, weights))
    by_run = np.zeros((runs, len(q)))
    np.add.at(by_run, cluster, scores.T)
    # Summing each run's score under random signs has exactly the sandwich covariance.
    is_lad = space.objective.delta < 0.5 * robust_scale(residuals[0], int(open_.sum()))
    factor = np.sqrt(runs / max(runs - 1, 1)) * (np.sqrt(np.pi / 2) if is_lad else 1.0)
    signs = rng.standard_normal((count, runs)) * factor
    draws = np.clip(q + signs @ by_run @ bread, space.low, space.high)
    return Resamples(draws, "normal approximation, clustered by run", 0)


def leverage(jacobian: Array, weights: Array) -> Array:
    """Share of each point in its own fitted value, below one; ``jacobian`` is (p, n)."""
    scaled = (jacobian * np.sqrt(weights)).T
    basis, size, _ = np.linalg.svd(scaled, full_matrices=False)
    kept = basis[:, size > 1e-9 * max(size[0], 1e-300)]
    return np.minimum(np.sum(kept * kept, axis=1), 0.95)
