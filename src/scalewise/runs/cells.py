"""Cells into numbers, flags and text; what cannot be read is an error that names the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.quantities import parse_quantity
from scalewise.runs.columns import COLUMNS, Kind
from scalewise.runs.quote import quoted

if TYPE_CHECKING:
    import polars as pl

_MISSING = ["", "na", "n/a", "#n/a", "null", "none", "-", "--"]
_TRUE = ["true", "t", "yes", "y", "1", "1.0"]
_FALSE = ["false", "f", "no", "n", "0", "0.0"]
_COUNTED = ("count", "tokens", "steps", "FLOP")
_LEADING_ZERO = r"^[+-]?0\d"


def simplify(series: pl.Series) -> pl.Series:
    """A column as Int64, Float64, Boolean or String; anything else becomes text.

    Integers that 64 signed bits cannot hold become floats rather than wrapping round.
    """
    import polars as pl

    kind = series.dtype
    if kind in (pl.Int64, pl.Float64, pl.Boolean, pl.String):
        return series
    if kind.is_integer():
        narrow = series.cast(pl.Int64, strict=False)
        return narrow if narrow.null_count() == series.null_count() else series.cast(pl.Float64)
    if kind.is_numeric():
        return series.cast(pl.Float64)
    if kind == pl.Null:
        return series.cast(pl.String)
    if kind.is_nested() or kind in (pl.Object, pl.Binary, pl.Duration):
        return pl.Series(series.name, [None if v is None else str(v) for v in series], pl.String)
    return series.cast(pl.String)


def as_kind(series: pl.Series, kind: Kind) -> tuple[pl.Series, str]:
    """A column of canonical name in its kind, with a note if the reading took interpretation.

    Raises RunDataError naming the first cell that cannot be read.
    """
    if kind == "number":
        return _as_number(series)
    return (_as_flag(series), "") if kind == "flag" else (_as_text(series), "")


def guessed(series: pl.Series) -> pl.Series:
    """An extra text column as numbers or flags where every cell is one; else unchanged.

    ``007`` stays text: it is a name, and its zeros would be lost.
    """
    import polars as pl

    cells = series.str.strip_chars()
    cells = series.set(cells.str.to_lowercase().is_in(_MISSING), None)
    filled = cells.drop_nulls()
    if filled.is_empty():
        return series
    if filled.is_in(["true", "false", "True", "False"]).all():
        return cells.is_in(["true", "True"]).set(cells.is_null(), None)
    if filled.str.contains(_LEADING_ZERO).any():
        return series
    for number in (pl.Int64, pl.Float64):
        cast = cells.str.strip_chars().cast(number, strict=False)
        if cast.null_count() == cells.null_count():
            return cast
    return series


def _as_number(series: pl.Series) -> tuple[pl.Series, str]:
    import polars as pl

    if series.dtype == pl.Boolean:
        raise _unreadable(series.name, 0, series.first(), "a flag, not a number")
    if series.dtype != pl.String:
        return series, ""
    cells = series.str.strip_chars()
    cells = cells.set(cells.str.to_lowercase().is_in(_MISSING), None)
    whole = cells.cast(pl.Int64, strict=False)
    if whole.null_count() == cells.null_count():
        return whole, ""
    values = cells.cast(pl.Float64, strict=False)
    odd = (values.is_null() & cells.is_not_null()).arg_true().to_list()
    if odd:
        parsed = [_quantity(series.name, row, str(cells[row])) for row in odd]
        values = values.scatter(odd, parsed)
        first = quoted(cells[odd[0]])
        return values, f"{series.name}: {len(odd)} cells such as {first} were read as numbers"
    return values, ""


def _quantity(name: str, row: int, cell: str) -> float:
    if "," in cell and COLUMNS[name].unit not in _COUNTED:
        # 2,500 is a count of 2500, but as a loss it is 2.5 written with a decimal comma.
        raise _unreadable(name, row, cell, "where a comma may be a decimal point")
    try:
        return parse_quantity(cell, name=name, allow_negative=True)
    except UsageError as error:
        raise _unreadable(name, row, cell, "not a number") from error


def _as_flag(series: pl.Series) -> pl.Series:
    import polars as pl

    if series.dtype == pl.Boolean:
        return series
    text = series.cast(pl.String).str.strip_chars().str.to_lowercase()
    text = text.set(text.is_in(_MISSING), None)
    flags = text.is_in(_TRUE).set(text.is_null(), None)
    odd = (~text.is_in([*_TRUE, *_FALSE])).fill_null(value=False).arg_true()
    if len(odd):
        raise _unreadable(series.name, odd[0], series[odd[0]], "neither true nor false")
    return flags


def _as_text(series: pl.Series) -> pl.Series:
    import polars as pl

    if series.dtype == pl.Float64:
        # A number that names something (run 3) reads 3, whatever file it passed through.
        whole = series.cast(pl.Int64, strict=False)
        if ((whole.cast(pl.Float64) == series) | series.is_null()).all():
            series = whole
    text = series.cast(pl.String)
    return text.set(text == "", None)


def _unreadable(name: str, row: int, value: object, what: str) -> RunDataError:
    return RunDataError(
        f"Column {quoted(name)} has {quoted(value)} in row {row + 1}, {what}.",
        hint="Mend the cell, leave it empty if it is unknown, or map another column.",
    )
