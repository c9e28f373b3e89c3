"""What a fit minimises: a robust sum over residuals, in logs or in the quantity itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import UsageError

Array = np.ndarray[Any, np.dtype[Any]]

# name: (residual in logs, default delta); delta 0 is least absolute deviations, inf least squares
_KINDS: Mapping[str, tuple[bool, float]] = {
    "huber-log": (True, 1e-3),
    "lad-log": (True, 0.0),
    "ls-log": (True, np.inf),
    "ls": (False, np.inf),
}


@dataclass(frozen=True, slots=True)
class Objective:
    """Sum of ``w * rho(r)``, with ``r`` the predicted minus the observed value (or their logs).

    ``rho(r) = r**2 / 2`` where ``|r| <= delta``, else ``delta * (|r| - delta / 2)`` (Huber);
    ``delta = 0`` stands for ``rho(r) = |r|`` and ``inf`` for ``rho(r) = r**2``.
    The sum is over points, never divided by their number: Hoffmann et al. 2022, sec. 3.3.
    """

    name: str
    delta: float

    @property
    def in_logs(self) -> bool:
        """Whether residuals are differences of logarithms."""
        return _KINDS[self.name][0]

    def observed(self, values: Array) -> Array:
        """Observations on the scale of the residuals."""
        return np.log(values) if self.in_logs else values

    def total(self, residuals: Array, weights: Array) -> Array:
        """The objective, summed over the last axis."""
        return np.sum(weights * rho(residuals, self.delta), axis=-1)


def rho(residuals: Array, delta: Array | float) -> Array:
    """Contribution of each residual; ``delta`` broadcasts.

    >>> rho(np.array([0.5, 2.0]), 1.0).tolist()
    [0.125, 1.5]
    """
    size = np.abs(residuals)
    if isinstance(delta, int | float):
        if delta == 0:
            return size
        if np.isinf(delta):
            return size * size
    inside = np.minimum(size, delta)
    return inside * (size - 0.5 * inside)


def objective_named(name: str, delta: float | None = None) -> Objective:
    """The objective of that name; ``delta`` only applies to ``huber-log``.

    >>> objective_named("huber-log").delta
    0.001
    """
    if name not in _KINDS:
        raise UsageError(
            f"No objective is named {name!r}.", hint=f"Known objectives: {', '.join(_KINDS)}."
        )
    default = _KINDS[name][1]
    if delta is None:
        return Objective(name, default)
    if name != "huber-log":
        raise UsageError(
            f"delta={delta:g} was given for the objective {name!r}, which has none.",
            hint="Use huber-log, or leave delta out.",
        )
    if not delta > 0:
        raise UsageError(
            f"delta={delta:g} must be positive.",
            hint="Use objective lad-log for the limit of a small delta.",
        )
    return Objective(name, float(delta))
