"""Reading runs: any table in, one tidy run table out, with what was understood and assumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scalewise.core.errors import RunDataError
from scalewise.runs.cells import as_kind, guessed, simplify
from scalewise.runs.columns import COLUMNS, MEASURES
from scalewise.runs.derive import derive
from scalewise.runs.guard import GUARDED
from scalewise.runs.load import Loaded, load
from scalewise.runs.naming import Naming, name_columns
from scalewise.runs.quote import listed, quoted
from scalewise.runs.table import RunTable

if TYPE_CHECKING:
    import polars as pl

_FLOATS = ("loss", "train_loss", "flops")
# Beyond these a column was counted in ones after all, whatever unit its name tells.
_MOST_TOKENS, _MOST_OTHER = 1e17, 1e13


def read_runs(
    source: object, *, mapping: Mapping[str, str] | None = None, where: str | None = None
) -> RunTable:
    """Read a run table from a file, a dataframe, a mapping of columns or a list of records.

    ``mapping`` gives canonical names their source column, ``{"params": "N"}``, and wins over the
    aliases; ``where`` keeps the rows that a condition holds for. No row is dropped otherwise.
    Raises RunDataError if the source is unreadable, empty, ambiguous or not a run table.

    >>> runs = read_runs({"N": [1e6, 2e6], "D": ["20M", "40M"], "val_loss": [4.1, 3.8]})
    >>> runs.column("flops").tolist()
    [120000000000000.0, 480000000000000.0]
    """
    table = source if isinstance(source, RunTable) and not mapping else _tidy(source, mapping)
    return table if where is None else table.where(where)


def _tidy(source: object, explicit: Mapping[str, str] | None) -> RunTable:
    if isinstance(source, RunTable):
        loaded = Loaded(frame=source.frame, source=source.source, notes=source.assumptions)
    else:
        loaded = load(source)
    naming = name_columns(loaded.frame.columns, explicit)
    if not set(naming.mapping) & set(MEASURES):
        raise RunDataError(
            f"{loaded.source} has none of the columns of a run table; it has "
            f"{listed(loaded.frame.columns, 30)}.",
            hint='Say which are which, such as mapping={"params": "...", "loss": "..."}.',
        )
    frame, read = _canonical(loaded, naming)
    frame, derived = derive(frame)
    order = [name for name in COLUMNS if name in frame.columns]
    extras = [name for name in frame.columns if name not in COLUMNS]
    return RunTable(
        frame=frame.select(*order, *extras),
        source=loaded.source,
        mapping=naming.mapping,
        assumptions=(*loaded.notes, *naming.notes, *read, *derived),
    )


def _canonical(loaded: Loaded, naming: Naming) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Columns under their canonical names and in their kinds; extras kept behind them."""
    import polars as pl

    columns: list[pl.Series] = []
    notes: list[str] = []
    for name, source in naming.mapping.items():
        cells = simplify(loaded.frame[source]).alias(name)
        try:
            cells, note = as_kind(cells, COLUMNS[name].kind)
        except RunDataError as error:
            if name == source:
                raise
            told = f"{error.message} ({name} is read from {quoted(source)}.)"
            raise RunDataError(told, hint=error.hint) from error
        if COLUMNS[name].kind == "text" and loaded.is_text:
            cells = _unguarded(cells)
        if name in naming.scales and not note:
            cells, note = _scaled(cells, source, naming.scales[name])
        columns.append(cells.cast(pl.Float64) if name in _FLOATS else cells)
        notes += [note] if note else []
    for source in loaded.frame.columns:
        if source not in naming.mapping.values():
            cells = simplify(loaded.frame[source])
            if loaded.is_text:
                cells = _unguarded(guessed(cells))
            columns.append(cells.alias(naming.renamed.get(source, source)))
    return pl.DataFrame(columns), tuple(notes)


def _scaled(cells: pl.Series, source: str, scale: float) -> tuple[pl.Series, str]:
    """A count in the unit that its column's name tells, unless it is plainly counted in ones."""
    import polars as pl

    # Rounded, as 0.07 * 1e6 would be a fraction short of a whole count.
    counts = (cells.cast(pl.Float64) * scale).round()
    most = _MOST_TOKENS if cells.name in ("tokens", "tokens_unique") else _MOST_OTHER
    if (counts > most).any():
        return cells, f"{cells.name}: {quoted(source)} is counted in ones, whatever its name says"
    return counts, f"{cells.name} = {quoted(source)} * {scale:g}"


def _unguarded(cells: pl.Series) -> pl.Series:
    import polars as pl

    if cells.dtype != pl.String:
        return cells
    marked = cells.str.contains(GUARDED).fill_null(value=False)
    return cells.str.slice(1).zip_with(marked, cells)
