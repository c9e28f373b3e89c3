"""``scalewise runs``: the twin of ``scalewise.read_runs`` and ``scalewise.check_health``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from scalewise.cli import options
from scalewise.cli.data import runs_data
from scalewise.cli.inputs import joined, runs_from, tell_reading
from scalewise.cli.output import Answer, file_text, tell
from scalewise.cli.verb import verb
from scalewise.core.errors import UnfitDataError


def runs(
    *,
    sources: tuple[str, ...],
    mapping: Mapping[str, str] | None,
    where: str | None,
    dedupe: bool,
    strict: bool,
    out: str | None,
) -> Answer:
    """Read run tables, say what was understood and what was assumed, and check their health.

    SOURCES are CSV, JSONL or Parquet files, or - for standard input; several become one table.
    --out writes it as .parquet, .csv or .jsonl; - is CSV on standard output.
    """
    from scalewise.runs.health import check_health
    from scalewise.runs.write import write_runs

    table = joined([runs_from(source, mapping, where) for source in sources])
    if dedupe:
        table = table.deduplicated()
        tell(f"  {table.assumptions[-1] if table.assumptions else 'no duplicates'}")
    if len(sources) > 1:
        tell_reading(table)
    findings = check_health(table)
    text = file_text("runs.csv", lambda path: write_runs(table, path)) if out == "-" else None
    if out is not None and text is None:
        write_runs(table, out)
        tell(f"Wrote {out}.")

    def cards() -> list[Any]:
        from scalewise.report.cards.health import health_card
        from scalewise.report.cards.runs import runs_card

        return [runs_card(table), health_card(table, findings)]

    errors = [finding for finding in findings if finding.severity == "error"]
    failure = None
    if strict and errors:
        failure = UnfitDataError(
            f"{len(errors)} findings are errors, the first: {errors[0].fact}", hint=errors[0].mend
        )
    return Answer(
        data=runs_data(table, findings),
        cards=cards,
        warnings=tuple(f"{f.name}: {f.fact}" for f in findings if f.severity != "note"),
        data_sha256=table.sha256,
        text=text,
        failure=failure,
    )


command = verb(
    "runs",
    runs,
    (
        click.Argument(["sources"], metavar="SOURCE...", nargs=-1, required=True),
        click.Option(["--out"], metavar="FILE", help="Write one tidy table to this file, or - ."),
        options.mapping(),
        options.where(),
        click.Option(
            ["--dedupe"], is_flag=True, help="Keep the last of rows that repeat a checkpoint."
        ),
        click.Option(["--strict"], is_flag=True, help="Exit with 4 if a finding is an error."),
    ),
    examples=(
        "runs log.csv",
        "runs a.jsonl b.csv --map params=N --out runs.parquet",
    ),
)
