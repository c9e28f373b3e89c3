"""Where verbs read from: files, standard input as ``-``, and what is told about a run table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.cli.advice import as_flags
from scalewise.cli.output import tell
from scalewise.core.errors import RunDataError, UnfitDataError

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.runs.table import RunTable

STDIN = "standard input"
PUBLIC = "public:"  # begins the name of a public run table: public:NAME or public:NAME/TABLE
LEFT_OUT = ("loss not finite", "missing loss")  # rows that a fit leaves out, and says so


@contextmanager
def local_path(source: str) -> Iterator[str]:
    """A path to read ``source`` from; what comes in as ``-`` lies in a file for the while."""
    if source != "-":
        yield source
        return
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="scalewise-") as folder:
        data = sys.stdin.buffer.read()
        path = Path(folder) / f"{STDIN}{_suffix(data)}"
        path.write_bytes(data)
        try:
            yield str(path)
        except RunDataError as error:
            # The user knows nothing of that file.
            message = error.message.replace(str(path), STDIN)
            raise RunDataError(message, hint=error.hint.replace(str(path), STDIN)) from error


def _suffix(data: bytes) -> str:
    """How a file of that content is named, so that it is read as it is elsewhere."""
    if data[:4] == b"PAR1":
        return ".parquet"
    begins = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"{": ".jsonl", b"[": ".json"}.get(begins, ".csv")


def runs_from(source: str, mapping: Mapping[str, str] | None, where: str | None) -> RunTable:
    """Read a run table and tell on stderr what was understood."""
    from dataclasses import replace

    from scalewise.runs.read import read_runs

    if source.startswith(PUBLIC):
        table = read_runs(_public_runs(source), mapping=mapping, where=where)
        tell_reading(table)
        return table
    with local_path(source) as path:
        is_from_log = is_log(path, mapping)
        table = _runs_from_logs(path, mapping) if is_from_log else read_runs(path, mapping=mapping)
    if source == "-":
        table = replace(table, source=STDIN)
    table = table if where is None else table.where(where)
    tell_reading(table)
    return table


def is_log(source: str, mapping: Mapping[str, str] | None = None) -> bool:
    """Whether a source is a folder, a W&B address, a log, or a table that is one run's log."""
    from scalewise.sources.logs.detect import detect
    from scalewise.sources.logs.gather import is_one_run
    from scalewise.sources.logs.readers import READERS
    from scalewise.sources.logs.wandb_cloud import CLOUD

    path = Path(source)
    if source == "-" or source.startswith(PUBLIC):
        return False
    if source.startswith(CLOUD) or path.is_dir():
        return True
    units = detect(path, READERS).units if path.is_file() else ()
    return any(unit.reader.key != "table" or is_one_run(path, mapping) for unit in units)


def _runs_from_logs(source: str, mapping: Mapping[str, str] | None) -> RunTable:
    from scalewise.sources.logs.read import read_logs

    return read_logs(source, mapping={"columns": mapping} if mapping else None)


def _public_runs(source: str) -> RunTable:
    """A public table from files kept here: reading runs never uses the network."""
    from scalewise.sources.public.catalogue import public_runs

    name, _, table = source.removeprefix(PUBLIC).partition("/")
    return public_runs(name, table or None, download=False)


def fit_from(source: str) -> FitResult:
    """Read a fit file or take published constants by name."""
    from scalewise.fit.storage import read_fit

    with local_path(source) as path:
        return read_fit(path)


def tell_reading(table: RunTable) -> None:
    """Source, renamed columns and assumptions of a table, on stderr."""
    rows, runs = (f"{n} {noun}{'' if n == 1 else 's'}" for n, noun in (
        (len(table), "row"), (table.run_count, "run")))  # fmt: skip
    tell(f"Read {rows} of {runs} from {table.source}.")
    for name, column in table.mapping.items():
        if name != column:
            tell(f"  {name} <- {column}")
    for assumption in table.assumptions:
        tell(f"  assumed: {assumption}")


def tell_health(
    table: RunTable,
    *,
    force: bool = False,
    excused: Iterable[str] = (),
    ignored: Iterable[str] = (),
) -> tuple[str, ...]:
    """What the checks hold against a table, on stderr and as warnings; notes are left out.

    Raises UnfitDataError for the first finding that would make a fit wrong, unless ``force`` is
    given or the finding's name is ``excused``; the ``ignored`` are not told at all.
    """
    from scalewise.runs.health import check_health

    unheard = set(ignored)
    findings = [f for f in check_health(table) if f.severity != "note" and f.name not in unheard]
    told = tuple(f"{f.name}: {f.fact} {as_flags(f.mend)}".strip() for f in findings)
    handled = {*excused, *LEFT_OUT}
    grave = [f for f in findings if f.severity == "error" and f.name not in handled]
    for finding, line in zip(findings, told, strict=True):
        if force or finding not in grave[:1]:
            tell(f"Warning: {line}")
    if grave and not force:
        raise UnfitDataError(
            f"{grave[0].name}: {grave[0].fact}",
            hint=f"{grave[0].mend} Or go on all the same with --force.",
        )
    return told


def joined(tables: list[RunTable]) -> RunTable:
    """Several tables as one.

    Rows that have no run_id of their own are named after their source, so that the first row of
    one file and the first of another stay two runs.
    """
    if len(tables) == 1:
        return tables[0]
    from dataclasses import replace

    import polars as pl

    from scalewise.runs.read import read_runs

    frames = [
        table.frame
        if "run_id" in table.mapping
        else table.frame.with_columns(
            pl.format("{}:{}", pl.lit(table.source), "run_id").alias("run_id")
        )
        for table in tables
    ]
    table = read_runs(pl.concat(frames, how="diagonal_relaxed"))
    return replace(
        table,
        source=", ".join(table.source for table in tables),
        assumptions=(
            *(f"{t.source}: {note}" for t in tables for note in t.assumptions),
            *table.assumptions,
        ),
    )
