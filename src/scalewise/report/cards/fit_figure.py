"""The figure of a fit: measured loss with the law's lines, and what the law misses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalewise.fit.result import FitResult
from scalewise.report.card import Axis, FigureSpec, Format, Panel, Series
from scalewise.report.cards.prediction import quantity_format, quantity_unit
from scalewise.report.cards.shades import floats, shade, size_classes
from scalewise.report.formats import percent
from scalewise.runs.columns import COLUMNS
from scalewise.runs.table import SIZES

Array = np.ndarray[Any, np.dtype[Any]]

_LINE = 48  # points per drawn line


def fit_figure(result: FitResult) -> FigureSpec:
    """Loss with the law's lines over the residuals, on one axis where the law allows it."""
    columns = {column: result.inputs[s] for s, column in result.law.variables.items()}
    size = next((name for name in SIZES if name in columns), "")
    misses = relative_residuals(result)
    typical, worst = float(np.median(np.abs(misses))), float(np.max(np.abs(misses)))
    title = f"{result.law.key} against the runs it was fitted to"
    saying = (
        f"Half of the {result.points} points lie within {percent(typical)} of the law, the "
        f"farthest {percent(worst)} off."
    )
    if len(columns) == 1:
        panels = _one_input(result, *next(iter(columns.items())), misses)
    elif set(columns) == {size, "tokens"}:
        panels = _size_and_tokens(result, size, columns, misses)
    else:
        panels = _measured_and_predicted(result, misses)
    return FigureSpec(title, saying, panels)


def relative_residuals(result: FitResult) -> Array:
    """Measured over predicted, minus one, at each point."""
    return np.asarray(result.observed / _predicted(result) - 1.0)


def _predicted(result: FitResult) -> Array:
    return np.asarray(result.law.value(result.theta, **result.inputs))


def column_axis(name: str) -> Axis:
    """The axis of a run-table column, logarithmic."""
    unit = COLUMNS[name].unit if name in COLUMNS else ""
    form: Format = "flops" if name == "flops" else "count"
    return Axis(name, "" if unit == name else unit, "log", form)


def quantity_axis(result: FitResult, prefix: str = "") -> Axis:
    """The axis of the predicted quantity."""
    quantity = result.law.quantity
    unit = quantity_unit(quantity)
    form: Format = "count" if quantity_format(quantity) == "count" else "number"
    return Axis(f"{prefix}{quantity}", unit, "log", form)


def residual_panel(
    x: Axis, at: Array, misses: Array, classes: list[tuple[str, Array]], *, labelled: bool = False
) -> Panel:
    """Residuals in percent along one axis, around a line at zero."""
    points = tuple(
        Series(
            mark="points", x=floats(at[mask]), y=floats(misses[mask]), group=label,
            label=label if labelled and len(classes) > 1 else "",
            shade=shade(i, len(classes)) if len(classes) > 1 else None,
            role="series" if len(classes) > 1 else "quiet",
        )
        for i, (label, mask) in enumerate(classes)
    )  # fmt: skip
    ends = (float(np.min(at)), float(np.max(at)))
    zero = Series(mark="line", x=ends, y=(0.0, 0.0), role="reference", group="the law")
    y = Axis("measured against the law", "", "linear", "signed-percent")
    return Panel(f"Residuals along {x.title}", x, y, (zero, *points), height="short")


def _one_input(result: FitResult, column: str, at: Array, misses: Array) -> tuple[Panel, ...]:
    axis = column_axis(column)
    grid = np.geomspace(at.min(), at.max(), _LINE)
    alone = replace(result, rivals=(), weight=1.0).predict(level=0.9, **{column: grid})
    low, high = np.broadcast_to(alone.low, grid.shape), np.broadcast_to(alone.high, grid.shape)
    value = np.broadcast_to(np.asarray(alone.value), grid.shape)
    key = result.law.key
    series = (
        Series(mark="band", x=floats(grid), y=floats(value), low=floats(low), high=floats(high),
               label="90% for a new run", group=key),
        Series(mark="line", x=floats(grid), y=floats(value), label=key, group=key),
        Series(mark="points", x=floats(at), y=floats(result.observed), label="measured",
               role="quiet"),
    )  # fmt: skip
    everything = [("measured", np.ones(len(at), dtype=bool))]
    return (
        Panel(f"{result.law.quantity} and the law", axis, quantity_axis(result), series),
        residual_panel(axis, at, misses, everything),
    )


def _size_and_tokens(
    result: FitResult, size: str, columns: dict[str, Array], misses: Array
) -> tuple[Panel, ...]:
    params, tokens = columns[size], columns["tokens"]
    symbols = {column: symbol for symbol, column in result.law.variables.items()}
    classes = size_classes(params)
    lines: list[Series] = []
    points: list[Series] = []
    for i, (label, mask) in enumerate(classes):
        hue = shade(i, len(classes))
        grid = np.geomspace(tokens[mask].min(), tokens[mask].max(), _LINE)
        middle = np.exp(np.mean(np.log(params[mask])))
        at = {symbols[size]: np.full(_LINE, middle), symbols["tokens"]: grid}
        value = np.asarray(result.law.value(result.theta, **at))
        if grid[0] < grid[-1]:
            lines.append(Series(mark="line", x=floats(grid), y=floats(value), group=label,
                                shade=hue))  # fmt: skip
        points.append(Series(mark="points", x=floats(tokens[mask]),
                             y=floats(result.observed[mask]), label=label, group=label,
                             shade=hue))  # fmt: skip
    axis = column_axis("tokens")
    title = f"Measured {result.law.quantity} (marks) and {result.law.key} (lines), by {size}"
    return (
        Panel(title, axis, quantity_axis(result), (*lines, *points)),
        residual_panel(axis, tokens, misses, classes),
    )


def _measured_and_predicted(result: FitResult, misses: Array) -> tuple[Panel, ...]:
    predicted = _predicted(result)
    ends = (float(predicted.min()), float(predicted.max()))
    series = (
        Series(mark="line", x=ends, y=ends, role="reference", label="equal", spans="x"),
        Series(mark="points", x=floats(predicted), y=floats(result.observed), label="measured",
               role="quiet"),
    )  # fmt: skip
    x = quantity_axis(result, "predicted ")
    everything = [("measured", np.ones(len(misses), dtype=bool))]
    return (
        Panel("Measured against predicted", x, quantity_axis(result, "measured "), series),
        residual_panel(x, predicted, misses, everything),
    )
