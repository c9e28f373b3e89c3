"""The rows of a run table that a fit of a law would use, so that analyses agree with the fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalewise.core.errors import RunDataError
from scalewise.fit.points import Rows
from scalewise.laws.law import Law
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]


def fitted_rows(law: Law, runs: object, rows: Rows = "finals") -> RunTable:
    """The finished models, or every checkpoint, that have all that the law needs.

    Their order is that of the points of a fit. Negative values are left in: the fit refuses them.
    Raises RunDataError if no row is left.

    >>> from scalewise.laws.catalogue import law_named
    >>> runs = {"params": [1e6, 2e6, 4e6], "loss": [4.0, float("nan"), 3.5]}
    >>> len(fitted_rows(law_named("power"), runs))
    2
    """
    from scalewise.runs.read import read_runs

    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    if rows == "finals":
        table = table.finals()
    keep = np.ones(len(table), dtype=bool)
    for column in (*law.columns, law.quantity):
        if table.has(column):
            values = table.column(column)
            keep &= np.isfinite(values) & (values != 0)
    if not keep.any():
        raise RunDataError(
            f"No row of {len(table)} has all that law {law.key!r} needs.",
            hint=f"It needs {', '.join((*law.columns, law.quantity))}, finite and not zero.",
        )
    return kept_rows(table, keep)


def kept_rows(table: RunTable, keep: Array) -> RunTable:
    """The rows of a table selected by a mask of shape (rows,)."""
    import polars as pl

    if keep.all():
        return table
    return replace(table, frame=table.frame.filter(pl.Series(keep)))
