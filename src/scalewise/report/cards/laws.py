"""The catalogue and single laws, told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scalewise.laws.law import Law, Published
from scalewise.report.card import Card, Cell, Column, Fact, Table
from scalewise.report.formats import counted, number


def laws_card(laws: Iterable[Law] | Mapping[str, Law]) -> Card:
    """One row per law: formula, what it needs, where it comes from; then when to use each."""
    found = tuple(laws.values() if isinstance(laws, Mapping) else laws)
    published = [p for law in found for p in law.published]
    return Card(
        title="Laws",
        conclusion=f"{counted(len(found), 'law')}, {counted(len(published), 'published set')} "
        "of constants that can be used without a fit.",
        table=Table(
            (Column("law", format="code"), Column("formula", format="code"), Column("needs"),
             Column("source")),
            tuple(
                (law.key, law.formula, ", ".join(law.columns),
                 law.source.key if law.source else None)
                for law in found
            ),
        ),
        facts=(
            *(Fact(law.key, law.use_when) for law in found if law.use_when),
            Fact("published", ", ".join(p.key for p in published) or "none"),
        ),
        caveats=(
            "Published constants hold for their authors' data, tokenizer and recipe; fit your own "
            "runs before you spend on a number.",
        ),
    )  # fmt: skip


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
        Fact("formula", f"{law.quantity} = {law.formula}", "code"),
        Fact("inputs", inputs),
        Fact("use when", law.use_when or "not stated"),
        Fact("source", _source(law)),
        *(Fact(p.key, _published(p)) for p in law.published),
    ]
    sets = counted(len(law.published), "published set")
    return Card(
        title=law.title or law.key,
        conclusion=f"{law.quantity} = {law.formula}; {counted(len(law.constants), 'constant')}, "
        f"{sets} of values.",
        facts=tuple(facts),
        table=Table(tuple(columns), tuple(rows)),
        caveats=()
        if law.is_unit_free
        else ("The inputs must share one unit: counting one of them otherwise changes the law.",),
    )


def _published(published: Published) -> str:
    values = ", ".join(f"{name} = {number(value)}" for name, value in published.theta.items())
    return "; ".join(part for part in (values, str(published.source), published.note) if part)


def _source(law: Law) -> str:
    return str(law.source) if law.source else "–"
