"""A prediction, told with its interval, its reach and its runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, format_flops, level_text
from scalewise.fit.prediction import Prediction
from scalewise.laws.law import QUANTITY_UNITS, Quantity
from scalewise.report.card import Card, Cell, Column, Fact, Format, Table
from scalewise.report.cards.doubts import farthest, reach_caveats, reach_sentence
from scalewise.report.formats import cell, listed

_BARE = ("error", "params", "tokens", "lr_peak")


def prediction_card(prediction: Prediction, given: Mapping[str, Any]) -> Card:
    """A forecast at the inputs ``given`` by column; scalars, or arrays that broadcast."""
    unit = quantity_unit(prediction.quantity)
    form = quantity_format(prediction.quantity)
    level = level_text(prediction.level)
    reach, column = farthest(prediction.extrapolation)
    columns = [Column(name, format=input_format(name)) for name in given]
    columns += [
        Column(prediction.quantity, unit, form),
        Column(f"{level} low", unit, form), Column(f"{level} high", unit, form),
        Column("extrapolation", format="factor"),
    ]  # fmt: skip
    return Card(
        title=f"Forecast of {prediction.quantity}",
        conclusion=_conclusion(prediction, given, unit, level),
        facts=(
            Fact("rests on", listed(list(prediction.rests_on)) or "one law"),
            Fact("reach", reach_sentence(reach, column, prediction.runs)),
            Fact("interval", _interval_fact(prediction, level)),
        ),
        table=Table(tuple(columns), _rows(prediction, given)),
        caveats=(*prediction.warnings, *reach_caveats(reach, column)),
    )


def quantity_unit(quantity: Quantity) -> str:
    """Unit to print after a value, empty where the quantity's own name says it."""
    return "" if quantity in _BARE else QUANTITY_UNITS[quantity]


def quantity_format(quantity: Quantity) -> Format:
    """How a value of that quantity is written."""
    if quantity == "lr_peak":
        return "number"
    return "loss" if quantity in ("loss", "error") else "count"


def _interval_fact(prediction: Prediction, level: str) -> str:
    if np.all(np.asarray(prediction.low) >= np.asarray(prediction.high)):
        return "none: there are no runs behind these constants to take it from"
    if prediction.quantity in ("loss", "error"):
        return f"{level}, for one newly trained model of the same recipe"
    return f"{level}, for one new optimum, found as those that were fitted"


def input_format(name: str) -> Format:
    """How an input of that name is written."""
    return "flops" if name == "flops" else "count"


def inputs_text(given: Mapping[str, Any]) -> str:
    """Inputs as people write them: ``params=7B, tokens=2T``."""
    return ", ".join(
        f"{name}={(format_flops if name == 'flops' else format_count)(float(value))}"
        for name, value in given.items()
    )


def _conclusion(prediction: Prediction, given: Mapping[str, Any], unit: str, level: str) -> str:
    reach, column = farthest(prediction.extrapolation)
    tail = reach_sentence(reach, column, prediction.runs)
    named = prediction.quantity
    form = quantity_format(named)

    def shown(value: float) -> str:
        return cell(value, form)

    if np.ndim(prediction.value):
        values = np.asarray(prediction.value)
        return (
            f"Predicted {named} {shown(values.max())} to {shown(values.min())} {unit} at "
            f"{values.size} points, each with its {level} interval below; {tail}."
        )
    value, low, high = (float(v) for v in (prediction.value, prediction.low, prediction.high))
    width = f"{level} interval {shown(low)} to {shown(high)}" if low < high else "no interval known"
    at = inputs_text(given)
    return f"Predicted {named} {shown(value)} {unit} at {at}; {width}, {tail}.".replace("  ", " ")


def _rows(prediction: Prediction, given: Mapping[str, Any]) -> tuple[tuple[Cell, ...], ...]:
    names = list(prediction.extrapolation)
    reach = (
        np.max(np.broadcast_arrays(*(prediction.extrapolation[n] for n in names)), axis=0)
        if names
        else np.asarray(1.0)
    )
    arrays = np.broadcast_arrays(
        *(np.asarray(value, dtype=float) for value in given.values()),
        prediction.value, prediction.low, prediction.high, reach,
    )  # fmt: skip
    rows = np.stack([np.ravel(a) for a in arrays], axis=1)
    known = (np.asarray(prediction.low) < np.asarray(prediction.high)).ravel()
    known = np.broadcast_to(known, (len(rows),))
    out: list[tuple[Cell, ...]] = []
    for row, interval in zip(rows, known, strict=True):
        cells: list[Cell] = [float(v) for v in row]
        if not interval:
            cells[-3:-1] = [None, None]
        if not names:
            cells[-1] = None
        out.append(tuple(cells))
    return tuple(out)
