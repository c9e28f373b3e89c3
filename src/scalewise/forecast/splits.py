"""Small runs to fit, larger ones to forecast: how a table is cut for a backtest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.core.quantities import format_count
from scalewise.forecast.policy import DEFAULT, FINALS, EstimationPolicy
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

MAX_SPLITS = 4
TAIL = 0.7  # of a held-out run's tokens: where its checkpoints are scored, as by Choshen et al.
_TOLD_APART = 3.0  # range of tokens among finished models that shows their effect
_LEAST_SIZES = 3  # that a law is fitted to


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Small runs to fit, larger ones to forecast."""

    label: str
    fitted: RunTable
    held_out: RunTable
    max_fitted_flops: float
    max_target_flops: float

    @property
    def reach(self) -> float:
        """How many times more compute the largest target took than the largest fitted run."""
        return self.max_target_flops / self.max_fitted_flops


def splits_by_size(table: RunTable, *, most: int = MAX_SPLITS) -> tuple[Split, ...]:
    """Hold out the largest size, then the two largest, and so on while three remain.

    With many sizes the cuts are spread over the upper half of them. Raises UnfitDataError with
    fewer than four sizes.
    """
    column = size_column(table)
    table = table.measured(column, "loss")
    sizes = np.unique(table.column(column))
    if len(sizes) < _LEAST_SIZES + 1:
        raise UnfitDataError(
            f"The runs have {len(sizes)} sizes; to fit three and hold out one takes four.",
            hint="Add runs of other sizes; until then no forecast from them has been tested.",
        )
    least = max(_LEAST_SIZES, len(sizes) // 2)
    cuts = np.unique(np.linspace(least, len(sizes) - 1, num=most).round().astype(int))
    splits = (split_at(table, float(sizes[cut - 1])) for cut in cuts)
    # A larger model trained on little is no test of reaching further, unless nothing else is.
    ahead = tuple(split for split in splits if not split.reach < 1)
    return ahead or (split_at(table, float(sizes[-2])),)


def split_at(table: RunTable, size: float) -> Split:
    """Fit the runs up to a size, forecast those beyond."""
    column = size_column(table)
    fitted = table.where(f"{column} <= {size!r}")
    held_out = table.where(f"{column} > {size!r}")
    return Split(
        label=f"{column} up to {format_count(size)}",
        fitted=fitted,
        held_out=ends(held_out),
        max_fitted_flops=_most_flops(fitted),
        max_target_flops=_most_flops(held_out),
    )


def size_column(table: RunTable) -> str:
    """The column that orders runs by size."""
    for column in ("params", "params_nonembed", "flops", "tokens"):
        if table.has(column):
            return column
    raise UnfitDataError(
        "The runs have no params, flops or tokens to order them by.",
        hint="Map one of these columns, for example --map params=N.",
    )


def ends(table: RunTable) -> RunTable:
    """The rows from ``TAIL`` of each run's tokens on: what a forecast is scored by.

    Finished models of one trunk count whole, whatever their budget.
    """
    import polars as pl

    if not table.has("tokens") or len(table) == table.run_count:
        return table
    kept = pl.col("tokens") >= TAIL * pl.col("tokens").max().over("run_id")
    if table.has("is_final"):
        kept |= pl.col("is_final").fill_null(value=False)
    return replace(table, frame=table.frame.filter(kept))


def estimation_for(table: RunTable) -> EstimationPolicy:
    """Finished models if they tell sizes and tokens apart, else the checkpoints where there are.

    Finished models are annealed and alike; curves alone say how loss falls with tokens where all
    models saw the same number of them.
    """
    finals = table.finals()
    if len(finals) == len(table) or not (table.has("tokens") and table.has("loss")):
        return FINALS
    tokens = finals.column("tokens")
    tokens = np.unique(tokens[np.isfinite(tokens) & (tokens > 0)])
    told = len(tokens) >= _LEAST_SIZES and tokens[-1] >= _TOLD_APART * tokens[0]
    return FINALS if told else DEFAULT


def loss_rows(
    runs: object, estimation: EstimationPolicy | None = None
) -> tuple[RunTable, EstimationPolicy]:
    """The rows of whatever ``read_runs`` accepts that a comparison works on, and the policy."""
    from scalewise.runs.read import read_runs

    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    how = estimation or estimation_for(table)
    if how == FINALS:
        return table.finals().measured("loss"), how
    # Each part is smoothed when it is fitted; what is held out is scored as it was measured.
    return how.unsmoothed(table), how


def _most_flops(table: RunTable) -> float:
    flops = column_or_nan(table, "flops")
    return float(np.nanmax(flops)) if np.isfinite(flops).any() else float("nan")


def column_or_nan(table: RunTable, name: str) -> Array:
    """A column, NaN throughout where the table lacks it."""
    return table.column(name) if table.has(name) else np.full(len(table), np.nan)
