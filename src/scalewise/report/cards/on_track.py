"""A live run told beside its forecast: on track or not, and where it is bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, level_text
from scalewise.fit.prediction import Prediction
from scalewise.forecast.on_track import OnTrack
from scalewise.report.card import Axis, Card, Cell, Column, Fact, FigureSpec, Panel, Series, Table
from scalewise.report.cards.doubts import reach_told
from scalewise.report.cards.shades import floats
from scalewise.report.cards.trajectory import thinned
from scalewise.report.formats import counted, percent

Array = np.ndarray[Any, np.dtype[Any]]


def on_track_card(found: OnTrack) -> Card:
    """Whether a run keeps to its band, when it left, and the loss it will end at."""
    level = level_text(found.level)
    share = float(np.mean(found.outside))
    return Card(
        title="On track",
        conclusion=(
            f"{verdict(found)} It is bound for {_told(found.projected)} nats/token at step "
            f"{format_count(found.until)}, where {_told(found.planned)} was forecast before it "
            f"started; {level} intervals, {reach_told(_reach(found.planned), found.planned.runs)}."
        ),
        facts=(
            Fact("judged", f"{counted(len(found.step), 'point')} up to step "
                 f"{format_count(float(found.step[-1]))}, {percent(share)} of them outside"),
            Fact("first departure", "none" if found.first_departure is None
                 else f"step {format_count(found.first_departure)}"),
            Fact("left for good", "no" if found.left_at is None
                 else f"from step {format_count(found.left_at)} on, {found.side} the band"),
            Fact("false alarm", f"{percent(found.false_alarm) if found.false_alarm else 'none'} of "
                 "the simulated runs that obey the law would count as having left"),
            *((Fact("not judged", "; ".join(found.left_out)),) if found.left_out else ()),
        ),
        table=Table(
            (
                Column("loss at the end"),
                Column("value", "nats/token", "loss"),
                Column(f"{level} low", "nats/token", "loss"),
                Column(f"{level} high", "nats/token", "loss"),
            ),
            (_row("planned", found.planned), _row("projected", found.projected)),
        ),
        figure=FigureSpec(
            "The run against its band",
            f"Loss relative to the forecast, with its {level} band; at the end the loss to expect "
            "after what was seen.",
            (_panel(found, level),),
        ),
        caveats=found.warnings,
    )  # fmt: skip


def verdict(found: OnTrack) -> str:
    """One sentence on whether the run keeps to its band."""
    if found.left_at is not None:
        return (
            f"The run has left the {level_text(found.level)} band for good: from step "
            f"{format_count(found.left_at)} on it lies {found.side} it."
        )
    if found.first_departure is None:
        return f"The run is on track: every point lies in the {level_text(found.level)} band."
    return (
        f"The run is on track: it left the {level_text(found.level)} band at step "
        f"{format_count(found.first_departure)} but has not stayed outside."
    )


def _told(prediction: Prediction) -> str:
    value, low, high = (float(v) for v in (prediction.value, prediction.low, prediction.high))
    return f"{value:.4f} ({low:.4f} to {high:.4f})"


def _row(name: str, prediction: Prediction) -> tuple[Cell, ...]:
    return (name, float(prediction.value), float(prediction.low), float(prediction.high))


def _reach(prediction: Prediction) -> dict[str, float]:
    return {name: float(np.max(value)) for name, value in prediction.extrapolation.items()}


def _panel(found: OnTrack, level: str) -> Panel:
    step = floats(found.step)
    low, high = (floats(edge / found.predicted - 1) for edge in (found.low, found.high))
    end = float(found.planned.value)
    ahead = tuple(
        float(v) / end - 1
        for v in (found.projected.value, found.projected.low, found.projected.high)
    )
    planned = tuple(float(v) / end - 1 for v in (found.planned.low, found.planned.high))
    x = (*step, found.until)
    lower, upper = (*low, planned[0]), (*high, planned[1])
    at = thinned(found.step)
    return Panel(
        "Relative to the forecast",
        Axis("step", "", "log", "count"),
        Axis("loss over forecast", "", "linear", "signed-percent"),
        (
            Series(mark="band", x=x, y=(0.0,) * len(x), low=lower, high=upper,
                   label=f"{level} band", group="forecast"),
            *(Series(mark="line", x=x, y=edge, group="forecast", hollow=True)
              for edge in (lower, upper)),
            Series(mark="line", x=x, y=(0.0,) * len(x), label="forecast", group="forecast"),
            Series(mark="points", x=floats(found.step[at]), label="this run", group="run",
                   y=floats(found.loss[at] / found.predicted[at] - 1)),
            Series(mark="intervals", x=(found.until,), y=ahead[:1], low=ahead[1:2],
                   high=ahead[2:], label="projected end", group="end"),
        ),
    )  # fmt: skip
