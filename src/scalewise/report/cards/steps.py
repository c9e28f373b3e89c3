"""What it takes to reach a loss, told: steps, tokens, the critical batch, time against compute."""

from __future__ import annotations

import numpy as np

from scalewise.core.quantities import format_count, format_flops, level_text
from scalewise.plan.allocate import Interval
from scalewise.plan.batch import BatchPoint, BatchTradeoff, Doubling, Fleet
from scalewise.plan.cheapest_batch import CheapestBatch
from scalewise.plan.reachable import Unreachable
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
from scalewise.report.cards.allocation import Row, edges, quantity_table, told
from scalewise.report.cards.doubts import reach_told
from scalewise.report.formats import factor, number, percent

_OCTAVE = 4  # batches of the frontier to one row of its table
_TERMS = (
    "Time goes with steps if each accelerator keeps its tokens per step and larger batches take "
    "more of them; compute is 6 FLOP per params_nonembed and token.",
    "Below the critical batch the noise of gradients rules, and a larger batch saves steps for few "
    "tokens; above it, many tokens save few steps.",
)


def steps_card(found: BatchTradeoff, *, runs: int = 0, spread: float = 1.0) -> Card:
    """The least steps and tokens to a loss, the critical batch, and a batch asked about.

    ``spread`` is by how much held-out curves widened the fit's own intervals of a loss.
    """
    level = level_text(found.level)
    known = found.floor.low < found.floor.high
    rows: list[Row] = [
        ("floor of the size", "nats/token", found.floor, "loss"),
        ("steps_min", "steps", found.steps_min, "count"),
        ("tokens_min", "tokens", found.tokens_min, "count"),
        ("flops_min", "FLOP", found.flops_min, "flops"),
        ("critical_batch_tokens", "tokens", found.critical_batch_tokens, "count"),
        ("local critical batch", "tokens", found.local_critical_batch_tokens, "count"),
        *_point_rows("critical batch", found.at_critical, found.fleet),
    ]
    if found.at_batch is not None:
        name = f"batch {format_count(found.at_batch.batch_tokens)}"
        rows += _point_rows(name, found.at_batch, found.fleet)
    tail = reach_told(found.extrapolation, runs)
    return Card(
        title="Steps and tokens to a loss",
        conclusion=(
            f"{format_count(found.params_nonembed)} params_nonembed reach {number(found.loss)} "
            f"nats/token in at least {told(found.steps_min, format_count)} steps and "
            f"{told(found.tokens_min, format_count)} tokens, not both at once: at the critical "
            f"batch of {told(found.critical_batch_tokens, format_count)} tokens it takes "
            f"{told(found.at_critical.steps, format_count)} steps and "
            f"{told(found.at_critical.tokens, format_count)} tokens; "
            f"{f'{level} intervals' if known else 'no intervals known'}, {tail}."
        ),
        facts=(
            Fact("doubling", doubling_sentence(found.doubling)),
            Fact("reach", tail),
            Fact("interval", _interval_told(level, known=known, spread=spread)),
            Fact("rests on", found.source),
            Fact("critical batch", "tokens_min / steps_min, over the whole way to the loss"),
            Fact(
                "local critical batch",
                "that of one more step at the loss: what noise scales and branched runs measure",
            ),
        ),
        table=quantity_table(rows, level),
        caveats=found.warnings,
    )


def doubling_sentence(found: Doubling) -> str:
    """What twice the batch saves and costs.

    >>> whole = Interval(value=0.25, low=0.25, high=0.25)
    >>> half = Interval(value=0.5, low=0.5, high=0.5)
    >>> doubling_sentence(Doubling(batch_tokens=4e6, time_saved=whole, flops_added=half))
    'doubling the batch from 4M tokens saves 25.0% of the time and costs 50.0% more compute'
    """
    return (
        f"doubling the batch from {format_count(found.batch_tokens)} tokens saves "
        f"{told(found.time_saved, percent)} of the time and costs "
        f"{told(found.flops_added, percent)} more compute"
    )


def frontier_card(found: BatchTradeoff) -> Card:
    """Steps against tokens, and time against compute, at batches around the critical one."""
    level = level_text(found.level)
    shown = found.frontier[::-_OCTAVE][::-1]  # the largest batch is always there
    timed = found.fleet is not None
    small, large = shown[0], shown[-1]
    return Card(
        title="Trade-off of time against compute",
        conclusion=(
            f"To {number(found.loss)} nats/token, batches of {format_count(small.batch_tokens)} to "
            f"{format_count(large.batch_tokens)} tokens take {format_count(small.steps.value)} "
            f"down to {format_count(large.steps.value)} steps and "
            f"{format_flops(small.flops.value)} up to {format_flops(large.flops.value)} FLOP; "
            f"{doubling_sentence(found.doubling)}."
        ),
        facts=() if found.fleet is None else (Fact("accelerators", fleet_told(found.fleet)),),
        table=Table(
            (
                Column("batch_tokens", format="count"),
                Column("over critical", format="factor"),
                Column("steps", format="count"),
                Column(f"{level} low", format="count"),
                Column(f"{level} high", format="count"),
                Column("tokens", format="count"),
                Column("flops", format="flops"),
                *((Column("gpus", format="count"), Column("days", format="number"),
                   Column(_unit(found.fleet), format="count")) if timed else ()),
            ),
            tuple(_frontier_row(point, timed=timed) for point in shown),
        ),
        figure=FigureSpec(
            "Steps against tokens to one loss",
            "Every batch reaches the loss somewhere on the curve: small batches at its upper left, "
            "near the fewest tokens, large ones at its lower right, near the fewest steps. At the "
            f"critical batch steps are {_over(found.at_critical.steps, found.steps_min)} the "
            f"fewest and tokens {_over(found.at_critical.tokens, found.tokens_min)}.",
            (_plane(found), _prices(found)),
        ),
        caveats=_TERMS,
    )  # fmt: skip


def cheapest_card(found: CheapestBatch, fleet: Fleet, *, level: float) -> Card:
    """The batch of least cost under a deadline or a price of waiting."""
    point = found.point
    unit = _unit(fleet)
    asked = [] if found.days is None else [f"within {_days(found.days)}"]
    if found.day_price is not None:
        asked.append(f"with a day of waiting at {found.day_price:g}")
    rows: list[Row] = [
        ("batch_tokens", "tokens", found.batch_tokens, "count"),
        *_point_rows("at it", point, fleet),
        ("days at unlimited batch", "days", found.least_days, "number"),
    ]
    if found.day_price is not None:
        rows.append(("cost with waiting", unit, found.total, "count"))
    assert point.days is not None  # noqa: S101 - a fleet was given
    assert point.cost is not None  # noqa: S101
    return Card(
        title="Cheapest batch",
        conclusion=(
            f"The loss is cheapest {' and '.join(asked)} at a batch of "
            f"{told(found.batch_tokens, format_count)} tokens, {number(point.relative, 3)} times "
            f"the critical one, on {format_count(point.gpus or 0.0)} accelerators: "
            f"{told(point.days, _days)}, {unit} {told(point.cost, format_count)}."
        ),
        facts=(Fact("accelerators", fleet_told(fleet)),),
        table=quantity_table(rows, level_text(level)),
        caveats=_cheapest_caveats(found, level),
    )


def _interval_told(level: str, *, known: bool, spread: float) -> str:
    if not known:
        return "none: there are no runs behind these constants to take it from"
    wider = f", not widened {factor(spread)} as held-out losses ask" if spread > 1 else ""
    return f"{level}, of the constants; the noise of one run is not in it{wider}"


def _cheapest_caveats(found: CheapestBatch, level: float) -> tuple[str, ...]:
    if not found.batch_tokens.low < found.batch_tokens.high:
        return ()
    if not found.at_deadline:
        return (
            "The interval of the batch is that of the best one under each resample; at the batch "
            "stated, days and cost vary as their own intervals say.",
        )
    return (
        "At the batch stated the deadline is kept if the constants are as estimated; the upper "
        f"end of its interval keeps it in {percent((1 + level) / 2)} of the resamples.",
    )


def unreachable_card(found: Unreachable, *, runs: int = 0) -> Card:
    """A loss that no number of steps reaches, with the floor that forbids it."""
    level = level_text(found.level)
    size = (
        "no size reaches it"
        if np.isinf(found.smallest_size)
        else f"the smallest that does has {format_count(found.smallest_size)}"
    )
    return Card(
        title="Loss out of reach",
        conclusion=(
            f"{format_count(found.params_nonembed)} params_nonembed never reach "
            f"{number(found.loss)} nats/token: the floor of that size is "
            f"{told(found.floor, lambda v: f'{v:.4f}')}, and {size}; "
            f"{reach_told(found.extrapolation, runs)}."
        ),
        facts=(
            Fact("reached by", f"{percent(found.reached)} of the resamples")
            if found.floor.low < found.floor.high
            else Fact("interval", "none known"),
            Fact("rests on", found.source),
        ),
        table=quantity_table([("floor of the size", "nats/token", found.floor, "loss")], level),
        caveats=found.warnings,
    )


def fleet_told(fleet: Fleet) -> str:
    """The accelerators in words: how many at which batch, how fast, at what price."""
    price = "" if fleet.price is None else f", {fleet.price:g} an hour"
    return (
        f"{format_count(fleet.gpus)} x {fleet.accelerator.name} at a batch of "
        f"{format_count(fleet.batch_tokens)} tokens, utilisation {fleet.mfu:g}{price}; more or "
        "fewer in proportion at other batches"
    )


def _over(value: Interval, least: Interval) -> str:
    return factor(value.value / least.value)


def _days(days: float) -> str:
    return f"{number(days, 3)} day{'' if days == 1 else 's'}"


def _unit(fleet: Fleet | None) -> str:
    return "GPU-hours" if fleet is None or fleet.price is None else "cost"


def _point_rows(name: str, point: BatchPoint, fleet: Fleet | None) -> list[Row]:
    rows: list[Row] = [
        (f"{name}: steps", "steps", point.steps, "count"),
        (f"{name}: tokens", "tokens", point.tokens, "count"),
        (f"{name}: flops", "FLOP", point.flops, "flops"),
    ]
    if point.days is not None and point.cost is not None:
        rows.append((f"{name}: days", "days", point.days, "number"))
        rows.append((f"{name}: {_unit(fleet)}", _unit(fleet), point.cost, "count"))
    return rows


def _frontier_row(point: BatchPoint, *, timed: bool) -> tuple[Cell, ...]:
    row: tuple[Cell, ...] = (
        point.batch_tokens, point.relative, point.steps.value, *edges(point.steps),
        point.tokens.value, point.flops.value,
    )  # fmt: skip
    if not timed or point.days is None or point.cost is None:
        return row
    return (*row, point.gpus, point.days.value, point.cost.value)


def _plane(found: BatchTradeoff) -> Panel:
    """Steps against tokens, with the two bounds that the curve runs along."""
    tokens = tuple(point.tokens.value for point in found.frontier)
    steps = tuple(point.steps.value for point in found.frontier)
    marks = [("critical batch", found.at_critical)]
    if found.at_batch is not None:
        marks.append((f"batch {format_count(found.at_batch.batch_tokens)}", found.at_batch))
    most_tokens, most_steps = max(tokens), max(steps)
    return Panel(
        f"Steps and tokens to {number(found.loss)} nats/token",
        Axis("tokens", "", "log", "count"),
        Axis("steps", "", "log", "count"),
        (
            Series(mark="line", x=tokens, y=steps, label="every batch", group="curve"),
            Series(mark="line", x=(found.tokens_min.value, most_tokens), role="reference",
                   y=(found.steps_min.value,) * 2, label="the least of each", group="least"),
            Series(mark="line", x=(found.tokens_min.value,) * 2, role="reference",
                   y=(found.steps_min.value, most_steps), group="least"),
            *(Series(mark="points", x=(point.tokens.value,), y=(point.steps.value,), label=name,
                     group=name) for name, point in marks),
        ),
    )  # fmt: skip


def _prices(found: BatchTradeoff) -> Panel:
    """Steps and compute against the batch, each relative to its least, with bands."""
    batch = tuple(point.batch_tokens for point in found.frontier)
    series: list[Series] = []
    for name, which, least in (
        ("steps (time)", "steps", found.steps_min.value),
        ("compute", "tokens", found.tokens_min.value),
    ):
        bands: list[Interval] = [getattr(point, which) for point in found.frontier]
        value = tuple(band.value / least for band in bands)
        low, high = (tuple(getattr(b, end) / least for b in bands) for end in ("low", "high"))
        if low != high and np.all(np.isfinite(high)):
            series.append(Series(mark="band", x=batch, y=value, low=low, high=high, group=name))
        series.append(Series(mark="line", x=batch, y=value, label=name, group=name))
    at = found.at_batch or found.at_critical
    name = "critical batch" if found.at_batch is None else f"batch {format_count(at.batch_tokens)}"
    series.append(
        Series(mark="points", x=(at.batch_tokens,) * 2, label=name, group=name,
               y=(at.steps.value / found.steps_min.value, at.tokens.value / found.tokens_min.value))
    )  # fmt: skip
    return Panel(
        "Time and compute by batch, over the least",
        Axis("batch_tokens", "tokens", "log", "count"),
        Axis("over the least", "", "log", "factor"),
        tuple(series),
    )
