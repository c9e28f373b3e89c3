"""Cuts of a run table by compute: the models up to a cut are fitted, those beyond it forecast."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scalewise.core.errors import UnfitDataError
from scalewise.core.quantities import format_flops
from scalewise.forecast.splits import Split

if TYPE_CHECKING:
    import polars as pl

    from scalewise.runs.table import RunTable

STEP = 4.0  # factor of compute between one cut and the next
FEWEST = 6  # models that a law of error and its scatter are taken from
_LEVELS = 3  # of compute that tell a sigmoid
_ROW = "row of table"
_ABOVE = 1 + 1e-9  # rounding: a model at the cut is not beyond it


def splits_by_compute(table: RunTable, held_out: str | None = None) -> tuple[Split, ...]:
    """Cuts at 1/4, 1/16, 1/64, ... of the most compute, while six finished models remain.

    Checkpoints stay with the fitted runs that they belong to. With a condition ``held_out`` the
    first split sets aside the models for which it holds and fits the rest; further cuts are of
    that rest. Raises UnfitDataError if fewer than six models would be fitted.
    """
    import polars as pl

    if not table.has("flops"):
        raise UnfitDataError(
            "The runs have no compute to order them by.",
            hint="Give flops, or params and tokens, from which they follow.",
        )
    numbered = replace(table, frame=table.frame.with_row_index(_ROW))
    finals = numbered.finals().where("flops > 0")
    small, splits = finals.frame, []
    if held_out is not None:
        aside = finals.where(held_out).frame
        small = small.join(aside.select(_ROW), on=_ROW, how="anti")
        splits = [_split(numbered, small, aside, f"all but {held_out}")]
    cut = float(small["flops"].max() or 0.0) / STEP  # type: ignore[arg-type]
    while _are_enough(kept := small.filter(pl.col("flops") <= cut * _ABOVE)):
        if not splits or kept.height < len(splits[-1].fitted.finals()):
            beyond = finals.frame.filter(pl.col("flops") > cut * _ABOVE)
            splits.append(_split(numbered, kept, beyond, f"up to {format_flops(cut)} FLOP"))
        cut /= STEP
    if not splits or not _are_enough(splits[0].fitted.finals().frame):
        raise UnfitDataError(
            f"{len(finals)} finished models are too few to forecast a task: it takes {FEWEST} of "
            f"{_LEVELS} amounts of compute to fit, "
            + ("which are not left." if held_out else "with a quarter of the most at most."),
            hint="Add smaller models, or say which to hold out.",
        )
    return tuple(splits)


def _are_enough(models: pl.DataFrame) -> bool:
    return models.height >= FEWEST and models["flops"].n_unique() >= _LEVELS


def _split(numbered: RunTable, small: pl.DataFrame, beyond: pl.DataFrame, label: str) -> Split:
    """Finished models on either side, and the small ones' checkpoints."""
    import polars as pl

    most = float(small["flops"].max() or 0.0)  # type: ignore[arg-type]
    is_model = pl.col(_ROW).is_in(numbered.finals().frame[_ROW].implode())
    is_small = pl.col(_ROW).is_in(small[_ROW].implode())
    of_small = pl.col("run_id").is_in(small["run_id"].implode()) & (pl.col("flops") <= most)
    fitted = numbered.frame.filter(is_small | (of_small & ~is_model))
    return Split(
        label=label,
        fitted=replace(numbered, frame=fitted.drop(_ROW)),
        held_out=replace(numbered, frame=beyond.drop(_ROW)),
        max_fitted_flops=most,
        max_target_flops=float(beyond["flops"].max() or 0.0),  # type: ignore[arg-type]
    )
