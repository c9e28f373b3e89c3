"""Benchmark scores of many public language models, base and instruct."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.core.errors import RunDataError
from scalewise.sources.public.entry import PublicData, RawFile, Table, github_file, read_rows

if TYPE_CHECKING:
    import polars as pl

OBSCALING = ("ryoungj/ObsScaling", "4d6e1e43fd2635d04654aa77d1df9d5266ea0382")


def _scores(name: str, size: int, sha256: str) -> RawFile:
    return github_file(*OBSCALING, f"eval_results/base_llm_{name}_eval.csv", size, sha256)


BENCHMARKS = _scores(
    "benchmark", 28_155, "511996815735a4c46251dc585dcc525e370d148201f86561e6f927f9df2d0db8"
)
LEADERBOARD = _scores(
    "leaderboard_v2", 10_098, "ace728c962dfb2b9133fe92081c818e3fba01391694c9590fa0198f850062563"
)
EMERGENT = _scores(
    "emergent_capability", 7_984, "a156beee73c39b7833c3c53535c473939105512d85e90b0143be7325e516ef7c"
)
POST_TRAINING = _scores(
    "post_training", 193_408, "797e7e50c6ac54960e28447884b78bf9821b297646741b4485152715fe7fdbe5"
)
SLOTH = github_file(
    "felipemaiapolo/sloth",
    "6dc6bb3efeefc7c1db01d60cba1f4b73e5d260d1",
    "data/data_v2.csv",
    219_951,
    "528d08d7bc04dc71a73d42ea0a1041396616505b53a140052828104afe0c6f39",
)
BTLM = "cerebras/btlm-3b-8k-base"
IMPOSSIBLE = 1e14  # tokens: more than any corpus holds
"""The source lists BTLM with 627 T tokens where its paper has 627 B."""


def _scale(path: Path) -> pl.DataFrame:
    """Size, tokens and compute of each base model, in plain units."""
    import polars as pl

    tokens = pl.col("Pretraining Data Size (T)").cast(pl.Float64) * 1e12
    flops = pl.col("FLOPs (1E21)").cast(pl.Float64) * 1e21
    slip = (pl.col("Model") == BTLM) & (tokens > IMPOSSIBLE)
    return read_rows(path).select(
        run_id="Model",
        family="Model Family",
        params=pl.col("Model Size (B)").cast(pl.Float64) * 1e9,
        tokens=pl.when(slip).then(tokens / 1e3).otherwise(tokens),
        flops=pl.when(slip).then(flops / 1e3).otherwise(flops),
    )


def benchmarks(files: Mapping[str, Path]) -> pl.DataFrame:
    """Standard benchmarks of base models."""
    import polars as pl

    raw = read_rows(files[BENCHMARKS.name])
    scores = raw.select(pl.all().exclude(
        "Model", "Model Family", "Model Size (B)", "Pretraining Data Size (T)", "FLOPs (1E21)"
    ).cast(pl.Float64))  # fmt: skip
    frame = pl.concat([_scale(files[BENCHMARKS.name]), scores], how="horizontal")
    return frame.with_columns(table=pl.lit("benchmarks"))


def _with_scale(files: Mapping[str, Path], scores: RawFile, table: str) -> pl.DataFrame:
    import polars as pl

    raw = read_rows(files[scores.name]).rename({"Model": "run_id"})
    scale = _scale(files[BENCHMARKS.name])
    joined = raw.join(scale, on="run_id", how="left", maintain_order="left")
    tasks = [name for name in raw.columns if name != "run_id"]
    return joined.select(
        *scale.columns, pl.col(tasks).cast(pl.Float64), pl.lit(table).alias("table")
    )


def leaderboard_v2(files: Mapping[str, Path]) -> pl.DataFrame:
    """Open LLM Leaderboard 2 of base models; sizes are in `benchmarks`."""
    import polars as pl

    raw = read_rows(files[LEADERBOARD.name]).rename({"Model": "run_id"})
    return raw.with_columns(table=pl.lit("leaderboard_v2"))


def emergent(files: Mapping[str, Path]) -> pl.DataFrame:
    """Tasks of BIG-bench that were called emergent."""
    return _with_scale(files, EMERGENT, "emergent")


def post_training(files: Mapping[str, Path]) -> pl.DataFrame:
    """Chain of thought and self-consistency, before and after."""
    return _with_scale(files, POST_TRAINING, "post_training")


# The header of Sloth's file was not seen: each column is found by what its name must say.
SLOTH_COLUMNS = {
    "run_id": r"(?i)^model$",
    "family": r"(?i)^(model )?family$",
    "params": r"(?i)param|size \(b\)",
    "tokens": r"(?i)token|\(t\)$",
    "flops": r"(?i)flop",
}


def sloth(files: Mapping[str, Path]) -> pl.DataFrame:
    """Base and instruct models with both leaderboards' scores."""
    import polars as pl

    raw = read_rows(files[SLOTH.name])
    found = {name: _named(raw.columns, pattern) for name, pattern in SLOTH_COLUMNS.items()}
    units = {"params": 1e9, "tokens": 1e12, "flops": 1e21}
    scaled = {
        name: pl.col(column).cast(pl.Float64) * units[name] if name in units else pl.col(column)
        for name, column in found.items()
    }
    return raw.select(**scaled).hstack(raw.drop(found.values()))


def _named(columns: Sequence[str], pattern: str) -> str:
    """The one column whose name fits."""
    fitting = [column for column in columns if re.search(pattern, column)]
    if len(fitting) == 1:
        return fitting[0]
    raise RunDataError(
        f"{SLOTH.name} has {len(fitting)} columns like {pattern!r}; it begins with "
        f"{', '.join(columns[:8])}.",
        hint="Its header was not seen when this reader was written: please report it.",
    )


DATA = PublicData(
    key="observational_llms",
    title="Benchmarks of 148 public base models",
    citation="Ruan, Maddison & Hashimoto (2024), Observational Scaling Laws and the "
    "Predictability of Language Model Performance, NeurIPS, arXiv:2405.10938; Maia Polo et al. "
    "(2024), Sloth, arXiv:2412.06540",
    url="https://github.com/ryoungj/ObsScaling",
    licence="Apache-2.0 (ObsScaling), MIT (sloth)",
    permissive=True,
    units="params and tokens: nominal; flops: 6ND by the authors; no loss; scores in [0, 1]",
    files=(BENCHMARKS, LEADERBOARD, EMERGENT, POST_TRAINING, SLOTH),
    tables={
        "benchmarks": Table(parse=benchmarks, rows=148, runs=148, needs=(BENCHMARKS.name,)),
        "leaderboard_v2": Table(
            parse=leaderboard_v2, rows=72, runs=72, needs=(LEADERBOARD.name,), are_runs=False
        ),
        "emergent": Table(parse=emergent, rows=84, runs=84, needs=(EMERGENT.name, BENCHMARKS.name)),
        "post_training": Table(
            parse=post_training, rows=96, runs=96, needs=(POST_TRAINING.name, BENCHMARKS.name)
        ),
        "sloth": Table(parse=sloth, rows=188, runs=188, needs=(SLOTH.name,)),
    },
    default_table="benchmarks",
    notes=(
        "BTLM's 627 T tokens in the source are read as 627 B.",
        "The header of sloth's file was not seen when its reader was written.",
        "Where a model's tokens were not disclosed, tokens and flops are empty.",
    ),
)
