"""GPT-3's training curves, read off Figure 4.1 by the ColPret project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_file

if TYPE_CHECKING:
    import polars as pl

FILE = github_file(
    "IBM/ColPret",
    "16f23bbe054277ddc4afd07a972dd7cfbe3f48c3",
    "raw_data/gpt3/extracted.csv",
    372_718,
    "ea73b550de60d8b278523fa69385df0c2892546f8820aea12b4d1fe2d4f98962",
)
BIN = 5e8  # tokens

# Model, params, tokens per step, peak learning rate: Table 2.1 of Brown et al. (2020).
SIZES = (
    ("small", 1.25e8, 5e5, 6e-4),
    ("medium", 3.5e8, 5e5, 3e-4),
    ("large", 7.6e8, 5e5, 2.5e-4),
    ("xl", 1.3e9, 1e6, 2e-4),
    ("2.7b", 2.7e9, 1e6, 1.6e-4),
    ("6.7b", 6.7e9, 2e6, 1.2e-4),
    ("13b", 1.3e10, 2e6, 1e-4),
    ("175b", 1.75e11, 3.2e6, 6e-5),
)


def raw(files: Mapping[str, Path]) -> pl.DataFrame:
    """Every digitised point: training and validation loss, by size and tokens."""
    import polars as pl

    # Rows of the training curve end in a comma more than the header has.
    read = pl.read_csv(files[FILE.name], truncate_ragged_lines=True, infer_schema_length=None)
    points = pl.concat([
        read.select("model", "step", loss=f"{kind}_loss", eval_set=pl.lit(kind))
        for kind in ("train", "val")
    ]).drop_nulls("loss")  # fmt: skip
    sizes = pl.DataFrame(SIZES, schema=["model", "params", "batch_tokens", "lr"], orient="row")
    sizes = sizes.with_row_index("order")
    points = points.join(sizes, on="model", how="inner", maintain_order="left")
    points = points.with_columns(tokens=pl.col("step") * 1e9)
    points = points.sort("order", "eval_set", "tokens", maintain_order=True)
    return points.select(
        run_id=pl.format("gpt3-{}", "model"),
        family=pl.lit("gpt3"),
        params="params",
        tokens="tokens",
        step=pl.col("tokens") / pl.col("batch_tokens"),
        batch_tokens="batch_tokens",
        context_length=pl.lit(2048, pl.Int64),
        lr="lr",
        schedule=pl.lit("cosine to 10% at 260B tokens (300B total)"),
        loss="loss",
        eval_set="eval_set",
        flops=6.0 * pl.col("params") * pl.col("tokens"),
        data=pl.lit("GPT-3 mix"),
        is_final=pl.lit(value=False),
        model="model",
    )


def curves(files: Mapping[str, Path]) -> pl.DataFrame:
    """The points thinned to the mean place and median loss of each half billion tokens."""
    return thinned(raw(files))


def thinned(points: pl.DataFrame) -> pl.DataFrame:
    """Digitised points gathered in bins of half a billion tokens, ``n_raw`` points each."""
    import numpy as np
    import polars as pl

    bins = np.rint(points["tokens"].to_numpy() / BIN)
    groups = points.with_columns(pl.Series("bin", bins)).group_by(
        "run_id", "eval_set", "bin", maintain_order=True
    )
    constant = ("family", "params", "batch_tokens", "context_length", "lr", "schedule", "data",
                "model")  # fmt: skip
    binned = groups.agg(
        pl.col("tokens").mean(),
        pl.col("loss").median(),
        pl.col(constant).first(),
        n_raw=pl.len().cast(pl.Int64),
    ).sort("run_id", "eval_set", "bin")
    tokens = pl.col("tokens")
    return binned.with_columns(
        step=tokens / pl.col("batch_tokens"),
        flops=6.0 * pl.col("params") * tokens,
        is_final=tokens == tokens.max().over("run_id", "eval_set"),
    ).select(*points.columns, "n_raw")


DATA = PublicData(
    key="gpt3_curves",
    title="GPT-3's loss curves, 125M to 175B, digitised",
    citation="Brown et al. (2020), Language Models are Few-Shot Learners, arXiv:2005.14165, "
    "Fig. 4.1; digitised by Choshen, Zhang & Andreas (2024), arXiv:2410.11840",
    url="https://github.com/IBM/ColPret",
    licence="MIT (ColPret)",
    permissive=True,
    units="params: nominal; loss: nats/token, read off a figure (0.01 to 0.02)",
    files=(FILE,),
    tables={
        "curves": Table(parse=curves, rows=6_258, runs=8),
        "raw": Table(parse=raw, rows=12_097, runs=8),
    },
    default_table="curves",
    notes=(
        "All sizes share one cosine over 300B tokens: a curve before its end is not annealed.",
        "Where curves cross, early in training, a point may belong to the neighbouring size.",
        "train and val are two evaluation sets of one run.",
    ),
)
