"""Where the search begins: a fixed low-discrepancy cloud, screened by the objective itself.

Only constants in which the law is not linear are scattered; for each scatter the linear ones
follow by non-negative least squares, so a law such as Chinchilla's is covered by a plane of
exponents. No random numbers: the same data always give the same starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.fit.objective import rho
from scalewise.fit.projection import linear_constants, with_linear_constants
from scalewise.fit.space import Space

Array = np.ndarray[Any, np.dtype[Any]]

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
_PER_CONSTANT = 56  # starts for each scattered constant
_EXPONENTS = (0.03, 1.6)  # published scaling exponents lie well inside
_LOG_SCALES = (-2.0, 40.0)  # of a constant such as N_c in units of the typical N


def starts(
    space: Space, observed: Array, weights: Array, *, screened: int, refined: int
) -> tuple[Array, int]:
    """The best of at most ``screened`` starts, (``refined`` or fewer, p), and how many were."""
    cloud = _cloud(space, observed, screened)
    with np.errstate(all="ignore"):
        if len(linear_constants(space)):
            cloud, score = with_linear_constants(space, cloud, observed, weights)
        else:
            predicted = space.predicted(cloud)
            fitted = np.log(predicted) if space.objective.in_logs else predicted
            residuals = np.broadcast_to(fitted, (len(cloud), len(observed))) - observed
            # By absolute residuals: the objective's delta is far below those of a start.
            score = np.sum(weights * rho(residuals, 0.0), axis=1)
    order = np.argsort(np.where(np.isfinite(score), score, np.inf), kind="stable")
    order = order[np.isfinite(score[order])]
    return cloud[_spread(order, refined)], len(cloud)


def _spread(order: Array, count: int) -> Array:
    """Half the best starts, half the best of a thinned cloud, so that no basin is forgotten."""
    best = order[: count // 2]
    rest = order[count // 2 :]
    stride = max(1, len(rest) // (4 * (count - len(best))))
    return np.concatenate([best, rest[::stride][: count - len(best)]])


def _cloud(space: Space, observed: Array, screened: int) -> Array:
    """Halton points over the box of plausible values, in coordinates, shape (screened, p)."""
    level = float(np.min(np.exp(observed) if space.objective.in_logs else observed))
    scattered = int(space.free.sum()) - len(linear_constants(space))
    count = min(screened, _PER_CONSTANT * scattered) if scattered else 1
    cloud = np.empty((count, len(space.names)))
    for i, constant in enumerate(space.law.constants):
        u = _halton(count, _PRIMES[i % len(_PRIMES)])
        if constant.role == "exponent":
            first, last = np.log(_EXPONENTS)
            spread = np.exp(first + u * (last - first))
            if space.dimensions[constant.name]:  # a rate per unit of an input, not an exponent
                spread = 4.0 * spread
        elif constant.role == "amplitude":
            spread = _LOG_SCALES[0] + u * (_LOG_SCALES[1] - _LOG_SCALES[0])
            inside = _log_range(space, constant.name)
            if inside is not None:  # a break or saturation point may lie among the runs
                spread[::2] = inside[0] + u[::2] * (inside[1] - inside[0])
        else:
            spread = u * abs(level)
        cloud[:, i] = np.clip(spread, space.low[i], space.high[i])
    return cloud


def _log_range(space: Space, name: str) -> tuple[float, float] | None:
    """Logarithmic range of the input that a constant is a value of, such as D_s of D."""
    dimension = space.dimensions[name]
    if len(dimension) != 1:
        return None
    (symbol, power), *_ = dimension.items()
    if power.kind != "number" or power.number != 1.0:
        return None
    values = np.log(space.inputs[symbol])
    return float(values.min()), float(values.max())


def _halton(count: int, base: int) -> Array:
    """The van der Corput sequence: evenly spread numbers in (0, 1)."""
    index = np.arange(1, count + 1)
    result, factor = np.zeros(count), 1.0 / base
    while index.any():
        result += factor * (index % base)
        index //= base
        factor /= base
    return result
