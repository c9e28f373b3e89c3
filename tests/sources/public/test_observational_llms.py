"""ObsScaling's and Sloth's tables of scores."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from scalewise.core.errors import RunDataError
from scalewise.sources.public.observational_llms import (
    BENCHMARKS,
    BTLM,
    DATA,
    EMERGENT,
    LEADERBOARD,
    POST_TRAINING,
    SLOTH,
)
from tests.sources.public.rebuilt import assert_same, proven, shared, written

SCALE = ("family", "params", "tokens", "flops", "table")
SIZED = {"params": ("Model Size (B)", 1e9), "tokens": ("Pretraining Data Size (T)", 1e12),
         "flops": ("FLOPs (1E21)", 1e21)}  # fmt: skip
# Rows of the published file (Apache-2.0).
ROWS = """\
Model,Model Family,Model Size (B),Pretraining Data Size (T),FLOPs (1E21),MMLU
stabilityai/stablelm-2-1_6b,StableLM,1.6,2.0,19.200000000000003,0.3894657259915194
cerebras/btlm-3b-8k-base,BTLM,3.0,627.0,11286.0,0.2716178134431024
openai-community/gpt2,GPT-2,0.124,,,0.2583371780486034
"""


def scores(name: str) -> str:
    table = shared(f"observational_llms/{name}.parquet")
    kept = table.drop(*SCALE, strict=False).rename({"run_id": "Model"})
    return str(kept.write_csv())


def benchmarks(folder: Path) -> Path:
    table = shared("observational_llms/benchmarks.parquet")
    slip = pl.col("run_id") == BTLM
    raw = table.select(
        pl.col("run_id").alias("Model"),
        pl.col("family").alias("Model Family"),
        *(
            (pl.when(slip & pl.lit(name != "params")).then(1e3).otherwise(1.0) * pl.col(name)
             / unit).alias(column)
            for name, (column, unit) in SIZED.items()
        ),
        pl.exclude("run_id", *SCALE),
    )  # fmt: skip
    return written(folder, BENCHMARKS.name, raw.write_csv())


def test_the_published_files_of_scores_read_as_the_tidied_tables(tmp_path: Path) -> None:
    files = {
        BENCHMARKS.name: benchmarks(tmp_path),
        LEADERBOARD.name: proven(tmp_path, LEADERBOARD, scores("leaderboard_v2").encode()),
        EMERGENT.name: proven(tmp_path, EMERGENT, scores("emergent").rstrip("\n").encode()),
        POST_TRAINING.name: proven(
            tmp_path, POST_TRAINING, scores("post_training").rstrip("\n").encode()
        ),
    }
    for table in ("benchmarks", "leaderboard_v2", "emergent", "post_training"):
        assert_same(DATA, table, files, shared(f"observational_llms/{table}.parquet"))


def test_trillions_meant_as_billions_are_mended_and_missing_tokens_stay_missing(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, BENCHMARKS.name, ROWS)
    got = DATA.tables["benchmarks"]({BENCHMARKS.name: path})
    assert got["tokens"].to_list() == [2e12, 627e9, None]
    assert got["flops"].to_list() == [1.9200000000000003e22, pytest.approx(1.1286e22), None]
    tidied = shared("observational_llms/benchmarks.parquet").select(got.columns)
    same = tidied.join(got.select("run_id"), on="run_id", how="semi")
    assert_frame_equal(got.sort("run_id"), same.sort("run_id"), rel_tol=1e-15, abs_tol=0.0)


def test_sloths_columns_are_found_by_what_they_say(tmp_path: Path) -> None:
    tidied = shared("observational_llms/sloth.parquet")
    raw = tidied.with_columns(
        params=pl.col("params") / 1e9, tokens=pl.col("tokens") / 1e12, flops=pl.col("flops") / 1e21
    ).rename({
        "run_id": "Model", "family": "Family", "params": "#Params (B)",
        "tokens": "#Data (T)", "flops": "FLOPs (1E21)",
    })  # fmt: skip
    path = written(tmp_path, SLOTH.name, raw.write_csv())
    assert_same(DATA, "sloth", {SLOTH.name: path}, tidied)


def test_a_sloth_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, SLOTH.name, "Model,Family,Params,Tokens\nx,y,1,2\n")
    with pytest.raises(RunDataError, match="has 0 columns like"):
        DATA.tables["sloth"]({SLOTH.name: path})
