"""The batch at which training to a loss costs least, under a deadline or a price of waiting.

Money alone asks for the smallest batch, because compute falls with it; time alone for the largest.
A deadline asks for the smallest batch that keeps it. If a step of waiting costs as much as rho
tokens of compute, (B + rho) S(B) is least at B = sqrt(rho B_crit): McCandlish et al. 2018, app. D.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.compute import HOURS_PER_DAY
from scalewise.core.errors import GateError, UsageError
from scalewise.core.quantities import format_count
from scalewise.fit.prediction import scalar
from scalewise.forecast.trajectory import Trajectory, Value, positive
from scalewise.plan.allocate import Interval
from scalewise.plan.batch import (
    BatchPoint,
    Fleet,
    batch_point,
    critical_batch,
    scaled,
)
from scalewise.plan.compute_efficient import interval_of
from scalewise.plan.reachable import size_and_loss

Array = np.ndarray[Any, np.dtype[Any]]

_FARTHEST = 1e9  # from the critical batch, within which the cheapest batch is searched
_HALVINGS = 100
_ON_TIME = 1e-9  # relative
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CheapestBatch:
    """The batch of least cost, and what it takes; ``least_days`` is the time at unlimited batch.

    ``day_price`` is what a day of waiting costs beside the accelerators.
    """

    batch_tokens: Interval
    point: BatchPoint
    least_days: Interval
    days: float | None
    day_price: float | None
    total: Interval

    @property
    def at_deadline(self) -> bool:
        """Whether the deadline decides: a smaller batch would cost less but miss it."""
        if self.days is None or self.point.days is None:
            return False
        return self.point.days.value > self.days * (1 - _ON_TIME)


def cheapest_batch(
    trajectory: Trajectory,
    params_nonembed: float,
    loss: float,
    *,
    fleet: Fleet,
    days: float | None = None,
    day_price: float | None = None,
    level: float = 0.9,
) -> CheapestBatch:
    """The batch at which accelerators, and waiting at ``day_price``, cost least within ``days``.

    It feeds at least one accelerator. Raises UsageError without a deadline or a price of waiting,
    GateError where no batch keeps the deadline, LawError for a loss out of reach.

    >>> from scalewise.core.compute import accelerator_named
    >>> h100 = accelerator_named("h100")
    >>> fleet = Fleet(accelerator=h100, gpus=64, mfu=0.4, batch_tokens=2**21, price=2.0)
    >>> kaplan = Trajectory.kaplan2020()
    >>> found = cheapest_batch(kaplan, 1.5e9, 2.6, fleet=fleet, days=0.2)
    >>> round(found.point.days.value, 6), round(found.point.relative, 3)
    (0.2, 0.661)
    """
    N, L = size_and_loss(params_nonembed, loss)
    if days is None and day_price is None:
        raise UsageError(
            "Neither a deadline nor a price of waiting was given: money alone asks for the "
            "smallest batch.",
            hint="Give days=14, or day_price=5000 for what a day of waiting costs.",
        )
    for name, value in (("days", days), ("day_price", day_price)):
        if value is not None:
            positive(name, value)
    if day_price is not None and fleet.price is None:
        raise UsageError(
            "day_price needs the price of an accelerator-hour.", hint="Give price=2.1 with it."
        )
    step_days = fleet.step_days(N)
    least = scaled(interval_of(trajectory, lambda t: t.steps_min(N, L), level=level), step_days)
    if days is not None and least.value >= days:
        raise GateError(
            f"No batch reaches {L:g} nats/token within {days:g} days: at "
            f"{format_count(fleet.tokens_per_gpu)} tokens per accelerator and step even an "
            f"unlimited batch takes {least.value:.3g} days.",
            hint="Allow more days, or put fewer tokens on each accelerator.",
        )
    waiting = (day_price or 0.0) * step_days
    per_token = step_days / fleet.tokens_per_gpu * HOURS_PER_DAY * fleet.hourly

    def best(t: Trajectory) -> Value:
        batch = np.asarray(fleet.tokens_per_gpu)  # one accelerator
        if waiting:
            batch = np.maximum(batch, _least_cost(t, N, L, waiting / per_token))
        if days is not None:
            batch = np.maximum(batch, _in_time(t, N, L, days / step_days))
        return scalar(np.asarray(batch))

    found = interval_of(trajectory, best, level=level)
    point = batch_point(trajectory, N, L, found.value, fleet=fleet, level=level)
    assert point.cost is not None  # noqa: S101 - a fleet was given
    return CheapestBatch(
        batch_tokens=found,
        point=point,
        least_days=least,
        days=days,
        day_price=day_price,
        total=scaled(point.steps, per_token * point.batch_tokens + waiting),
    )


def _in_time(t: Trajectory, N: float, loss: float, steps: float) -> Array:
    """The smallest batch that takes at most ``steps``; infinite where none does."""
    return _where_falling(t, N, loss, lambda batch: np.asarray(t.steps(N, loss, batch)) - steps)


def _least_cost(t: Trajectory, N: float, loss: float, step_worth: float) -> Array:
    """The batch of least (B + rho) S(B), where a step of waiting costs as much as rho tokens."""
    low, high = _searched(t, N, loss)

    def cost(x: Array) -> Array:
        batch = np.exp(x)
        return np.asarray(np.log(batch + step_worth) + np.log(t.steps(N, loss, batch)))

    for _ in range(_HALVINGS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        falls = cost(left) > cost(right)
        low, high = np.where(falls, left, low), np.where(falls, high, right)
    batch = np.exp(0.5 * (low + high))
    # Where a resample never reaches the loss, no batch is cheapest.
    return np.where(np.isfinite(cost(0.5 * (low + high))), batch, np.nan)


def _searched(t: Trajectory, N: float, loss: float) -> tuple[Array, Array]:
    """Logs of the smallest and largest batch looked at, around the critical one."""
    critical = np.log(np.asarray(critical_batch(t, N, loss), dtype=float))
    # A resample that never reaches the loss has none, and takes endless steps at any batch.
    centre = np.where(np.isfinite(critical), critical, 0.0)
    return centre - np.log(_FARTHEST), centre + np.log(_FARTHEST)


def _where_falling(t: Trajectory, N: float, loss: float, excess: Callable[[Array], Array]) -> Array:
    """The batch at which a falling ``excess`` crosses zero; infinite where it stays above."""
    low, high = _searched(t, N, loss)
    never = excess(np.exp(high)) > 0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        above = excess(np.exp(middle)) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(never, np.inf, np.exp(high))
