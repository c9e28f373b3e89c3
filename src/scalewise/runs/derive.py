"""Columns that follow from others, each with the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.units import (
    loss_from_bits_per_byte,
    loss_from_bits_per_token,
    loss_from_perplexity,
)

if TYPE_CHECKING:
    import polars as pl

Derived = tuple["pl.DataFrame", tuple[str, ...]]

UNNAMED = "unnamed"


def derive(frame: pl.DataFrame) -> Derived:
    """Every column that follows from those present, and what was assumed for each.

    A given cell is never replaced; cells left empty in a given column are filled and counted.
    """
    notes: list[str] = []
    for step in STEPS:
        frame, more = step(frame)
        notes += more
    return frame, tuple(notes)


def _loss(frame: pl.DataFrame) -> Derived:
    if "loss" in frame.columns:
        return frame, ()
    if "perplexity" in frame.columns:
        loss = _converted(frame["perplexity"], loss_from_perplexity)
        return frame.with_columns(loss), ("loss = ln(perplexity)",)
    if "bits_per_token" in frame.columns:
        loss = _converted(frame["bits_per_token"], loss_from_bits_per_token)
        return frame.with_columns(loss), ("loss = bits_per_token * ln 2",)
    if "bits_per_byte" in frame.columns:
        if "bytes_per_token" not in frame.columns:
            return frame, (
                "bits_per_byte is not turned into a loss: that takes a column bytes_per_token",
            )
        per_nat = _converted(frame["bits_per_byte"], lambda v: loss_from_bits_per_byte(v, 1.0))
        return frame.with_columns((per_nat * frame["bytes_per_token"]).alias("loss")), (
            "loss = bits_per_byte * bytes_per_token * ln 2",
        )
    return frame, ()


def _converted(series: pl.Series, convert: Callable[[Any], Any]) -> pl.Series:
    """Finite cells converted; missing and infinite ones stay so, for the health checks to name."""
    import polars as pl

    values = series.cast(pl.Float64).to_numpy().copy()
    finite = np.isfinite(values)
    try:
        values[finite] = convert(values[finite])
    except UsageError as error:
        raise RunDataError(error.message, hint=error.hint) from error
    return pl.Series("loss", values).set(series.is_null(), None)


def _loss_se(frame: pl.DataFrame) -> Derived:
    import polars as pl

    if "loss_se" in frame.columns or not {"loss_low95", "loss_high95"} <= set(frame.columns):
        return frame, ()
    width = pl.col("loss_high95").cast(pl.Float64) - pl.col("loss_low95").cast(pl.Float64)
    # A normal distribution holds 95 % within 1.96 standard errors on either side.
    return frame.with_columns(loss_se=width / (2 * 1.959964)), (
        "loss_se = (loss_high95 - loss_low95) / 3.92",
    )


def _error(frame: pl.DataFrame) -> Derived:
    import polars as pl

    if "accuracy" not in frame.columns or "error" in frame.columns:
        return frame, ()
    if not frame["accuracy"].drop_nulls().is_between(0, 1).all():
        return frame, ("accuracy is not turned into error: it leaves [0, 1]",)
    return frame.with_columns(error=1.0 - pl.col("accuracy")), ("error = 1 - accuracy",)


def _provenance(frame: pl.DataFrame) -> Derived:
    import polars as pl

    own = pl.format("row-{}", pl.int_range(1, pl.len() + 1))
    defaults = {
        "run_id": (own, "run_id: each row is its own run"),
        "family": (pl.lit(UNNAMED), f"family is {UNNAMED!r}"),
        "eval_set": (pl.lit(UNNAMED), f"eval_set is {UNNAMED!r}: one evaluation set for all rows"),
    }
    notes: list[str] = []
    for name, (value, note) in defaults.items():
        if name not in frame.columns:
            frame = frame.with_columns(value.alias(name))
            notes.append(note)
        elif empty := frame[name].null_count():
            frame = frame.with_columns(pl.coalesce(name, value).alias(name))
            notes.append(f"{note} in the {empty} rows that leave it empty")
    return frame, tuple(notes)


def _steps_as_step(frame: pl.DataFrame) -> Derived:
    import polars as pl

    if "steps" not in frame.columns or {"step", "tokens"} & set(frame.columns):
        return frame, ()
    return frame.with_columns(step=pl.col("steps")), ("step = steps: each row is a run's end",)


def _counts(frame: pl.DataFrame) -> Derived:
    import polars as pl

    def number(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.Float64)

    # In float64: 6 N D of a 10B model passes 2**63 at 154M tokens.
    active = "params_active" if "params_active" in frame.columns else "params"
    formulas = (
        ("tokens", ("step", "batch_tokens"), "step * batch_tokens",
         number("step") * number("batch_tokens")),
        ("tokens", ("flops", active), f"flops / (6 * {active})",
         number("flops") / (6.0 * number(active))),
        ("step", ("tokens", "batch_tokens"), "tokens / batch_tokens",
         number("tokens") / number("batch_tokens")),
        ("flops", (active, "tokens"), f"6 * {active} * tokens",
         6.0 * number(active) * number("tokens")),
        ("tokens_per_param", ("tokens", "params"), "tokens / params",
         number("tokens") / number("params")),
        ("epochs", ("tokens", "tokens_unique"), "tokens / tokens_unique",
         number("tokens") / number("tokens_unique")),
    )  # fmt: skip
    notes: list[str] = []
    for name, needs, formula, value in formulas:
        if set(needs) <= set(frame.columns):
            given = frame.columns
            frame, more = _filled(frame, name, formula, value)
            if name == "flops":
                # Tokens that were computed from the FLOPs agree with them whatever their rule.
                circular = f"tokens = flops / (6 * {active})" in notes
                frame, rule = _flop_rule(
                    frame, derived=bool(more) or circular, formula=formula, value=value
                )
                if circular and "flop_rule" not in given:
                    rule = ("flop_rule is '6nd', by which the tokens were computed",)
                more = (*more, *rule)
            notes += more
    return frame, tuple(notes)


def _filled(frame: pl.DataFrame, name: str, formula: str, value: pl.Expr) -> Derived:
    """The column with its empty cells filled by a formula, and how many that were."""
    import polars as pl

    given = name in frame.columns
    before = frame.height if not given else frame[name].null_count()
    if not before:
        return frame, ()
    fresh = pl.when(value.is_finite()).then(value)
    column = pl.coalesce(pl.col(name).cast(pl.Float64), fresh) if given else fresh
    filled = frame.with_columns(column.alias(name))
    count = before - filled[name].null_count()
    if not count:
        return frame, ()
    filled = filled.with_columns(_whole(filled[name]))
    if count == frame.height:
        return filled, (f"{name} = {formula}",)
    where = "that leave it empty" if given else "that have both"
    return filled, (f"{name} = {formula} in the {count} rows {where}",)


def _whole(series: pl.Series) -> pl.Series:
    """Counts as integers where float64 holds them exactly; FLOPs and ratios stay floats."""
    import polars as pl

    values = series.drop_nulls()
    exact = series.name in ("tokens", "step") and (values.abs() < 2.0**53).all()
    if exact and (values == values.round()).all():
        return series.cast(pl.Int64)
    return series


def _flop_rule(frame: pl.DataFrame, *, derived: bool, formula: str, value: pl.Expr) -> Derived:
    """Name the rule that the FLOPs were counted by: ours, or a given one that agrees with 6ND."""
    import polars as pl

    if "flops" not in frame.columns:
        return frame, ()
    ratio = pl.col("flops") / value
    agree = not frame.select((ratio.is_finite() & ((ratio - 1.0).abs() > 0.01)).any()).item()
    rule = "6nd" if agree else "unstated"
    if "flop_rule" not in frame.columns:
        told = f"flop_rule is {rule!r}: the given flops {'are' if agree else 'are not'} {formula}"
        notes = () if derived and agree else (told,)
        return frame.with_columns(flop_rule=pl.lit(rule)), notes
    if empty := frame["flop_rule"].null_count():
        column = pl.coalesce("flop_rule", pl.lit(rule))
        note = f"flop_rule is {rule!r} in the {empty} rows that leave it empty"
        return frame.with_columns(flop_rule=column), (note,)
    return frame, ()


def _is_final(frame: pl.DataFrame) -> Derived:
    import polars as pl

    if "is_final" in frame.columns:
        empty = frame["is_final"].null_count()
        if not empty:
            return frame, ()
        note = f"is_final is false in the {empty} rows that leave it empty"
        return frame.with_columns(pl.col("is_final").fill_null(value=False)), (note,)
    last = last_checkpoints(frame)
    frame = frame.with_columns(is_final=pl.int_range(pl.len()).is_in(last))
    return frame, ("is_final: the last checkpoint of each run and evaluation set",)


def last_checkpoints(frame: pl.DataFrame) -> list[int]:
    """Indices of the row with most tokens (else steps, else the last) of each run and eval_set.

    Rows without a loss are passed over; of equal ones the later wins, as after a restart.
    """
    import polars as pl

    rows = frame.with_row_index("_row")
    if "loss" in rows.columns:
        rows = rows.filter(pl.col("loss").is_not_null())
    order = next((name for name in ("tokens", "step") if name in rows.columns), None)
    if order is not None:
        rows = rows.sort(order, nulls_last=False, maintain_order=True)
    groups = rows.group_by("run_id", "eval_set", maintain_order=True).agg(pl.col("_row").last())
    return sorted(groups["_row"].to_list())


STEPS = (_loss, _loss_se, _error, _provenance, _steps_as_step, _counts, _is_final)
