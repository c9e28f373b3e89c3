"""The log of a run under way: one run, its size, and its batches as logged or as planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.quantities import format_count
from scalewise.forecast.trajectory import positive
from scalewise.runs.quote import bare, listed
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Stages = Sequence[tuple[float, float]]  # (batch_tokens, steps) one after another

_SAME = 0.01  # relative: one model is counted with norms and biases, or without
_OTHER_TOKENS = 0.05  # relative: more than a partial batch or a count one off
_UNSTATED = {"", "unnamed", "unstated"}  # what reading fills in where a log says nothing


def one_run(log: object) -> RunTable:
    """A log as a table of one run. Raises RunDataError where it holds several."""
    import polars as pl

    from scalewise.runs.read import read_runs

    table = read_runs(log)
    ids = table.frame["run_id"]
    # Rows of a log without run_id are named one by one, also by `write_runs`.
    if "run_id" not in table.mapping or ids.str.contains(r"^row-\d+$").all():
        table = replace(table, frame=table.frame.with_columns(pl.lit("log").alias("run_id")))
    sizes = np.unique(table.column("params_nonembed")) if table.has("params_nonembed") else [0.0]
    if table.run_count > 1 or len(sizes) > 1:
        raise RunDataError(
            f"The log holds {table.run_count} runs of {len(sizes)} sizes.",
            hint="Choose one, for example with where=\"run_id == '...'\".",
        )
    # However a log says that its run ended, or that it has not: it is judged by its losses.
    return replace(table, frame=table.frame.drop("status", strict=False))


def with_given(
    log: RunTable, *, params_nonembed: float | None, batch_tokens: float | None
) -> RunTable:
    """The log with the size and batch that it lacks; what it has must agree to 1 %."""
    import polars as pl

    for name, given in (("params_nonembed", params_nonembed), ("batch_tokens", batch_tokens)):
        if given is None:
            continue
        value = float(positive(name, given))
        if not log.has(name):
            log = replace(log, frame=log.frame.with_columns(pl.lit(value).alias(name)))
            continue
        logged = log.column(name)
        other = logged[np.abs(logged / value - 1) > _SAME]
        if len(other):
            raise UsageError(
                f"The log is of a run of {format_count(float(other[0]))} {name}, the forecast of "
                f"{format_count(value)}.",
                hint=f"Leave {name} out to judge the run that was logged.",
            )
    return log


def as_planned(
    log: RunTable, stages: Stages, *, until: float | None, batch_tokens: float | None
) -> RunTable:
    """The log with the batch that was planned for every row.

    Raises UsageError for a log of other batches or one that goes on beyond the plan, and where
    ``until`` or ``batch_tokens`` are given as well.
    """
    import polars as pl

    also = [n for n, v in (("until", until), ("batch_tokens", batch_tokens)) if v is not None]
    if also or not stages:
        raise UsageError(
            f"stages={list(stages)} are given with {' and '.join(also) or 'no stage'}.",
            hint="Pairs (batch_tokens, steps) say all of it: batches and the last step.",
        )
    for batch, steps in stages:
        positive("batch_tokens in stages", batch)
        positive("steps in stages", steps)
    if not log.has("step") and log.has("tokens"):
        log = replace(log, frame=log.frame.with_columns(pl.Series("step", _steps(log, stages))))
    if not log.has("step"):
        return log  # whose columns are looked at next
    planned = _planned(log, stages)
    _same_batches(log, planned)
    _within(log, stages)
    return replace(log, frame=log.frame.with_columns(pl.Series("batch_tokens", planned)))


def incomparable(log: RunTable, facts: Mapping[str, str], stages: Stages | None) -> tuple[str, ...]:
    """Why the losses of a log may not be those of the fit, which states ``facts`` of its runs."""
    told = []
    for name, what in (("tokenizer", "tokens of"), ("eval_set", "losses on")):
        logged = sorted(set(log.text(name)) - _UNSTATED) if log.has(name) else []
        known = facts.get(name, "")
        is_whole = known and " more" not in known  # facts name a few of many texts
        if logged and is_whole and not any(listed([bare(w, 80)]) in known for w in logged):
            told.append(
                f"The log has {what} {listed(logged)}, the fit {what} {known}: losses of the two "
                "cannot be compared unless these are one."
            )
    if stages is not None and log.has("step") and log.has("tokens"):
        tokens, planned = log.column("tokens"), _tokens(log.column("step"), stages)
        known_at = np.flatnonzero(np.isfinite(tokens) & np.isfinite(planned) & (planned > 0))
        if len(known_at) and abs(tokens[known_at[-1]] / planned[known_at[-1]] - 1) > _OTHER_TOKENS:
            i = known_at[-1]
            told.append(
                f"At step {format_count(float(log.column('step')[i]))} the log has seen "
                f"{format_count(float(tokens[i]))} tokens, the plan "
                f"{format_count(float(planned[i]))}: are its steps optimizer updates?"
            )
    return tuple(told)


def end_of(log: RunTable, until: float | None, last: float) -> float:
    """The last step planned. Raises UsageError for one before ``last``, the last logged."""
    if until is None and log.has("steps"):
        until = float(np.nanmax(log.column("steps")))
    end = last if until is None else float(positive("until", until))
    if end < last:
        raise UsageError(
            f"until={end:g} lies before the last step of the log, {last:g}.",
            hint="Give the step at which the run is to end.",
        )
    return end


def stages_to(
    log: RunTable, stages: Stages | None, wanted: Array
) -> tuple[list[tuple[float, float]], Array]:
    """The batches up to each wanted step, in stages, and which stages end there.

    Those of the plan where there is one, else as they were logged.
    """
    if stages is not None:
        step = np.cumsum([float(steps) for _, steps in stages])
        batch = np.array([float(batch) for batch, _ in stages])
    else:
        step, batch = _logged(log)
    if len(np.unique(batch)) == 1:
        step, batch = step[:0], batch[:1]
    ends = np.unique(np.concatenate([step, wanted]))
    at = np.minimum(np.searchsorted(step, ends), len(batch) - 1)
    parts = list(zip(batch[at].tolist(), np.diff(ends, prepend=0.0).tolist(), strict=True))
    return parts, np.searchsorted(ends, wanted)


def _logged(log: RunTable) -> tuple[Array, Array]:
    """Steps and the batch up to each of them."""
    step, batch = log.column("step"), log.column("batch_tokens")
    known = np.isfinite(step) & np.isfinite(batch) & (step > 0) & (batch > 0)
    step, first = np.unique(step[known], return_index=True)
    return step, batch[known][first]


def _steps(log: RunTable, stages: Stages) -> Array:
    """The update of the plan at which the tokens of each row have been seen, beyond its end too."""
    batches, steps = (np.array(values, dtype=float) for values in zip(*stages, strict=True))
    ends, seen = np.cumsum(steps), np.cumsum(batches * steps)
    tokens = log.column("tokens")
    within = np.interp(tokens, np.append(0.0, seen), np.append(0.0, ends))
    return np.asarray(within + np.maximum(tokens - seen[-1], 0.0) / batches[-1])


def _tokens(step: Array, stages: Stages) -> Array:
    """The tokens that the plan has seen at each step."""
    batches, steps = (np.array(values, dtype=float) for values in zip(*stages, strict=True))
    ends, seen = np.append(0.0, np.cumsum(steps)), np.append(0.0, np.cumsum(batches * steps))
    return np.asarray(np.interp(step, ends, seen))


def _planned(log: RunTable, stages: Stages) -> Array:
    """The batch of the plan at every row."""
    ends = np.cumsum([steps for _, steps in stages])
    batches = np.array([float(batch) for batch, _ in stages])
    stage = np.searchsorted(ends, np.nan_to_num(log.column("step")))
    return np.asarray(batches[np.minimum(stage, len(batches) - 1)])


def _same_batches(log: RunTable, planned: Array) -> None:
    if not log.has("batch_tokens"):
        return
    step, logged = log.column("step"), log.column("batch_tokens")
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
