"""Plain tables of metrics: CSV, JSONL and Parquet files that no tool's reader claims."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scalewise.core.errors import RunDataError
from scalewise.runs.cells import guessed, simplify
from scalewise.runs.columns import MEASURES, canonical_name
from scalewise.runs.load import Loaded, load
from scalewise.runs.quote import bare
from scalewise.sources.logs.limits import MAX_TEXT_BYTES, head_of, size_of
from scalewise.sources.logs.log import Log, Wanted

if TYPE_CHECKING:
    import polars as pl

_PARQUET = (".parquet", ".pq")
SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", *_PARQUET})
# Files that many runs have; their folder is the run's.
_NAMELESS = frozenset({"metrics", "log", "logs", "history", "progress", "train", "results"})


class TableReader:
    """Files of rows under column names, one row per step."""

    key = "table"
    title = "table"

    def units(self, path: Path) -> list[Path]:
        """The file, if its first line or schema names something that runs are measured by.

        A damaged Parquet file is claimed as well, so that reading it says what is wrong.
        """
        suffix = path.suffix.casefold()
        if suffix not in SUFFIXES or not path.is_file():
            return []
        names = column_names(path)
        is_damaged = suffix in _PARQUET and not names and bool(head_of(path, 1))
        return [path] if is_damaged or any(_is_measure(name) for name in names) else []

    def read(
        self,
        unit: Path,
        *,
        wanted: Wanted | None = None,
        axis: str | None = None,
        loaded: Loaded | None = None,
    ) -> list[Log]:
        """The numbers of a table as one run.

        ``axis`` is the column that the user calls step; ``loaded`` spares reading the file again.
        Raises RunDataError if it is unreadable, or no column counts steps.
        """
        loaded = loaded or load_table(unit)
        lost = {"truncated bytes": loaded.truncated} if loaded.truncated else {}
        frame = loaded.frame.select(_numbers(simplify(cells), lost) for cells in loaded.frame)
        if axis not in frame.columns:
            axis = next((n for n in frame.columns if canonical_name(n) == "step"), None)
        if axis is None or not frame[axis].dtype.is_numeric():
            raise RunDataError(
                f"{bare(str(unit), 200)} is no run table, and no column of it counts steps.",
                hint="Name its columns in a mapping file; --propose FILE writes one to fill in.",
            )
        points, overwritten = _by_step(frame, axis, wanted)
        if overwritten:
            lost["overwritten points"] = overwritten
        return [
            Log(
                run_id=unit.as_posix(),
                name=unit.parent.name if unit.stem.casefold() in _NAMELESS else unit.stem,
                kind=self.key,
                source=str(unit),
                points=points,
                config=_constants(frame),
                notes=loaded.notes,
                lost=lost,
            )
        ]


def load_table(path: Path) -> Loaded:
    """The cells of a table. Raises RunDataError if it is too large or unreadable."""
    size_of(path, MAX_TEXT_BYTES)
    return load(path)


def _numbers(cells: pl.Series, lost: dict[str, int]) -> pl.Series:
    """A column with numbers in it as numbers; cells of a metric that are none are lost."""
    import polars as pl

    plain = guessed(cells) if cells.dtype == pl.String else cells
    if plain.dtype != pl.String or not _is_measure(cells.name):
        return plain
    values = plain.str.strip_chars().cast(pl.Float64, strict=False)
    if not values.count():
        return plain
    if odd := values.null_count() - guessed(plain).null_count():
        lost["unreadable cells"] = lost.get("unreadable cells", 0) + odd
    return values


def _constants(frame: pl.DataFrame) -> dict[str, object]:
    """What every row repeats, as settings of the run."""
    return {
        name: frame[name].drop_nulls()[0]
        for name in frame.columns
        if frame.height > 1 and frame[name].null_count() == 0 and frame[name].n_unique() == 1
    }


def _by_step(frame: pl.DataFrame, axis: str, wanted: Wanted | None) -> tuple[pl.DataFrame, int]:
    import polars as pl

    steps = frame[axis].cast(pl.Float64)
    good = steps.is_not_null() & steps.is_finite() & (steps.abs() < 2.0**62)
    names = [
        name
        for name, kind in frame.schema.items()
        if name not in (axis, "step") and kind.is_numeric() and (wanted is None or wanted(name))
    ]
    rows = frame.select(
        steps.cast(pl.Int64, strict=False).alias("step"),
        *(pl.col(name).cast(pl.Float64) for name in names),
    ).filter(good)
    points = rows.group_by("step").agg(pl.col(n).drop_nulls().last() for n in names).sort("step")
    filled = [rows.height - rows[name].null_count() for name in names]
    kept = [points.height - points[name].null_count() for name in names]
    return points, int(np.sum(filled) - np.sum(kept))


def _is_measure(name: str) -> bool:
    last = name.replace(".", "/").rpartition("/")[2]
    return canonical_name(name) in MEASURES or canonical_name(last) in MEASURES or last == "loss"


def column_names(path: Path) -> list[str]:
    """Column names, from the first line or the schema only."""
    import polars as pl

    if path.suffix.casefold() in _PARQUET:
        try:
            return list(pl.read_parquet_schema(path))
        except (pl.exceptions.PolarsError, OSError, ValueError):
            return []
    first = head_of(path).decode("utf-8", "replace").lstrip("\ufeff\r\n ").partition("\n")[0]
    if path.suffix.casefold() in (".jsonl", ".ndjson"):
        try:
            record = json.loads(first)
        except (ValueError, RecursionError):
            return []
        return list(record) if isinstance(record, dict) else []
    try:
        return next(csv.reader(io.StringIO(first), delimiter=max(",;\t", key=first.count)), [])
    except csv.Error:
        return []
