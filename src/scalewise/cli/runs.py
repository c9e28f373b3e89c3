"""``scalewise runs``: the twin of ``read_runs``, ``read_logs`` and ``check_health``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.inputs import PUBLIC, is_log, joined, runs_from, tell_reading
from scalewise.cli.output import Answer, file_text, tell, write_text
from scalewise.cli.result_data import runs_data
from scalewise.cli.verb import verb
from scalewise.core.errors import UnfitDataError

if TYPE_CHECKING:
    from scalewise.sources.logs.gather import Gathering
    from scalewise.sources.logs.read import Reading


def runs(
    *,
    sources: tuple[str, ...],
    mapping: Mapping[str, str] | None,
    mapping_file: str | None,
    propose: str | None,
    where: str | None,
    dedupe: bool,
    strict: bool,
    out: str | None,
) -> Answer:
    """Read logs and run tables, say what was understood and assumed, and check their health.

    SOURCES are folders that are searched for logs of any known tool, log files, CSV, JSONL or
    Parquet files, wandb:ENTITY/PROJECT, public:NAME, or - for standard input; several become one
    table. --propose writes what was understood to a file that you correct and give back with
    --mapping. --out writes the table as .parquet, .csv or .jsonl; - is CSV on standard output.
    """
    from scalewise.runs.health import check_health
    from scalewise.runs.write import write_runs

    whole = bool(mapping_file or propose)
    logs = [
        s
        for s in sources
        if is_log(s, mapping) or (whole and s != "-" and not s.startswith(PUBLIC))
    ]
    reading = _reading(logs, mapping, mapping_file, propose, where) if logs else None
    tables = [runs_from(source, mapping, where) for source in sources if source not in logs]
    table = joined([*([reading.table] if reading else []), *tables])
    if dedupe:
        table = table.deduplicated()
        tell(f"  {table.assumptions[-1] if table.assumptions else 'no duplicates'}")
    if tables and len(sources) > 1:
        tell_reading(table)
    findings = check_health(table)
    text = file_text("runs.csv", lambda path: write_runs(table, path)) if out == "-" else None
    if out is not None and text is None:
        write_runs(table, out)
        tell(f"Wrote {out}.")

    def cards() -> list[Any]:
        from scalewise.report.cards.health import health_card
        from scalewise.report.cards.runs import runs_card

        return [*_understood(reading), runs_card(table), health_card(table, findings)]

    errors = [finding for finding in findings if finding.severity == "error"]
    failure = None
    if strict and errors:
        failure = UnfitDataError(
            f"{len(errors)} findings are errors, the first: {errors[0].fact}", hint=errors[0].mend
        )
    return Answer(
        data=runs_data(table, findings) | _logs_data(reading),
        cards=cards,
        warnings=tuple(f"{f.name}: {f.fact}" for f in findings if f.severity != "note"),
        data_sha256=table.sha256,
        text=text,
        failure=failure,
    )


def _reading(
    logs: list[str],
    mapping: Mapping[str, str] | None,
    mapping_file: str | None,
    propose: str | None,
    where: str | None,
) -> Reading:
    """Read logs, write the proposal, and tell what was read."""
    from dataclasses import replace

    from scalewise.sources.logs.gather import gather
    from scalewise.sources.logs.mapping import Corrections, corrections_from, read_corrections
    from scalewise.sources.logs.read import reading_of

    told = read_corrections(mapping_file) if mapping_file else Corrections()
    if mapping:
        more = corrections_from({"columns": mapping}, name="--map")
        told = replace(told, columns={**told.columns, **more.columns})
    gathering = gather(logs, mapping=told, every_metric=propose is not None)
    if propose is not None:
        _propose(gathering, propose)
    reading = reading_of(gathering)
    if where is not None:
        reading = replace(reading, table=reading.table.where(where))
    tell_reading(reading.table)
    return reading


def _propose(gathering: Gathering, path: str) -> None:
    from scalewise.sources.logs.propose import proposal

    write_text(path, proposal(gathering))
    tell(f"Wrote {path}: correct it and give it back with --mapping {path}.")


def _understood(reading: Reading | None) -> list[Any]:
    if reading is None:
        return []
    from scalewise.report.cards.logs import logs_card

    return [logs_card(reading)]


def _logs_data(reading: Reading | None) -> dict[str, Any]:
    """Every log with its choices, for programs; nothing where no log was read."""
    if reading is None:
        return {}
    return {
        "logs": [
            {
                "run_id": found.log.run_id,
                "name": found.log.name,
                "kind": found.log.kind,
                "source": found.log.source,
                "state": found.log.state,
                "lost": dict(found.log.lost),
                "notes": list(found.log.notes),
                "understood": [
                    {("from" if k == "from_" else k): v for k, v in asdict(choice).items()}
                    for choice in found.choices
                ],
            }
            for found in reading.logs
        ],
        "left_out": list(reading.notes),
    }


command = verb(
    "runs",
    runs,
    (
        click.Argument(["sources"], metavar="SOURCE...", nargs=-1, required=True),
        click.Option(["--out"], metavar="FILE", help="Write one tidy table to this file, or - ."),
        options.mapping(),
        click.Option(
            ["--mapping", "mapping_file"],
            metavar="FILE",
            help="What the columns are, as a file that --propose wrote.",
        ),
        click.Option(
            ["--propose"], metavar="FILE", help="Write what was understood, to be corrected."
        ),
        options.where(),
        click.Option(
            ["--dedupe"], is_flag=True, help="Keep the last of rows that repeat a checkpoint."
        ),
        click.Option(["--strict"], is_flag=True, help="Exit with 4 if a finding is an error."),
    ),
    examples=(
        "runs log.csv",
        "runs wandb/ --propose mapping.toml",
        "runs wandb/ tb/ --mapping mapping.toml --out runs.parquet",
        "runs a.jsonl b.csv --map params=N --out runs.parquet",
    ),
)
