"""Public run tables, told: what there is, and whose one of them is."""

from __future__ import annotations

from collections.abc import Mapping

from scalewise.report.card import Card, Column, Fact, Table
from scalewise.report.formats import counted
from scalewise.sources.public.entry import PublicData

_CAVEAT = (
    "Files come from their source when asked for. Cite the authors; where no licence is stated, "
    "use is between you and them."
)


def catalogue_card(found: Mapping[str, PublicData], kept: Mapping[str, int]) -> Card:
    """Every data set with its main table's size, its licence, and whether it is kept here."""
    rows = []
    for name, data in found.items():
        table = data.tables[data.default_table]
        share = "yes" if kept[name] == len(data.files) else "no" if not kept[name] else "in part"
        rows.append((name, data.title, table.runs, table.rows, data.licence, share))
    here = sum(kept[name] == len(data.files) for name, data in found.items())
    return Card(
        title="Public run tables",
        conclusion=f"{counted(len(rows), 'data set')} by name, {here} of them kept on this "
        "machine. `scalewise data get NAME` fetches one.",
        table=Table(
            (
                Column("name", format="code"),
                Column("title"),
                Column("runs", format="count"),
                Column("rows", format="count"),
                Column("licence"),
                Column("kept"),
            ),
            tuple(rows),
        ),
        caveats=(_CAVEAT,),
    )


def table_card(data: PublicData, table: str) -> Card:
    """One data set: whose it is, under which terms, what its columns count, and its traps."""
    chosen = data.tables[table]
    runs = "" if chosen.runs is None else f" of {counted(chosen.runs, 'run')}"
    return Card(
        title=f"{data.key}/{table}",
        conclusion=f"{data.title}: {counted(chosen.rows, 'row')}{runs}.",
        facts=(
            Fact("cite", data.citation),
            Fact("licence", data.licence),
            Fact("units", data.units),
            Fact("source", ", ".join(data.pins)),
            Fact("home", data.url),
        ),
        table=Table(
            (Column("table", format="code"), Column("runs", format="count"),
             Column("rows", format="count")),
            tuple((name, other.runs, other.rows) for name, other in data.tables.items()),
        ),
        caveats=data.notes,
    )  # fmt: skip
