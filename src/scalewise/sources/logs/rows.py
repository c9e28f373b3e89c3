"""A log that is understood, as rows of a run table: one per evaluation and evaluation set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from scalewise.runs.columns import COLUMNS
from scalewise.sources.logs.understand import (
    HELD_OUT,
    Floats,
    Understood,
    counts_calls,
    tokens_at,
    updates_at,
)

if TYPE_CHECKING:
    import polars as pl

WINDOWS = 200  # that a training loss is averaged in where no held-out loss was logged
TRAIN_SET = "training loss"
_REACHED = 0.99  # of the planned steps: a finished run
_SHORT = {"accuracy": "acc", "error": "err"}  # how a column of a task begins


def rows_of(found: Understood) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The rows of one run and what had to be done to get them; no row where nothing is measured.

    Tasks (whatever has an accuracy) become columns ``acc_TASK``; validation sets become rows.
    """
    import polars as pl

    notes: list[str] = []
    tasks = {eval_set for eval_set, column in found.measures if column not in HELD_OUT}
    frames = [frame for frame in _held_out(found, tasks) if frame.height]
    if not frames and "train_loss" in found.columns:
        frames, note = _from_training(found)
        notes += [note] if note else []
    wide = _tasks(found, tasks)
    if wide is not None:
        frames = [f.join(wide, on="_at", how="left", nulls_equal=True) for f in frames] or [wide]
    if not frames:
        return pl.DataFrame(), ()
    rows = pl.concat(frames, how="diagonal_relaxed")
    rows = _with_axis(found, rows)
    rows = _with_facts(found, rows)
    if "tokens" in rows.columns:
        before = rows.height
        rows = rows.filter(pl.col("tokens").is_null() | (pl.col("tokens") > 0))
        if before > rows.height:
            notes.append("evaluations before the first update are left out")
    return _with_end(found, rows).drop("_at"), tuple(notes)


def _held_out(found: Understood, tasks: set[str]) -> Iterator[pl.DataFrame]:
    import polars as pl

    sets = dict.fromkeys(s for s, column in found.measures if column in HELD_OUT)
    for eval_set in sets:
        if eval_set in tasks:
            continue
        named = {
            found.measures[eval_set, c]: c for c in HELD_OUT if (eval_set, c) in found.measures
        }
        frame = _picked(found, named).with_columns(eval_set=pl.lit(eval_set or None, pl.String))
        if "loss" not in frame.columns:
            frame = _with_loss(found, frame)
        yield frame


def _picked(found: Understood, named: dict[str, str]) -> pl.DataFrame:
    """Rows at which any of some metrics was logged, under the names of their columns."""
    import polars as pl

    kept = found.log.points.select(
        pl.col("step").alias("_at"),
        *(
            (pl.col(metric) * found.scales.get(metric, 1.0)).alias(column)
            for metric, column in named.items()
        ),
    )
    return kept.filter(pl.any_horizontal(pl.col(list(named.values())).is_not_null()))


def _with_loss(found: Understood, frame: pl.DataFrame) -> pl.DataFrame:
    """Perplexity and bits in nats/token; cells that are no such thing stay empty."""
    import polars as pl

    if "perplexity" in frame.columns:
        ppl = pl.col("perplexity")
        return frame.with_columns(loss=pl.when(ppl >= 1).then(ppl.log()))
    bits = next((c for c in ("bits_per_token", "bits_per_byte") if c in frame.columns), None)
    fact = found.facts.get("bytes_per_token")
    per_token = fact.value if fact is not None else None
    if bits == "bits_per_token" or (bits and isinstance(per_token, float)):
        times = per_token if bits == "bits_per_byte" and isinstance(per_token, float) else 1.0
        return frame.with_columns(loss=pl.col(bits) * times * np.log(2.0))
    return frame


def _tasks(found: Understood, tasks: set[str]) -> pl.DataFrame | None:
    """Accuracy, error and losses of tasks, one column each: ``acc_arc_easy``."""
    named = {
        metric: f"{_SHORT.get(column, column)}_{eval_set}"
        for (eval_set, column), metric in found.measures.items()
        if eval_set in tasks
    }
    if not named:
        return None
    frame = _picked(found, named)
    return frame if frame.height else None


def _from_training(found: Understood) -> tuple[list[pl.DataFrame], str]:
    """Training loss averaged over equal parts of the run, for want of a held-out one."""
    import polars as pl

    frame = _picked(found, {found.columns["train_loss"]: "train_loss"})
    note = f"no held-out loss was logged: loss is the training loss, eval_set {TRAIN_SET!r}"
    if frame.height > 2 * WINDOWS:
        steps = frame["_at"].cast(pl.Float64).to_numpy()
        axis = tokens_at(found, steps)
        axis = steps if axis is None else axis
        edges = np.linspace(axis[0], axis[-1], WINDOWS + 1)[1:-1]
        windows = pl.Series("window", np.searchsorted(edges, axis, side="left"))
        frame = (
            frame.with_columns(windows)
            .group_by("window", maintain_order=True)
            .agg(pl.col("_at").last(), pl.col("train_loss").mean())
            .drop("window")
        )
        note += f", averaged over {WINDOWS} equal parts of each run"
    train = pl.col("train_loss")
    return [frame.with_columns(loss=train, eval_set=pl.lit(TRAIN_SET))], note


def _with_axis(found: Understood, rows: pl.DataFrame) -> pl.DataFrame:
    """Updates, tokens, rate, FLOPs and training loss at each row."""
    import polars as pl

    if rows["_at"].null_count() == rows.height:
        return rows
    at = rows["_at"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    columns = {"step": updates_at(found, at)}
    tokens = tokens_at(found, at)
    if tokens is not None:
        columns["tokens"] = tokens
    flops = found.cells("flops")
    if flops is not None and len(flops[0]):
        columns["flops"] = np.interp(at, *flops)
    for column in ("lr", "train_loss"):
        cells = found.cells(column)
        if cells is not None and len(cells[0]) and column not in rows.columns:
            columns[column] = _last_before(at, *cells)
    batch = _batch(found, columns)
    if batch is not None:
        columns["batch_tokens"] = batch
    rows = rows.with_columns(_series(name, cells) for name, cells in columns.items())
    if "train_loss" in rows.columns:
        rows = rows.with_columns(train_loss_smoothing=pl.lit(found.smoothing or "as logged"))
    return rows


def _series(name: str, cells: Floats) -> pl.Series:
    """Counts whole, and cells that were not logged empty."""
    import polars as pl

    series = pl.Series(name, cells)
    if name in ("step", "tokens"):
        series = series.fill_nan(None).round()
        if (series.drop_nulls().abs() < 2.0**53).all():
            return series.cast(pl.Int64)
    return series


def _batch(found: Understood, columns: dict[str, Floats]) -> Floats | None:
    """The batch as logged; else what tokens and updates say it was, if that is one number."""
    if "batch_tokens" in found.facts:
        return None
    logged = found.cells("batch_tokens")
    if logged is not None and len(logged[0]):
        return _last_before(columns["step"], *logged)
    tokens, steps = columns.get("tokens"), columns["step"]
    if tokens is None or counts_calls(found):
        return None
    good = (steps > 0) & (tokens > 0)
    sizes = tokens[good] / steps[good]
    if len(sizes) and np.ptp(sizes) <= 0.02 * sizes.max():
        found.chose("batch_tokens", "tokens", "tokens / step", "derived")
        return np.full(len(steps), np.round(np.median(sizes)))
    return None


def _last_before(at: Floats, steps: Floats, values: Floats) -> Floats:
    """A value as last logged at or before each step; the first where none was."""
    where = np.searchsorted(steps, at, side="right") - 1
    return values[np.clip(where, 0, len(values) - 1)]


def _with_facts(found: Understood, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    constants: dict[str, Any] = {
        column: fact.value
        for column, fact in found.facts.items()
        if column not in rows.columns and column not in ("bytes_per_token",)
    }
    if "lr_peak" not in constants:
        rates = found.cells("lr")
        if rates is not None and len(rates[0]) and np.isfinite(rates[1]).any():
            constants["lr_peak"] = float(np.nanmax(rates[1]))
            metric = found.columns["lr"]
            found.chose("lr_peak", metric, f"the highest {metric}", "derived")
    for column, value in constants.items():
        text = column in COLUMNS and COLUMNS[column].kind == "text"
        rows = rows.with_columns(pl.lit(value, pl.String if text else pl.Float64).alias(column))
    return rows.with_columns(pl.lit(found.log.run_id).alias("run_id"))


def _with_end(found: Understood, rows: pl.DataFrame) -> pl.DataFrame:
    """Whether the last rows are of a finished model, and how the run ended."""
    import polars as pl

    planned = found.facts.get("steps")
    last = float(rows["step"].max() or 0) if "step" in rows.columns else 0.0  # type: ignore[arg-type]
    steps = planned.value if planned is not None and isinstance(planned.value, float) else 0.0
    state = found.log.state
    done = last >= _REACHED * steps if steps and last else state != "failed"
    order = pl.col("_at").fill_null(-1)
    top = order.max().over("eval_set") if "eval_set" in rows.columns else order.max()
    status = {"finished": "ok", "failed": "failed", "running or crashed": "running or crashed"}
    return rows.with_columns(
        ((order == top) & pl.lit(done)).alias("is_final"),
        pl.lit(status.get(state), pl.String).alias("status"),
    )
