"""A loss curve told before its run starts, beside the live run, and the curves it rests on."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, level_text
from scalewise.fit.result import FitResult
from scalewise.forecast.loss_curve import LossCurve
from scalewise.forecast.trajectory import Trajectory
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
from scalewise.report.cards.doubts import reach_told
from scalewise.report.cards.shades import floats, shade
from scalewise.report.formats import counted, listed, percent

Array = np.ndarray[Any, np.dtype[Any]]
Log = tuple[Array, Array]  # steps and losses of a run

_ROWS = 12
_MOST = 6  # curves that a reader can tell apart by shade
_MOST_POINTS = 60  # measured points of one curve that are drawn


def curve_card(curve: LossCurve, log: Log | None = None) -> Card:
    """The loss along a run with its band, and the measured (step, loss) of ``log`` if given."""
    level = level_text(curve.level)
    tail = reach_told(curve.extrapolation, curve.runs)
    edge = (
        f"{level} interval {curve.low[-1]:.4f} to {curve.high[-1]:.4f}"
        if curve.known
        else "no interval known"
    )
    low, floor, high = curve.floor
    floor_edge = f" ({low:.4f} to {high:.4f})" if low < high else ""
    return Card(
        title="Forecast of the loss curve",
        conclusion=(
            f"{format_count(curve.params_nonembed)} params_nonembed at "
            f"{schedule_told(curve.stages)} end at {curve.loss[-1]:.4f} nats/token after "
            f"{format_count(curve.step[-1])} steps and {format_count(curve.tokens[-1])} tokens; "
            f"{edge}, {tail}."
        ),
        facts=(
            Fact("floor", f"{floor:.4f}{floor_edge} nats/token, however long it trains"),
            Fact("band", _band_told(curve, level)),
            Fact("reach", tail),
            Fact("rests on", curve.source),
        ),
        table=_curve_table(curve, level),
        figure=FigureSpec(
            "Loss along the run",
            f"The curve forecast before the run, with its {level} band."
            if log is None
            else f"The measured run beside the curve forecast for it, with its {level} band.",
            (_curve_panel(curve, log, level),),
        ),
        caveats=curve.warnings,
    )


def curves_card(result: FitResult) -> Card:
    """Every curve that a trajectory was fitted to, measured and as the law has it.

    The law is drawn as a line through the measured points of each size and batch.
    """
    trajectory = Trajectory.from_fit(result)
    names = {column: symbol for symbol, column in result.law.variables.items()}
    sizes, step, batch = (
        np.asarray(result.inputs[names[column]])
        for column in ("params_nonembed", "step", "batch_tokens")
    )
    pairs = sorted({(float(n), float(b)) for n, b in zip(sizes, batch, strict=True)})
    rows: list[tuple[Cell, ...]] = []
    misses = np.abs(np.expm1(np.log(result.observed) - np.log(trajectory.loss(sizes, step, batch))))
    for n, b in pairs:
        mine = (sizes == n) & (batch == b)
        last = np.flatnonzero(mine)[np.argmax(step[mine])]
        rows.append((
            n, b, int(mine.sum()), float(step[last]), float(result.observed[last]),
            float(trajectory.loss(n, step[last], b)), float(np.median(misses[mine])),
        ))  # fmt: skip
    worst = max(rows, key=lambda row: float(row[-1] or 0.0))
    panels = _by_batch(trajectory, sizes, step, batch, result.observed)
    return Card(
        title="Curves behind the forecast",
        conclusion=(
            f"{counted(len(pairs), 'curve')} of {counted(len({n for n, _ in pairs}), 'size')} and "
            f"{len({b for _, b in pairs})} batches lie {percent(float(np.median(misses)))} from "
            f"the law in the median; farthest is {format_count(float(worst[0] or 0))} at a batch "
            f"of {format_count(float(worst[1] or 0))}, {percent(float(worst[-1] or 0))} off."
        ),
        table=Table(
            (
                Column("params_nonembed", format="count"),
                Column("batch_tokens", format="count"),
                Column("points", format="integer"),
                Column("last step", format="count"),
                Column("measured", "nats/token", "loss"),
                Column("law", "nats/token", "loss"),
                Column("median miss", format="percent"),
            ),
            tuple(rows),
        ),
        figure=FigureSpec(
            "Curves measured and as the law has them",
            "Points are measured, lines are the law fitted to all of them at once.",
            panels,
        ),
        caveats=("These curves were fitted; how well unseen ones are forecast, hold-outs tell.",),
    )


def schedule_told(stages: tuple[tuple[float, float], ...]) -> str:
    """A batch schedule in words.

    >>> schedule_told(((131072.0, 2e4), (524288.0, 2e4)))
    'batches of 131k tokens for 20k steps and 524k tokens for 20k steps'
    """
    if len(stages) == 1:
        return f"a batch of {format_count(stages[0][0])} tokens"
    parts = [f"{format_count(b)} tokens for {format_count(n)} steps" for b, n in stages]
    return f"batches of {listed(parts)}"


def _band_told(curve: LossCurve, level: str) -> str:
    if not curve.known:
        return "none: there are no runs behind these constants to take it from"
    noise = "constants and the noise of a run" if curve.runs else "constants"
    return f"{level}, at each step by itself: the uncertainty of {noise}"


def _curve_table(curve: LossCurve, level: str) -> Table:
    ends = np.cumsum([steps for _, steps in curve.stages])
    even = np.linspace(0, len(curve.step) - 1, _ROWS).round().astype(int)
    at = np.union1d(even, np.flatnonzero(np.isin(curve.step, ends)))
    rows: list[tuple[Cell, ...]] = [
        (
            float(curve.step[i]), float(curve.batch_tokens[i]), float(curve.tokens[i]),
            float(curve.loss[i]),
            *((float(curve.low[i]), float(curve.high[i])) if curve.known else (None, None)),
        )
        for i in at
    ]  # fmt: skip
    return Table(
        (
            Column("step", format="count"),
            Column("batch_tokens", format="count"),
            Column("tokens", format="count"),
            Column("loss", "nats/token", "loss"),
            Column(f"{level} low", "nats/token", "loss"),
            Column(f"{level} high", "nats/token", "loss"),
        ),
        tuple(rows),
    )


def _curve_panel(curve: LossCurve, log: Log | None, level: str) -> Panel:
    step, loss = floats(curve.step), floats(curve.loss)
    series: list[Series] = []
    if curve.known:
        series.append(
            Series(mark="band", x=step, y=loss, low=floats(curve.low), high=floats(curve.high),
                   label=f"{level} band", group="forecast")
        )  # fmt: skip
    series.append(Series(mark="line", x=step, y=loss, label="forecast", group="forecast"))
    if log is not None:
        at = thinned(log[0])
        series.append(
            Series(mark="points", x=floats(log[0][at]), y=floats(log[1][at]), label="this run",
                   group="run")
        )  # fmt: skip
    floor = curve.floor[1]
    series.append(
        Series(mark="line", x=(step[0], step[-1]), y=(floor, floor), role="quiet", hollow=True,
               label="floor of the size", group="floor")
    )  # fmt: skip
    return Panel(
        f"Loss of {format_count(curve.params_nonembed)} params_nonembed",
        Axis("step", "", "log", "count"),
        Axis("loss", "nats/token", "log", "number"),
        tuple(series),
    )


def thinned(step: Array, most: int = _MOST_POINTS) -> Array:
    """Indices of at most ``most`` points, evenly in log step and always the last."""
    if len(step) <= most:
        return np.arange(len(step))
    order = np.argsort(step)
    wanted = np.geomspace(step[order[0]], step[order[-1]], most)
    found = np.searchsorted(step[order], wanted).clip(0, len(step) - 1)
    return order[np.unique(np.append(found, len(step) - 1))]


def _by_batch(
    trajectory: Trajectory, sizes: Array, step: Array, batch: Array, observed: Array
) -> tuple[Panel, ...]:
    """One panel for each size trained at several batches, one for the batch of most sizes."""
    panels: list[Panel] = []
    pairs = np.unique(np.stack([sizes, batch]), axis=1)
    for axis, kept, name in ((0, 1, "batch"), (1, 0, "size")):
        values, counts = np.unique(pairs[axis], return_counts=True)
        if counts.max() < 2 and panels:
            continue
        fixed = float(values[np.argmax(counts)])
        mine = (sizes, batch)[axis] == fixed
        levels = _spread(np.unique(pairs[kept][pairs[axis] == fixed]))
        series: list[Series] = []
        for i, value in enumerate(levels):
            points = np.flatnonzero(mine & ((sizes, batch)[kept] == value))
            at = points[thinned(step[points])]
            n, b = (fixed, value) if axis == 0 else (value, fixed)
            grid = np.geomspace(step[at].min(), step[at].max(), 60)
            style: dict[str, Any] = {
                "group": f"{name} {value}", "shade": shade(i, len(levels)),
            }  # fmt: skip
            series.append(
                Series(mark="points", x=floats(step[at]), y=floats(observed[at]), **style)
            )
            law = np.asarray(trajectory.loss(n, grid, b))
            series.append(
                Series(mark="line", x=floats(grid), y=floats(law),
                       label=f"{name} {format_count(float(value))}", **style)
            )  # fmt: skip
        told = "params_nonembed, by batch" if axis == 0 else "tokens per batch, by size"
        panels.append(
            Panel(
                f"{format_count(fixed)} {told}",
                Axis("step", "", "log", "count"),
                Axis("loss", "nats/token", "log", "number"),
                tuple(series),
            )
        )
    return tuple(panels)


def _spread(values: Array) -> Array:
    """At most as many values as can be told apart, evenly chosen with both ends."""
    at = np.linspace(0, len(values) - 1, min(len(values), _MOST)).round().astype(int)
    return np.asarray(values[np.unique(at)])
