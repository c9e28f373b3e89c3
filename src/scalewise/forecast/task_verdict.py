"""Can a task be forecast from these models, and if not, why not?

A task whose fitted models all guess says nothing of what larger ones will do; one whose error
falls by less than the noise of its items cannot show whether a forecast was right; one whose error
turns has no law that its models could tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from math import comb
from statistics import NormalDist
from typing import Any

import numpy as np

from scalewise.forecast.tasks import Task

Array = np.ndarray[Any, np.dtype[Any]]

_BY_LUCK = 0.05  # probability up to which a finding is not called chance
_UNKNOWN_ITEMS = 500.0  # stand in for an unknown number: one standard error of 0.02
_CLEAR = 2.0  # standard deviations by which an effect stands out


class Verdict(Enum):
    """What a backtest says of a task; the value is how a reader is told."""

    FORECASTABLE = "forecastable"
    NOT_BETTER = "no better than the best seen"
    NOISE_LIMITED = "noise-limited"
    AT_CHANCE = "at chance"
    NON_MONOTONE = "non-monotone"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The measured errors of a task by compute: of the models up to a cut, and beyond it.

    ``items`` is how many questions the task has, None if unknown; ``scatter`` the standard
    deviation of models around a law, which stands in for the noise of items then.
    """

    task: Task
    flops: Array
    error: Array
    held_out: Array
    items: float | None
    scatter: float

    @property
    def noise(self) -> float:
        """Standard deviation of one model's measured error."""
        if self.items is None:
            return self.scatter
        share = float(np.clip(np.mean(np.concatenate([self.error, self.held_out])), 0.0, 1.0))
        return float(np.sqrt(share * (1 - share) / self.items))

    @property
    def fall(self) -> float:
        """By how much the error falls from the smallest third of the fitted to the held-out."""
        return float(np.mean(self._thirds[0]) - np.mean(self.held_out))

    @property
    def slope(self) -> float:
        """How the error of the fitted models changes with ten times the compute."""
        x = np.log10(self.flops) - np.mean(np.log10(self.flops))
        return float(np.sum(x * self.error) / np.sum(x**2))

    @property
    def rise(self) -> tuple[float, float]:
        """The largest rise from a third of the fitted, or all, to the next; its noise."""
        noise = max(self.noise, self.scatter)
        parts = [*self._thirds, self.held_out]
        rises = []
        for before, after in pairwise(parts):
            apart = noise * float(np.sqrt(1 / len(before) + 1 / len(after)))
            rises.append((float(np.mean(after) - np.mean(before)), apart))
        return max(rises, key=lambda pair: pair[0] - _CLEAR * pair[1])

    @property
    def _thirds(self) -> list[Array]:
        return np.array_split(self.error[np.argsort(self.flops, kind="stable")], 3)


def judged(
    measured: Measured | None, method: str, off_by: float | str, naive: float | None
) -> tuple[Verdict, str]:
    """The verdict on a task, and one sentence with the numbers that it rests on.

    ``off_by`` is the mean absolute error of the ``method``, or why it could not forecast;
    ``naive`` that of the better naive rule at the same models.
    """
    if measured is None:
        return Verdict.UNTESTED, "Too few models measured it on both sides of any cut."
    told = doubt(measured)
    if told is not None:
        return told
    if isinstance(off_by, str) or naive is None:
        return Verdict.UNTESTED, str(off_by)
    text = (
        f"{method} is off by {100 * off_by:.1f} points on average, the better naive rule by "
        f"{100 * naive:.1f}."
    )
    return (Verdict.FORECASTABLE if off_by < naive else Verdict.NOT_BETTER), text


def too_narrow(held: int, points: int, level: float) -> str:
    """What says that intervals held fewer measured errors than chance explains; else empty.

    >>> too_narrow(9, 10, 0.9)
    ''
    >>> too_narrow(5, 10, 0.9)
    'its 90% intervals held 5 of 10 measured errors: they are too narrow to defend it'
    """
    few = range(held + 1)
    luck = sum(comb(points, k) * level**k * (1 - level) ** (points - k) for k in few)
    if luck >= _BY_LUCK:
        return ""
    return (
        f"its {100 * level:g}% intervals held {held} of {points} measured errors: they are too "
        "narrow to defend it"
    )


def doubt(measured: Measured) -> tuple[Verdict, str] | None:
    """What keeps a task from being forecast, whatever the method; None if nothing does."""
    if said := at_chance(measured.task, measured.error, measured.items):
        return Verdict.AT_CHANCE, said
    noise, fall = measured.noise, measured.fall
    if abs(fall) <= _CLEAR * noise:
        of = "scatter of models" if measured.items is None else f"{measured.items:,.0f} items"
        return Verdict.NOISE_LIMITED, (
            f"From the smallest models to the held-out ones the error "
            f"{'falls' if fall >= 0 else 'rises'} by {abs(fall):.3f}; the noise of one model is "
            f"{noise:.3f} ({of})."
        )
    slope = measured.slope
    if slope >= 0:
        return Verdict.NON_MONOTONE, (
            f"Over the {len(measured.error)} fitted models the error does not fall with compute: "
            f"it changes by {slope:+.3f} for ten times as much."
        )
    rise, noise = measured.rise
    if fall < 0 or rise > _CLEAR * noise:
        return Verdict.NON_MONOTONE, (
            f"With more compute the error rises by {max(rise, -fall):.3f}, of which noise "
            f"explains {_CLEAR * noise:.3f} at most."
        )
    return None


def at_chance(task: Task, error: Array, items: float | None) -> str:
    """What says that no model does better than guessing; empty if one does, or chance is unknown.

    The best of many guesses lies above chance: only what that best would rarely reach counts.
    """
    if task.chance is None:
        return ""
    best, asked = 1.0 - float(error.min()), items or _UNKNOWN_ITEMS
    z = NormalDist().inv_cdf((1 - _BY_LUCK) ** (1 / len(error)))
    luck = task.chance + z * np.sqrt(max(task.chance * (1 - task.chance), 1 / asked) / asked)
    if best > luck:
        return ""
    on = f" on {items:,.0f} items" if items else ""
    return (
        f"The best of {len(error)} fitted models has accuracy {best:.3f}; as many that guess at "
        f"{task.chance:.3g}{on} reach {luck:.3f} by luck."
    )
