"""The compute plane: lines of equal loss, the runs, and the frontier with its band."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, level_text
from scalewise.plan.contours import Contours
from scalewise.report.card import Axis, Card, Cell, Column, FigureSpec, Panel, Series, Table
from scalewise.report.cards.allocation import edges, told
from scalewise.report.cards.doubts import reach_caveats, reach_sentence
from scalewise.report.cards.shades import floats, shade
from scalewise.report.formats import number

Array = np.ndarray[Any, np.dtype[Any]]

_MARGIN = 10.0  # factor beyond the frontier's ends up to which contours are shown
_MOST_RUNS = 2000  # points of a figure


def contours_card(found: Contours) -> Card:
    """The cheapest model of each loss, and the lines of equal loss over the plane of the runs."""
    level = level_text(found.level)
    rows: list[tuple[Cell, ...]] = [
        (
            c.loss, c.params.value, *edges(c.params), c.optimal_tokens.value,
            *edges(c.optimal_tokens), c.flops.value, *edges(c.flops),
        )
        for c in found.contours
    ]  # fmt: skip
    last = found.contours[-1]
    reach = reach_sentence(found.extrapolation, "flops", found.runs)
    known = last.params.low < last.params.high
    return Card(
        title="Contours of equal loss",
        conclusion=(
            f"A loss of {number(last.loss)} nats/token is cheapest with "
            f"{told(last.params, format_count)} {found.size} on "
            f"{told(last.optimal_tokens, format_count)} tokens; smaller models reach it on more "
            "tokens and larger ones on fewer, each at more compute "
            f"({f'{level} intervals' if known else 'no intervals known'}, {reach})."
        ),
        table=Table(
            (
                Column("loss", "nats/token", "number"),
                Column(found.size, format="count"),
                Column("size low", format="count"),
                Column("size high", format="count"),
                Column("tokens", format="count"),
                Column("tokens low", format="count"),
                Column("tokens high", format="count"),
                Column("flops", format="flops"),
                Column("flops low", format="flops"),
                Column("flops high", format="flops"),
            ),
            tuple(rows),
        ),
        figure=_figure(found),
        caveats=(*found.warnings, *reach_caveats(found.extrapolation, "flops")),
    )


def _figure(found: Contours) -> FigureSpec:
    low, best, high = found.frontier.params
    tokens = found.frontier.tokens[1]
    window = (
        (best.min() / _MARGIN, best.max() * _MARGIN),
        (tokens.min() / _MARGIN, tokens.max() * _MARGIN),
    )
    series: list[Series] = []
    sizes, counts = found.fitted
    if len(sizes):
        step = max(len(sizes) // _MOST_RUNS, 1)
        series.append(
            Series(mark="points", x=floats(sizes[::step]), y=floats(counts[::step]),
                   label="fitted runs", group="runs", role="quiet")
        )  # fmt: skip
    for i, c in enumerate(found.contours):
        inside = _within(c.sizes, window[0]) & _within(c.tokens, window[1])
        series.append(
            Series(mark="line", x=floats(c.sizes[inside]), y=floats(c.tokens[inside]),
                   label=f"{number(c.loss)} nats/token", group=f"loss {i}",
                   shade=shade(i, len(found.contours)))
        )  # fmt: skip
    edge_low, edge_high = _band(found, best)
    series += [
        Series(mark="band", x=floats(best), y=floats(tokens), low=floats(edge_low),
               high=floats(edge_high), group="frontier"),
        Series(mark="line", x=floats(best), y=floats(tokens), group="frontier",
               label="frontier" if np.all(low == high)
               else f"frontier, {level_text(found.level)} band"),
    ]  # fmt: skip
    return FigureSpec(
        "Lines of equal loss in size and tokens",
        "Every model on one line reaches the same loss. The frontier crosses each line where it is "
        "cheapest to train.",
        (
            Panel(
                f"Tokens against {found.size} at equal loss",
                Axis(found.size, "count", "log", "count"),
                Axis("tokens", "count", "log", "count"),
                tuple(series),
            ),
        ),
    )


def _within(values: Array, ends: tuple[float, float]) -> Array:
    return np.asarray((ends[0] <= values) & (values <= ends[1]))


def _band(found: Contours, sizes: Array) -> tuple[Array, Array]:
    """The frontier's band in tokens at a size: its edges in size, C / (6 N), read along tokens."""
    flops = found.frontier.flops
    edges_by_size = []
    for edge in (found.frontier.params[2], found.frontier.params[0]):
        x, y = np.log(edge), np.log(flops / (6.0 * edge))
        order = np.argsort(x)
        slopes = np.polyfit(x[[0, -1]], y[[0, -1]], 1)
        # Beyond its own ends an edge goes on as it ran.
        inside = (np.log(sizes) >= x.min()) & (np.log(sizes) <= x.max())
        along = np.interp(np.log(sizes), x[order], y[order])
        edges_by_size.append(np.exp(np.where(inside, along, np.polyval(slopes, np.log(sizes)))))
    return edges_by_size[0], edges_by_size[1]
