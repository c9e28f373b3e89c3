"""The three Chinchilla approaches told side by side, and what approach 2 saw at each budget."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, format_flops, level_text
from scalewise.plan.approaches import Approaches
from scalewise.plan.envelope import Envelope
from scalewise.plan.isoflop import IsoFlop
from scalewise.report.card import (
    Axis,
    Card,
    Cell,
    Column,
    Fact,
    FigureSpec,
    Mark,
    Panel,
    Series,
    Table,
)
from scalewise.report.cards.allocation import edges, told
from scalewise.report.cards.doubts import reach_caveats, reach_sentence
from scalewise.report.cards.shades import floats, shade
from scalewise.report.formats import counted, listed

Array = np.ndarray[Any, np.dtype[Any]]

_LINE = 40  # places at which a line of optima is drawn
_NAMES = {"envelope": "envelope", "pareto": "Pareto frontier", "parabola": "parabola",
          "additive": "bias-corrected", "interpolated": "interpolated"}  # fmt: skip


def approaches_card(found: Approaches) -> Card:
    """Exponents and optimum of every approach that could be run, and where and why they part."""
    level = level_text(found.level)
    rows: list[tuple[Cell, ...]] = [
        (
            e.title, e.a.value, *edges(e.a), e.params.value, *edges(e.params),
            e.tokens_per_param.value, *edges(e.tokens_per_param),
        )
        for e in found.entries
    ]  # fmt: skip
    reach = reach_sentence(found.extrapolation, "flops", found.runs)
    caveats = [f"{n.title} was not run: {n.reason}" for n in found.not_run]
    caveats += dict.fromkeys(note for e in found.entries for note in e.notes)
    return Card(
        title="Compute-optimal size by three approaches",
        conclusion=_conclusion(found, level, reach),
        facts=(
            Fact("where and why they differ", found.disagreement),
            Fact("budget", f"{format_flops(found.flops)} FLOP, {reach}"),
            Fact("each rests on", "; ".join(f"{e.title}: {e.points}" for e in found.entries)),
        ),
        table=Table(
            (
                Column("approach"),
                Column("a", format="number"),
                Column(f"a {level} low", format="number"),
                Column(f"a {level} high", format="number"),
                Column(found.size, format="count"),
                Column(f"{found.size} {level} low", format="count"),
                Column(f"{found.size} {level} high", format="count"),
                Column("tokens_per_param", format="number"),
                Column("ratio low", format="number"),
                Column("ratio high", format="number"),
            ),
            tuple(rows),
        ),
        figure=_figure(found) if found.details else None,
        caveats=(*caveats, *(reach_caveats(found.extrapolation, "flops") if rows else ())),
    )


def isoflop_card(found: IsoFlop) -> Card:
    """The isoFLOP valleys: each budget's points, its vertex, and what was left out and why."""
    level = level_text(found.level)
    a = found.params.exponent
    rows: list[tuple[Cell, ...]] = [
        (
            v.flops, v.points, v.params.value, v.params.low, v.params.high, v.tokens.value, v.loss,
            v.bracketed, "used",
        )
        for v in found.vertices
    ]  # fmt: skip
    rows += [
        (out.flops, out.points, None, None, None, None, None, None, f"left out: {out.reason}")
        for out in found.left_out
    ]
    left = f"; {counted(len(found.left_out), 'budget')} left out" if found.left_out else ""
    return Card(
        title=f"IsoFLOP profiles, {_NAMES[found.method]}",
        conclusion=(
            f"Through {counted(len(found.vertices), 'budget')} compute-optimal {found.size} grow "
            f"as C**{a.value:.3f} ({level} interval {a.low:.3f} to {a.high:.3f}){left}."
        ),
        table=Table(
            (
                Column("flops", "FLOP", "flops"),
                Column("points", "count", "integer"),
                Column(found.size, "count", "count"),
                Column(f"{level} low", "count", "count"),
                Column(f"{level} high", "count", "count"),
                Column("tokens", "count", "count"),
                Column("loss", "nats/token", "loss"),
                Column("bracketed", "share of resamples", "percent"),
                Column("status"),
            ),
            tuple(sorted(rows, key=lambda row: float(row[0] or 0.0))),
        ),
        figure=FigureSpec(
            "Loss against size at equal compute",
            "Each valley is one compute budget; its lowest point is the size that the budget is "
            "best spent on.",
            (_valleys(found),),
        ),
        caveats=found.warnings,
    )


def _conclusion(found: Approaches, level: str, reach: str) -> str:
    if not found.entries:
        return "No approach could be run on this table."
    said = [f"{e.title} a = {told(e.a, lambda v: f'{v:.3f}')}" for e in found.entries]
    sizes = [e.params.value for e in found.entries]
    span = (
        format_count(sizes[0])
        if len(sizes) == 1
        else f"{format_count(min(sizes))} to {format_count(max(sizes))}"
    )
    return (
        f"Compute-optimal {found.size} grow as C**a: {listed(said)}; at "
        f"{format_flops(found.flops)} FLOP that is {span} ({level} intervals, {reach})."
    )


def _figure(found: Approaches) -> FigureSpec:
    series: list[Series] = []
    for detail in found.details:
        is_isoflop = isinstance(detail, IsoFlop)
        name = _NAMES[detail.method if isinstance(detail, IsoFlop) else _kind(detail)]
        x, y = _optima(detail)
        mark: Mark = "points" if is_isoflop or len(x) < _LINE * 3 else "line"
        series.append(Series(mark=mark, x=floats(x), y=floats(y), label=name, group=name))
        at = np.geomspace(min(x.min(), found.flops), max(x.max(), found.flops), _LINE)
        lines = [detail.params.at(float(c)) for c in at]
        series += [
            Series(
                mark="band", x=floats(at), y=tuple(v.value for v in lines),
                low=tuple(v.low for v in lines), high=tuple(v.high for v in lines), group=name,
            ),
            Series(mark="line", x=floats(at), y=tuple(v.value for v in lines), group=name),
        ]  # fmt: skip
    law = next((e for e in found.entries if e.key == "law"), None)
    if law is not None:
        series.append(
            Series(
                mark="intervals", x=(found.flops,), y=(law.params.value,), low=(law.params.low,),
                high=(law.params.high,), label="parametric law", group="law",
            )
        )  # fmt: skip
    return FigureSpec(
        "Compute-optimal size against compute",
        "Each approach's optima and the power law through them, extended to the budget asked for.",
        (
            Panel(
                f"Best {found.size} by approach",
                Axis("flops", "FLOP", "log", "flops"),
                Axis(found.size, "count", "log", "count"),
                tuple(series),
            ),
        ),
    )


def _kind(detail: Envelope) -> str:
    return "envelope" if detail.source == "curves" else "pareto"


def _optima(detail: IsoFlop | Envelope) -> tuple[Array, Array]:
    if isinstance(detail, IsoFlop):
        return (
            np.array([v.flops for v in detail.vertices]),
            np.array([v.params.value for v in detail.vertices]),
        )
    step = max(len(detail.flops) // 200, 1)
    return detail.flops[::step], detail.sizes[::step]


def _valleys(found: IsoFlop) -> Panel:
    series: list[Series] = []
    for i, v in enumerate(found.vertices):
        own = shade(i, len(found.vertices))
        name = f"{format_flops(v.flops)} FLOP"
        series += [
            Series(mark="points", x=floats(v.sizes), y=floats(v.losses), group=name, shade=own,
                   label=name),
            Series(mark="line", x=floats(v.curve[0]), y=floats(v.curve[1]), group=name, shade=own),
        ]  # fmt: skip
    series.append(
        Series(
            mark="points",
            x=tuple(v.params.value for v in found.vertices),
            y=tuple(v.loss for v in found.vertices),
            label="lowest point",
            group="lowest point",
            role="reference",
            hollow=True,
        )
    )
    return Panel(
        f"Loss by {found.size} at equal compute",
        Axis(found.size, "count", "log", "count"),
        Axis("loss", "nats/token", "log", "number"),
        tuple(series),
    )
