"""Points coloured by model size: one series per size, or per range of sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.quantities import format_count
from scalewise.report.card import Series

Array = np.ndarray[Any, np.dtype[Any]]

MOST = 8  # sizes that a reader can tell apart by shade


def size_classes(sizes: Array) -> list[tuple[str, Array]]:
    """Label and mask of each size, or of each of at most eight ranges, smallest first."""
    levels = np.unique(sizes[np.isfinite(sizes)])
    if len(levels) <= MOST + 2:
        return [(format_count(float(level)), sizes == level) for level in levels]
    groups = np.array_split(levels, MOST)
    return [(_range(float(g[0]), float(g[-1])), (sizes >= g[0]) & (sizes <= g[-1])) for g in groups]


def _range(low: float, high: float) -> str:
    first, last = format_count(low, digits=2), format_count(high, digits=2)
    return first if first == last else f"{first}–{last}"


def shade(index: int, count: int) -> float:
    """Position of one of ``count`` ordered classes on the scale of shades."""
    return index / max(count - 1, 1)


def by_size(sizes: Array, x: Array, y: Array, *, labelled: bool = True) -> tuple[Series, ...]:
    """Points of one mark and shade per class of size, the largest first as its loss is lowest."""
    classes = size_classes(sizes)
    return tuple(
        Series(
            mark="points",
            x=floats(x[mask]),
            y=floats(y[mask]),
            label=label if labelled else "",
            group=label,
            shade=shade(i, len(classes)),
        )
        for i, (label, mask) in enumerate(classes)
    )


def floats(values: Array) -> tuple[float, ...]:
    """An array as the plain numbers that a figure holds."""
    return tuple(float(v) for v in np.ravel(values))
