"""``scalewise data``: the twin of ``scalewise.public_runs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalewise.cli.inputs import PUBLIC
from scalewise.cli.output import Answer, file_text, tell
from scalewise.cli.verb import verb
from scalewise.core.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from scalewise.runs.table import RunTable
    from scalewise.sources.public.entry import PublicData


def data(*, action: str, name: str | None, table: str | None, out: str | None) -> Answer:
    """List the public run tables, or fetch one by name.

    `get NAME` downloads the raw files of one table from their source, verifies and keeps them
    (in $SCALEWISE_DATA, or the cache folder of the system), and reads them; nothing is fetched
    unasked, and nothing twice. --out writes the table as .parquet, .csv or .jsonl; - is CSV on
    standard output. Afterwards any verb reads it as public:NAME or public:NAME/TABLE.
    """
    if action == "list":
        if name or table or out:
            raise UsageError(
                "`data list` takes no name, --table or --out.",
                hint="To fetch one, write: scalewise data get NAME",
            )
        return _list()
    if name is None:
        raise UsageError("Which public data set?", hint="`scalewise data list` shows their names.")
    return _get(name.removeprefix(PUBLIC), table, out)


def _list() -> Answer:
    from scalewise.sources.public.catalogue import PUBLIC as ALL
    from scalewise.sources.public.catalogue import absent_files

    kept = {name: len(found.files) - len(absent_files(found)) for name, found in ALL.items()}

    def cards() -> list[Any]:
        from scalewise.report.cards.public import catalogue_card

        return [catalogue_card(ALL, kept)]

    return Answer(
        data={"data": [_entry(found) | {"kept": kept[name]} for name, found in ALL.items()]},
        cards=cards,
    )


def _entry(found: PublicData) -> dict[str, Any]:
    return {
        "name": found.key,
        "title": found.title,
        "citation": found.citation,
        "url": found.url,
        "licence": found.licence,
        "permissive": found.permissive,
        "units": found.units,
        "notes": list(found.notes),
        "sources": list(found.pins),
        "files": len(found.files),
        "bytes": found.bytes,
        "default_table": found.default_table,
        "tables": [
            {"name": name, "rows": table.rows, "runs": table.runs, "are_runs": table.are_runs}
            for name, table in found.tables.items()
        ],
    }


def _get(name: str, table: str | None, out: str | None) -> Answer:
    from scalewise.runs.write import write_runs
    from scalewise.sources.download import data_folder
    from scalewise.sources.public.catalogue import (
        absent_files,
        as_runs,
        public_data,
        public_table,
        table_name,
    )

    if table is None and "/" in name:
        name, table = name.split("/", 1)
    found = public_data(name)
    chosen = table_name(found, table)
    if absent := absent_files(found, chosen):
        size = sum(file.bytes for file in absent)
        files = f"{len(absent)} file{'' if len(absent) == 1 else 's'}"
        tell(f"Fetching {files}, {size:,} bytes, of {', '.join(found.pins)}.")
    frame = public_table(name, chosen)
    tell(f"Verified and kept in {data_folder()}.")
    are_runs = found.tables[chosen].are_runs
    runs = as_runs(found, chosen, frame) if are_runs else _as_it_is(found, chosen, frame)
    text = file_text("runs.csv", lambda path: write_runs(runs, path)) if out == "-" else None
    if out is not None and text is None:
        write_runs(runs, out)
        tell(f"Wrote {out}.")

    def cards() -> list[Any]:
        from scalewise.report.cards.public import table_card
        from scalewise.report.cards.runs import runs_card

        told = [table_card(found, chosen)]
        return [*told, runs_card(runs)] if are_runs else told

    return Answer(
        data=_entry(found)
        | {
            "table": chosen,
            "rows": len(runs),
            "columns": list(runs.columns),
            "assumptions": list(runs.assumptions),
            "out": out,
        },
        cards=cards,
        data_sha256=runs.sha256,
        text=text,
    )


def _as_it_is(found: PublicData, table: str, frame: pl.DataFrame) -> RunTable:
    """A table of something else than runs, to be written under the names of its source."""
    from scalewise.runs.table import RunTable

    return RunTable(frame=frame, source=f"{PUBLIC}{found.key}/{table}")


command = verb(
    "data",
    data,
    (
        click.Argument(["action"], metavar="list|get", type=click.Choice(["list", "get"])),
        click.Argument(["name"], metavar="[NAME]", required=False),
        click.Option(["--table"], metavar="TABLE", help="One of its tables; else the main one."),
        click.Option(["--out"], metavar="FILE", help="Write the table to this file, or - ."),
    ),
    examples=(
        "data list",
        "data get chinchilla_epoch",
        "data get gadre_overtraining --table evals --out evals.parquet",
        "fit public:chinchilla_epoch --law chinchilla",
    ),
)
