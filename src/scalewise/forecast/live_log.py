"""The log of a run under way, laid beside the batch schedule that was forecast for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scalewise.core.errors import UsageError
from scalewise.core.quantities import format_count
from scalewise.fit.result import FitResult
from scalewise.forecast.on_track import OnTrack, on_track
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Stages = Sequence[tuple[float, float]]

_SAME = 0.01  # relative: one model is counted with norms and biases, or without
_NO_LOSS = "rows without size, step, batch or loss"


def on_schedule(
    result: FitResult,
    log: RunTable,
    params_nonembed: float,
    stages: Stages,
    *,
    level: float = 0.9,
    seed: int = 0,
) -> OnTrack:
    """Judge a log by the forecast for a schedule of pairs (batch_tokens, steps).

    Beyond `on_track`, whose errors these are, the batches still to come count in the projected
    loss. Raises UsageError for a log of another size, of other batches, or that goes on beyond
    the schedule.
    """
    _same_size(log, params_nonembed)
    if log.has("step"):
        _same_batches(log, stages)
        _within(log, stages)
        log = _with_schedule(log, stages) if len(stages) > 1 else log
    found = on_track(
        result, log, until=sum(steps for _, steps in stages), level=level, seed=seed,
        params_nonembed=None if log.has("params_nonembed") else params_nonembed,
        batch_tokens=None if log.has("batch_tokens") else stages[0][0],
    )  # fmt: skip
    if len(stages) == 1:
        return found
    return replace(found, left_out=_without_ours(found.left_out, len(stages)))


def _without_ours(left_out: tuple[str, ...], added: int) -> tuple[str, ...]:
    """What was left out of the log, less the rows that only carry the schedule."""
    told = []
    for note in left_out:
        count, _, rest = note.partition(" ")
        if rest != _NO_LOSS:
            told.append(note)
        elif int(count) > added:
            told.append(f"{int(count) - added} {rest}")
    return tuple(told)


def _same_size(log: RunTable, params_nonembed: float) -> None:
    if not log.has("params_nonembed"):
        return
    sizes = log.column("params_nonembed")
    other = sizes[np.abs(sizes / params_nonembed - 1) > _SAME]
    if len(other):
        raise UsageError(
            f"The log is of a run of {format_count(float(other[0]))} params_nonembed, the forecast "
            f"of {format_count(params_nonembed)}.",
            hint="Give the size of the run that was logged.",
        )


def _same_batches(log: RunTable, stages: Stages) -> None:
    if not log.has("batch_tokens"):
        return
    step, logged, planned = log.column("step"), log.column("batch_tokens"), _planned(log, stages)
    wrong = np.abs(logged / planned - 1) > _SAME
    if np.any(wrong):
        i = int(np.argmax(wrong))
        raise UsageError(
            f"At step {step[i]:g} the log has a batch of {format_count(float(logged[i]))} tokens, "
            f"the forecast one of {format_count(float(planned[i]))}.",
            hint="Give the batch or the schedule of the run that was logged.",
        )


def _within(log: RunTable, stages: Stages) -> None:
    last = float(np.nan_to_num(log.column("step")).max())
    end = sum(steps for _, steps in stages)
    if last > end:
        raise UsageError(
            f"The log goes on to step {format_count(last)}; the forecast ends at step "
            f"{format_count(end)}.",
            hint="Give all the steps that the run is to take.",
        )


def _planned(log: RunTable, stages: Stages) -> Array:
    """The batch of the schedule at every row."""
    ends = np.cumsum([steps for _, steps in stages])
    batches = np.array([float(batch) for batch, _ in stages])
    stage = np.searchsorted(ends, np.nan_to_num(log.column("step")))
    return np.asarray(batches[np.minimum(stage, len(batches) - 1)])


def _with_schedule(log: RunTable, stages: Stages) -> RunTable:
    """The log with the batch of every row, and one row without a loss at the end of each stage."""
    import polars as pl

    rows = log.frame.with_columns(pl.Series("batch_tokens", _planned(log, stages)))
    blank = [name for name in ("loss", "tokens") if name in rows.columns]
    last = rows.tail(1).with_columns(
        pl.lit(None, dtype=rows.schema[name]).alias(name) for name in blank
    )
    ends = np.cumsum([steps for _, steps in stages]).tolist()
    future = [
        last.with_columns(
            pl.lit(end).cast(rows.schema["step"]).alias("step"),
            pl.lit(float(batch)).alias("batch_tokens"),
        )
        for end, (batch, _) in zip(ends, stages, strict=True)
    ]
    return replace(log, frame=pl.concat([rows, *future]))
