"""Whether a size ever reaches a loss, and what stands in its way where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalewise.core.errors import UsageError
from scalewise.core.quantities import format_count
from scalewise.forecast.trajectory import Trajectory, positive
from scalewise.plan.allocate import Interval
from scalewise.plan.compute_efficient import interval_of

_LARGEST = 1e60  # params that stand for every size
_HALVINGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """A loss that a size never reaches: its floor, and the smallest size that has a lower one.

    ``smallest_size`` is infinite where an irreducible loss forbids every size; ``reached`` is the
    share of resamples that put the floor below the loss all the same.
    """

    params_nonembed: float
    loss: float
    floor: Interval
    smallest_size: float
    reached: float
    level: float
    extrapolation: Mapping[str, float]
    source: str
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"A loss of {self.loss:g} nats/token is out of reach of "
            f"{format_count(self.params_nonembed)} params_nonembed: the floor of that size is "
            f"{self.floor.value:.5g}."
        )


def reaches(trajectory: Trajectory, params_nonembed: float, loss: float) -> bool:
    """Whether the floor of the size lies below the loss.

    >>> kaplan = Trajectory.kaplan2020()
    >>> reaches(kaplan, 1.5e9, 2.3), reaches(kaplan, 1.5e9, 2.2)
    (True, False)
    """
    N, L = size_and_loss(params_nonembed, loss)
    return float(trajectory.floor(N)) < L


def unreachable(
    trajectory: Trajectory, params_nonembed: float, loss: float, *, level: float = 0.9
) -> Unreachable:
    """Why a loss is out of reach. Raises UsageError for one that is not.

    >>> found = unreachable(Trajectory.kaplan2020(), 1.5e9, 2.2)
    >>> round(found.floor.value, 4), f"{found.smallest_size:.3g}"
    (2.2753, '2.32e+09')
    """
    N, L = size_and_loss(params_nonembed, loss)
    floor = interval_of(trajectory, lambda t: t.floor(N), level=level)
    if floor.value < L:
        raise UsageError(
            f"A loss of {L:g} nats/token is within reach: the floor is {floor.value:.5g}.",
            hint="Ask batch_tradeoff what it takes.",
        )
    return Unreachable(
        params_nonembed=N,
        loss=L,
        floor=floor,
        smallest_size=_smallest_size(trajectory, L),
        reached=share_reached(trajectory, N, L) if len(trajectory.draws) else 0.0,
        level=level,
        extrapolation=trajectory.extrapolation(params_nonembed=N, loss=L),
        source=trajectory.source,
        warnings=(*trajectory.warnings, *trajectory.doubts(params_nonembed=N, loss=L)),
    )


def share_reached(trajectory: Trajectory, params_nonembed: float, loss: float) -> float:
    """The share of resamples whose floor lies below the loss; 1 where there are none."""
    if not len(trajectory.draws):
        return 1.0
    floors = np.asarray(trajectory.sampled().floor(params_nonembed))
    return float(np.mean(floors < loss))


def size_and_loss(params_nonembed: float, loss: float) -> tuple[float, float]:
    """Size and loss as positive floats; UsageError for a size below one parameter."""
    N, L = float(positive("params_nonembed", params_nonembed)), float(positive("loss", loss))
    if N < 1:
        raise UsageError(
            f"params_nonembed={N:g} is less than one parameter.", hint="Give a count such as 7B."
        )
    return N, L


def _smallest_size(trajectory: Trajectory, loss: float) -> float:
    """The fewest params_nonembed whose floor lies below a loss; infinite where there are none."""
    if float(trajectory.floor(_LARGEST)) >= loss:
        return float("inf")
    low, high = 0.0, float(np.log(_LARGEST))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        above = float(trajectory.floor(float(np.exp(middle)))) >= loss
        low, high = (middle, high) if above else (low, middle)
    return float(np.exp(high))
