"""Steps against tokens to one loss, and time against compute, at every batch.

Larger batches are spread over more accelerators, each with as many tokens as before, so a step
always takes as long: training time goes with steps, compute and money go with tokens
(McCandlish et al. 2018, sec. 2.3). Compute is C = 6 N E of parameters without embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.compute import HOURS_PER_DAY, SECONDS_PER_HOUR, Accelerator
from scalewise.core.errors import UsageError
from scalewise.fit.prediction import scalar
from scalewise.forecast.trajectory import Trajectory, Value, positive
from scalewise.plan.allocate import Interval
from scalewise.plan.compute_efficient import interval_of
from scalewise.plan.reachable import share_reached, size_and_loss

Array = np.ndarray[Any, np.dtype[Any]]

REACH = 32.0  # of the frontier, as a factor to both sides of the critical batch
_GRID = 41  # batches of the frontier: 4 to an octave at that reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Accelerators at work: ``gpus`` of them on batches of ``batch_tokens``.

    Other batches take more or fewer of them in proportion. ``mfu`` is the share of the dense peak
    that 6 N FLOP per token use. Without a ``price`` per hour, hours are what costs.
    """

    accelerator: Accelerator
    gpus: float
    mfu: float
    batch_tokens: float
    price: float | None = None

    def __post_init__(self) -> None:
        for name in ("gpus", "batch_tokens", *(() if self.price is None else ("price",))):
            positive(name, getattr(self, name))
        if not 0 < self.mfu <= 1:
            raise UsageError(
                f"mfu={self.mfu:g} does not lie in (0, 1].", hint="Give a share, 0.4 for 40 %."
            )

    @property
    def tokens_per_gpu(self) -> float:
        """Tokens that one accelerator takes in one step."""
        return self.batch_tokens / self.gpus

    @property
    def hourly(self) -> float:
        """What an accelerator-hour costs; 1 where no price is known, so that hours are counted."""
        return 1.0 if self.price is None else self.price

    def step_days(self, params_nonembed: float) -> float:
        """Days that one step takes, at any batch: 6 N (B / gpus) / (peak mfu)."""
        flops = 6.0 * params_nonembed * self.tokens_per_gpu
        return flops / (self.accelerator.peak_flops * self.mfu * SECONDS_PER_HOUR * HOURS_PER_DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPoint:
    """What one batch takes to the loss; ``relative`` is the batch over the critical one.

    Time and money are known only with a fleet. Without a price ``cost`` is in accelerator-hours.
    """

    batch_tokens: float
    relative: float
    steps: Interval
    tokens: Interval
    flops: Interval
    gpus: float | None = None
    days: Interval | None = None
    cost: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """What twice the batch does on the way to the same loss, as shares of steps and of tokens."""

    batch_tokens: float
    time_saved: Interval
    flops_added: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTradeoff:
    """Every batch between the fewest steps and the fewest tokens to a loss.

    ``critical_batch_tokens`` is the global one, E_min/S_min over the whole way to the loss;
    ``local_critical_batch_tokens``, dE_min/dS_min at the loss, is what noise scales and branched
    runs measure. ``unreached`` is the share of resamples that never reach the loss.
    """

    params_nonembed: float
    loss: float
    floor: Interval
    steps_min: Interval
    tokens_min: Interval
    flops_min: Interval
    critical_batch_tokens: Interval
    local_critical_batch_tokens: Interval
    at_critical: BatchPoint
    at_batch: BatchPoint | None
    doubling: Doubling
    frontier: tuple[BatchPoint, ...]
    fleet: Fleet | None
    unreached: float
    level: float
    extrapolation: Mapping[str, float]
    source: str
    warnings: tuple[str, ...]


def batch_tradeoff(
    trajectory: Trajectory,
    params_nonembed: float,
    loss: float,
    *,
    batch_tokens: float | None = None,
    fleet: Fleet | None = None,
    level: float = 0.9,
) -> BatchTradeoff:
    """Steps, tokens, compute and time to a loss at every batch.

    ``fleet`` says how the accelerators are laid out at one batch. Raises LawError for a loss at or
    below the floor of the size.

    >>> found = batch_tradeoff(Trajectory.kaplan2020(), 1.5e9, 2.6)
    >>> round(found.steps_min.value), round(found.at_critical.steps.value)
    (9225, 18450)
    """
    N, L = size_and_loss(params_nonembed, loss)

    def told(ask: Callable[[Trajectory], Value]) -> Interval:
        return interval_of(trajectory, ask, level=level)

    steps_min = told(lambda t: t.steps_min(N, L))
    tokens_min = told(lambda t: t.tokens_min(N, L))
    critical = told(lambda t: critical_batch(t, N, L))

    def point(batch: float) -> BatchPoint:
        return batch_point(trajectory, N, L, batch, fleet=fleet, level=level)

    reached = {"params_nonembed": N, "loss": L}
    unreached = 1 - share_reached(trajectory, N, L)
    chosen = None if batch_tokens is None else point(float(positive("batch_tokens", batch_tokens)))
    return BatchTradeoff(
        params_nonembed=N,
        loss=L,
        floor=told(lambda t: t.floor(N)),
        steps_min=steps_min,
        tokens_min=tokens_min,
        flops_min=scaled(tokens_min, 6.0 * N),
        critical_batch_tokens=critical,
        local_critical_batch_tokens=told(lambda t: t.local_critical_batch(N, L)),
        at_critical=point(critical.value),
        at_batch=chosen,
        doubling=doubling(
            trajectory, N, L, critical.value if chosen is None else chosen.batch_tokens, level=level
        ),
        frontier=tuple(point(batch) for batch in _batches(critical.value, fleet)),
        fleet=fleet,
        unreached=unreached,
        level=level,
        extrapolation=trajectory.extrapolation(**reached),
        source=trajectory.source,
        warnings=(*trajectory.warnings, *trajectory.doubts(**reached), *_unsure(unreached)),
    )


def batch_point(
    trajectory: Trajectory,
    params_nonembed: float,
    loss: float,
    batch_tokens: float,
    *,
    fleet: Fleet | None = None,
    level: float = 0.9,
) -> BatchPoint:
    """What a batch takes to the loss; its intervals hold the uncertainty of the constants."""
    N, B = params_nonembed, float(positive("batch_tokens", batch_tokens))
    steps = interval_of(trajectory, lambda t: t.steps(N, loss, B), level=level)
    tokens = scaled(steps, B)
    days = gpus = cost = None
    if fleet is not None:
        gpus = B / fleet.tokens_per_gpu
        days = scaled(steps, fleet.step_days(N))
        cost = scaled(days, gpus * HOURS_PER_DAY * fleet.hourly)
    return BatchPoint(
        batch_tokens=B,
        relative=B / float(critical_batch(trajectory, N, loss)),
        steps=steps,
        tokens=tokens,
        flops=scaled(tokens, 6.0 * N),
        gpus=gpus,
        days=days,
        cost=cost,
    )


def doubling(
    trajectory: Trajectory,
    params_nonembed: float,
    loss: float,
    batch_tokens: float,
    *,
    level: float = 0.9,
) -> Doubling:
    """What twice the batch saves in time and costs in compute, as shares.

    With b = B/B_crit: time 1 - (2 b + 1)/(2 b + 2), compute b/(1 + b).

    >>> found = doubling(Trajectory.kaplan2020(), 1.5e9, 2.6, 2.218987e6)
    >>> round(found.time_saved.value, 4), round(found.flops_added.value, 4)
    (0.25, 0.5)
    """
    B = float(positive("batch_tokens", batch_tokens))

    def kept(t: Trajectory) -> Value:
        return _ratio(t.steps(params_nonembed, loss, 2 * B), t.steps(params_nonembed, loss, B))

    ratio = interval_of(trajectory, kept, level=level)
    return Doubling(
        batch_tokens=B,
        time_saved=Interval(value=1 - ratio.value, low=1 - ratio.high, high=1 - ratio.low),
        flops_added=Interval(
            value=2 * ratio.value - 1, low=2 * ratio.low - 1, high=2 * ratio.high - 1
        ),
    )


def critical_batch(trajectory: Trajectory, params_nonembed: float, loss: float) -> Value:
    """The global critical batch in tokens on the way to a loss: E_min/S_min."""
    return trajectory.critical_batch(loss, params_nonembed)


def scaled(interval: Interval, factor: float) -> Interval:
    """Value and both ends, ``factor`` times as large."""
    return replace(
        interval,
        value=interval.value * factor,
        low=interval.low * factor,
        high=interval.high * factor,
    )


def _batches(critical: float, fleet: Fleet | None) -> list[float]:
    """Batches around the critical one that feed at least one accelerator."""
    grid: list[float] = (critical * np.geomspace(1 / REACH, REACH, _GRID)).tolist()
    if fleet is None:
        return grid
    fed = [batch for batch in grid if batch >= fleet.tokens_per_gpu]
    return fed or [fleet.tokens_per_gpu]


def _ratio(above: Value, below: Value) -> Value:
    """A quotient that is unknown, not wrong, where a resample never reaches the loss."""
    with np.errstate(invalid="ignore"):
        return scalar(np.asarray(above) / np.asarray(below))


def _unsure(unreached: float) -> tuple[str, ...]:
    if not unreached:
        return ()
    return (
        f"{unreached:.0%} of the resamples put the floor of this size above the loss: there it is "
        "never reached.",
    )
