"""The outside of a run table: a file or a frame of any make, as columns not yet understood.

What a file is, is decided by its first bytes; its extension is a hint, and a disagreement is
noted. CSV cells arrive as text, so that one odd cell cannot silence a column.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import RunDataError
from scalewise.runs.decimal_commas import with_points
from scalewise.runs.guard import unguarded
from scalewise.runs.quote import bare, listed, quoted

if TYPE_CHECKING:
    import polars as pl

_FORMATS = {
    ".csv": "CSV", ".tsv": "CSV", ".jsonl": "JSONL", ".ndjson": "JSONL", ".json": "JSON",
    ".parquet": "Parquet", ".pq": "Parquet",
}  # fmt: skip
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")
_SEPARATOR = re.compile(r"sep=([,;\t])\r?\n")  # the first line of a spreadsheet's export
_KINDS = "Give a CSV, JSONL or Parquet file, or a dataframe."


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Columns as they came, with where from and what had to be assumed to read them.

    ``truncated`` counts the bytes of a last line that was being written when the file ended.
    """

    frame: pl.DataFrame
    source: str
    notes: tuple[str, ...] = ()
    is_text: bool = False
    truncated: int = 0


def load(source: object) -> Loaded:
    """Columns of a file, a dataframe (polars, pandas, Arrow), a mapping or a list of records.

    Raises RunDataError if it is none of these, is empty, or cannot be read.
    """
    loaded = source if isinstance(source, Loaded) else _load(source)
    if loaded.frame.is_empty():
        named = f": {listed(loaded.frame.columns, 30)}" if loaded.frame.columns else ""
        raise RunDataError(
            f"{loaded.source} holds no rows{named or ' and no columns'}.",
            hint="A run table has one row per run, checkpoint and evaluation set.",
        )
    return loaded


def _load(source: object) -> Loaded:
    import polars as pl

    if isinstance(source, (str, Path)):
        return _load_path(source)
    if isinstance(source, pl.DataFrame):
        return Loaded(frame=source, source="polars.DataFrame")
    if isinstance(source, pl.LazyFrame):
        return Loaded(frame=source.collect(), source="polars.LazyFrame")
    kind = f"{type(source).__module__.partition('.')[0]}.{type(source).__qualname__}"
    if isinstance(source, Mapping):
        return Loaded(frame=_from_columns(source, "mapping"), source="mapping of columns")
    if hasattr(source, "__arrow_c_stream__"):
        return Loaded(frame=_from_arrow(source, kind), source=kind)
    if hasattr(source, "to_dict"):
        return Loaded(frame=_from_columns(source.to_dict(orient="list"), kind), source=kind)
    if isinstance(source, Sequence) and not isinstance(source, (bytes, bytearray)):
        return Loaded(frame=_from_records(source, "list"), source="list of records")
    raise RunDataError(f"Runs cannot be read from a {bare(kind)}.", hint=_KINDS)


def _load_path(given: str | Path) -> Loaded:
    name = bare(str(given), 200)
    data = _bytes_of(Path(given), name)
    stated = _FORMATS.get(Path(given).suffix.casefold())
    found = _sniff(data, stated, name)
    notes: tuple[str, ...] = ()
    if stated and found != stated:
        notes = (f"{name} was read as {found}, which its content is, not {stated}",)
    if found == "Parquet":
        return Loaded(frame=_parquet(data, name), source=name, notes=notes)
    text = _decoded(data, name)
    if found == "CSV":
        frame, more = _csv(text, name)
        return Loaded(frame=frame, source=name, notes=(*notes, *more), is_text=True)
    if found == "JSON":
        return Loaded(frame=_json(text, name), source=name, notes=notes)
    frame, truncated = _jsonl(text, name)
    if truncated:
        notes = (*notes, f"the last line, {truncated} bytes, is cut short and left out")
    return Loaded(frame=frame, source=name, notes=notes, truncated=truncated)


def _bytes_of(path: Path, name: str) -> bytes:
    if "://" in str(path) or str(path).startswith(("http:/", "https:/", "s3:/", "gs:/")):
        raise RunDataError(f"{name} is an address, not a file.", hint="Download it first.")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        near = sorted(p.name for p in path.parent.glob("*") if p.suffix.casefold() in _FORMATS)
        hint = f"Tables in that folder: {listed(near)}." if near else "Check the path."
        raise RunDataError(f"There is no file {name}.", hint=hint) from error
    except IsADirectoryError as error:
        near = sorted(p.name for p in path.glob("*") if p.suffix.casefold() in _FORMATS)
        hint = f"Name one of its tables: {listed(near)}." if near else "Name a file in it."
        raise RunDataError(f"{name} is a folder.", hint=hint) from error
    except (OSError, ValueError) as error:
        raise RunDataError(f"{name} cannot be read: {error}.", hint="Check the file.") from error
    if not data.strip():
        raise RunDataError(f"{name} is empty.", hint=_KINDS)
    return data


def _sniff(data: bytes, stated: str | None, name: str) -> str:
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if data[:4] == b"PAR1":
        return "Parquet"
    if data.startswith(_COMPRESSED):
        raise RunDataError(f"{name} is a compressed file.", hint=f"Unpack it first. {_KINDS}")
    if stated == "Parquet":
        raise RunDataError(
            f"{name} is named Parquet but begins with {quoted(data[:8])}, not b'PAR1'.",
            hint="The file may be cut short, or be another format under a wrong name.",
        )
    if head == b"[":
        return "JSON"
    if head == b"{":
        return stated if stated in ("JSON", "JSONL") else "JSONL"
    if stated in ("JSON", "JSONL"):
        raise RunDataError(f"{name} is named {stated} but holds no JSON object.", hint=_KINDS)
    return "CSV"


def _decoded(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RunDataError(
            f"{name} is not text in UTF-8: byte {error.start} is {data[error.start]:#04x}.",
            hint=f"Save it as UTF-8 if it is a table. {_KINDS}",
        ) from error
    if "\x00" in text:
        raise RunDataError(f"{name} is a binary file (it holds NUL bytes).", hint=_KINDS)
    return text


def _parquet(data: bytes, name: str) -> pl.DataFrame:
    import polars as pl

    try:
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise RunDataError(
            f"{name} is a damaged Parquet file: {bare(str(error), 120)}.",
            hint="Copy or write it again.",
        ) from error


def _csv(text: str, name: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    import polars as pl

    if text.count('"') % 2:
        raise RunDataError(
            f"{name} has an odd number of quotation marks.",
            hint='Close every quoted cell, and write a mark within one as "".',
        )
    text = text.lstrip("\r\n")
    if told := _SEPARATOR.match(text):
        text = text[told.end() :]
    separator, header = _header(text, name, told and told[1])
    try:
        frame = pl.read_csv(
            text.encode(), infer_schema=False, separator=separator, has_header=False, skip_rows=0
        )
    except pl.exceptions.PolarsError as error:
        raise _ragged(text, separator, len(header), name) from error
    if frame.width != len(header):
        raise _ragged(text, separator, len(header), name)
    cells = frame.slice(1)
    cells.columns = [unguarded(column) for column in header]
    rows = cells.filter(~pl.all_horizontal(pl.all().is_null()))
    blank = cells.height - rows.height
    notes = [f"{blank} blank lines were skipped"] if blank else []
    if separator != ",":
        notes.append(f"cells are separated by {quoted(separator)}")
    if separator == ";":
        rows, told_commas = with_points(rows)
        notes += told_commas
    return rows, tuple(notes)


def _header(text: str, name: str, separator: str | None = None) -> tuple[str, list[str]]:
    """Separator, unless it is told, and column names, from the first line."""
    first = text[: text.find("\n")] if "\n" in text else text
    separator = separator or max(",;\t", key=first.count)
    try:
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise RunDataError(f"{name} has no readable header: {error}.", hint=_KINDS) from error
    _check_names(header, name)
    return separator, header


def _check_names(header: Sequence[str], name: str) -> None:
    if repeated := sorted({column for column in header if header.count(column) > 1}):
        raise RunDataError(
            f"{name} has more than one column named {listed(repeated)}.",
            hint="Give each column its own name.",
        )


def _ragged(text: str, separator: str, width: int, name: str) -> RunDataError:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in rows:
            if len(row) > width:
                return RunDataError(
                    f"Line {rows.line_num} of {name} has {len(row)} cells under {width} columns.",
                    hint="Quote cells that hold the separator.",
                )
    except csv.Error as error:
        return RunDataError(f"Line {rows.line_num} of {name}: {error}.", hint=_KINDS)
    return RunDataError(f"{name} is not a readable CSV table.", hint=_KINDS)


def _jsonl(text: str, name: str) -> tuple[pl.DataFrame, int]:
    """Records, and the bytes of a last line that a crash or a live run left half written."""
    records = []
    # Not splitlines, which also breaks at characters that JSON allows inside text.
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                records.append(_parsed(line, f"Line {number} of {name}"))
            except RunDataError:
                if not records or number < len(lines):
                    raise
                return _from_records(records, name), len(line.encode("utf-8", "replace"))
    return _from_records(records, name), 0


def _json(text: str, name: str) -> pl.DataFrame:
    value = _parsed(text, name)
    if isinstance(value, dict):
        lists = all(isinstance(column, list) for column in value.values())
        return _from_columns(value, name) if lists else _from_records([value], name)
    return _from_records(value, name)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunDataError(
            f"{where} is not JSON: {bare(str(error), 80)}.",
            hint='JSONL holds one object per line, such as {"params": 1e6, "loss": 3.1}.',
        ) from error


def _from_records(records: Sequence[Any], name: str) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {}
    for number, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise RunDataError(
                f"Record {number + 1} of {name} is {quoted(record)}, not an object.",
                hint="Each record maps column names to values.",
            )
        for key, value in record.items():
            cells = columns.get(str(key))
            if cells is None:
                cells = columns[str(key)] = [None] * number
            cells.append(value)
        for cells in columns.values():
            if len(cells) <= number:
                cells.append(None)
    return _from_columns(columns, name)


def _from_columns(columns: Mapping[Any, Any], name: str) -> pl.DataFrame:
    import polars as pl

    names = [str(key) for key in columns]
    _check_names(names, name)
    try:
        cells = [values if isinstance(values, pl.Series) else list(values)
                 for values in columns.values()]  # fmt: skip
    except TypeError as error:
        raise RunDataError(
            f"A column of {name} is one value, not a list of them.",
            hint="Give every column as a list or array.",
        ) from error
    lengths = {key: len(values) for key, values in zip(names, cells, strict=True)}
    if len(set(lengths.values())) > 1:
        raise RunDataError(
            f"The columns of {name} differ in length: {listed(lengths.items())}.",
            hint="Every column has one cell per row.",
        )
    series = [_series(key, values) for key, values in zip(names, cells, strict=True)]
    return pl.DataFrame(series)


def _series(name: str, values: Any) -> pl.Series:
    """A column of Python values: numbers together are floats, a true mixture becomes text."""
    import polars as pl

    if isinstance(values, pl.Series):
        return values.alias(name)
    values = [value.item() if hasattr(value, "item") else value for value in values]
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return pl.Series(name, values, pl.Boolean if kinds else pl.String)
    if kinds <= {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pl.Series(name, values, pl.Int64)
    if kinds <= {int, float}:
        return pl.Series(name, [None if v is None else _float(v) for v in values], pl.Float64)
    return pl.Series(name, [None if v is None else _text(v) for v in values], pl.String)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _text(value: object) -> str:
    if isinstance(value, str):
        # A lone surrogate, which JSON can spell, has no place in text that is written again.
        return value.encode("utf-8", "replace").decode()
    return json.dumps(value, default=str) if isinstance(value, (dict, list)) else str(value)


def _from_arrow(source: Any, kind: str) -> pl.DataFrame:
    import polars as pl

    # A pandas frame may repeat a name, and its dictionary would keep one of the two in silence.
    names: Any = getattr(source, "column_names", None)
    if not isinstance(names, list):
        names = getattr(source, "columns", ())
    _check_names([str(name) for name in names], kind)
    try:
        frame = pl.from_arrow(source)
    except (pl.exceptions.PolarsError, ValueError, TypeError, RuntimeError) as error:
        if hasattr(source, "to_dict"):  # a pandas column of mixed types has no Arrow form
            return _from_columns(source.to_dict(orient="list"), kind)
        raise RunDataError(
            f"The {kind} cannot be read through Arrow: {bare(str(error), 120)}.", hint=_KINDS
        ) from error
    return frame if isinstance(frame, pl.DataFrame) else frame.struct.unnest()
