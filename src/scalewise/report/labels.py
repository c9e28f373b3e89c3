"""Where labels go so that none lies on another, and where ticks go so that they can be read."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from scalewise.core.quantities import format_count, format_flops
from scalewise.report.card import Axis, Format
from scalewise.report.formats import number


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions nearest to ``wanted``, in its order, at least ``gap`` apart, within the limits.

    Where they cannot all fit they share the space evenly.

    >>> spread([1.0, 1.0, 9.0], gap=2.0, low=0.0, high=10.0)
    [0.0, 2.0, 9.0]
    """
    count = len(wanted)
    if not count:
        return []
    gap = min(gap, (high - low) / max(count - 1, 1))
    order = sorted(range(count), key=lambda i: wanted[i])
    blocks: list[list[float]] = []  # centre and size of labels that touch
    for i in order:
        blocks.append([min(max(wanted[i], low), high), 1])
        while len(blocks) > 1 and _top(blocks[-2], gap) + gap > _bottom(blocks[-1], gap) + 1e-9:
            centre, size = blocks.pop()
            other = blocks[-1]
            total = other[1] + size
            middle = (other[0] * other[1] + centre * size) / total
            half = gap * (total - 1) / 2
            blocks[-1] = [min(max(middle, low + half), high - half), total]
    placed = [_bottom(b, gap) + gap * k for b in blocks for k in range(int(b[1]))]
    answer = [0.0] * count
    for position, i in zip(placed, order, strict=True):
        answer[i] = position
    return answer


def _bottom(block: list[float], gap: float) -> float:
    return block[0] - gap * (block[1] - 1) / 2


def _top(block: list[float], gap: float) -> float:
    return block[0] + gap * (block[1] - 1) / 2


def ticks(axis: Axis, low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Positions and labels of at most about ``most`` ticks between ``low`` and ``high``.

    >>> ticks(Axis("tokens", scale="log", format="count"), 1e6, 1e9, 6)
    [(1000000.0, '1M'), (10000000.0, '10M'), (100000000.0, '100M'), (1000000000.0, '1B')]
    """
    if axis.scale == "category":
        return [(float(i), text) for i, text in enumerate(axis.categories)]
    values = _log_ticks(low, high, most) if axis.scale == "log" else _even_ticks(low, high, most)
    return [(value, tick_text(value, axis.format)) for value in values]


def tick_text(value: float, form: Format) -> str:
    """A tick's label, shorter than the same number in a table."""
    if form == "count":
        return format_count(value)
    if form == "flops":
        return format_flops(value)
    if form in ("percent", "signed-percent"):
        text = f"{100 * value:.6g}%"
        return f"+{text}" if form == "signed-percent" and value > 0 else text
    return number(value, 6)


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Whole decades over a wide range, else the fullest set of round numbers that fits."""
    first, last = floor(log10(low)), ceil(log10(high))
    decades = [10.0**k for k in range(first, last + 1)]
    inside = [v for v in decades if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
    if len(inside) > max(most, 3):
        step = ceil(len(inside) / most)
        return [v for v in inside if round(log10(v)) % step == 0]
    best = inside
    for steps in ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        values = [float(f"{m}e{k}") for k in range(first, last + 1) for m in steps]
        found = [v for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
        if len(best) < len(found) <= most:
            best = found
    wide = high / low > 10.0  # where even steps would crowd at the upper end
    return best if wide or len(best) >= 3 else _even_ticks(low, high, most)


def _even_ticks(low: float, high: float, most: int) -> list[float]:
    width = high - low
    if width <= 0:
        return [low]
    scale = 10.0 ** floor(log10(width / most))
    step = next(m * scale for m in (1, 2, 2.5, 5, 10, 20) if width / (m * scale) <= most)
    return [
        float(f"{k * step:.12g}")
        for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)
    ]


def text_width(text: str, size: float) -> float:
    """About how wide a text is, on the generous side."""
    return 0.6 * size * len(text)
