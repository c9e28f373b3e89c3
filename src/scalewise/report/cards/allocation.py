"""What a budget is best spent on, told, for one budget and along many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, format_flops
from scalewise.plan.allocate import Allocation, Frontier, Interval
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

_ROWS = 12


def allocation_card(allocation: Allocation) -> Card:
    """The model and token count that a budget is best spent on, each with its interval."""
    level = f"{allocation.level:.0%}"
    quantities: tuple[tuple[str, str, Interval, Format], ...] = (
        (allocation.size, "count", allocation.params, "count"),
        ("tokens", "count", allocation.tokens, "count"),
        ("tokens_per_param", "ratio", allocation.tokens_per_param, "number"),
        ("loss", "nats/token", allocation.loss, "loss"),
    )
    rows: list[tuple[Cell, ...]] = [
        ("flops", "FLOP", allocation.flops, None, None),
        *(
            (name, unit, interval.value, *_edges(interval))
            for name, unit, interval, _ in quantities
        ),
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


def frontier_card(frontier: Frontier, runs: RunTable | None = None) -> Card:
    """Loss against compute along the compute-optimal line, with the runs behind it if given."""
    level = f"{frontier.level:.0%}"
    low, best, high = frontier.loss
    order = np.unique(np.linspace(0, len(frontier.flops) - 1, _ROWS).round().astype(int))
    columns = [Column("flops", format="flops")]
    shown: tuple[tuple[str, str, Format], ...] = (
        (frontier.size, "", "count"),
        ("tokens", "", "count"),
        ("loss", "nats/token", "loss"),
    )
    for name, unit, form in shown:  # fmt: skip
        columns += [Column(name, unit, form), Column(f"{name} low", unit, form),
                    Column(f"{name} high", unit, form)]  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for i in order:
        cells: list[Cell] = [float(frontier.flops[i])]
        for edge_low, value, edge_high in (frontier.params, frontier.tokens, frontier.loss):
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
        f"{best[-1]:.3f} nats/token ({edge})"
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
            "not split optimally between size and tokens, or scatter.",
            (_panel(frontier, runs),),
        ),
        caveats=(
            f"{level} intervals: those of {frontier.size} and tokens hold the uncertainty of the "
            "constants and of the choice of law, that of loss also the noise of a run.",
            *reach_caveats(reach, "flops"),
        ),
    )  # fmt: skip


def _edges(interval: Interval) -> tuple[float | None, float | None]:
    known = interval.low < interval.high
    return (interval.low, interval.high) if known else (None, None)


def _conclusion(allocation: Allocation, level: str, reach: str) -> str:
    def told(interval: Interval, write: Callable[[float], str]) -> str:
        if not interval.low < interval.high:
            return write(interval.value)
        return f"{write(interval.value)} ({write(interval.low)} to {write(interval.high)})"

    known = allocation.loss.low < allocation.loss.high
    return (
        f"{format_flops(allocation.flops)} FLOP are best spent on "
        f"{told(allocation.params, format_count)} {allocation.size} and "
        f"{told(allocation.tokens, format_count)} tokens, "
        f"{told(allocation.tokens_per_param, lambda v: number(v, 3))} tokens per param, to reach "
        f"{told(allocation.loss, lambda v: f'{v:.4f}')} nats/token; "
        f"{f'{level} intervals' if known else 'no intervals known'}, {reach}."
    )


def _panel(frontier: Frontier, runs: RunTable | None) -> Panel:
    low, best, high = (floats(v) for v in frontier.loss)
    flops = floats(frontier.flops)
    line = (
        Series(mark="band", x=flops, y=best, low=low, high=high, group="frontier",
               label=f"{frontier.level:.0%} for a new run"),
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
