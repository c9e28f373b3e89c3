"""What stated intervals were worth on held-out runs of others, and the widths that hold.

An interval of a few runs is itself an estimate: those that come out very narrow are on average
too narrow, very wide ones too wide. Over many families of runs the error of a forecast grows with
a power below one of the width that was stated for it. The calibrated half-width at a level is

    factor(level) * stated**exponent

in logs, where ``stated`` is the half-width stated at 90 % and the factor a quantile of the errors
of held-out runs over ``stated**exponent`` (split conformal prediction, Vovk et al. 2005, with
families in the place of points).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

STATED_LEVEL = 0.9  # at which stated widths are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Calibrated half-widths, learned from ``families`` of runs in ``groups`` that share nothing.

    ``factors`` belong to ``levels``, which rise.
    """

    exponent: float
    levels: tuple[float, ...]
    factors: tuple[float, ...]
    families: int
    groups: int

    def half_width(self, stated: Array, level: float) -> Array:
        """Half-width in logs at a level, from the one stated at 90 %.

        >>> root = Calibration(exponent=0.5, levels=(0.5, 0.9), factors=(0.1, 0.2),
        ...                    families=9, groups=9)
        >>> round(float(root.half_width(np.array(0.04), 0.9)), 6)
        0.04
        """
        return np.asarray(self.factor(level) * stated**self.exponent)

    def factor(self, level: float) -> float:
        """The factor at a level, between the known levels in normal quantiles, as these beyond."""
        z = [_two_sided(known) for known in self.levels]
        at = _two_sided(level)
        if at < z[0]:
            return self.factors[0] * at / z[0]
        if at > z[-1]:
            return self.factors[-1] * at / z[-1]
        return float(np.interp(at, z, self.factors))

    def __str__(self) -> str:
        return (
            f"calibrated on held-out models of {self.families} public families "
            f"({self.groups} sources)"
        )


def _two_sided(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
