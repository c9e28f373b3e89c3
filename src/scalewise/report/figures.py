"""A figure's data drawn as SVG, wide for a desk and narrow for a hand."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite, log10
from typing import TYPE_CHECKING, Any

from scalewise.report.card import Axis, FigureSpec, Panel, Series
from scalewise.report.formats import clean
from scalewise.report.labels import spread, text_width, ticks
from scalewise.report.palette import SERIES, SHADES, stand_in
from scalewise.report.svg import page_ready
from scalewise.report.tiles import draw_tiles, mark_line, tile_swatch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "os^DvPX*<h>d"
_TEXT = 12.0
_LABEL_GAP = 15.0
_LABEL_LIMIT = 34  # characters
_INSIDE = 14.0  # left of a plot that has the names of its rows within


@dataclass(frozen=True, slots=True)
class Layout:
    """Measures of a drawing, in CSS pixels at natural size."""

    name: str
    width: float
    plot_height: float
    labels_beside: bool


WIDE = Layout("wide", 860.0, 300.0, True)
NARROW = Layout("narrow", 358.0, 240.0, False)


def svg(spec: FigureSpec, *, name: str = "figure", layout: Layout = WIDE) -> str:
    """The figure as an ``<svg>`` element for inline use.

    The same data give the same text, whatever was drawn before. ``name`` must be unique on a page.
    Colours are classes, defined by `palette.figure_css`.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False,
        "font.family": "DejaVu Sans", "font.size": _TEXT, "path.simplify": False,
        "axes.unicode_minus": True,
    }  # fmt: skip
    boxes = _boxes(spec.panels, layout)
    height = sum(box.height for box in boxes)
    out = io.StringIO()
    with mpl.rc_context(settings), warnings.catch_warnings():
        # Names may hold letters that the measuring font lacks; the reader's browser has its own.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(layout.width / 72, height / 72))
        FigureCanvasSVG(figure)
        top = height
        for box in boxes:
            _draw(figure, box, layout, top, height)
            top -= box.height
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    label = f"{clean(spec.title)}. {clean(spec.conclusion, 2000)}"
    return page_ready(out.getvalue(), name=name, label=label, css_class=f"figure {layout.name}")


@dataclass(frozen=True, slots=True)
class _Box:
    """One panel with the space that it takes."""

    panel: Panel
    title: tuple[str, ...]
    keys: tuple[Series, ...]
    rows: tuple[tuple[int, ...], ...]  # key entries above the plot, by row
    plot: float
    above: float
    left: float
    right: float

    @property
    def height(self) -> float:
        return self.above + self.plot + 52.0

    @staticmethod
    def of(panel: Panel, layout: Layout) -> _Box:
        keys = tuple(s for s in panel.series if s.label)
        categories = panel.y.categories if panel.y.scale == "category" else ()
        beside = layout.labels_beside
        words = max((text_width(_label(s), _TEXT) for s in keys), default=0.0)
        direct = beside and not categories
        rows = () if direct else _key_rows(keys, layout.width - 24)
        left = 58.0 if beside else 46.0
        if categories:
            wide = max(text_width(_short(c), _TEXT) for c in categories) + 12
            beside = beside or any(s.mark == "tiles" for s in panel.series)  # leave no room within
            left = wide if beside else _INSIDE
            plot = (24.0 if beside else 38.0) * len(categories) + 12
        else:
            plot = layout.plot_height * (0.5 if panel.height == "short" else 1.0)
            if direct:
                plot = max(plot, _LABEL_GAP * len(keys))
        right = min(words + 44.0, 260.0) if direct and keys else 20.0
        title = tuple(textwrap.wrap(clean(panel.title, 120), int(layout.width / 8)))
        lines = len(title) + len(rows) + (not categories)
        return _Box(panel, title, keys, rows, plot, 12.0 + 18.0 * lines, left, right)


def _boxes(panels: tuple[Panel, ...], layout: Layout) -> list[_Box]:
    """Panels under each other, their plots equally wide so that equal axes line up."""
    boxes = [_Box.of(panel, layout) for panel in panels]
    plain = [box for box in boxes if box.panel.y.scale != "category"]
    right = max((box.right for box in plain), default=0.0)
    return [replace(box, right=right) if box in plain else box for box in boxes]


def _label(series: Series) -> str:
    return _short(series.label)


def _short(text: str) -> str:
    return clean(text, _LABEL_LIMIT)


def _key_rows(keys: tuple[Series, ...], room: float) -> tuple[tuple[int, ...], ...]:
    rows: list[list[int]] = []
    used = room + 1
    for i, series in enumerate(keys):
        width = text_width(_label(series), _TEXT) + 36
        if used + width > room:
            rows.append([])
            used = 0.0
        rows[-1].append(i)
        used += width
    return tuple(tuple(row) for row in rows)


def _draw(figure: Figure, box: _Box, layout: Layout, top: float, height: float) -> None:
    width = layout.width
    bottom = top - box.above - box.plot
    plot_width = width - box.left - box.right
    axes = figure.add_axes(
        (box.left / width, bottom / height, plot_width / width, box.plot / height)
    )
    axes.set_facecolor("none")
    limits = _scales(axes, box.panel, box.plot)
    _frame(axes, box, limits, plot_width)
    styles = _styles(box.panel)
    for order, series in enumerate(box.panel.series):
        _draw_series(axes, series, styles[_style_key(series)], order)
    write = _Writer(figure, width, height)
    line = top - 16.0
    for text in box.title:
        write(text, 12.0, line, weight="bold", size=_TEXT + 1)
        line -= 18.0
    if box.panel.y.scale != "category":
        write(_axis_title(box.panel.y), 12.0, line, part="soft")
        line -= 18.0
    write(_axis_title(box.panel.x), width - box.right, bottom - 34.0, part="soft", anchor="right")
    if box.rows:
        _key_above(write, figure, box, styles, line, (width, height))
    elif box.keys:
        _labels_beside(write, figure, box, styles, axes, bottom, (width, height))


def _scales(axes: Axes, panel: Panel, plot: float) -> dict[str, tuple[float, float]]:
    limits = {}
    for which, axis in (("x", panel.x), ("y", panel.y)):
        if axis.scale == "category":
            low, high = -0.6, len(axis.categories) - 0.4
        else:
            low, high = _limits(list(_extent(panel, which)), axis)
        limits[which] = (low, high)
        if axis.scale == "log":
            getattr(axes, f"set_{which}scale")("log")
        ends = (high, low) if which == "y" and axis.scale == "category" else (low, high)
        getattr(axes, f"set_{which}lim")(*ends)
    return limits


def _extent(panel: Panel, which: str) -> Iterator[float]:
    """Every value that must be seen; a band may leave the plot, the rest may not."""
    for series in panel.series:
        if series.role != "reference":
            yield from series.x if which == "x" else series.y
        if series.mark == "intervals" and series.spans == which:
            yield from series.low
            yield from series.high
        if series.role == "reference" and series.spans != which:
            yield from series.x if which == "x" else series.y


def _limits(values: list[float], axis: Axis) -> tuple[float, float]:
    log = axis.scale == "log"
    usable = [v for v in values if isfinite(v) and (v > 0 or not log)]
    if not usable:
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = min(usable), max(usable)
    if log:
        pad = max(0.04 * (log10(high) - log10(low)), 0.01)
        return low * 10**-pad, high * 10**pad
    pad = 0.06 * (high - low) or max(abs(high), 1.0) * 0.05
    return low - pad, high + pad


def _frame(
    axes: Axes,
    box: _Box,
    limits: dict[str, tuple[float, float]],
    plot_width: float,
) -> None:
    panel = box.panel
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(stand_in("rule"))
    axes.spines["bottom"].set_linewidth(1.0)
    axes.tick_params(which="both", length=0, labelsize=_TEXT - 1, labelcolor=stand_in("soft"))
    axes.tick_params(axis="x", length=4, color=stand_in("rule"), which="major")
    axes.minorticks_off()
    x_ticks = ticks(panel.x, *limits["x"], most=max(3, int(plot_width / 62)))
    axes.set_xticks([t for t, _ in x_ticks], [text for _, text in x_ticks])
    y_ticks = ticks(panel.y, *limits["y"], most=max(4, int(box.plot / 42)))
    axes.grid(True, color=stand_in("grid"), linewidth=1.0)
    axes.set_axisbelow(True)
    if panel.y.scale == "category" and box.left == _INSIDE:
        axes.set_yticks([t for t, _ in y_ticks], [""] * len(y_ticks))
        for position, text in y_ticks:
            axes.text(
                0.0, position - 0.28, _short(text), transform=axes.get_yaxis_transform(),
                color=stand_in("ink"), va="bottom", ha="left", fontsize=_TEXT - 1,
            )  # fmt: skip
    else:
        axes.set_yticks([t for t, _ in y_ticks], [_short(text) for _, text in y_ticks])
    axes.minorticks_off()


@dataclass(frozen=True, slots=True)
class _Style:
    colour: str
    marker: str


def _style_key(series: Series) -> str:
    return series.group or series.label


def _styles(panel: Panel) -> dict[str, _Style]:
    """Colour and marker by group, in the order in which the groups appear."""
    styles: dict[str, _Style] = {}
    used = 0
    for series in panel.series:
        key = _style_key(series)
        if key in styles:
            continue
        if series.role == "quiet":
            styles[key] = _Style(stand_in("quiet"), _MARKERS[used % len(_MARKERS)])
        elif series.role == "reference":
            styles[key] = _Style(stand_in("ink"), "o")
            continue
        elif series.shade is not None:
            part = f"r{round(series.shade * (SHADES - 1))}"
            styles[key] = _Style(stand_in(part), _MARKERS[used % len(_MARKERS)])
        else:
            styles[key] = _Style(stand_in(f"c{used % SERIES}"), _MARKERS[used % len(_MARKERS)])
        used += 1
    return styles


def _draw_series(axes: Axes, series: Series, style: _Style, order: int) -> None:
    colour, z = style.colour, 2.0 + 0.01 * order
    if series.mark == "tiles":
        draw_tiles(axes, series, colour)
    elif series.mark == "line":
        mark_line(axes, series, z)
        dashes = (4, 3) if series.role == "reference" or series.hollow else (None, None)
        axes.plot(series.x, series.y, color=colour, linewidth=1.6, dashes=dashes, zorder=z)
    elif series.mark == "band":
        fill = axes.fill_betweenx if series.spans == "x" else axes.fill_between
        fill(series.x if series.spans == "y" else series.y, series.low, series.high,
             color=colour, alpha=0.2, linewidth=0, zorder=1.5)  # fmt: skip
    else:
        if series.mark == "intervals":
            lines = axes.vlines if series.spans == "y" else axes.hlines
            at = series.x if series.spans == "y" else series.y
            lines(at, series.low, series.high, color=colour, linewidth=2.0, zorder=z)
        _points(axes, series.x, series.y, series, style, zorder=z + 1)


def _points(
    axes: Axes, x: Any, y: Any, series: Series, style: _Style, *, zorder: float, clip: bool = True
) -> None:
    size = 5.0 if series.role == "quiet" else 6.5
    axes.plot(
        x, y, linestyle="none", marker=style.marker,
        # Crosses and stars fill less of their square than other marks do.
        markersize=1.3 * size if style.marker in "PX*" else size,
        markerfacecolor=stand_in("paper") if series.hollow else style.colour,
        markeredgecolor=style.colour if series.hollow else stand_in("paper"),
        markeredgewidth=1.4 if series.hollow else 0.6, zorder=zorder, clip_on=clip,
    )  # fmt: skip


class _Writer:
    """Writes on the figure in pixels."""

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        self.figure, self.width, self.height = figure, width, height

    def __call__(
        self, text: str, x: float, y: float, *, part: str = "ink", anchor: str = "left",
        weight: str = "normal", size: float = _TEXT,
    ) -> None:  # fmt: skip
        self.figure.text(
            x / self.width, y / self.height, clean(text, 120), ha=anchor, va="center",
            color=stand_in(part), fontweight=weight, fontsize=size,
        )  # fmt: skip


def _axis_title(axis: Axis) -> str:
    return f"{axis.title} ({axis.unit})" if axis.unit else axis.title


def _swatch(axes: Axes, series: Series, style: _Style, x: float, y: float) -> None:
    """The mark of a series beside its label, on an overlay measured in pixels."""
    if series.mark == "tiles":
        tile_swatch(axes, style.colour, x, y)
    elif series.mark == "line":
        dashes = (4, 3) if series.role == "reference" or series.hollow else (None, None)
        axes.plot([x - 9, x + 9], [y, y], color=style.colour, linewidth=1.8, dashes=dashes)
    elif series.mark == "band":
        axes.fill_between([x - 9, x + 9], y - 5, y + 5, color=style.colour, alpha=0.2, linewidth=0)
    else:
        if series.mark == "intervals":
            axes.plot([x - 9, x + 9], [y, y], color=style.colour, linewidth=2.0)
        _points(axes, [x], [y], series, style, zorder=5)


def _overlay(figure: Figure, size: tuple[float, float]) -> Axes:
    axes = figure.add_axes((0, 0, 1, 1), zorder=5)
    axes.set_axis_off()
    axes.set_xlim(0, size[0])
    axes.set_ylim(0, size[1])
    return axes


def _key_above(
    write: _Writer, figure: Figure, box: _Box, styles: dict[str, _Style], line: float,
    size: tuple[float, float],
) -> None:  # fmt: skip
    axes = _overlay(figure, size)
    for row, entries in enumerate(box.rows):
        x, y = 22.0, line - 18.0 * row
        for i in entries:
            series = box.keys[i]
            _swatch(axes, series, styles[_style_key(series)], x, y)
            write(_label(series), x + 14, y)
            x += text_width(_label(series), _TEXT) + 36


def _labels_beside(
    write: _Writer, figure: Figure, box: _Box, styles: dict[str, _Style], axes: Axes,
    bottom: float, size: tuple[float, float],
) -> None:  # fmt: skip
    overlay = _overlay(figure, size)
    edge = size[0] - box.right
    low, high = bottom + 6, bottom + box.plot - 6
    if box.panel.height == "short":  # scattered points end nowhere: their labels keep their order
        ends = [(edge, high - _LABEL_GAP * i) for i in range(len(box.keys))]
    else:
        ends = [_end(series, axes, size) for series in box.keys]
    for series, (end_x, end_y), y in zip(
        box.keys, ends, spread([y for _, y in ends], _LABEL_GAP, low, high), strict=True
    ):
        style = styles[_style_key(series)]
        if series.mark in ("line", "band") and bottom <= end_y <= bottom + box.plot:
            overlay.plot(
                [min(end_x + 3, edge), edge + 10], [end_y, y], color=stand_in("rule"), linewidth=0.7
            )
        _swatch(overlay, series, style, edge + 22, y)
        write(_label(series), edge + 36, y)


def _end(series: Series, axes: Axes, size: tuple[float, float]) -> tuple[float, float]:
    """Where a series ends on the right, in pixels."""
    pairs = [(x, y) for x, y in zip(series.x, series.y, strict=True) if isfinite(x) and isfinite(y)]
    if not pairs:
        return size[0] / 2, size[1] / 2
    position = axes.transData.transform(max(pairs))
    shown = axes.figure.transFigure.inverted().transform(position)
    return float(shown[0]) * size[0], float(shown[1]) * size[1]
