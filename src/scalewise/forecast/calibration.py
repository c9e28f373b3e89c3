"""How far the forecasts of public families missed, and the intervals that follow from it.

``calibration.json`` holds, for each family of public runs and each cut of it by size, the
half-width that the combined laws stated for the largest model beyond the cut and by how much they
missed its end, both in logs. ``benchmarks/calibration.py`` measures it; no runs are in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.fit.calibration import Calibration

Array = np.ndarray[Any, np.dtype[Any]]

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
_EXPONENTS = np.linspace(0.0, 1.0, 21)
_JUDGED_AT = 0.9  # the level whose interval score chooses the exponent
# Cuts of a family; earlier ones leave few runs, whose intervals are widened on principle.
_LATEST = 2
_FEWEST_GROUPS = 10  # a quantile of 0.9 of fewer is a guess


@dataclass(frozen=True, slots=True)
class Misses:
    """Held-out ends: whose, at what stated half-width, and missed by how much, in logs.

    Those of one family stand together, in the order of their cuts.
    """

    family: tuple[str, ...]
    group: tuple[str, ...]
    stated: Array
    missed: Array

    def without(self, names: Sequence[str]) -> Misses:
        """All but some families, and all that share a group with one of them."""
        groups = {g for f, g in zip(self.family, self.group, strict=True) if f in names}
        return self._take([g not in groups and g not in names for g in self.group])

    def latest(self) -> Misses:
        """The last two cuts of each family, which leave about as many runs as a user has."""
        behind = [self.family[i:].count(name) for i, name in enumerate(self.family)]
        return self._take([count <= _LATEST for count in behind])

    def _take(self, keep: Sequence[bool]) -> Misses:
        mask = np.array(keep, dtype=bool)
        return Misses(
            tuple(f for f, k in zip(self.family, keep, strict=True) if k),
            tuple(g for g, k in zip(self.group, keep, strict=True) if k),
            self.stated[mask],
            self.missed[mask],
        )

    @property
    def weights(self) -> Array:
        """Each group counts the same, and within it each family, and within that each end."""
        families = {g: {f for f, h in self._pairs if h == g} for g in self.group}
        ends = {f: self.family.count(f) for f in self.family}
        shares = [1.0 / len(families[g]) / ends[f] for f, g in self._pairs]
        return np.array(shares) / len(families)

    @property
    def _pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple(zip(self.family, self.group, strict=True))


@cache
def public_misses() -> Misses:
    """What was measured on the public families."""
    text = files("scalewise.forecast").joinpath("calibration.json").read_text(encoding="utf-8")
    rows = json.loads(text)["ends"]
    return Misses(
        tuple(str(row["family"]) for row in rows),
        tuple(str(row["group"]) for row in rows),
        np.array([float(row["stated"]) for row in rows]),
        np.array([float(row["missed"]) for row in rows]),
    )


@cache
def calibration(*, without: tuple[str, ...] = ()) -> Calibration:
    """The calibration from all public families but those named, for judging it on these."""
    return calibrated_on(public_misses().latest().without(without))


def calibrated_on(misses: Misses) -> Calibration:
    """Exponent and factors from held-out ends; the exponent has the least interval score.

    Raises UnfitDataError for fewer than ten groups.
    """
    groups = len(set(misses.group))
    if groups < _FEWEST_GROUPS:
        raise UnfitDataError(
            f"{groups} groups of families are too few to calibrate intervals on.",
            hint=f"Measure held-out ends of at least {_FEWEST_GROUPS}.",
        )
    weights = misses.weights
    scores = []
    for exponent in _EXPONENTS:
        scale = misses.stated**exponent
        width = _factor(misses.missed / scale, weights, _JUDGED_AT, groups) * scale
        outside = np.maximum(misses.missed - width, 0.0)
        scores.append(float(np.sum(weights * (2 * width + 2 / (1 - _JUDGED_AT) * outside))))
    exponent = float(_EXPONENTS[int(np.argmin(scores))])
    ratio = misses.missed / misses.stated**exponent
    return Calibration(
        exponent=exponent,
        levels=LEVELS,
        factors=tuple(_factor(ratio, weights, level, groups) for level in LEVELS),
        families=len(set(misses.family)),
        groups=groups,
    )


def _factor(ratio: Array, weights: Array, level: float, groups: int) -> float:
    """The quantile that holds for the next group, not for these on average."""
    return weighted_quantile(ratio, weights, min(level * (groups + 1) / groups, 1.0))


def weighted_quantile(values: Array, weights: Array, probability: float) -> float:
    """The least value up to which so much of the weight lies.

    >>> weighted_quantile(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0]), 0.5)
    2.0
    """
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    # Nine of ten equal weights add up to 0.9 but for the last bit.
    index = int(np.searchsorted(below, probability * (1 - 1e-12)))
    return float(values[order][min(index, len(values) - 1)])
