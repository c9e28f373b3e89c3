"""The critical batch told: against the loss, with its band and the measured points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, level_text
from scalewise.forecast.contours import Contour, Contours
from scalewise.forecast.trajectory import Trajectory
from scalewise.report.card import Axis, Card, Cell, Column, Fact, FigureSpec, Panel, Series, Table
from scalewise.report.cards.shades import floats, shade
from scalewise.report.formats import counted, number

Array = np.ndarray[Any, np.dtype[Any]]

_GRID = 41
_ROW_STEP = 5
_MOST_LEVELS = 6
_UNKNOWN_LOSSES = (2.0, 6.0)  # nats/token, where no range of measured losses is on record
_ABOVE_FLOOR = 1.01


def critical_batch_card(
    trajectory: Trajectory,
    params_nonembed: float,
    contours: Sequence[Contour] = (),
    *,
    level: float = 0.9,
) -> Card:
    """The critical batch at every loss of the range behind a trajectory, global and local.

    ``contours`` are those measured; each is drawn with its own interval.
    """
    share = level_text(level)
    losses = _losses(trajectory, params_nonembed)
    value = np.asarray(trajectory.critical_batch(losses, params_nonembed))
    low, high = (
        np.asarray(edge)
        for edge in trajectory.bounds(
            lambda t: t.critical_batch(losses, params_nonembed), level=level
        )
    )
    local = np.asarray(trajectory.local_critical_batch(params_nonembed, losses))
    known = bool(np.any(low < high))
    rows: list[tuple[Cell, ...]] = [
        (
            float(losses[i]), float(value[i]),
            *((float(low[i]), float(high[i])) if known else (None, None)), float(local[i]),
        )
        for i in range(0, _GRID, _ROW_STEP)
    ]  # fmt: skip
    series = [
        *((Series(mark="band", x=floats(losses), y=floats(value), low=floats(low),
                  high=floats(high), label=f"{share} band", group="global"),) if known else ()),
        Series(mark="line", x=floats(losses), y=floats(value), label="critical batch",
               group="global"),
        Series(mark="line", x=floats(losses), y=floats(local), hollow=True,
               label=f"local, of {format_count(params_nonembed)}", group="local"),
        *_measured(contours, level),
    ]  # fmt: skip
    levels = f", {counted(len(contours), 'measured level')}" if contours else ""
    edge = f" ({format_count(low[0])} to {format_count(high[0])})" if known else ""
    return Card(
        title="Critical batch",
        conclusion=(
            f"The critical batch grows from {format_count(value[-1])} tokens at "
            f"{number(losses[-1], 3)} nats/token to {format_count(value[0])}{edge} at "
            f"{number(losses[0], 3)}; "
            f"{f'{share} intervals' if known else 'no intervals known'}"
            f"{levels}."
        ),
        facts=(
            Fact("critical batch", "E_min/S_min, over the whole way to the loss: global"),
            Fact("local", "dE_min/dS_min at the loss: what noise scales and branched runs measure"),
            Fact("rests on", trajectory.source),
        ),
        table=Table(
            (
                Column("loss", "nats/token", "number"),
                Column("critical_batch_tokens", format="count"),
                Column(f"{share} low", format="count"),
                Column(f"{share} high", format="count"),
                Column("local", format="count"),
            ),
            tuple(rows),
        ),
        figure=FigureSpec(
            "Critical batch against loss",
            "Batches below the line train with few extra tokens, batches above it in few steps. "
            "It grows as the loss falls, so a batch that is too large early is right later.",
            (
                Panel(
                    "Critical batch by the loss reached",
                    Axis("loss", "nats/token", "log", "number"),
                    Axis("critical_batch_tokens", "tokens", "log", "count"),
                    tuple(series),
                ),
            ),
        ),
        caveats=_caveats(trajectory, contours),
    )


def contours_card(found: Contours, *, level: float = 0.9) -> Card:
    """Steps against tokens at equal loss: measured batches and the hyperbola of each level."""
    share = level_text(level)
    beyond = len(found.contours) - len(found.straddling)
    others = "; the others are extrapolations and enter no law" if beyond else ""
    shown = _shown(found.contours)
    rows: list[tuple[Cell, ...]] = [
        (
            c.params_nonembed, c.loss, c.scan.points, c.scan.steps_min, c.scan.tokens_min,
            c.scan.critical_batch_tokens, *c.scan.intervals(level)["critical_batch_tokens"],
            c.scan.straddles,
        )
        for c in found.contours
    ]  # fmt: skip
    series: list[Series] = []
    for i, contour in enumerate(shown):
        scan = contour.scan
        style: dict[str, Any] = {"group": f"loss {i}", "shade": shade(i, len(shown))}
        B = contour.batch_tokens
        grid = np.geomspace(B.min() / 2, B.max() * 2, _GRID)
        steps = np.asarray(scan.steps(grid))
        series.append(Series(mark="points", x=floats(B * contour.steps), y=floats(contour.steps),
                             **style))  # fmt: skip
        series.append(Series(mark="line", x=floats(grid * steps), y=floats(steps),
                             label=f"{number(contour.loss, 3)} nats/token", **style))  # fmt: skip
    return Card(
        title="Steps against tokens at equal loss",
        conclusion=(
            f"{len(found.straddling)} of {counted(len(found.contours), 'loss level')} have batches "
            f"a factor of three to both sides of the critical one{others}."
        ),
        table=Table(
            (
                Column("params_nonembed", format="count"),
                Column("loss", "nats/token", "number"),
                Column("batches", format="integer"),
                Column("steps_min", format="count"),
                Column("tokens_min", format="count"),
                Column("critical_batch_tokens", format="count"),
                Column(f"{share} low", format="count"),
                Column(f"{share} high", format="count"),
                Column("straddled"),
            ),
            tuple(rows),
        ),
        figure=FigureSpec(
            "Steps against tokens at equal loss",
            "Each line is one loss: (S/S_min - 1)(E/E_min - 1) = 1 through the measured batches.",
            (
                Panel(
                    "Steps and tokens to the same loss, by loss",
                    Axis("tokens", "", "log", "count"),
                    Axis("steps", "", "log", "count"),
                    tuple(series),
                ),
            ),
        ),
        caveats=found.warnings,
    )


def _shown(contours: Sequence[Contour]) -> list[Contour]:
    """Levels of the size with the most of them, few enough to tell apart."""
    sizes = [c.params_nonembed for c in contours]
    mine = [c for c in contours if c.params_nonembed == max(sizes, key=sizes.count)]
    at = np.linspace(0, len(mine) - 1, min(len(mine), _MOST_LEVELS)).round().astype(int)
    return [mine[i] for i in at]


def _losses(trajectory: Trajectory, params_nonembed: float) -> Array:
    """The losses of the card: the measured range, above the floor of the size."""
    low, high = trajectory.ranges.get("loss", _UNKNOWN_LOSSES)
    least = max(low, _ABOVE_FLOOR * float(trajectory.floor(params_nonembed)))
    return np.geomspace(least, max(high, 1.5 * least), _GRID)


def _measured(contours: Sequence[Contour], level: float) -> list[Series]:
    """The measured levels, those not straddled hollow."""
    series = []
    for kept, label in ((True, "measured"), (False, "extrapolated scan")):
        mine = [c for c in contours if c.scan.straddles is kept]
        if not mine:
            continue
        ends = [c.scan.intervals(level)["critical_batch_tokens"] for c in mine]
        series.append(
            Series(
                mark="intervals",
                x=tuple(c.loss for c in mine),
                y=tuple(c.scan.critical_batch_tokens for c in mine),
                low=tuple(end[0] for end in ends),
                high=tuple(end[1] for end in ends),
                label=label,
                group=label,
                hollow=not kept,
            )
        )
    return series


def _caveats(trajectory: Trajectory, contours: Sequence[Contour]) -> tuple[str, ...]:
    said = list(trajectory.warnings)
    if not contours:
        said.append("No loss levels were measured here: the line is that of the constants alone.")
    return tuple(said)
