"""The (Mis)Fitting survey's own runs: learning-rate sweeps at several horizons, 12M to 1B."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_files

if TYPE_CHECKING:
    import polars as pl

BATCH_TOKENS = 512 * 2048
"""Tokens per step, from the spreadsheet's batch size and sequence length."""

CHECKPOINTS = "data/scaling_results.csv"
SHEET = "data/data.csv"


def _checkpoints(files: Mapping[str, Path]) -> pl.DataFrame:
    """Every checkpoint of the cosine runs."""
    import polars as pl

    floats = ("C", "C_no_emb", "peak_lr", "portion_steps_elapsed", "C4 Eval Loss")
    # C is written as a whole number, and of the larger models it outgrows 64 bits.
    raw = pl.read_csv(
        files[CHECKPOINTS],
        schema_overrides=dict.fromkeys((*floats, "C_6ND", "C_6ND_no_emb"), pl.Float64),
    )
    sweep = pl.format("{}|lr{}|T{}|{}", "model", "peak_lr", "total_steps", "sweep")
    repeat = pl.int_range(pl.len()).over(
        "model", "peak_lr", "total_steps", "sweep", "current_steps"
    )
    return raw.select(
        run_id=pl.when(repeat == 0).then(sweep).otherwise(pl.format("{}|rep{}", sweep, repeat)),
        family=pl.lit("misfitting"),
        params=pl.col("N"),
        params_nonembed=pl.col("N_no_emb"),
        tokens=pl.col("D"),
        step=pl.col("current_steps"),
        batch_tokens=pl.lit(BATCH_TOKENS, pl.Int64),
        context_length=pl.lit(2048, pl.Int64),
        lr=pl.col("peak_lr"),
        schedule=pl.lit("cosine to total_steps"),
        loss=pl.col("C4 Eval Loss"),
        eval_set=pl.lit("C4 validation"),
        flops=pl.col("C"),
        data=pl.lit("FineWeb (trained)"),
        is_final=pl.col("portion_steps_elapsed") >= 1.0,
        flops_nonembed=pl.col("C_no_emb"),
        portion_steps_elapsed=pl.col("portion_steps_elapsed"),
        model=pl.col("model"),
        total_steps=pl.col("total_steps"),
        total_epochs=pl.col("total_epochs"),
        current_epoch=pl.col("current_epoch"),
        sweep=pl.col("sweep"),
    )


def _sheet(files: Mapping[str, Path]) -> pl.DataFrame:
    """The spreadsheet: a size, below it its horizons, below each its learning rates."""
    import polars as pl

    raw = pl.read_csv(files[SHEET], infer_schema=False)
    lr, steps = pl.col("lr").cast(pl.Float64), pl.col("total steps").str.replace_all(",", "")
    filled = raw.with_columns(
        lr=lr,
        size=pl.col("Params").forward_fill(),
        # A horizon belongs to the size it stands under: each size starts without one.
        total_steps=steps.cast(pl.Float64).forward_fill().over(pl.col("Params").forward_fill()),
    ).filter(pl.col("lr").is_not_null() & pl.col("C4 Eval Loss").is_not_null())
    numbers = {name: pl.col(name).cast(pl.Float64) for name in ("N", "N_no_emb", "D", "C")}
    return filled.select(
        run_id=pl.format("misfit-v1-{}-lr{}-T{}", "size", "lr", "total_steps"),
        family=pl.lit("misfitting-v1"),
        params=numbers["N"],
        params_nonembed=numbers["N_no_emb"],
        tokens=numbers["D"],
        step=pl.col("total_steps"),
        batch_tokens=pl.lit(BATCH_TOKENS, pl.Int64),
        context_length=pl.lit(2048, pl.Int64),
        lr=pl.col("lr"),
        schedule=pl.lit("per-run horizon"),
        loss=pl.col("C4 Eval Loss").cast(pl.Float64),
        eval_set=pl.lit("C4"),
        flops=numbers["C"],
        data=pl.lit("(see paper)"),
        is_final=pl.lit(value=True),
        size=pl.col("size"),
        total_steps=pl.col("total_steps"),
        loss_wiki=pl.col("Wiki Eval Loss").cast(pl.Float64),
        train_loss_avg=pl.col("Avg Train Loss").cast(pl.Float64),
    )


DATA = PublicData(
    key="misfitting",
    title="(Mis)Fitting: learning-rate sweeps at several horizons, 12M to 1B",
    citation=(
        "Li, Kudugunta & Zettlemoyer (2025), (Mis)Fitting: A Survey of Scaling Laws, ICLR, "
        "arXiv:2502.18969"
    ),
    url="https://github.com/hadasah/scaling_laws",
    licence="none stated",
    permissive=False,
    units="params: total, untied embeddings (32k) included; loss: nats/token",
    files=github_files(
        "hadasah/scaling_laws",
        "1f3708c0a12df0effb0ee906b1da5f9f0ff4f4f1",
        (
            (
                CHECKPOINTS,
                1_133_268,
                "193b4b7665365112605417e2ef06d55efe599cfa08412354e3ae42c3af7a9f58",
            ),
            (SHEET, 40_235, "daaefaa689363b1bbdaefd69133aaf2e1887bc15bf18414990987d6a5b609395"),
        ),
    ),
    tables={
        "checkpoints": Table(parse=_checkpoints, rows=4_852, runs=261, needs=(CHECKPOINTS,)),
        "finals": Table(parse=_sheet, rows=222, runs=222, needs=(SHEET,)),
    },
    default_table="checkpoints",
    notes=(
        "Checkpoints before the end of a run's cosine are not annealed.",
        "Two runs log past their planned end, so that they have two rows marked final.",
        "Several sweeps repeat one model, rate and horizon: run_id carries the sweep's date. The "
        "file does not say which repeat within a sweep a row is of: the n-th row of a step is "
        "repN, which can tear one repeat over two run_ids (36 rows, all of 17m).",
        "The best rate of each size and horizon is far from all of them: high rates diverge.",
    ),
)
