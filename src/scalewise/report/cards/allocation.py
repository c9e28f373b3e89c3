"""What a budget is best spent on, told, for one budget and along many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, format_flops, level_text
from scalewise.plan.allocate import Allocation, Band, Frontier, Interval
from scalewise.report.card import (
    Axis,
    Card,
    Cell,
    Column,
    Fact,
    FigureSpec,
    Format,
    Panel,
    Series,
    Table,
)
from scalewise.report.cards.doubts import reach_caveats, reach_sentence
from scalewise.report.cards.shades import by_size, floats
from scalewise.report.formats import counted, factor, listed, number
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Row = tuple[str, str, Interval, Format]  # name, unit, value with its interval, how it is written

RULE_OF_THUMB = 20.0  # tokens per param: what is quoted of Hoffmann et al. 2022
_ROWS = 12
_ONE_RATIO = 0.005  # in logs, between the budgets: what three digits do not show


def allocation_card(allocation: Allocation) -> Card:
    """The model and token count that a budget is best spent on, each with its interval."""
    level = level_text(allocation.level)
    quantities: tuple[tuple[str, str, Interval, Format], ...] = (
        (allocation.size, "count", allocation.params, "count"),
        ("tokens", "count", allocation.tokens, "count"),
        ("tokens_per_param", "ratio", allocation.tokens_per_param, "number"),
        ("loss", "nats/token", allocation.loss, "loss"),
    )
    rows: list[tuple[Cell, ...]] = [
        ("flops", "FLOP", allocation.flops, None, None),
        *((name, unit, interval.value, *edges(interval)) for name, unit, interval, _ in quantities),
    ]
    reach = reach_sentence(allocation.extrapolation, "flops", allocation.runs)
    return Card(
        title="Compute-optimal allocation",
        conclusion=_conclusion(allocation, level, reach),
        facts=(
            Fact("rests on", listed(list(allocation.rests_on))),
            Fact("reach", reach),
            Fact("rule", f"flops = 6 * {allocation.size} * tokens"),
        ),
        table=Table(
            (Column("quantity"), Column("unit"), Column("value", format="number"),
             Column(f"{level} low", format="number"), Column(f"{level} high", format="number")),
            tuple(rows),
            ("flops", *(form for *_, form in quantities)),
        ),
        caveats=(*allocation.warnings, *reach_caveats(allocation.extrapolation, "flops")),
    )  # fmt: skip


def curve_card(curve: Frontier, *, tokens_unique: float | None = None) -> Card:
    """The allocation at budgets around the one asked about: a curve with a band, not one ratio."""
    level = level_text(curve.level)
    ratio = curve.tokens_per_param[1]
    repeated = () if tokens_unique is None else (Column("epochs", format="number"),)
    rows = [
        (
            float(flops), float(curve.params[1][i]), float(curve.tokens[1][i]),
            *(() if tokens_unique is None else (float(curve.tokens[1][i]) / tokens_unique,)),
            float(ratio[i]), *edges(_at(curve.tokens_per_param, i)),
            float(curve.loss[1][i]), *edges(_at(curve.loss, i)),
        )
        for i, flops in enumerate(curve.flops)
    ]  # fmt: skip
    return Card(
        title="Along compute",
        conclusion=_curve_told(curve, level),
        table=Table(
            (
                Column("flops", format="flops"),
                Column(curve.size, format="count"),
                Column("tokens", format="count"),
                *repeated,
                Column("tokens_per_param", format="number"),
                Column(f"{level} low", format="number"),
                Column(f"{level} high", format="number"),
                Column("loss", "nats/token", "loss"),
                Column("loss low", "nats/token", "loss"),
                Column("loss high", "nats/token", "loss"),
            ),
            tuple(rows),
        ),
    )


def _curve_told(curve: Frontier, level: str) -> str:
    """Whether one ratio is the best at every budget, which some laws say of themselves."""
    low, ratio, high = curve.tokens_per_param
    first, last = (_ratio_told(_at(curve.tokens_per_param, i)) for i in (0, -1))
    known = f" ({level} intervals)" if low[-1] < high[-1] else " (no interval known)"
    saying = f"From {format_flops(curve.flops[0])} to {format_flops(curve.flops[-1])} FLOP the best"
    if np.ptp(np.log(ratio)) < _ONE_RATIO:
        return (
            f"{saying} tokens per param stay at {first}{known}: this law has one ratio for every "
            "budget."
        )
    return (
        f"{saying} tokens per param go from {first} to {last}{known}: no one ratio holds at every "
        "budget."
    )


def frontier_card(frontier: Frontier, runs: RunTable | None = None) -> Card:
    """Loss and tokens per param along the compute-optimal line, with the runs if given."""
    level = level_text(frontier.level)
    low, best, high = frontier.loss
    order = np.unique(np.linspace(0, len(frontier.flops) - 1, _ROWS).round().astype(int))
    columns = [Column("flops", format="flops"), Column("tokens", format="count")]
    shown: tuple[tuple[str, str, str, Format, Band], ...] = (
        (frontier.size, frontier.size, "", "count", frontier.params),
        ("tokens_per_param", "ratio", "", "number", frontier.tokens_per_param),
        ("loss", "loss", "nats/token", "loss", frontier.loss),
    )
    for name, short, unit, form, _ in shown:
        columns += [Column(n, unit, form) for n in (name, f"{short} low", f"{short} high")]
    rows: list[tuple[Cell, ...]] = []
    for i in order:
        cells: list[Cell] = [float(frontier.flops[i]), float(frontier.tokens[1][i])]
        for *_, (edge_low, value, edge_high) in shown:
            cells += [float(value[i]), float(edge_low[i]), float(edge_high[i])]
        rows.append(tuple(cells))
    first, last = format_flops(frontier.flops[0]), format_flops(frontier.flops[-1])
    edge = (
        f"{level} interval of a new run at the far end: {low[-1]:.3f} to {high[-1]:.3f}"
        if low[-1] < high[-1]
        else "no interval known"
    )
    saying = (
        f"Spent optimally, {first} to {last} FLOP buy a loss of {best[0]:.3f} down to "
        f"{best[-1]:.3f} nats/token ({edge}), on {_ratio_told(_at(frontier.tokens_per_param, 0))} "
        f"tokens per param at first and {_ratio_told(_at(frontier.tokens_per_param, -1))} at last"
    )
    reach = 1.0
    if runs is not None:
        saying += f"; from {counted(runs.run_count, 'run')}"
        reach = float(frontier.flops[-1] / np.nanmax(runs.column("flops")))
        if reach > 1:
            saying += f", extrapolation {factor(reach)} in flops"
    saying += "."
    return Card(
        title="Loss against compute",
        conclusion=saying,
        table=Table(tuple(columns), tuple(rows)),
        figure=FigureSpec(
            "Loss against compute with the compute-optimal frontier",
            "The line is the least loss that a budget can buy under the law; runs above it were "
            "not split optimally between size and tokens, or scatter. Below it, the tokens per "
            "param of that split, with the band of what the runs leave open.",
            (_panel(frontier, runs), _ratio_panel(frontier)),
        ),
        caveats=(
            f"{level} intervals: those of {frontier.size}, tokens and tokens per param hold the "
            "uncertainty of the constants and of the choice of law, that of loss also the noise "
            "of a run.",
            *reach_caveats(reach, "flops"),
        ),
    )


def _at(band: Band, i: int) -> Interval:
    low, value, high = (float(edge[i]) for edge in band)
    return Interval(low=low, value=value, high=high)


def _ratio_told(ratio: Interval) -> str:
    return told(ratio, lambda v: number(v, 3))


def _ratio_panel(frontier: Frontier) -> Panel:
    low, best, high = (floats(v) for v in frontier.tokens_per_param)
    flops = floats(frontier.flops)
    ends = (flops[0], flops[-1])
    return Panel(
        "Tokens per param of the best split",
        Axis("flops", "FLOP", "log", "flops"),
        Axis("tokens per param", "", "log", "number"),
        (
            Series(mark="line", x=ends, y=(RULE_OF_THUMB,) * 2, role="reference",
                   label=f"{RULE_OF_THUMB:g}, a rule of thumb", group="rule"),
            Series(mark="band", x=flops, y=best, low=low, high=high, group="ratio",
                   label=f"{level_text(frontier.level)} interval"),
            *(Series(mark="line", x=flops, y=edge, group="ratio", hollow=True)
              for edge in ((low, high) if low != high else ())),
            Series(mark="line", x=flops, y=best, group="ratio", label="compute-optimal"),
        ),
        height="tall",
    )  # fmt: skip


def quantity_table(rows: list[Row], level: str) -> Table:
    """Quantities with their intervals, each written in its own format."""
    return Table(
        (
            Column("quantity"),
            Column("unit"),
            Column("value", format="number"),
            Column(f"{level} low", format="number"),
            Column(f"{level} high", format="number"),
        ),
        tuple((name, unit, interval.value, *edges(interval)) for name, unit, interval, _ in rows),
        tuple(form for *_, form in rows),
    )


def edges(interval: Interval) -> tuple[float | None, float | None]:
    """Both ends, or nothing where no interval is known."""
    known = interval.low < interval.high
    return (interval.low, interval.high) if known else (None, None)


def told(interval: Interval, write: Callable[[float], str]) -> str:
    """A value with its interval, where one is known.

    >>> told(Interval(value=2.0, low=1.0, high=3.0), str)
    '2.0 (1.0 to 3.0)'
    """
    if not interval.low < interval.high:
        return write(interval.value)
    return f"{write(interval.value)} ({write(interval.low)} to {write(interval.high)})"


def _conclusion(allocation: Allocation, level: str, reach: str) -> str:
    known = allocation.loss.low < allocation.loss.high
    return (
        f"{format_flops(allocation.flops)} FLOP are best spent on "
        f"{told(allocation.params, format_count)} {allocation.size} and "
        f"{told(allocation.tokens, format_count)} tokens, "
        f"{_ratio_told(allocation.tokens_per_param)} tokens per param, to reach "
        f"{told(allocation.loss, lambda v: f'{v:.4f}')} nats/token; "
        f"{f'{level} intervals' if known else 'no intervals known'}, {reach}."
    )


def _panel(frontier: Frontier, runs: RunTable | None) -> Panel:
    low, best, high = (floats(v) for v in frontier.loss)
    flops = floats(frontier.flops)
    line = (
        Series(mark="band", x=flops, y=best, low=low, high=high, group="frontier",
               label=f"{level_text(frontier.level)} for a new run"),
        Series(mark="line", x=flops, y=best, group="frontier", label="compute-optimal frontier"),
    )  # fmt: skip
    points: tuple[Series, ...] = ()
    if runs is not None and runs.has("flops"):
        size = frontier.size if runs.has(frontier.size) else "flops"
        x, y, sizes = runs.column("flops"), runs.column("loss"), runs.column(size)
        good = (x > 0) & (y > 0) & np.isfinite(sizes)
        points = by_size(sizes[good], x[good], y[good])
    return Panel(
        f"Runs by {frontier.size}, and the best that compute can buy",
        Axis("flops", "FLOP", "log", "flops"),
        Axis("loss", "nats/token", "log", "number"),
        (*points, *line),
    )
