"""Dense and routed language models of Clark et al.: losses every 10,000 steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_file

if TYPE_CHECKING:
    import polars as pl

BATCH_TOKENS = 256 * 2048
"""Tokens per step, from the paper; the file gives steps only."""

CURVES = "data/curves.csv.gz"
LOSSES = ("loss_c4", "loss_curation_corpus", "loss_lambada", "loss_pile", "loss_wikitext103")
SHAPES = ("num_experts", "d_model", "num_blocks", "num_heads", "kqv_size")
WHOLE = ("step", "seed", "hyper_id", *SHAPES, "k")


def _curves(files: Mapping[str, Path]) -> pl.DataFrame:
    """Every row of the file; flops are three forward passes per step."""
    import gzip

    import polars as pl

    text = gzip.decompress(files[CURVES].read_bytes())
    raw = pl.read_csv(text, infer_schema_length=None, null_values=["nan", "NaN"])
    raw = raw.with_columns(pl.col(WHOLE).cast(pl.Int64))
    step = pl.col("step")
    return raw.select(
        run_id=pl.format("routing-{}-s{}", "hyper_id", "seed"),
        family=pl.format("clark-routing-{}", "router_type"),
        params=pl.col("dense_parameter_count").cast(pl.Float64),
        params_total=pl.col("total_parameter_count").cast(pl.Float64),
        tokens=step * BATCH_TOKENS,
        step=step,
        batch_tokens=pl.lit(BATCH_TOKENS, pl.Int64),
        context_length=pl.lit(2048, pl.Int64),
        schedule=pl.lit("cosine to 250k steps (131B tokens)"),
        loss=pl.col("loss_validation"),
        eval_set=pl.lit("MassiveText validation"),
        flops=3.0 * pl.col("flops_per_step").cast(pl.Float64) * step,
        seed=pl.col("seed"),
        data=pl.lit("MassiveText"),
        is_final=step == step.max().over("hyper_id", "seed"),
        hyper_id=pl.col("hyper_id"),
        **{name: pl.col(name) for name in LOSSES},
        **{name: pl.col(name) for name in SHAPES},
        flop_increase=pl.col("flop_increase").cast(pl.Float64),
        k=pl.col("k"),
        router_type=pl.col("router_type"),
        routing_frequency=pl.col("routing_frequency").cast(pl.Float64),
        flops_per_step=pl.col("flops_per_step").cast(pl.Float64),
        model_size_label=pl.col("model_size_label"),
    )


DATA = PublicData(
    key="clark_routing",
    title="Dense and routed language models, 15M to 1.3B dense-equivalent parameters",
    citation=(
        "Clark et al. (2022), Unified Scaling Laws for Routed Language Models, ICML, "
        "arXiv:2202.01169"
    ),
    url="https://github.com/google-deepmind/scaling_laws_for_routing",
    licence="CC-BY-4.0 (data)",
    permissive=True,
    units=(
        "params: seen by one token (dense-equivalent); params_total: all experts; loss: nats/token"
    ),
    files=(
        github_file(
            "google-deepmind/scaling_laws_for_routing",
            "42da0c392b127df2c01fa7b705f72396050d05e5",
            CURVES,
            336_608,
            "c03e7531add85e594f368d33bac4a0220280be858a7ed12d147cf73af6a3819f",
        ),
    ),
    tables={
        "curves": Table(
            parse=_curves,
            rows=5_799,
            runs=223,
            mapping={"params": "params_total", "params_active": "params"},
        )
    },
    default_table="curves",
    notes=(
        "Step-0 rows (loss near 10.8, no tokens) are kept; eight rows lack a validation loss.",
        "The schedule is a cosine to 250k steps: earlier rows are not annealed, and most runs log "
        "249,000 as their last step.",
        "tokens take the paper's batch of 256 sequences of 2048 tokens, which the file omits.",
        "The packed file was not seen when this was written: its columns are those that its "
        "repository describes.",
        "Dense models with flop_increase above 1 have wider feed-forward layers.",
    ),
)
