"""A forecast of runs that were set aside, told beside what they reached."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, level_text
from scalewise.forecast.backtest import NAIVE, HeldOutPoint
from scalewise.forecast.holdout import HeldOutForecast
from scalewise.report.card import Axis, Card, Cell, Column, Fact, FigureSpec, Panel, Series, Table
from scalewise.report.cards.backtest import error_figure, failures, score_table
from scalewise.report.cards.doubts import rests_on, spread_sentence
from scalewise.report.cards.shades import floats
from scalewise.report.formats import counted, factor, listed, percent

Array = np.ndarray[Any, np.dtype[Any]]

_SHOWN = 12  # forecasts in the figure, those of most compute
_LAWS_SHOWN = 5


def held_out_card(forecast: HeldOutForecast) -> Card:
    """Each held-out model: forecast, interval, what it reached, and whether the interval held."""
    level = level_text(forecast.level)
    rows: list[tuple[Cell, ...]] = [
        (
            p.run_id, p.params, p.tokens, p.flops, p.measured, p.predicted, p.low, p.high,
            p.relative_error, p.inside,
        )
        for p in forecast.auto.points
    ]  # fmt: skip
    unit = "nats/token"
    return Card(
        title="Forecast against truth",
        conclusion=_conclusion(forecast),
        facts=_facts(forecast),
        table=Table(
            (
                Column("run"), Column("params", format="count"), Column("tokens", format="count"),
                Column("flops", format="flops"), Column("measured", unit, "loss"),
                Column("forecast", unit, "loss"), Column(f"{level} low", unit, "loss"),
                Column(f"{level} high", unit, "loss"), Column("error", format="signed-percent"),
                Column("inside"),
            ),
            tuple(rows),
        ),
        figure=_figure(forecast),
        caveats=_caveats(forecast),
    )  # fmt: skip


def held_out_scores_card(forecast: HeldOutForecast) -> Card:
    """Every law tried on the held-out models, the naive rules too."""
    best = next((s for s in forecast.scores if s.points), None)
    auto = forecast.auto
    saying = (
        f"On the held-out models the combination (auto) misses by {percent(auto.mean_abs_error)} "
        f"on average"
    )
    if best is not None and best.law != auto.law:
        saying += (
            f"; {best.law} alone would have missed by {percent(best.mean_abs_error)}, which "
            "nobody could know beforehand"
        )
    saying += "."
    return Card(
        title="Every law on the held-out models",
        conclusion=saying,
        table=score_table(forecast.scores, forecast.level),
        figure=error_figure(forecast.scores, "Error of every law on the held-out models"),
        caveats=failures(forecast.scores),
    )


def _conclusion(forecast: HeldOutForecast) -> str:
    points = forecast.auto.points
    inside = sum(p.inside for p in points)
    sizes = listed([format_count(s) for s in forecast.held_out_sizes])
    text = (
        f"The held-out models ({sizes} params) were forecast to "
        f"{percent(forecast.auto.mean_abs_error)} on average, "
        f"{percent(abs(forecast.auto.worst_error))} at worst; {inside} of {len(points)} lie "
        f"inside the {level_text(forecast.level)} interval. Extrapolation "
        f"{factor(forecast.split.reach)} in flops, from {counted(forecast.result.runs, 'run')}"
    )
    if forecast.seed_noise is not None:
        text += f"; seeds alone differ by {percent(forecast.seed_noise)}"
    return text + "."


def _facts(forecast: HeldOutForecast) -> tuple[Fact, ...]:
    fitted = listed([format_count(s) for s in forecast.fitted_sizes])
    noise = (
        f"{percent(forecast.seed_noise)} of loss (one standard deviation between equal runs)"
        if forecast.seed_noise is not None
        else "unknown: no two runs differ in their seed only"
    )
    return (
        Fact("fitted to", f"params {fitted}"),
        Fact("rests on", listed(rests_on(forecast.result))),
        Fact("spread", spread_sentence(forecast.result)),
        Fact("seed noise", noise),
    )


def _caveats(forecast: HeldOutForecast) -> tuple[str, ...]:
    outside = [p for p in forecast.auto.points if not p.inside]
    found = list(forecast.result.warnings)
    if outside:
        found.append(
            f"{counted(len(outside), 'held-out model')} fell outside the interval: "
            + listed(
                [f"{_name(p)} ({percent(p.relative_error, signed=True)})" for p in outside[:4]]
            )
            + (f" and {len(outside) - 4} more." if len(outside) > 4 else ".")
        )
    if len(forecast.auto.points) < 10:
        found.append(
            f"{counted(len(forecast.auto.points), 'held-out model')} test an interval only "
            "coarsely: they cannot tell 90% coverage from 70%."
        )
    return tuple(found)


def _name(point: HeldOutPoint) -> str:
    return f"{format_count(point.params)} on {format_count(point.tokens)} tokens"


def _figure(forecast: HeldOutForecast) -> FigureSpec:
    ranked = sorted(range(len(forecast.auto.points)), key=lambda i: -forecast.auto.points[i].flops)
    chosen = ranked[:_SHOWN]
    inside = sum(p.inside for p in forecast.auto.points)
    return FigureSpec(
        "Forecast against truth",
        f"Bars are {level_text(forecast.level)} intervals: {inside} of "
        f"{len(forecast.auto.points)} hold what the model reached. Errors are forecast over "
        "reached, minus one.",
        (_loss_panel(forecast), _error_panel(forecast, chosen)),
    )


def _loss_panel(forecast: HeldOutForecast) -> Panel:
    points = forecast.auto.points
    flops = tuple(p.flops for p in points)
    fitted = forecast.split.fitted
    x, y = fitted.column("flops"), fitted.column("loss")
    series = (
        Series(mark="points", x=floats(x), y=floats(y), label="fitted runs", role="quiet"),
        Series(mark="intervals", x=flops, y=tuple(p.predicted for p in points),
               low=tuple(p.low for p in points), high=tuple(p.high for p in points),
               label=f"forecast, {level_text(forecast.level)}", group="forecast"),
        Series(mark="points", x=flops, y=tuple(p.measured for p in points),
               label="reached", group="reached", hollow=True),
    )  # fmt: skip
    return Panel(
        "Loss against compute: what was fitted, forecast and reached",
        Axis("flops", "FLOP", "log", "flops"),
        Axis("loss", "nats/token", "log", "number"),
        series,
    )


def _error_panel(forecast: HeldOutForecast, chosen: list[int]) -> Panel:
    """One row per held-out model; the truth is the line at zero."""
    points = [forecast.auto.points[i] for i in chosen]
    rows = tuple(float(i) for i in range(len(points)))
    series = [
        Series(mark="line", x=(0.0, 0.0), y=(-0.6, len(points) - 0.4), role="reference",
               label="reached", spans="x"),
        Series(mark="intervals", x=tuple(p.relative_error for p in points), y=rows,
               low=tuple(p.low / p.measured - 1 for p in points),
               high=tuple(p.high / p.measured - 1 for p in points), spans="x",
               label=f"auto, {level_text(forecast.level)}", group="forecast"),
    ]  # fmt: skip
    others = [
        s
        for s in forecast.scores
        if len(s.points) == len(forecast.auto.points) and s.law not in (*NAIVE, forecast.auto.law)
    ]
    series += [
        Series(mark="points", x=tuple(score.points[i].relative_error for i in chosen), y=rows,
               label=score.law, hollow=True)
        for score in others[:_LAWS_SHOWN]
    ]  # fmt: skip
    return Panel(
        "Error of each forecast",
        Axis("forecast against reached loss", "", "linear", "signed-percent"),
        Axis("held-out model", scale="category", categories=tuple(_name(p) for p in points)),
        tuple(series),
    )
