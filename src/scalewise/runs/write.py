"""Writing a run table: Parquet, CSV or JSONL by the extension, whole or not at all."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.core.errors import UsageError
from scalewise.core.records import atomic_write
from scalewise.runs.guard import RISKY, guarded
from scalewise.runs.quote import quoted
from scalewise.runs.table import RunTable

if TYPE_CHECKING:
    import polars as pl


def write_runs(table: RunTable, path: str | Path) -> None:
    """Write all columns, derived ones included; ``read_runs`` gives the same table back.

    In CSV, text that a spreadsheet would take for a formula is written behind an apostrophe,
    which reading removes again (see `scalewise.runs.guard`). Text that looks like a number comes
    back from CSV as a number unless its column is canonical; Parquet and JSONL keep it. JSONL
    spells NaN and infinity as JavaScript does.
    Raises UsageError for another extension or a place that cannot be written.
    """
    write_frame(table.frame, path)


def write_frame(frame: pl.DataFrame, path: str | Path, *, what: str = "Runs") -> None:
    """Write any table as ``write_runs`` writes runs."""
    target = Path(path)
    match target.suffix.casefold():
        case ".parquet" | ".pq":
            atomic_write(target, _parquet(frame))
        case ".csv":
            atomic_write(target, _csv(frame))
        case ".jsonl" | ".ndjson":
            atomic_write(target, _jsonl(frame))
        case other:
            raise UsageError(
                f"{what} cannot be written to {quoted(target.name)}: the extension is {other!r}.",
                hint="Use .parquet, .csv or .jsonl.",
            )


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _csv(frame: pl.DataFrame) -> str:
    import polars as pl

    texts = [pl.col(name) for name, kind in frame.schema.items() if kind == pl.String]
    safe = frame.with_columns(
        pl.when(text.str.contains(RISKY)).then(pl.format("'{}", text)).otherwise(text).name.keep()
        for text in texts
    )
    safe.columns = [guarded(name) for name in safe.columns]
    # Text in quotes, so that an empty text, a comma or a line break within it stay in one cell.
    return safe.write_csv(quote_style="non_numeric")


def _jsonl(frame: pl.DataFrame) -> str:
    return "".join(
        f"{json.dumps(row, ensure_ascii=False)}\n" for row in frame.iter_rows(named=True)
    )
