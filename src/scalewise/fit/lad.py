"""The exact end of a least-absolute-deviations fit.

At the minimum of ``sum w |r|`` as many residuals vanish as there are free constants. From a
close start the set that vanishes is exchanged one residual at a time, as in the simplex method
of Barrodale and Roberts (1973), until multipliers prove that no exchange can help.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.fit.space import Space

Array = np.ndarray[Any, np.dtype[Any]]

MAX_EXCHANGES = 200


def vertex(space: Space, q: Array, observed: Array, weights: Array) -> tuple[Array, bool]:
    """Coordinates (p,) of the exact minimum near ``q``, and whether multipliers prove it."""
    free = np.flatnonzero(space.free & (q > space.low) & (q < space.high))
    weights = _merged(space, observed, weights)
    try:
        return _exchanged(space, q, observed, weights, free)
    except np.linalg.LinAlgError:  # where derivatives vanish no vertex is defined
        return q, False


def _exchanged(
    space: Space, q: Array, observed: Array, weights: Array, free: Array
) -> tuple[Array, bool]:
    with np.errstate(all="ignore"):
        residuals, jacobian = _at(space, q, observed, free)
        zero = _smallest_independent(residuals, jacobian, weights)
        if zero is None:
            return q, False
        for _ in range(MAX_EXCHANGES):
            moved = _vanish(space, q, observed, free, zero)
            if moved is None:
                return q, False
            q = moved
            residuals, jacobian = _at(space, q, observed, free)
            rest = np.ones(len(residuals), dtype=bool)
            rest[zero] = False
            pull = jacobian[:, rest] @ (weights[rest] * np.sign(residuals[rest]))
            multiplier = np.linalg.solve(jacobian[:, zero], -pull)
            excess = np.abs(multiplier) - weights[zero]
            worst = int(np.argmax(excess))
            if excess[worst] <= 1e-9 * weights[zero][worst]:
                return q, True
            entering = _next_zero(
                residuals, jacobian, weights, zero, worst, float(multiplier[worst])
            )
            if entering is None:
                return q, False
            zero[worst] = entering
    return q, False


def _merged(space: Space, observed: Array, weights: Array) -> Array:
    """The weights with those of equal points added up at the first of them.

    Copies of a point vanish together, which no exchange of one residual could undo.
    """
    points = np.stack([*space.inputs.values(), observed])
    _, first, group = np.unique(points, axis=1, return_index=True, return_inverse=True)
    merged = np.zeros_like(weights)
    merged[first] = np.bincount(group.ravel(), weights=weights)
    return merged


def _at(space: Space, q: Array, observed: Array, free: Array) -> tuple[Array, Array]:
    residuals, jacobian = space.residuals(q[None], observed[None])
    return residuals[0], jacobian[0][free]


def _smallest_independent(residuals: Array, jacobian: Array, weights: Array) -> Array | None:
    """The smallest residuals whose derivatives are linearly independent."""
    chosen: list[int] = []
    basis = np.zeros((0, len(jacobian)))
    for i in np.argsort(np.where(weights > 0, np.abs(residuals), np.inf)):
        column = jacobian[:, i]
        left = column - basis.T @ (basis @ column)
        size = np.linalg.norm(left)
        if size > 1e-7 * np.linalg.norm(column):
            basis = np.vstack([basis, left / size])
            chosen.append(int(i))
        if len(chosen) == len(jacobian):
            return np.array(chosen)
    return None


def _vanish(space: Space, q: Array, observed: Array, free: Array, zero: Array) -> Array | None:
    """Newton's method for the coordinates at which the chosen residuals are zero."""
    for _ in range(20):
        residuals, jacobian = _at(space, q, observed, free)
        if not (np.isfinite(residuals[zero]).all() and np.isfinite(jacobian[:, zero]).all()):
            return None  # LAPACK would print about it
        step = np.linalg.lstsq(jacobian[:, zero].T, -residuals[zero], rcond=None)[0]
        if not np.isfinite(step).all():
            return None
        q = q.copy()
        q[free] += np.clip(step, -1.0, 1.0)
        if np.max(np.abs(step)) < 1e-13:
            break
    return q if np.all((q >= space.low) & (q <= space.high)) else None


def _next_zero(
    residuals: Array, jacobian: Array, weights: Array, zero: Array, leaving: int, multiplier: float
) -> int | None:
    """The residual that reaches zero where the line search along the freed edge ends."""
    unit = np.zeros(len(zero))
    unit[leaving] = np.sign(multiplier)
    change = np.linalg.solve(jacobian[:, zero].T, unit) @ jacobian
    change[zero] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(change != 0, -residuals / change, np.inf)
    ahead = np.flatnonzero((reach > 0) & np.isfinite(reach) & (weights > 0))
    ahead = ahead[np.argsort(reach[ahead])]
    slope = float(weights[zero[leaving]]) - abs(multiplier)
    for i in ahead:
        slope += 2.0 * float(weights[i] * abs(change[i]))
        if slope >= 0:
            return int(i)
    return None
