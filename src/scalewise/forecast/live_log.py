"""The log of a run under way, checked to be the run that was forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalewise.core.errors import RunDataError, UnfitDataError
from scalewise.core.quantities import format_count
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

_SAME = 0.01  # relative: counts of one model differ by norms and biases


def live_log(
    table: RunTable, params_nonembed: float, stages: Sequence[tuple[float, float]]
) -> tuple[RunTable, tuple[str, ...]]:
    """The rows of a log that can be compared, in order of steps, and what was left out.

    ``stages`` are the pairs (batch_tokens, steps) of the forecast. Raises RunDataError for a log
    without steps or losses, of several runs, or of another size or batch; UnfitDataError if no
    row is left.
    """
    import polars as pl

    runs = sorted(set(table.text("run_id")))
    if len(runs) > 1:
        raise RunDataError(
            f"The log holds {len(runs)} runs; one run is compared with its forecast.",
            hint=f"Choose one with --where \"run_id == '{runs[0]}'\".",
        )
    step, loss = table.column("step"), table.column("loss")
    _same_size(table, params_nonembed)
    _same_batch(table, step, stages)
    total = sum(steps for _, steps in stages)
    broken = ~(np.isfinite(loss) & np.isfinite(step) & (loss > 0) & (step > 0))
    late = ~broken & (step > total)
    said = [
        f"{count} of {len(table)} rows of the log were left out: {why}."
        for count, why in (
            (int(broken.sum()), "their loss or step is not a positive number"),
            (int(late.sum()), f"they lie beyond step {total:g}, where the forecast ends"),
        )
        if count
    ]
    kept = table.frame.filter(pl.Series(~broken & ~late)).sort("step", maintain_order=True)
    fresh = kept.unique(subset=["step"], keep="last", maintain_order=True)
    if fresh.height < kept.height:
        said.append(
            f"{kept.height - fresh.height} rows of the log repeat a step; the last one counts."
        )
    if fresh.is_empty():
        raise UnfitDataError(
            f"No row of the log can be compared: {' '.join(said)}",
            hint="Check the columns step and loss, or wait for the first evaluation.",
        )
    return table_of(table, fresh), tuple(said)


def table_of(table: RunTable, frame: Any) -> RunTable:
    """The same table with other rows."""
    from dataclasses import replace

    return replace(table, frame=frame)


def _same_size(table: RunTable, params_nonembed: float) -> None:
    if not table.has("params_nonembed"):
        return
    sizes = table.column("params_nonembed")
    wrong = np.abs(sizes / params_nonembed - 1) > _SAME
    if np.any(wrong):
        raise RunDataError(
            f"The log is of a run of {format_count(float(sizes[wrong][0]))} params_nonembed, the "
            f"forecast of {format_count(params_nonembed)}.",
            hint="Give the size of the run that was logged.",
        )


def _same_batch(table: RunTable, step: Array, stages: Sequence[tuple[float, float]]) -> None:
    if not table.has("batch_tokens"):
        return
    ends = np.cumsum([steps for _, steps in stages])
    planned = np.array([batch for batch, _ in stages])
    at = np.minimum(np.searchsorted(ends, step), len(stages) - 1)
    logged = table.column("batch_tokens")
    wrong = np.abs(logged / planned[at] - 1) > _SAME
    if np.any(wrong):
        first = int(np.argmax(wrong))
        raise RunDataError(
            f"The log has batches of {format_count(float(logged[first]))} tokens at step "
            f"{step[first]:g}, the forecast of {format_count(float(planned[at][first]))}.",
            hint="Give the batch or the schedule of the run that was logged.",
        )
