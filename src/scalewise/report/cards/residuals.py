"""What a fit misses, told: along each input, and which points are farthest off."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.fit.result import FitResult
from scalewise.report.card import Card, Cell, Column, FigureSpec, Table
from scalewise.report.cards.fit_figure import column_axis, relative_residuals, residual_panel
from scalewise.report.cards.prediction import input_format, quantity_format, quantity_unit
from scalewise.report.cards.shades import size_classes
from scalewise.report.formats import counted, listed, percent
from scalewise.runs.table import SIZES

Array = np.ndarray[Any, np.dtype[Any]]

_SHOWN = 8
_LEAST = 8  # points from which a drift can be told from chance
_ROUNDING = 1e-9
_DRIFT = 2.6  # standard errors of a rank correlation; chance exceeds it once in a hundred


def residuals_card(result: FitResult) -> Card:
    """The points farthest from the law, and whether residuals drift along an input."""
    columns = input_columns(result)
    misses = relative_residuals(result)
    drifts = _drifts(columns, misses)
    typical = float(np.median(np.abs(misses)))
    worst = int(np.argmax(np.abs(misses)))
    conclusion = (
        f"Half of {counted(result.points, 'point')} lie within {percent(typical)} of "
        f"{result.law.key}; the farthest is {percent(misses[worst], signed=True)} off. "
    )
    names = [f"{name} (rank correlation {value:+.2f})" for name, value in drifts]
    conclusion += f"Residuals drift with {listed(names)}." if names else "No drift was found."
    size = next((name for name in SIZES if name in columns), "")
    if size:
        classes = size_classes(columns[size])
    else:
        classes = [("measured", np.ones(result.points, dtype=bool))]
    panels = tuple(
        residual_panel(column_axis(name), values, misses, classes, labelled=i == 0)
        for i, (name, values) in enumerate(columns.items())
    )
    return Card(
        title="Residuals",
        conclusion=conclusion,
        table=_table(result, columns, misses),
        figure=FigureSpec(
            f"Residuals of {result.law.key}",
            "Each mark is one point, measured over predicted, minus one; a law that misses nothing "
            "scatters evenly around the dashed line.",
            panels,
        ),
        caveats=tuple(
            f"Residuals drift with {name}: the law misses something there, and a forecast far "
            "along it inherits the error."
            for name, _ in drifts
        ),
    )


def input_columns(result: FitResult) -> dict[str, Array]:
    """Inputs of the law by column, with flops by 6ND where size and tokens are known."""
    columns = {column: result.inputs[s] for s, column in result.law.variables.items()}
    if {"params", "tokens"} <= set(columns):
        columns.setdefault("flops", 6.0 * columns["params"] * columns["tokens"])
    return columns


def _drifts(columns: dict[str, Array], misses: Array) -> list[tuple[str, float]]:
    # Residuals of rounding size have an order, but it means nothing.
    if len(misses) < _LEAST or np.max(np.abs(misses)) < _ROUNDING:
        return []
    found = []
    for name, values in columns.items():
        if len(np.unique(values)) < 3:
            continue
        rank = float(np.corrcoef(_ranks(values), _ranks(misses))[0, 1])
        if abs(rank) * np.sqrt(len(misses) - 1) > _DRIFT:
            found.append((name, rank))
    return found


def _ranks(values: Array) -> Array:
    """Ranks with ties averaged."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2.0)[inverse.ravel()])


def _table(result: FitResult, columns: dict[str, Array], misses: Array) -> Table:
    order = np.argsort(-np.abs(misses), kind="stable")[:_SHOWN]
    unit, form = quantity_unit(result.law.quantity), quantity_format(result.law.quantity)
    heads = [Column("point", format="integer")]
    heads += [Column(name, format=input_format(name)) for name in columns]
    heads += [
        Column("measured", unit, form), Column("predicted", unit, form),
        Column("residual", format="signed-percent"),
    ]  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for i in order:
        measured = float(result.observed[i])
        given = [float(values[i]) for values in columns.values()]
        predicted = measured / (1.0 + float(misses[i]))
        rows.append((int(i) + 1, *given, measured, predicted, float(misses[i])))
    return Table(tuple(heads), tuple(rows))
