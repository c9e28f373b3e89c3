"""The catalogue and single laws, told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from scalewise.laws.law import Law, Published
from scalewise.report.card import Card, Cell, Column, Fact, Table
from scalewise.report.formats import counted, listed, number

_GROUPS: Mapping[str, str] = {"loss": "Laws of loss", "error": "Laws of downstream error"}
_CHOICES = "Laws of a choice"
_CAVEAT = (
    "Published constants hold for their authors' data, tokenizer and recipe; fit your own runs "
    "before you spend on a number."
)


def catalogue_cards(laws: Mapping[str, Law]) -> tuple[Card, ...]:
    """Every law, in groups by what it predicts: loss, downstream error, or a choice."""
    groups: dict[str, list[Law]] = {title: [] for title in (*_GROUPS.values(), _CHOICES)}
    for law in laws.values():
        groups[_GROUPS.get(law.quantity, _CHOICES)].append(law)
    cards = [replace(laws_card(found), title=title) for title, found in groups.items() if found]
    return (*(replace(card, caveats=()) for card in cards[:-1]), *cards[-1:])


def laws_card(laws: Iterable[Law]) -> Card:
    """When to use each law and what is published for it; then formula, inputs and source."""
    found = tuple(laws)
    published = [p for law in found for p in law.published]
    named = any(law.quantity != "loss" for law in found)
    return Card(
        title="Laws",
        conclusion=f"{counted(len(found), 'law')}, {counted(len(published), 'published set')} "
        "of constants that can be used without a fit.",
        table=Table(
            (Column("law", format="code"), Column("formula", format="code"), Column("needs"),
             Column("source")),
            tuple(
                (law.key, _equation(law) if named else law.formula, ", ".join(law.columns),
                 law.source.key if law.source else None)
                for law in found
            ),
        ),
        facts=tuple(Fact(law.key, _when(law)) for law in found),
        caveats=(_CAVEAT,),
    )  # fmt: skip


def _when(law: Law) -> str:
    """When to use a law, and which constants are published for it."""
    published = ", ".join(p.key for p in law.published)
    parts = (law.use_when, f"Published: {published}." if published else "")
    return " ".join(part for part in parts if part) or "not stated"


def law_card(law: Law) -> Card:
    """One law: its constants with units and bounds, and every published set of values."""
    columns = [
        Column("constant", format="code"), Column("unit"), Column("role"), Column("meaning"),
        Column("lower bound", format="number"), Column("upper bound", format="number"),
    ]  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for constant in law.constants:
        bounds = (float(bound) for bound in constant.bounds)
        rows.append(
            (constant.name, law.unit(constant.name), constant.role, constant.meaning, *bounds)
        )
    inputs = ", ".join(f"{symbol} = {column}" for symbol, column in law.variables.items())
    facts = [
        Fact("key", law.key, "code"),
        Fact("formula", _equation(law), "code"),
        Fact("inputs", inputs),
        Fact("use when", law.use_when or "not stated"),
        Fact("source", _source(law)),
        *(Fact(p.key, _published(p)) for p in law.published),
    ]
    sets = counted(len(law.published), "published set")
    return Card(
        title=law.title or law.key,
        conclusion=f"{_equation(law)}; {counted(len(law.constants), 'constant')}, "
        f"{sets} of values.",
        facts=tuple(facts),
        table=Table(tuple(columns), tuple(rows)),
        caveats=_unit_caveats(law),
    )


def _unit_caveats(law: Law) -> tuple[str, ...]:
    """What may not be counted in another unit."""
    found = []
    if law.rigid:
        columns = listed([law.variables[symbol] for symbol in law.variables if symbol in law.rigid])
        found.append(f"The law holds for {columns} in their own unit, not in millions of it.")
    if any(len(group) > 1 for group in law.unit_groups):
        found.append(
            "The inputs must share one unit: counting one of them otherwise changes the law."
        )
    return tuple(found)


def _equation(law: Law) -> str:
    return f"{law.quantity} = {law.formula}"


def _published(published: Published) -> str:
    values = ", ".join(f"{name} = {number(value)}" for name, value in published.theta.items())
    return "; ".join(part for part in (values, str(published.source), published.note) if part)


def _source(law: Law) -> str:
    return str(law.source) if law.source else "–"
