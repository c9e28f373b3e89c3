"""Damped Newton steps on many problems at once: starts, resamples and data sets alike.

The Huber objective is piecewise quadratic in the residuals. Its exact curvature counts only the
residuals inside delta; the curvature of its majoriser counts every residual, each by
delta / |r|. Steps use the first, damped by the second: a step that fails is pulled toward the
majoriser's, which always descends, and near the optimum the exact curvature takes over. Both
matrices change with the coordinates as the problem does, so the path does not depend on units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.fit.objective import rho
from scalewise.fit.projection import with_linear_constants
from scalewise.fit.space import Space

Array = np.ndarray[Any, np.dtype[Any]]

MAX_STEP = 2.0  # in normalised coordinates, where a unit step is a factor e of an amplitude
RELATIVE_DECREASE = 1e-13  # stop when no step can lower the objective by more than this share
ROUNDED = 1e-13  # of the largest derivative: what is left of one that cancels
ROUNDING = 1e-26  # squared residuals below this are rounding errors of the logarithm


@dataclass(frozen=True, slots=True)
class Minimum:
    """Where each problem ended: coordinates (S, p), objective (S,), whether it converged (S,)."""

    q: Array
    objective: Array
    converged: Array

    def joined(self, other: Minimum) -> Minimum:
        """These minima followed by others."""
        return Minimum(
            np.concatenate([self.q, other.q]),
            np.concatenate([self.objective, other.objective]),
            np.concatenate([self.converged, other.converged]),
        )


def minimise(
    space: Space,
    q: Array,
    observed: Array,
    weights: Array,
    *,
    delta: float,
    max_iterations: int = 200,
    tolerance: float = RELATIVE_DECREASE,
    projected: int = 0,
) -> Minimum:
    """Minimise from each start ``q`` (S, p); ``observed`` and ``weights`` are (n,) or (S, n).

    The first ``projected`` steps move in the nonlinear constants, see ``fit.projection``.
    """
    count = len(q)
    observed = np.broadcast_to(observed, (count, observed.shape[-1]))
    weights = np.broadcast_to(weights, observed.shape)
    best, value = q.copy(), np.full(count, np.inf)
    converged = np.zeros(count, dtype=bool)
    active = np.arange(count)
    with np.errstate(all="ignore"):
        state = _State(space, q, observed, weights, delta, tolerance)
        for iteration in range(max_iterations):
            finished, failed = state.advance(projected=iteration < projected)
            done = finished | failed
            if done.any():
                rows = active[done]
                best[rows], value[rows] = state.q[done], state.value[done]
                converged[rows] = finished[done]
                if done.all():
                    return Minimum(best, value, converged)
                active = active[~done]
                state.keep(~done)
        best[active], value[active] = state.q, state.value
    return Minimum(best, value, converged)


class _State:
    """The problems still being solved; rows leave it as they finish."""

    def __init__(
        self,
        space: Space,
        q: Array,
        observed: Array,
        weights: Array,
        delta: float,
        tolerance: float,
    ) -> None:
        self.space, self.delta, self.tolerance = space, delta, tolerance
        self.q = np.clip(q, space.low, space.high)
        self.observed, self.weights = observed, weights
        self.residuals, self.jacobian = space.residuals(self.q, observed)
        self.value = self._objective(self.q, self.residuals)
        # Least squares need little damping: their exact curvature is the majoriser's.
        self.damping = np.full(len(q), 0.1 if np.isinf(delta) else 1.0)
        self.rejections = np.zeros(len(q), dtype=int)

    def keep(self, rows: Array) -> None:
        for name in (
            "q", "observed", "weights", "residuals", "jacobian", "value", "damping", "rejections",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name)[rows])
        self.space = self.space.keep(rows)

    def _objective(self, q: Array, residuals: Array) -> Array:
        total = np.sum(self.weights * rho(residuals, self.delta), axis=-1)
        if self.space.penalty is not None:
            surprise, _ = self.space.surprise(q)
            total = total + self.space.penalty.rise(self.delta) * np.sum(surprise**2, axis=1)
        return np.where(np.isfinite(total), total, np.inf)

    def advance(self, *, projected: bool = False) -> tuple[Array, Array]:
        """Take one step in every problem; tell which have finished and which are stuck."""
        gradient, exact, majorised = self._curvature()
        blocked = self._blocked(gradient)
        gradient = np.where(blocked, 0.0, gradient)
        diagonal = np.einsum("spp->sp", majorised)
        scale = np.sqrt(np.maximum(diagonal, 1e-300))
        damped = exact + self.damping[:, None, None] * majorised
        ridge = np.stack([1e-3 * self.damping + 1e-14, np.full(len(gradient), 1e-12)])
        step, full = -_solve(np.stack([damped, majorised]), gradient, blocked, scale, ridge)
        # How much one full step of the majoriser would lower the objective.
        possible = 0.5 * np.abs(np.sum(gradient * full, axis=1))
        small = possible <= self.tolerance * self.value + ROUNDING * self.weights.sum(axis=1)
        longest = np.max(np.abs(step), axis=1, keepdims=True)
        step *= np.minimum(1.0, MAX_STEP / np.maximum(longest, 1e-300))
        trial = np.clip(self.q + step, self.space.low, self.space.high)
        if projected:
            trial, _ = with_linear_constants(self.space, trial, self.observed, self.weights)
        residuals, jacobian = self.space.residuals(trial, self.observed)
        value = self._objective(trial, residuals)
        better = value < self.value
        self._accept(better, trial, residuals, jacobian, value)
        tiny = np.max(np.abs(step), axis=1) < 1e-14
        stuck = (self.rejections > 40) | ((self.rejections > 8) & tiny)
        settled = stuck & (possible <= 1e-8 * self.value + ROUNDING * self.weights.sum(axis=1))
        lost = ~np.isfinite(self.value) & (self.rejections > 5)
        finished = (small | settled) & np.isfinite(self.value)
        return finished, (stuck | lost) & ~finished

    def _curvature(self) -> tuple[Array, Array, Array]:
        size = np.abs(self.residuals)
        inside = size <= self.delta
        weights = self.weights * (2.0 if np.isinf(self.delta) else 1.0)
        slope = weights * np.clip(self.residuals, -self.delta, self.delta)
        gradient = np.matmul(self.jacobian, slope[:, :, None])[:, :, 0]
        transposed = self.jacobian.swapaxes(1, 2)
        majoriser = weights * np.where(inside, 1.0, self.delta / np.maximum(size, 1e-300))
        majorised = np.matmul(self.jacobian * majoriser[:, None, :], transposed)
        prior: Any = 0.0
        if self.space.penalty is not None:
            rise = self.space.penalty.rise(self.delta)
            surprise, slope = self.space.surprise(self.q)
            gradient = gradient + 2 * rise * np.einsum("sk,skp->sp", surprise, slope)
            prior = 2 * rise * np.einsum("skp,skr->spr", slope, slope)
            majorised = majorised + prior
        if np.isinf(self.delta):
            return gradient, majorised, majorised
        exact = np.matmul(self.jacobian * (weights * inside)[:, None, :], transposed)
        return gradient, exact + prior, majorised

    def _blocked(self, gradient: Array) -> Array:
        """Coordinates that are fixed, or at a bound with the descent pointing outside."""
        at_low = (self.q <= self.space.low) & (gradient > 0)
        at_high = (self.q >= self.space.high) & (gradient < 0)
        # A derivative that is only rounding error would give a direction of endless steps.
        size = np.max(np.abs(self.jacobian), axis=2)
        dead = size <= ROUNDED * np.max(size, axis=1, keepdims=True)
        if self.space.penalty is not None:
            dead &= ~np.isin(self.space.names, self.space.penalty.names)
        return at_low | at_high | dead | ~self.space.free

    def _accept(
        self, better: Array, trial: Array, residuals: Array, jacobian: Array, value: Array
    ) -> None:
        self.q = np.where(better[:, None], trial, self.q)
        self.value = np.where(better, value, self.value)
        if better.all():
            self.residuals, self.jacobian = residuals, jacobian
        elif better.any():
            self.residuals[better] = residuals[better]
            self.jacobian[better] = jacobian[better]
        # A step that succeeds right after one that failed shows how much damping is needed here.
        eased = self.damping * np.where(self.rejections > 0, 0.6, 0.2)
        self.damping = np.where(
            better, np.maximum(eased, 1e-12), np.maximum(self.damping * 6.0, 1e-6)
        )
        self.rejections = np.where(better, 0, self.rejections + 1)


def _solve(matrices: Array, vector: Array, blocked: Array, scale: Array, ridge: Array) -> Array:
    """Solve symmetric systems (M, S, p, p), scaled to unit diagonal, without blocked coordinates.

    ``ridge`` (M, S) is added to the scaled diagonal; returns (M, S, p).
    """
    open_ = ~blocked
    scaled = matrices / (scale[:, :, None] * scale[:, None, :])
    scaled = np.where(open_[:, :, None] & open_[:, None, :], scaled, 0.0)
    index = np.arange(scale.shape[1])
    scaled[..., index, index] += np.where(blocked, 1.0, ridge[..., None])
    right = np.broadcast_to(np.where(open_, vector / scale, 0.0), scaled.shape[:-1])
    bad = ~(np.isfinite(scaled).all(axis=(2, 3)) & np.isfinite(right).all(axis=2))
    if bad.any():
        scaled[bad] = np.eye(len(index))
        right = np.where(bad[..., None], 0.0, right)
    return np.linalg.solve(scaled, right[..., None])[..., 0] / scale
