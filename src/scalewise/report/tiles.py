"""Tiles of a heat map: a place of two category axes each, with its number inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalewise.report.formats import clean
from scalewise.report.palette import stand_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scalewise.report.card import Series

_HALF = 0.47  # of a place, so that neighbours of one colour stay two
_ASIDE = 0.31  # of a place, from the number in its middle
_TEXT = 11.0


def draw_tiles(axes: Axes, series: Series, colour: str) -> None:
    """Fill the places of a series and write in them."""
    for x, y, text in zip(series.x, series.y, series.texts, strict=True):
        axes.fill_between(
            [x - _HALF, x + _HALF], y - _HALF, y + _HALF, color=colour, linewidth=0, zorder=2.0
        )
        axes.text(
            x, y, clean(text, 12), color=stand_in("paper"), ha="center", va="center",
            fontsize=_TEXT, zorder=4.0,
            # Over lines, which it would else be struck through by.
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip


def mark_line(axes: Axes, series: Series, order: float) -> None:
    """For a line that runs over tiles a pale ground, and its text at its start; else nothing."""
    if series.texts:
        axes.plot(series.x, series.y, color=stand_in("paper"), linewidth=4.0, zorder=order - 0.005)
        axes.text(
            series.x[0] - _ASIDE, series.y[0], clean(series.texts[0], 16), color=stand_in("ink"),
            ha="center", va="center", fontsize=_TEXT - 1, zorder=5.0,
            bbox={"facecolor": stand_in("paper"), "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip


def tile_swatch(axes: Axes, colour: str, x: float, y: float) -> None:
    """A tile beside its label, on an overlay measured in pixels."""
    axes.fill_between([x - 8, x + 8], y - 6, y + 6, color=colour, linewidth=0)
