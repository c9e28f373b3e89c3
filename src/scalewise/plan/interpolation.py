"""A smooth curve through points that does not overshoot where they bend (Akima 1970)."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_FLAT = 1e-9  # change of slope, against the largest, below which both neighbours count alike
_FINE = 400  # places at which the curve is searched for its lowest


def akima(x: Array, y: Array, at: Array) -> Array:
    """The Akima spline through (x, y) at ``at``; x rises strictly, outside it the value is NaN.

    A cubic between each two points, its slope at a point an average of the neighbouring chords
    weighted by how little the chord beyond turns. Two points give their chord.
    H. Akima, J. ACM 17 (1970) 589; what Porian et al. 2024 draw through an isoFLOP profile.

    >>> akima(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.5]))
    array([1.5])
    """
    slopes = _slopes(x, y)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    width = x[i + 1] - x[i]
    t = (at - x[i]) / width
    value = (
        y[i] * (1 + 2 * t) * (1 - t) ** 2
        + slopes[i] * width * t * (1 - t) ** 2
        + y[i + 1] * t**2 * (3 - 2 * t)
        + slopes[i + 1] * width * t**2 * (t - 1)
    )
    return np.where((at >= x[0]) & (at <= x[-1]), value, np.nan)


def lowest(x: Array, y: Array) -> float:
    """Where the Akima spline through (x, y) is lowest, or NaN if that is at one of its ends."""
    at = np.linspace(x[0], x[-1], _FINE)
    value = akima(x, y, at)
    i = int(value.argmin())
    if i in (0, _FINE - 1):
        return float("nan")
    before, here, after = value[i - 1 : i + 2]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    return float(at[i] + shift * (at[1] - at[0]))


def _slopes(x: Array, y: Array) -> Array:
    chords = np.diff(y) / np.diff(x)
    if len(chords) == 1:
        return np.repeat(chords, 2)
    first, last = 2 * chords[0] - chords[1], 2 * chords[-1] - chords[-2]
    m = np.r_[2 * first - chords[0], first, chords, last, 2 * last - chords[-1]]
    turn = np.abs(np.diff(m))
    after, before = turn[2:], turn[:-2]
    total = after + before
    flat = total <= _FLAT * max(float(total.max()), 1e-300)
    weighted = (after * m[1:-2] + before * m[2:-1]) / np.where(flat, 1.0, total)
    return np.where(flat, 0.5 * (m[1:-2] + m[2:-1]), weighted)
