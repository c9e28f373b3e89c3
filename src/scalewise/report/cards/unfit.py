"""Why runs lead to no forecast, and the cheapest further runs that would change that."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.core.flops import training_flops
from scalewise.core.quantities import format_count, format_flops
from scalewise.report.card import Card, Column, Table
from scalewise.report.formats import percent
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

_SIZES = 4  # to fit three and hold out the largest
_SPAN = 30.0  # between smallest and largest, which serves an exponent well
_SMALLEST = 1e4  # params of the smallest model worth training


def unfit_card(table: RunTable, error: UnfitDataError) -> Card:
    """The fact, the mend, and where sizes are too few the runs that would mend it."""
    rows = _wanted(table)
    conclusion = error.message
    if rows:
        cost, spent = sum(flops for _, _, flops in rows), float(np.nansum(table.column("flops")))
        named = ", ".join(f"{format_count(n)} on {format_count(d)} tokens" for n, d, _ in rows)
        least = "run that would" if len(rows) == 1 else "runs that would"
        conclusion += (
            f" So few sizes cannot separate the least loss (E) from the price of size (A); the "
            f"cheapest {least}: {named}, {format_flops(cost)} FLOP"
            f"{f', {percent(cost / spent)} of what the runs took' if spent > 0 else ''}."
        )
    return Card(
        title="No forecast",
        conclusion=conclusion,
        table=Table(
            (Column("params", format="count"), Column("tokens", format="count"),
             Column("flops", "FLOP", "flops")),
            rows,
        ) if rows else Table((), ()),
        caveats=(error.hint,) if error.hint else (),
    )  # fmt: skip


def _wanted(table: RunTable) -> tuple[tuple[float, float, float], ...]:
    """Sizes below the smallest, cheapest first to train, or above the largest of tiny models."""
    finals = table.finals()
    if not (finals.has("params") and finals.has("tokens")):
        return ()
    params, tokens = finals.column("params"), finals.column("tokens")
    known = (params > 0) & (tokens > 0)
    sizes = np.unique(params[known])
    missing = _SIZES - len(sizes)
    if not len(sizes) or missing < 1:
        return ()
    step = max(2.0, (_SPAN * sizes[0] / sizes[-1]) ** (1 / missing))
    ratio = float(np.median(tokens[known] / params[known]))
    down = sizes[0] / step ** np.arange(1, missing + 1)
    up = sizes[-1] * step ** np.arange(1, missing + 1)
    chosen = _two_digits(down if down[-1] >= _SMALLEST else up)
    return tuple(
        (float(n), float(d), float(training_flops(n, d)))
        for n, d in zip(chosen, _two_digits(ratio * chosen), strict=True)
    )


def _two_digits(values: Array) -> Array:
    return np.array([float(f"{v:.1e}") for v in values])
