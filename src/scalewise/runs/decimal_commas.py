"""Numbers written as 2,5 in a table whose cells are separated by semicolons, as spreadsheets do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_NUMBER = r"^\s*[+-]?\d+(,\d+)?([eE][+-]?\d+)?\s*$"
# 4,25 and 0,250, which 4,250 could not stand for as a count of thousands.
_DECIMAL = r"^\s*[+-]?(0\d*,|\d{4,},|\d+,(\d{1,2}|\d{4,})([eE]|\s*$))"
_POINT = r"^\s*[+-]?\d*\.\d"


def with_points(cells: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Text cells with a decimal point for each decimal comma, and which columns that concerns.

    Where 4,250 could be a thousand times 4.25 throughout, nothing is changed; one cell such as
    4,25 tells what the commas of the whole table are, unless another cell has a decimal point.
    """
    import polars as pl

    with_comma = [
        name
        for name in cells.columns
        if cells[name].str.contains(",", literal=True).any()
        and cells[name].drop_nulls().str.contains(_NUMBER).all()
    ]
    is_told = any(cells[name].str.contains(_DECIMAL).any() for name in with_comma)
    if not is_told or any(cells[name].str.contains(_POINT).any() for name in cells.columns):
        return cells, ()
    changed = cells.with_columns(pl.col(with_comma).str.replace(",", ".", literal=True))
    return changed, (f"a comma is the decimal point in {', '.join(map(repr, with_comma))}",)
