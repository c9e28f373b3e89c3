"""Which laws a run table can carry, and on which parameter count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.laws.catalogue import LAWS, PARAM_COUNTS, law_from, on_count
from scalewise.laws.law import Law
from scalewise.runs.table import RunTable

# The loss laws worth trying on runs that differ in size, tokens or both, simplest first.
_CONSIDERED = (
    "power-flops",
    "power",
    "power-tokens",
    "kaplan-overfit",
    "overtraining",
    "chinchilla",
)
_LEVELS = 3  # distinct values of an input that tell an exponent from an offset


def candidates(
    table: RunTable, laws: Sequence[str | Law] | None = None, *, curves: bool = False
) -> tuple[Law, ...]:
    """The laws to compare: those named, else all of the catalogue that the table can carry.

    A law takes part if each of its inputs takes at least three values and no other input that
    varies is left out of it. Laws stated in one parameter count are also tried on the other, as
    a law of its own whose key says so, for example ``kaplan-overfit@params``. On ``curves`` laws of
    compute alone take no part: along a run its size stands still, and no one rule ties the two.
    Raises UnfitDataError if no law qualifies.
    """
    if laws is not None:
        return tuple(law_from(law) if isinstance(law, str) else law for law in laws)
    varying = {c for c in ("params", "params_nonembed", "tokens") if _levels(table, c) > 1}
    sizes = {"params", "params_nonembed"}
    found = []
    for key in _CONSIDERED:
        for law in _on_each_count(LAWS[key], table):
            inputs = set(law.columns)
            if curves and inputs == {"flops"}:
                continue
            if any(_levels(table, column) < _LEVELS for column in inputs):
                continue
            needs_size = bool(varying & sizes) and not inputs & (sizes | {"flops"})
            needs_tokens = "tokens" in varying and not inputs & {"tokens", "flops"}
            if not needs_size and not needs_tokens:
                found.append(law)
    if not found:
        levels = [(_levels(table, c), c) for c in ("params", "tokens")]
        counts = ", ".join(f"{n} value{'' if n == 1 else 's'} of {c}" for n, c in levels)
        raise UnfitDataError(
            f"No law can be told apart by these runs: {counts}.",
            hint="Three sizes, or three token budgets, are the least; name a law to fit it anyway.",
        )
    return tuple(found)


def parameter_count(law: Law) -> str:
    """The parameter count that a law uses, empty if it uses none."""
    return next((column for column in law.columns if column in PARAM_COUNTS), "")


def _on_each_count(law: Law, table: RunTable) -> tuple[Law, ...]:
    if not parameter_count(law):
        return (law,)
    return tuple(on_count(law, column) for column in PARAM_COUNTS if table.has(column))


def _levels(table: RunTable, column: str) -> int:
    if not table.has(column):
        return 0
    values = table.column(column)
    return len(np.unique(values[np.isfinite(values)]))
