"""What serving costs beside training: utilisation, machines, prices, and the bill of a model.

Generating tokens one by one uses a few percent of a chip's peak rate, reading prompts and training
much more, so a serving FLOP costs several training FLOPs (Sardana et al. 2024, sec. 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from scalewise.core.compute import SECONDS_PER_HOUR, Accelerator
from scalewise.core.errors import UsageError
from scalewise.plan.allocate import Interval

TRAINING = 6.0  # FLOPs per parameter and token, forward and backward
SERVING = 2.0  # forward only


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCost:
    """What a serving FLOP costs, in training FLOPs.

    ``training_mfu`` is the utilisation of training, ``input_mfu`` that of reading prompts and
    ``output_mfu`` that of writing answers, which is far lower; ``input_share`` of the tokens are
    read. ``price_ratio`` is the hourly price of the serving chip over that of the training chip,
    for the same peak rate. All at 1, FLOPs are minimised.
    """

    training_mfu: float = 1.0
    input_mfu: float = 1.0
    output_mfu: float = 1.0
    input_share: float = 0.0
    price_ratio: float = 1.0

    def __post_init__(self) -> None:
        for name in ("training_mfu", "input_mfu", "output_mfu"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(
                    f"{name}={getattr(self, name)} is no share of the peak rate.",
                    hint="Give a number above 0 and up to 1, such as 0.4.",
                )
        if not 0 <= self.input_share <= 1:
            raise UsageError(
                f"input_share={self.input_share} is no share of the tokens.",
                hint="Give a number from 0 to 1.",
            )
        if not (isfinite(self.price_ratio) and self.price_ratio > 0):
            raise UsageError(
                f"price_ratio={self.price_ratio} is no ratio of prices.", hint="Give it above 0."
            )

    @property
    def per_flop(self) -> float:
        """Cost of a serving FLOP over that of a training FLOP.

        >>> ServingCost(training_mfu=0.4, output_mfu=0.1).per_flop
        4.0
        """
        return self.price_ratio * self.training_mfu / self.serving_mfu

    @property
    def serving_mfu(self) -> float:
        """Utilisation of serving as a whole: the harmonic mean of reading and writing."""
        written = (1 - self.input_share) / self.output_mfu
        return 1 / (self.input_share / self.input_mfu + written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """The chips that train and that serve, and what an hour of each costs, if that is known.

    Without prices an hour of either counts the same.
    """

    training: Accelerator
    serving: Accelerator
    price: float | None = None
    serving_price: float | None = None

    @property
    def price_ratio(self) -> float:
        """Price of the serving chip over that of the training chip, for the same peak rate."""
        hourly = 1.0 if self.price is None else (self.serving_price or self.price) / self.price
        return hourly * self.training.peak_flops / self.serving.peak_flops


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Accelerator-hours of training and of serving, and what both cost in the user's currency."""

    training_hours: Interval
    serving_hours: Interval
    money: Interval | None


def bill(
    *,
    training_flops: Interval,
    serving_flops: Interval,
    cost: Interval,
    serving: ServingCost,
    machines: Machines,
) -> Bill:
    """What a model costs over its life; ``cost`` is in training FLOPs, as `ServingCost` weighs.

    >>> from scalewise.core.compute import accelerator_named
    >>> once = Interval(value=1e22, low=1e22, high=1e22)
    >>> h100 = accelerator_named("h100")
    >>> paid = bill(training_flops=once, serving_flops=once, cost=once,
    ...             serving=ServingCost(training_mfu=0.4, output_mfu=0.1),
    ...             machines=Machines(training=h100, serving=h100))
    >>> f"{paid.training_hours.value:.0f} and {paid.serving_hours.value:.0f} hours"
    '7019 and 28075 hours'
    """
    train_hour = machines.training.peak_flops * serving.training_mfu * SECONDS_PER_HOUR
    serve_hour = machines.serving.peak_flops * serving.serving_mfu * SECONDS_PER_HOUR
    return Bill(
        training_hours=scaled(training_flops, 1 / train_hour),
        serving_hours=scaled(serving_flops, 1 / serve_hour),
        money=None if machines.price is None else scaled(cost, machines.price / train_hour),
    )


def scaled(interval: Interval, by: float) -> Interval:
    """An interval in another unit."""
    return Interval(value=interval.value * by, low=interval.low * by, high=interval.high * by)
