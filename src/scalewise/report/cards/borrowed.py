"""A forecast from one size, told with what was borrowed from whom."""

from __future__ import annotations

from scalewise.core.quantities import level_text
from scalewise.forecast.borrowed import BorrowedForecast
from scalewise.report.card import Card, Column, Fact, Table
from scalewise.report.cards.doubts import farthest, reach_caveats, reach_sentence
from scalewise.report.cards.prediction import inputs_text
from scalewise.report.formats import cell


def borrowed_card(found: BorrowedForecast) -> Card:
    """Loss with its interval, and each constant with where it comes from."""
    level = level_text(found.level)
    reach, column = farthest(found.extrapolation)
    given = inputs_text({"params": found.params, "tokens": found.tokens})
    ends = f"{level} interval {cell(found.low, 'loss')} to {cell(found.high, 'loss')}"
    return Card(
        title="Forecast with borrowed constants",
        conclusion=f"Predicted loss {cell(found.loss, 'loss')} nats/token at {given}; {ends}, "
        f"{reach_sentence(reach, column, found.runs)}.",
        facts=(
            Fact("borrowed from", found.borrow),
            Fact("borrowed part", _part(found)),
            Fact("policy", found.policy),
        ),
        table=Table(
            (Column("constant", format="code"), Column("value", format="number"),
             Column("from")),
            tuple(
                (name, value, found.provenance[name]) for name, value in found.constants.items()
            ),
        ),
        caveats=(*found.warnings, *reach_caveats(reach, column)),
    )  # fmt: skip


def _part(found: BorrowedForecast) -> str:
    if found.borrowed_share is None:
        return "held as if certain: not in the interval"
    if not found.borrowed_share:
        return "none"
    return f"{found.borrowed_share:.0%} of the interval's variance"
