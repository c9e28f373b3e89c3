"""A finding, and how rows are quoted in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scalewise.runs.quote import quoted
from scalewise.runs.table import RunTable

Severity = Literal["error", "warning", "note"]
Findings = Iterator["Finding"]
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found.

    ``error`` means that a fit would be wrong, ``warning`` that it may be, ``note`` that a reader
    should know. ``rows`` are numbered from 1, the first below the header; empty if the finding
    concerns the table as a whole. ``fact`` quotes the values, ``mend`` says what to do.
    """

    severity: Severity
    name: str
    rows: tuple[int, ...]
    fact: str
    mend: str


def rows_of(mask: Mask) -> tuple[int, ...]:
    """Row numbers, from 1, where the mask holds."""
    return tuple((np.flatnonzero(mask) + 1).tolist())


def told(mask: Mask, values: Any, most: int = 4) -> str:
    """The first rows of a mask with their values: ``row 3 (-1.5), row 7 (nan) and 2 more``.

    >>> told(np.array([True, False, True]), [1.5, 2.0, 0.5], most=1)
    'row 1 (1.5) and 1 more'
    """
    rows = np.flatnonzero(mask)
    text = ", ".join(f"row {row + 1} ({_value(values[row])})" for row in rows[:most])
    return text + (f" and {len(rows) - most} more" if len(rows) > most else "")


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else quoted(str(value))


def numbers(table: RunTable, name: str) -> Values | None:
    """A numeric column, or None if the table has none by that name."""
    return table.column(name) if table.has(name) else None


def finals_mask(table: RunTable) -> Mask:
    """Rows of finished models."""
    if not table.has("is_final"):
        return np.zeros(len(table), dtype=bool)
    return np.asarray(np.nan_to_num(table.column("is_final")) > 0)
