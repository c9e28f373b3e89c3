"""A power law through optima, y = G C**a, with an interval for its exponent and along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.core.quantities import check_level
from scalewise.fit.result import t_quantile
from scalewise.plan.allocate import Interval

Array = np.ndarray[Any, np.dtype[Any]]

FEWEST = 3  # optima through which a line leaves a residual


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PowerLine:
    """y = exp(height) (C / exp(centre))**slope, in FLOP and counts.

    ``draws`` (count, 2) are (height, slope) of every resample, NaN where too few optima are left
    for a line, so that a row stays that of one resample. ``scatter`` is the standard
    deviation of the optima around the line in logs, on ``points - 2`` degrees of freedom, and
    ``leverage`` the sum of squares of log C around its mean.
    """

    height: float
    slope: float
    centre: float
    scatter: float
    leverage: float
    points: int
    draws: Array
    level: float

    @property
    def exponent(self) -> Interval:
        """The exponent a: percentiles of the resamples, or Student's interval if that is wider."""
        return self._interval(self.slope, self.draws[:, 1], self.scatter / self.leverage**0.5)

    def at(self, flops: float) -> Interval:
        """The optimum at a budget, by the same rule as the exponent."""
        far = float(np.log(flops)) - self.centre
        error = self.scatter * (1 / self.points + far**2 / self.leverage) ** 0.5
        log = self._interval(
            self.height + self.slope * far, self.draws[:, 0] + self.draws[:, 1] * far, error
        )
        low, value, high = np.exp([log.low, log.value, log.high])
        return Interval(value=float(value), low=float(low), high=float(high))

    def _interval(self, value: float, draws: Array, error: float) -> Interval:
        half = t_quantile((1 + self.level) / 2, self.points - 2) * error
        low, high = value - half, value + half
        draws = draws[np.isfinite(draws)]
        if len(draws):
            tails = [(1 - self.level) / 2, (1 + self.level) / 2]
            drawn_low, drawn_high = np.quantile(draws, tails)
            low, high = min(low, float(drawn_low)), max(high, float(drawn_high))
        return Interval(value=float(value), low=float(low), high=float(high))


def power_line(log_flops: Array, log_values: Array, draws: Array, *, level: float) -> PowerLine:
    """Regress log optima on log C by least squares.

    ``draws`` (count, k) are the same optima from resampled runs, NaN where a resample has none; a
    resample counts if it keeps at least three. The interval is the wider of two, because each
    misses something: resampling sees the noise of the runs but not how far the optima stray from
    a straight line, Student's interval sees the straying but takes the optima as independent.
    Raises UnfitDataError for fewer than three optima or for equal budgets.
    """
    count = len(log_flops)
    if count < FEWEST or np.ptp(log_flops) <= 0:
        raise UnfitDataError(
            f"A power law needs optima at {FEWEST} budgets; there are {count}.",
            hint="Add budgets, or sizes on both sides of the lowest loss at each.",
        )
    centre = float(log_flops.mean())
    x = log_flops - centre
    leverage = float(x @ x)
    slope = float(x @ log_values) / leverage
    height = float(log_values.mean())
    residual = log_values - height - slope * x
    return PowerLine(
        height=height,
        slope=slope,
        centre=centre,
        scatter=float(np.sqrt(residual @ residual / (count - 2))),
        leverage=leverage,
        points=count,
        draws=_lines(x, np.atleast_2d(draws)),
        level=check_level(level),
    )


def _lines(x: Array, values: Array) -> Array:
    """(height, slope) through the finite values of each row, NaN if it has fewer than three."""
    known = np.isfinite(values)
    rows = known.sum(axis=1) >= FEWEST
    lines = np.full((len(values), 2), np.nan)
    known, values = known[rows], np.where(known, values, 0.0)[rows]
    share = known / known.sum(axis=1, keepdims=True)
    mean_x, mean_y = share @ x, (share * values).sum(axis=1)
    off = np.where(known, x - mean_x[:, None], 0.0)
    slope = (off * values).sum(axis=1) / (off**2).sum(axis=1)
    lines[rows] = np.stack([mean_y - slope * mean_x, slope], axis=1)
    return lines
