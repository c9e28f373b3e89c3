"""Kaplan's analyses, told: limited data, the compute-efficient run, FLOPs by part."""

from __future__ import annotations

import numpy as np

from scalewise.core.counting import kaplan_params
from scalewise.core.flops import flop_table, kaplan_flops_per_token
from scalewise.core.quantities import format_count, format_flops, level_text
from scalewise.core.shape import ModelShape
from scalewise.forecast.trajectory import Trajectory
from scalewise.plan.allocate import Interval
from scalewise.plan.compute_efficient import EfficientFrontier, EfficientRun, size_cost
from scalewise.plan.overfitting import Overfit
from scalewise.report.card import (
    Axis,
    Card,
    Cell,
    Column,
    Fact,
    FigureSpec,
    Panel,
    Series,
    Table,
)
from scalewise.report.cards.allocation import Row, quantity_table, told
from scalewise.report.cards.doubts import (
    farthest,
    published_reach,
    reach_caveats,
    reach_sentence,
)
from scalewise.report.cards.shades import floats
from scalewise.report.formats import factor, number, percent


def overfit_card(found: Overfit) -> Card:
    """What a size needs of distinct tokens, and what a data set costs it."""
    level = level_text(found.level)
    reach, column = farthest(found.extrapolation)
    reached = (
        reach_sentence(reach, column, found.runs) if found.runs else published_reach(reach, column)
    )
    known = found.tokens_needed.low < found.tokens_needed.high
    rows: list[Row] = [
        ("tokens_needed", "tokens", found.tokens_needed, "count"),
        ("tokens", "tokens", _exactly(found.tokens), "count"),
        ("excess at tokens", "relative", found.excess, "percent"),
        ("loss at tokens", "nats/token", found.loss, "loss"),
    ]
    stop = found.early_stop
    if stop is not None:
        rows.append(("early stop, steps_min", "steps", stop.steps_min, "count"))
        if np.isfinite(stop.batch_tokens):
            name = f"early stop, batch {format_count(stop.batch_tokens)}"
            rows.append((name, "steps", stop.steps, "count"))
    asked = (
        ""
        if found.tokens == found.tokens_needed.value
        else f" On {format_count(found.tokens)} tokens the excess is {told(found.excess, percent)}."
    )
    return Card(
        title="Tokens needed against overfitting",
        conclusion=(
            f"{format_count(found.params)} {found.size} need "
            f"{told(found.tokens_needed, format_count)} distinct tokens to stay within "
            f"{percent(found.tolerance)} of the loss on unlimited data; "
            f"{f'{level} intervals' if known else 'no intervals known'}, {reached}.{asked}"
        ),
        facts=(
            Fact("rests on", found.law),
            Fact("reach", reached),
            Fact("excess", "relative to the loss of the same size on unlimited data"),
        ),
        table=quantity_table(rows, level),
        caveats=(*found.warnings, *reach_caveats(reach, column)),
    )


def efficient_card(run: EfficientRun, trajectory: Trajectory) -> Card:
    """What a compute budget is best spent on by the closed-form frontier, and how flat that is."""
    level = level_text(run.level)
    known = run.loss.low < run.loss.high
    rows: list[Row] = [
        ("params_nonembed", "count", run.params_nonembed, "count"),
        ("loss", "nats/token", run.loss, "loss"),
        ("batch_tokens", "tokens", run.batch_tokens, "count"),
        ("steps_min", "steps", run.steps_min, "count"),
        ("tokens_min", "tokens", run.tokens_min, "count"),
    ]
    reach, column = farthest(run.extrapolation)
    reached = f"{factor(reach)} in {column}" if column else "unknown"
    exponents = ", ".join(f"{name} {value:.3f}" for name, value in run.exponents.items())
    return Card(
        title="Compute-efficient run",
        conclusion=(
            f"{format_flops(run.flops)} FLOP (C_min) are best spent on "
            f"{told(run.params_nonembed, format_count)} params_nonembed, stopped at "
            f"{told(run.loss, lambda v: f'{v:.4f}')} nats/token, {percent(run.excess)} above the "
            f"converged loss; {f'{level} intervals' if known else 'no intervals known'}, "
            f"extrapolation {reached}."
        ),
        facts=(
            Fact("powers of C", exponents),
            Fact("at that batch", "2 steps_min, 2 tokens_min and 2 C_min"),
            Fact("rests on", run.source),
        ),
        table=quantity_table(rows, level),
        figure=_size_figure(trajectory),
        caveats=(
            *run.warnings,
            "The powers of C are those of the law behind them. Kaplan's come from runs whose "
            "schedules did not fit their length; runs tuned at each length give params ~ C**0.5 "
            "(Hoffmann et al. 2022).",
        ),
    )


def flop_table_card(shape: ModelShape) -> Card:
    """Parameters and forward FLOPs per token by part, with totals with and without each term."""
    rows: list[tuple[Cell, ...]] = [
        (row.part, row.params or None, row.forward_flops) for row in flop_table(shape)
    ]
    plain = kaplan_flops_per_token(shape)
    totals = {
        "6 N": plain,
        "with attention": kaplan_flops_per_token(shape, attention=True),
        "with head": kaplan_flops_per_token(shape, head=True),
        "with both": kaplan_flops_per_token(shape, attention=True, head=True),
    }
    return Card(
        title="FLOPs by part",
        conclusion=(
            f"Training takes {format_flops(plain)} FLOP per token by 6 N with N = "
            f"{format_count(kaplan_params(shape))} params_nonembed, and "
            f"{percent(totals['with both'] / plain - 1)} more with attention and head."
        ),
        facts=tuple(
            Fact(
                f"training FLOP per token, {name}", f"{flops:,} ({number(flops / plain, 4)} x 6 N)"
            )
            for name, flops in totals.items()
        ),
        table=Table(
            (
                Column("part"),
                Column("params", "count", "integer"),
                Column("forward FLOP", "per token", "integer"),
            ),
            tuple(rows),
        ),
        caveats=(
            "Kaplan et al. 2020, table 1: attention averaged over a causal mask; norms, biases and "
            "softmax left out; learned positions counted.",
        ),
    )


def _size_figure(trajectory: Trajectory) -> FigureSpec:
    # From just above the least size that reaches the loss at all.
    least = float((1 + EfficientFrontier(trajectory).excess) ** (-1 / trajectory.alpha_N))
    ratios = np.geomspace(1.3 * least, 10.0, 60)
    cost = size_cost(trajectory, ratios)
    lines = tuple(
        Series(mark="line", x=floats(ratios), y=floats(np.asarray(values)), label=name, group=name)
        for name, values in (("compute", cost.flops), ("steps", cost.steps_min))
    )
    return FigureSpec(
        "Cost of another size",
        "To the same loss, against the compute-efficient size: somewhat larger models cost little "
        "more compute and fewer steps.",
        (
            Panel(
                "Compute and steps by size, relative to the efficient size",
                Axis("params_nonembed, relative", "", "log", "number"),
                Axis("cost, relative", "", "log", "number"),
                lines,
            ),
        ),
    )


def _exactly(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)
