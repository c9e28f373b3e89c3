"""The numbers that the approaches read off a run table: size, tokens, compute and loss by row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.runs.table import SIZES, RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Rows = Literal["finals", "all"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """One entry per row: counts, FLOP, nats/token, and the codes of its run."""

    size: Array
    tokens: Array
    flops: Array
    loss: Array
    run: Array
    run_ids: tuple[str, ...]
    left_out: int

    def __len__(self) -> int:
        return len(self.loss)

    def take(self, keep: Array) -> Readings:
        """The rows selected by a mask or by indices."""
        return replace(
            self,
            size=self.size[keep],
            tokens=self.tokens[keep],
            flops=self.flops[keep],
            loss=self.loss[keep],
            run=self.run[keep],
        )


def readings(
    runs: RunTable,
    *,
    size: str = "params",
    rows: Rows = "finals",
    counted: tuple[Array, Array] | None = None,
) -> Readings:
    """The usable rows of a run table; rows with a missing or non-positive number are counted.

    ``size`` is the column of the parameter count to read off, with the table's own flops for
    ``params`` and 6 times it times tokens for another. ``counted`` gives (size, flops) by row of
    ``runs`` instead, and then every row is read.
    Raises UnfitDataError where evaluation sets or tokenizers are mixed or no row is usable.
    """
    if size not in SIZES:
        raise UsageError(f"No parameter count named {size!r}.", hint=f"Known: {', '.join(SIZES)}.")
    table = runs.finals() if rows == "finals" and counted is None else runs
    _refuse_mixtures(table)
    tokens, loss = table.column("tokens"), table.column("loss")
    if counted is not None:
        counts, flops = counted
    else:
        counts = table.column(size)
        given = size == "params" and table.has("flops")
        flops = table.column("flops") if given else 6.0 * counts * tokens
    usable = np.ones(len(table), dtype=bool)
    for values in (counts, tokens, loss, flops):
        usable &= np.isfinite(values) & (values > 0)
    if not usable.any():
        raise UnfitDataError(
            f"None of {len(table)} rows has {size}, tokens, flops and a loss.",
            hint="Look at the table with `scalewise runs`.",
        )
    run_ids, run = np.unique(np.asarray(table.text("run_id")), return_inverse=True)
    return Readings(
        size=counts,
        tokens=tokens,
        flops=flops,
        loss=loss,
        run=run,
        run_ids=tuple(str(name) for name in run_ids),
        left_out=int((~usable).sum()),
    ).take(usable)


def _refuse_mixtures(table: RunTable) -> None:
    for column in ("eval_set", "tokenizer"):
        if not table.has(column):
            continue
        values = sorted(set(table.text(column)) - {""})
        if len(values) > 1:
            raise UnfitDataError(
                f"The table mixes {len(values)} values of {column}: "
                f"{', '.join(repr(v[:40]) for v in values[:4])}; losses cannot be compared.",
                hint=f"Choose one, for example with where=\"{column} == '{values[0][:40]}'\".",
            )
