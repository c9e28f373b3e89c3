"""Gemstones: 22 shapes at a constant rate to 350B tokens, cooldowns, and downstream scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_files

if TYPE_CHECKING:
    import polars as pl

TASKS = MappingProxyType(
    {"arc:challenge": "arc_challenge", "arc:easy": "arc_easy",
     "commonsense_qa": "commonsense_qa", "hellaswag": "hellaswag", "mmlu": "mmlu",
     "openbookqa": "openbookqa", "piqa": "piqa", "siqa": "siqa", "winogrande": "winogrande"}
)  # fmt: skip
"""Columns of the benchmark tables, and the names they get here."""

HOT = "wandb_dfs/wandb_df_for_fitting_hot_100b+_477.jsonl"
HALF_RATE = "wandb_dfs/wandb_df_for_fitting_lr_ablation_hot_477.jsonl"
COOL_END = "wandb_dfs/wandb_df_for_fitting_cool_end.jsonl"
COOL_BEGIN = "wandb_dfs/wandb_df_for_fitting_cool_begin.jsonl"
DCLM = "benchmarks/fineweb_dclm_losses_combined.jsonl"
FINEWEB_EDU = "benchmarks/fineweb_edu_losses_combined.jsonl"
SCORES = "benchmarks/light_eval_df.parquet"
SCORE_ERRORS = "benchmarks/light_eval_df_err.parquet"

SUBSETS = MappingProxyType(
    {
        HOT: ("hot_100b+_477", "constant lr after warm-up (hot)"),
        HALF_RATE: ("lr_ablation_hot_477", "constant lr after warm-up (hot), half lr (cooler_)"),
        COOL_END: ("cool_end", "cooldown (linear to 0 over 10%: after cooldown)"),
        COOL_BEGIN: ("cool_begin", "checkpoint at which a cooldown begins"),
    }
)
FINAL_STEP = 83_475
"""Step of the checkpoint that the benchmark tables call ``main``."""


def _run(path: Path, *, branch: str = "", half_rate: bool = False) -> pl.DataFrame:
    """One file of losses under our column names; a branch gives each row its own run."""
    import polars as pl

    run_id = pl.format("PyGemma-{}{}x{}", pl.lit("halflr-" if half_rate else ""), "width", "depth")
    if branch:
        run_id = pl.format("{}-{}-{}", run_id, pl.lit(branch), "step")
    return pl.read_ndjson(path, infer_schema_length=None).select(
        run_id=run_id,
        params=pl.col("params_active_precise").cast(pl.Int64),
        tokens=pl.col("tokens").cast(pl.Int64),
        step=pl.col("step").cast(pl.Int64),
        loss=pl.col("final_loss"),
        d_model=pl.col("width").cast(pl.Int64),
        n_layers=pl.col("depth").cast(pl.Int64),
    )


def _subset(name: str, path: Path) -> pl.DataFrame:
    import polars as pl

    subset, schedule = SUBSETS[name]
    branch = subset if name in (COOL_END, COOL_BEGIN) else ""
    rows = _run(path, branch=branch, half_rate=name == HALF_RATE)
    tokens = pl.col("tokens").cast(pl.Float64)
    return rows.select(
        "run_id",
        pl.lit("gemstones").alias("family"),
        "params",
        "tokens",
        "step",
        (tokens / pl.col("step")).alias("batch_tokens"),
        pl.lit(2048, pl.Int64).alias("context_length"),
        pl.lit(schedule).alias("schedule"),
        "loss",
        pl.lit("Dolma validation").alias("eval_set"),
        pl.lit("Dolma 1.7").alias("data"),
        (pl.col("step") == pl.col("step").max().over("run_id")).alias("is_final"),
        "d_model",
        "n_layers",
        pl.lit(subset).alias("subset"),
        (6.0 * pl.col("params") * tokens).alias("flops_6ND"),
    )


def _losses(files: Mapping[str, Path]) -> pl.DataFrame:
    """Validation losses of the hot, half-rate and cooled runs."""
    import polars as pl

    return pl.concat([_subset(name, files[name]) for name in SUBSETS])


def _other_losses(files: Mapping[str, Path]) -> pl.DataFrame:
    """Losses on two other corpora, every 10B tokens."""
    import polars as pl

    tables = [
        _run(files[name]).select(
            "run_id",
            pl.lit("gemstones").alias("family"),
            "params",
            "tokens",
            "step",
            "loss",
            pl.lit(corpus).alias("eval_set"),
            pl.lit("Dolma 1.7").alias("data"),
            "d_model",
            "n_layers",
        )
        for name, corpus in ((DCLM, "DCLM"), (FINEWEB_EDU, "FineWeb-Edu"))
    ]
    return pl.concat(tables)


def _scores(path: Path, prefix: str) -> pl.DataFrame:
    """A benchmark table; its rows are named ``Gemstone-256x23-step_00002385`` or ``...-main``."""
    import polars as pl

    raw = pl.read_parquet(path)
    # The frame's index: a text column, which writers name differently.
    named = next(name for name, kind in raw.schema.items() if kind == pl.String)
    shape = pl.col(named).str.extract(r"Gemstone-(\d+x\d+)-")
    step = pl.col(named).str.extract(r"-step_(\d+)").cast(pl.Int64).fill_null(FINAL_STEP)
    return raw.select(
        run_id=pl.format("PyGemma-{}", shape),
        step=step,
        **{prefix + short: pl.col(task).cast(pl.Float64) for task, short in TASKS.items()},
    )


def _downstream(files: Mapping[str, Path]) -> pl.DataFrame:
    """Nine benchmark scores and their standard errors, with the losses of the same checkpoints."""
    import polars as pl

    keys = ["run_id", "step"]
    hot = _run(files[HOT])
    others = [
        _run(files[name]).select(*keys, pl.col("loss").alias(label))
        for name, label in ((DCLM, "loss_DCLM"), (FINEWEB_EDU, "loss_FineWebEdu"))
    ]
    joined = _scores(files[SCORES], "acc_").join(_scores(files[SCORE_ERRORS], "se_"), on=keys)
    for table in (hot, *others):
        joined = joined.join(table, on=keys, how="left", maintain_order="left")
    accuracies = [f"acc_{short}" for short in TASKS.values()]
    first = "run_id", pl.lit("gemstones").alias("family"), "params", "tokens", "step", "loss"
    texts = pl.lit("Dolma validation").alias("eval_set"), pl.lit("Dolma 1.7").alias("data")
    return joined.select(
        *first,
        *texts,
        *accuracies,
        *(f"se_{short}" for short in TASKS.values()),
        "d_model",
        "n_layers",
        "loss_DCLM",
        "loss_FineWebEdu",
        pl.mean_horizontal(accuracies).alias("avg_acc"),
    ).sort("run_id", pl.col("step") != FINAL_STEP, "step")


DATA = PublicData(
    key="gemstones",
    title="Gemstones: 22 width-by-depth shapes, 50M to 2B, to 350B tokens",
    citation=(
        "McLeish et al. (2025), Gemstones: A Model Suite for Multi-Faceted Scaling Laws, NeurIPS, "
        "arXiv:2502.06857"
    ),
    url="https://github.com/mcleish7/gemstone-scaling-laws",
    licence="MIT",
    permissive=True,
    units="params: total, the tied embedding (50,432 rows) included; loss: nats/token",
    files=github_files(
        "mcleish7/gemstone-scaling-laws",
        "5f420478f6057b0cbb4d13405fb10ca64675bccb",
        (
            (HOT, 783_840, "c7a56e023c2cee6be296defc284126778c62387023a6e0c01e57599999591f5d"),
            (
                HALF_RATE,
                209_576,
                "10f606c27a52b31a8c97a8fe50ff265fdea795869b9a35804a7b1cad2fa233c2",
            ),
            (COOL_END, 40_376, "bdf01b6b21bafc414218124a6f9e195cee07f3d69ceacbfae2fcf069d34f4e61"),
            (
                COOL_BEGIN,
                40_323,
                "0e9991b2e0f694f7e01b4c49debd28b5075c1aff993344f753ebca96341b9510",
            ),
            (DCLM, 146_340, "98c0f1762a59650086ed35b151d70e3a92ad5dd49d78e1f743d85a9b17b70da6"),
            (
                FINEWEB_EDU,
                146_352,
                "03285285a54b54e90800e2a5097affb988cac6f6c6a2f5e79f31dd5136a96457",
            ),
            (SCORES, 32_205, "f0fdb94b939b1020c7fffbbf50fc4b03e0f173581e70bb3cb1eb71333ef5aece"),
            (
                SCORE_ERRORS,
                40_313,
                "11d0b6cfbb9984c6e6c6129e13c0af2e34c6c51237ce17bba1427eebc36d2812",
            ),
        ),
    ),
    tables={
        "losses": Table(parse=_losses, rows=5_248, runs=440, needs=tuple(SUBSETS)),
        "other_losses": Table(parse=_other_losses, rows=1_540, runs=22, needs=(DCLM, FINEWEB_EDU)),
        "downstream": Table(
            parse=_downstream,
            rows=770,
            runs=22,
            needs=(HOT, DCLM, FINEWEB_EDU, SCORES, SCORE_ERRORS),
        ),
    },
    default_table="losses",
    notes=(
        "The hot runs keep a constant rate: no row of theirs is annealed, is_final ones included.",
        "Each cooled row is a separate branch and so a run of its own; cool_begin rows repeat the "
        "hot checkpoints they start from.",
        "Losses come from a smoothed validation log; the peak rate of each shape is not given.",
        "The two benchmark files are binary tables that were not seen when this was written: "
        "their layout is the one the authors' plotting code reads.",
    ),
)
