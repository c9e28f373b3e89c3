"""Variable projection: constants in which a law is linear follow from the others.

Given the exponents, E, A and B of Chinchilla's law are a small least-squares problem. A search
that solves it at every step moves in the exponents alone, where the objective is well conditioned
(Golub & Pereyra 1973); five steps then do what thirty do along the curved valley of all constants.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from scalewise.fit.space import Space

Array = np.ndarray[Any, np.dtype[Any]]


def linear_constants(space: Space) -> Array:
    """Coordinates of the free constants in which the law is jointly linear."""
    linear = space.law.linear
    return np.array(
        [i for i, name in enumerate(space.names) if name in linear and space.free[i]], dtype=int
    )


def with_linear_constants(
    space: Space, q: Array, observed: Array, weights: Array
) -> tuple[Array, Array]:
    """Coordinates ``q`` (S, p) with the linear constants at their least-squares values.

    ``observed`` and ``weights`` are (n,) or (S, n). Relative residuals stand in for those of logs.
    Amplitudes are not negative. Also returns the sum of squares that is left, shape (S,).
    """
    chosen = linear_constants(space)
    names = [space.names[i] for i in chosen]
    theta = space.scaled_theta(q)
    target = np.exp(observed) if space.objective.in_logs else observed
    relative = np.sqrt(weights) / (target if space.objective.in_logs else 1.0)
    values = {**space.inputs, **theta, **{name: np.zeros((1, 1)) for name in names}}
    base, gradient = space.law.by_constants(names).run(values)
    shape = (len(q), target.shape[-1])
    rows = [np.broadcast_to(gradient[name], shape) for name in names]
    columns = np.stack([row * relative for row in rows], axis=1)
    wanted = np.broadcast_to((target - base) * relative, shape)
    solved, gain = _nonnegative(columns, wanted)
    floor = 1e-4 * float(np.median(np.abs(target)))
    q = q.copy()
    for k, i in enumerate(chosen):
        found = solved[:, k]
        if space.logged[i]:
            typical = np.mean(np.abs(rows[k]), axis=1)
            found = np.log(np.maximum(found, floor / np.maximum(typical, 1e-300)))
        q[:, i] = np.clip(found, space.low[..., i], space.high[..., i])
    return q, np.sum(wanted * wanted, axis=1) - gain


def _nonnegative(columns: Array, target: Array) -> tuple[Array, Array]:
    """Least squares with non-negative coefficients, by trying every subset: there are few.

    ``columns`` is (S, k, n). Returns the coefficients (S, k) and the sum of squares they explain.
    """
    count, size, _ = columns.shape
    normal = np.matmul(columns, columns.swapaxes(1, 2))
    right = np.matmul(columns, target[:, :, None])[:, :, 0]
    diagonal = np.einsum("spp->sp", normal).copy()
    normal[:, np.arange(size), np.arange(size)] += 1e-12 * diagonal + 1e-300
    best, least = np.zeros((count, size)), np.zeros(count)
    for width in range(1, size + 1):
        for subset in combinations(range(size), width):
            rows = np.array(subset)
            part = np.linalg.solve(normal[:, rows[:, None], rows], right[:, rows, None])[:, :, 0]
            gain = np.sum(part * right[:, rows], axis=1)
            improves = (part >= 0).all(axis=1) & (gain > least)
            least = np.where(improves, gain, least)
            filled = np.zeros((count, size))
            filled[:, rows] = part
            best = np.where(improves[:, None], filled, best)
    return best, least
