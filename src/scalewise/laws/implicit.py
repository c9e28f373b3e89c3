"""Laws that state a quantity by itself: ``L = F(..., L)``, solved for its one fixed point.

Where F falls as L rises there is exactly one. In logarithms the distance ``u - log F(exp(u))`` is
then increasing, and for sums and powers of positive terms concave, so that Newton's method closes
in on it from any start without ever turning back. Replacing L by F again and again would not: it
runs into a cycle where F falls steeply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalewise.core.expression import Program

Array = np.ndarray[Any, np.dtype[Any]]

_STEPS = 200
_CLOSE = 1e-13


def fixed_point(
    formula: Program,
    symbol: str,
    values: Mapping[str, Any],
    *,
    start: Array | float = 1.0,
    data: dict[int, Any] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """The L with ``L = F(values, L)``, and its derivatives dF / (1 - dF/dL) by the other names.

    ``formula`` is a program that differentiates by ``symbol``, the L, and by what else is asked.
    ``start`` broadcasts; the closer, the fewer steps. Where there is no solution, NaN.
    """
    data = {} if data is None else data
    logarithm = np.log(start)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            level = np.exp(logarithm)
            right, gradient = formula.run({**values, symbol: level}, data)
            apart = logarithm - np.log(right)
            slope = level * gradient[symbol] / right
            step = apart / (1.0 - slope)
            logarithm = logarithm - step
            if not np.any(np.abs(step) > _CLOSE):
                break
        level = np.exp(logarithm)
        _, gradient = formula.run({**values, symbol: level}, data)
        own = 1.0 / (1.0 - gradient[symbol])
        return level, {name: d * own for name, d in gradient.items() if name != symbol}
