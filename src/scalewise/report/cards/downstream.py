"""Downstream error, told: the laws of the tasks, a forecast through both steps, and its test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalewise.core.quantities import level_text
from scalewise.fit.result import FitResult, FitStatus
from scalewise.forecast.downstream import CEILING, ErrorForecast, task_warnings
from scalewise.forecast.downstream_backtest import DownstreamBacktest, cancelling_sentence
from scalewise.report.card import Axis, Card, Cell, Column, Fact, FigureSpec, Panel, Series, Table
from scalewise.report.cards.doubts import farthest, reach_caveats, reach_sentence
from scalewise.report.cards.prediction import inputs_text
from scalewise.report.cards.shades import floats
from scalewise.report.formats import clean, counted, listed, number, percent

_LINE = 48  # points per drawn line
_DRAWN = 6  # tasks that can be told apart in one figure
_UNIT = "nats/token"


def tasks_card(result: FitResult) -> Card:
    """The laws of error by loss that stand on a fit, one row per task."""
    rows: list[tuple[Cell, ...]] = []
    for name, law in result.tasks.items():
        low, high = law.ranges["loss"]
        mark = "" if law.status is FitStatus.CONVERGED else law.status.name
        rows.append((name, _constants(law), low, high, law.noise, law.points, mark))
    return Card(
        title="Downstream tasks",
        conclusion=_tasks_conclusion(result),
        facts=tuple(
            Fact(clean(name, 40), _source(law)) for name, law in result.tasks.items()
        ),
        table=Table(
            (
                Column("task"), Column("error", format="code"), Column("loss from", _UNIT, "loss"),
                Column("loss to", _UNIT, "loss"), Column("scatter", format="number"),
                Column("points", format="integer"), Column("mark"),
            ),
            tuple(rows),
        ),
        figure=_tasks_figure(result),
        caveats=tuple(
            text for name, law in result.tasks.items() for text in task_warnings(law, name)
        ),
    )  # fmt: skip


def _tasks_conclusion(result: FitResult) -> str:
    scatter = [law.noise for law in result.tasks.values()]
    names = listed([clean(name, 40) for name in list(result.tasks)[:_DRAWN]])
    more = len(result.tasks) - _DRAWN
    tail = f" and {counted(more, 'more task')}" if more > 0 else ""
    runs = min(law.runs for law in result.tasks.values())
    if len(scatter) == 1:
        around = f"{number(scatter[0], 2)} around the law, which rests on {counted(runs, 'run')}"
    else:
        around = (
            f"{number(min(scatter), 2)} to {number(max(scatter), 2)} around the laws, which rest "
            f"on {counted(runs, 'run')} or more"
        )
    return f"Error by measured loss in {names}{tail}: runs scatter by {around}."


def _constants(law: FitResult) -> str:
    """The law with its numbers in the place of its constants."""
    parts = [f"{name}={number(value, 4)}" for name, value in law.theta.items()]
    return f"{law.law.formula}; {', '.join(parts)}"


def _source(law: FitResult) -> str:
    ceiling = law.provenance.get(CEILING)
    held = f"; {CEILING} {ceiling}" if ceiling else ""
    return clean(law.provenance.get("error", law.source), 300) + held


def _tasks_figure(result: FitResult) -> FigureSpec:
    series: list[Series] = []
    for name, law in list(result.tasks.items())[:_DRAWN]:
        (loss,) = law.inputs.values()
        grid = np.linspace(loss.min(), loss.max(), _LINE)
        (symbol,) = law.law.variables
        value = law.law.value(law.theta, **{symbol: grid})
        label = clean(name, 30)
        series += [
            Series(mark="line", x=floats(grid), y=floats(value), group=label),
            Series(mark="points", x=floats(loss), y=floats(law.observed), group=label, label=label),
        ]
    panel = Panel(
        "Measured error (marks) and its laws (lines)",
        Axis("loss", _UNIT, "linear", "number"),
        Axis("error", "", "linear", "number"),
        tuple(series),
    )
    saying = "Error falls with loss from the level of guessing; below the last mark it is a guess."
    return FigureSpec("Downstream error by loss", saying, (panel,))


def error_card(forecast: ErrorForecast, given: Mapping[str, Any]) -> Card:
    """A forecast of one model's error, with what each step does to its interval."""
    prediction = forecast.prediction
    level = level_text(prediction.level)
    reach, column = farthest(prediction.extrapolation)
    rows: list[tuple[Cell, ...]] = [_part("both steps", (forecast.low, forecast.high))]
    if forecast.loss is not None:
        rows.append(_part("the loss alone, error law exact", forecast.from_loss))
    rows.append(_part("the error law alone, loss known", forecast.from_error))
    value, low, high = (float(v) for v in (forecast.error, forecast.low, forecast.high))
    return Card(
        title=f"Forecast of error in {clean(forecast.task, 60)}",
        conclusion=(
            f"Predicted error {value:.4f} in {clean(forecast.task, 60)} at {inputs_text(given)}; "
            f"{level} interval {low:.4f} to {high:.4f}, "
            f"{reach_sentence(reach, column, prediction.runs)}."
        ),
        facts=(
            Fact("through", _through(forecast, level)),
            Fact("rests on", listed(list(prediction.rests_on))),
            Fact("reach", reach_sentence(reach, column, prediction.runs)),
            Fact("interval", f"{level}, for the error that one newly trained model measures"),
        ),
        table=Table(
            (
                Column("uncertainty of"), Column(f"{level} low", format="loss"),
                Column(f"{level} high", format="loss"), Column("width", format="loss"),
            ),
            tuple(rows),
        ),
        caveats=(*prediction.warnings, *reach_caveats(reach, column)),
    )  # fmt: skip


def _part(name: str, ends: tuple[Any, Any]) -> tuple[Cell, ...]:
    low, high = (float(end) for end in ends)
    return (name, low, high, high - low)


def _through(forecast: ErrorForecast, level: str) -> str:
    text = f"loss {float(forecast.at_loss):.4f} {_UNIT}"
    if forecast.loss is None:
        return f"{text}, as stated"
    low, high = float(forecast.loss.low), float(forecast.loss.high)
    if not low < high:
        return f"{text}, no interval known"
    return f"{text}, {level} interval {low:.4f} to {high:.4f}"


def downstream_backtest_card(backtest: DownstreamBacktest) -> Card:
    """Forecasts of a task's error beside the truth, and which of them were right by luck."""
    shown = backtest.held_out
    rows: list[tuple[Cell, ...]] = [
        (
            p.run_id, p.params, p.tokens, p.measured_loss, p.loss_error, p.measured_error,
            p.predicted_error, p.relative_error, p.from_law, p.from_loss, p.inside, p.cancels,
        )
        for p in shown
    ]  # fmt: skip
    inside = sum(p.inside for p in shown)
    lucky = len(backtest.cancelling)
    rest = "rests" if lucky == 1 else "rest"
    tail = f"; {lucky} of them {rest} on two errors that cancel" if lucky else ""
    return Card(
        title=f"Forecast errors in {clean(backtest.task, 60)} against truth",
        conclusion=(
            f"The error of {counted(len(shown), 'held-out run')} was forecast to "
            f"{percent(backtest.mean_abs_error)} on average, to "
            f"{percent(backtest.mean_abs_error_at_true_loss)} had the losses been known; {inside} "
            f"of {len(shown)} lie inside the {level_text(backtest.level)} interval{tail}."
        ),
        table=Table(
            (
                Column("run"), Column("params", format="count"), Column("tokens", format="count"),
                Column("loss", _UNIT, "loss"), Column("loss off by", format="signed-percent"),
                Column("error", format="loss"), Column("forecast", format="loss"),
                Column("off by", format="signed-percent"),
                Column("by the law", format="signed-percent"),
                Column("by the loss", format="signed-percent"),
                Column("inside"), Column("cancels"),
            ),
            tuple(rows),
        ),
        caveats=(*backtest.warnings, *(cancelling_sentence(p) for p in backtest.cancelling)),
    )  # fmt: skip
