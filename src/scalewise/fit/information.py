"""How sharply an objective is curved at its optimum, and how far chance moves that optimum.

A robust sum is no likelihood: how much of a rise in it is chance depends on the noise. Two
matrices answer that. The curvature H says how the objective rises; the score's spread S over
runs, summed run by run, how far resampling would push the optimum. H**-1 S H**-1 is the
covariance of the constants (Huber 1967; Liang & Zeger 1986), and the ratio of it to H**-1 turns
a rise of the objective into a chi-squared (Heritier & Ronchetti 1994).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.fit.space import Space

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Information:
    """Inverse curvature and covariance of the coordinates, both (p, p).

    Rows and columns of fixed coordinates and of those at a bound are zero.
    """

    inverse_curvature: Array
    covariance: Array

    def rise_per_chi_squared(self, gradient: Array) -> float:
        """By how much the objective rises per unit of chi-squared, for a quantity of the constants.

        ``gradient`` (p,) is the derivative of the quantity by the coordinates. For least squares
        with equal noise this is the variance of a residual, whatever the quantity.
        """
        spread = float(gradient @ self.covariance @ gradient)
        curved = float(gradient @ self.inverse_curvature @ gradient)
        return 0.5 * spread / curved if curved > 0 else 0.0

    def stiffness(self, gradient: Array) -> float:
        """Second derivative of the objective by the quantity, all constants following."""
        return 1.0 / max(float(gradient @ self.inverse_curvature @ gradient), 1e-300)

    def direction(self, gradient: Array) -> Array:
        """How the coordinates move as the quantity does and the objective rises least."""
        moved = self.inverse_curvature @ gradient
        change = float(gradient @ moved)
        return np.asarray(moved / change) if change > 0 else np.zeros_like(moved)

    def standard_error(self, gradient: Array) -> float:
        """Standard error of a quantity with this derivative by the coordinates."""
        return float(np.sqrt(max(float(gradient @ self.covariance @ gradient), 0.0)))


def information(
    space: Space, q: Array, observed: Array, weights: Array, cluster: Array
) -> Information:
    """The information at the optimum ``q`` (p,); ``cluster`` (n,) numbers the runs."""
    used = weights > 0
    residuals, jacobian = space.residuals(q[None], observed[None])
    residuals, jacobian = residuals[:, used], jacobian[:, :, used]
    weights, cluster = weights[used], cluster[used]
    open_ = space.free & (q > space.low) & (q < space.high)
    slopes, r = jacobian[0] * open_[:, None], residuals[0]
    free, runs = int(open_.sum()), len(np.unique(cluster))
    pull, curve = _derivatives(r, space.objective.delta, free)
    curvature = curve * (slopes * weights) @ slopes.T
    believed = np.zeros_like(curvature)
    if space.penalty is not None:
        _, slope = space.surprise(q[None])
        believed = 2.0 * space.penalty.rise(space.objective.delta) * slope[0].T @ slope[0]
        believed = np.where(np.outer(open_, open_), believed, 0.0)
    curvature = curvature + believed
    # Diagonal scaling first: amplitudes and exponents differ by orders of magnitude.
    size = np.sqrt(np.maximum(np.diag(curvature), 1e-300))
    inverse = np.linalg.pinv(curvature / np.outer(size, size), rcond=1e-13, hermitian=True)
    inverse = np.where(np.outer(open_, open_), inverse / np.outer(size, size), 0.0)
    by_run = np.zeros((cluster.max() + 1, len(q)))
    np.add.at(by_run, cluster, (slopes * weights * pull).T)
    # As many runs as constants are fitted exactly and show no scatter.
    correction = runs / max(runs - free, 1)
    scatter = correction * (by_run.T @ by_run)
    if space.penalty is not None:  # the mean of a prior is an observation like the others
        scatter = scatter + 2.0 * space.penalty.rise(space.objective.delta) * believed
    return Information(inverse, inverse @ scatter @ inverse)


def _derivatives(residuals: Array, delta: float, free: int) -> tuple[Array, float]:
    """First derivative of the objective at each residual, and the mean of the second."""
    if np.isinf(delta):
        return 2.0 * residuals, 2.0
    slope = delta or 1.0
    pull = slope * np.clip(residuals / max(delta, 1e-300), -1.0, 1.0)
    # With delta far below the noise the second derivative is a spike at zero: its mean is the
    # density of residuals there, counted in a window wide enough to hold some.
    size = np.abs(residuals)
    outside = np.sort(size)[min(free, len(size) - 1) :]
    scale = 1.4826 * float(np.median(outside))
    window = max(delta, scale * len(size) ** -0.2, 1e-300)
    inside = max(float(np.mean(size <= window)), 1.0 / len(size))
    return pull, slope * inside / window
