"""Step Law: a full grid of learning rates and batch sizes at many sizes and token counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_files

if TYPE_CHECKING:
    import polars as pl

REPO = ("step-law/steplaw", "32a8f4cc50247695fb56cc6c9117abdf67c97763")
DENSE = "data/dense_lr_bs_loss.csv"
MOE = "data/moe_lr_bs_loss.csv"
CONTEXT = 2048


def _shared(size: str, family: str, corpus: str) -> dict[str, pl.Expr]:
    """The columns that dense and mixture-of-experts rows have in common."""
    import polars as pl

    batch = pl.col("bs") * CONTEXT
    tokens = batch * pl.col("ti")
    return {
        "tokens": tokens,
        "step": pl.col("ti"),
        "batch_tokens": batch,
        "context_length": pl.lit(CONTEXT, pl.Int64),
        "lr": pl.col("lr"),
        "schedule": pl.lit("cosine+2000 warmup to lr_min"),
        "loss": pl.col("smooth loss"),
        "eval_set": pl.lit("train (smoothed)"),
        "flops": 6.0 * pl.col(size) * tokens,
        "data": pl.lit(corpus),
        "is_final": pl.lit(value=True),
        "run_id": pl.col("exp_name"),
        "family": pl.lit(family),
        "d_model": pl.col("h"),
        "d_ff": pl.col("ffnh"),
        "n_heads": pl.col("numh"),
        "n_layers": pl.col("numl"),
        "batch_seqs": pl.col("bs"),
        "loss_last": pl.col("loss"),
        "tokens_nominal": pl.col("D"),
    }


def dense(files: Mapping[str, Path]) -> pl.DataFrame:
    """The dense grid; the end rate of the schedule is read from the run's name."""
    import polars as pl

    raw = pl.read_csv(files[DENSE])
    lr_min = pl.col("exp_name").str.extract(r"_mlr([0-9.]+[eE][-+]?\d+)")
    shared = _shared("N", "steplaw-dense", "steplaw-pretrain-mix")
    return raw.select(
        run_id=shared.pop("run_id"),
        family=shared.pop("family"),
        params=pl.col("N"),
        params_nonembed=pl.col("N"),
        **shared,
        lr_min=lr_min.cast(pl.Float64),
        tokens_per_param=pl.col("bs") * CONTEXT * pl.col("ti") / pl.col("N"),
    )


def moe(files: Mapping[str, Path]) -> pl.DataFrame:
    """The mixture-of-experts grid; ``params`` are the active ones."""
    import polars as pl

    raw = pl.read_csv(files[MOE])
    shared = _shared("Na", "steplaw-moe", "step2v2")
    shape = ("topk", "nume", "moeh", "sed")
    kept = (
        "average_iter_time", "target_iter", "final_iter", "moe_layer_enum_type", "mfa_version",
        "numld", "Nattn", "M", "kvcache",
    )  # fmt: skip
    nominal = shared.pop("tokens_nominal")
    trained = {name: shared.pop(name) for name in list(shared)[:11]}
    return raw.select(
        run_id=shared.pop("run_id"),
        family=shared.pop("family"),
        params=pl.col("Na"),
        params_total=pl.col("N"),
        **trained,
        **{name: pl.col(name) for name in shape},
        **shared,
        **{name: pl.col(name) for name in kept},
        tokens_nominal=nominal,
        total_time=pl.col("total_time"),
        **{"Na/N": pl.col("Na/N"), "moe_name": pl.col("moe_name")},
    )


DATA = PublicData(
    key="steplaw",
    title="Step Law: learning rate x batch size grids, 215M to 1.07B dense and 2.15B MoE",
    citation="Li et al. (2025), Predictable Scale: Part I, arXiv:2503.04715",
    url="https://github.com/step-law/steplaw",
    licence="none stated in the repository",
    permissive=False,
    units="params: without vocabulary (in moe: active, params_total all); loss: nats/token, "
    "smoothed training loss",
    files=github_files(
        *REPO,
        (
            (DENSE, 344_476, "9e46181076c04d450294d75dfe6f72adc416e231e154a07b337e378f9410002c"),
            (MOE, 232_920, "653d585244a7b227423007e8b796bc16d76f6d24eb87b1919b8f048a91897b92"),
        ),
    ),
    tables={
        "dense": Table(parse=dense, rows=1_911, runs=1_911, needs=(DENSE,)),
        "moe": Table(
            parse=moe,
            rows=708,
            runs=708,
            needs=(MOE,),
            mapping={"params": "params_total", "params_active": "params"},
        ),
    },
    default_table="dense",
    notes=(
        "Diverged runs are in it (loss up to 11): leave them out before a fit.",
        "A warm-up of 2000 steps whatever the length: large batches at few tokens warm up mostly.",
        "tokens are those seen (batch x steps); tokens_nominal is the cell's D.",
    ),
)
