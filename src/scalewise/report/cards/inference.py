"""The cheapest model to train and then to serve, told beside the compute-optimal one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scalewise.core.quantities import format_count, format_flops, level_text
from scalewise.plan.allocate import Interval
from scalewise.plan.inference import Choice, InferenceOptimum
from scalewise.plan.serving import SERVING, TRAINING, Bill
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
from scalewise.report.cards.allocation import edges, told
from scalewise.report.cards.doubts import farthest, reach_caveats, reach_sentence
from scalewise.report.cards.shades import floats
from scalewise.report.formats import listed, number, percent

Paid = tuple[Bill, Bill]  # of the cheapest model and of the compute-optimal one


def inference_card(found: InferenceOptimum, *, asked: str = "", paid: Paid | None = None) -> Card:
    """Both models of one quality, what they cost to train and to serve, and what is saved."""
    level = level_text(found.level)
    rows, formats = _rows(found, paid)
    serving = found.serving
    rule = f"{TRAINING:g} N D to train, {SERVING:g} N per token to serve"
    if serving.per_flop != 1:
        rule += f"; a serving FLOP costs {number(serving.per_flop, 3)} training FLOPs"
    factor, column = farthest(found.extrapolation)
    basis = reach_sentence(factor, column, found.runs)
    facts = [
        Fact("quality", asked or f"a loss of {found.quality:.4f} nats/token"),
        Fact("served", f"{format_count(found.inference_tokens)} tokens over the model's life"),
        Fact("rule", rule),
        Fact("rests on", listed(list(found.rests_on))),
        Fact("reach", basis),
    ]
    return Card(
        title="Cheapest model to train and to serve",
        conclusion=_conclusion(found, level, basis, paid),
        facts=tuple(facts),
        table=Table(
            (
                Column("quantity"),
                Column("unit"),
                Column("cheapest", format="number"),
                Column(f"{level} low", format="number"),
                Column(f"{level} high", format="number"),
                Column("compute-optimal", format="number"),
            ),
            tuple(rows),
            tuple(formats),
        ),
        figure=_figure(found),
        caveats=(
            *found.warnings,
            *reach_caveats(factor, column),
            "The quality is the loss alone: latency, memory and batch of serving are not in it, "
            "and a law fitted at few tokens per param is extrapolated where the cheapest model "
            "sees many.",
        ),
    )


def _rows(
    found: InferenceOptimum, paid: Paid | None
) -> tuple[list[tuple[Cell, ...]], list[Format]]:
    def row(
        name: str, unit: str, of: Callable[[Choice], Interval], form: Format
    ) -> tuple[tuple[Cell, ...], Format]:
        own = of(found.cheapest)
        return (name, unit, own.value, *edges(own), of(found.compute_optimal).value), form

    weighed = found.serving.per_flop != 1
    made = [
        row(found.size, "count", lambda c: c.params, "count"),
        row("tokens", "count", lambda c: c.tokens, "count"),
        row("tokens_per_param", "ratio", lambda c: c.tokens_per_param, "number"),
        row("training", "FLOP", lambda c: c.training_flops, "flops"),
        row("serving", "FLOP", lambda c: c.serving_flops, "flops"),
        row("cost", "training FLOP" if weighed else "FLOP", lambda c: c.cost, "flops"),
    ]
    if paid is not None:
        own, other = paid
        for name, unit, mine, theirs in (
            ("training", "GPU-hours", own.training_hours, other.training_hours),
            ("serving", "GPU-hours", own.serving_hours, other.serving_hours),
            ("cost", "currency", own.money, other.money),
        ):
            if mine is not None and theirs is not None:
                made.append(((name, unit, mine.value, *edges(mine), theirs.value), "integer"))
    made.append((("loss", "nats/token", found.loss.value, *edges(found.loss), None), "loss"))
    made.append((("saving", "share", found.saving.value, *edges(found.saving), None), "percent"))
    return [cells for cells, _ in made], [form for _, form in made]


def _conclusion(found: InferenceOptimum, level: str, basis: str, paid: Paid | None) -> str:
    best, other = found.cheapest, found.compute_optimal
    known = best.params.low < best.params.high
    of = "compute" if found.serving.per_flop == 1 else "cost"
    saved = f"saves {told(found.saving, percent)} of the {of}"
    if paid is not None and paid[0].money is not None and paid[1].money is not None:
        saved += f" ({paid[1].money.value - paid[0].money.value:,.0f} in your currency)"
    return (
        f"To serve {format_count(found.inference_tokens)} tokens at a loss of "
        f"{found.quality:.4f} nats/token, {told(best.params, format_count)} {found.size} trained "
        f"on {told(best.tokens, format_count)} tokens cost least over their life: against the "
        f"compute-optimal {format_count(other.params.value)} on "
        f"{format_count(other.tokens.value)} tokens that {saved}; "
        f"{f'{level} intervals' if known else 'no intervals known'}, {basis}."
    )


def _figure(found: InferenceOptimum) -> FigureSpec | None:
    """Cost against size along the line of equal loss."""
    sizes, tokens = found.line
    if len(sizes) < 3:
        return None
    training = TRAINING * sizes * tokens
    serving = found.serving.per_flop * SERVING * sizes * found.inference_tokens
    best, other = found.cheapest, found.compute_optimal
    parts = [
        Series(mark="line", x=floats(sizes), y=floats(training), label="training", group="training")
    ]
    if found.inference_tokens > 0:
        parts.append(
            Series(
                mark="line", x=floats(sizes), y=floats(serving), label="serving", group="serving"
            )
        )
    total = floats(np.asarray(training + serving))
    parts += [
        Series(mark="line", x=floats(sizes), y=total, label="both", group="both"),
        Series(mark="points", x=(best.params.value,), y=(best.cost.value,), group="cheapest",
               label=f"cheapest: {format_count(best.params.value)}"),
        Series(mark="points", x=(other.params.value,), y=(other.cost.value,), group="optimal",
               label=f"compute-optimal: {format_count(other.params.value)}"),
    ]  # fmt: skip
    return FigureSpec(
        "Cost over its life of every model of this quality",
        "Every size on the lines reaches the same loss, smaller ones on more tokens; the lowest "
        f"point of both costs together is at {format_flops(best.cost.value)} FLOP.",
        (
            Panel(
                f"Models of {found.quality:.4f} nats/token",
                Axis(found.size, "count", "log", "count"),
                Axis("cost", "training FLOP", "log", "flops"),
                tuple(parts),
            ),
        ),
    )
