"""ColPret's four files of large runs."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from scalewise.sources.public.catalogue import as_runs
from scalewise.sources.public.large_runs_colpret import (
    COLUMNS,
    DATA,
    HELD_OUT,
    K2,
    MAMBA,
    OLMO,
    OPT,
    k2,
    mamba,
    olmo,
    opt,
    size_of,
)
from tests.sources.public.rebuilt import shared, written

# Lines of the published files (MIT).
OPT_LINES = """model_name,model_size,steps,num_token,flops,ppl
OPT,125m,2000,9.0,17.8750612633917,67.52265444265277
OPT,1.3b,10000,10.0,19.89209460269048,26.81444824317743
OPT,175b,140000,11.44715803134222,23.468347330412158,9.768875130499486
"""


def tidied(run_id: str) -> pl.DataFrame:
    curves = shared("large_runs_colpret/curves.parquet")
    return curves.filter(pl.col("run_id").str.contains(run_id))


def rebuilt(folder: Path) -> dict[str, Path]:
    """The four files in their layout, with every number the tidied table keeps."""
    opts = tidied("^opt-")
    raw_opt = opts.select(
        model_name=pl.lit("OPT"),
        model_size=pl.col("run_id").str.strip_prefix("opt-"),
        steps="step",
        num_token=pl.col("tokens").log10(),
        flops=pl.lit(0.0),
        ppl=pl.col("loss").exp(),
    )
    k2_rows = tidied("^k2").with_row_index("index", 1).with_columns(pl.col("index") * 4)
    gaps = pl.DataFrame({"index": [0, 1, 2, 3, 5], "tokens_seen": [0.0, 1.0, 2.0, 3.0, 5.0]})
    raw_k2 = pl.concat([
        gaps.with_columns(pl.col("index").cast(pl.UInt32)),
        k2_rows.select("index", pl.col("loss").alias("k2 training - lm loss"),
                       pl.col("tokens").alias("tokens_seen")),
    ], how="diagonal")  # fmt: skip
    mambas = tidied("^llm360").with_row_index("window")
    raw_mamba = pl.concat([
        mambas.select("step", "loss", "lr", grad_norm=pl.lit(0.1)) for _ in range(1)
    ]).select(pl.all().repeat_by(40).explode())  # fmt: skip
    olmos = tidied("^OLMo")
    down = shared("large_runs_colpret/olmo1_downstream.parquet")
    wide = olmos.with_columns(pl.col("eval_set") + HELD_OUT).pivot(
        on="eval_set", index=["run_id", "step"], values="loss"
    )
    raw_olmo = down.with_columns(pl.col("step").cast(pl.Float64)).join(
        wide, on=["run_id", "step"], how="left", maintain_order="left"
    )
    raw_olmo = raw_olmo.with_columns(
        Step=pl.col("step").cast(pl.Int64),
        model_name="run_id",
        num_params=pl.format("{}B", (pl.col("params") / 1e9).cast(pl.Int64)),
    ).drop("run_id", "params", "tokens", "step")
    frames = {OPT: raw_opt, K2: raw_k2, MAMBA: raw_mamba, OLMO: raw_olmo}
    return {name: written(folder, name, frame.write_csv()) for name, frame in frames.items()}


def test_lines_of_the_opt_file_read_as_rows_of_the_tidied_table(tmp_path: Path) -> None:
    got = opt(written(tmp_path, OPT, OPT_LINES))
    assert got["loss"].to_list()[0] == math.log(67.52265444265277)
    same = tidied("^opt-").join(got.select("run_id", "step"), on=["run_id", "step"], how="semi")
    assert_frame_equal(got, same, rel_tol=1e-14, abs_tol=0.0)


def test_files_rebuilt_from_the_tidied_tables_read_back_the_same(tmp_path: Path) -> None:
    files = rebuilt(tmp_path)
    assert_frame_equal(opt(files[OPT]), tidied("^opt-"), rel_tol=1e-14, abs_tol=0.0)
    assert_frame_equal(k2(files[K2]), tidied("^k2"))
    assert_frame_equal(mamba(files[MAMBA]), tidied("^llm360"), rel_tol=1e-14, abs_tol=0.0)
    keys = ["run_id", "step", "eval_set"]
    assert_frame_equal(olmo(files[OLMO]).sort(keys), tidied("^OLMo").sort(keys))
    down = DATA.tables["olmo1_downstream"](files)
    assert_frame_equal(down, shared("large_runs_colpret/olmo1_downstream.parquet"))
    curves = DATA.tables["curves"](files)
    assert (curves.height, curves["run_id"].n_unique(), tuple(curves.columns)) == (
        30_640, 11, COLUMNS,
    )  # fmt: skip


def test_a_window_of_forty_points_becomes_one_median(tmp_path: Path) -> None:
    rows = "\n".join(f"{4 * k},{k / 10},1e-4,0.1" for k in range(1, 122))
    path = written(tmp_path, MAMBA, f"step,loss,lr,grad_norm\n{rows}\n")
    got = mamba(path)
    assert got["step"].to_list() == [242.0, 402.0, 484.0]
    assert got["loss"].to_list()[0] == pytest.approx(6.05)


def test_sizes_are_read_as_people_write_them() -> None:
    sizes = pl.DataFrame({"size": ["125m", "1.3b", "65B"]}).select(size_of(pl.col("size")))
    assert sizes["size"].to_list() == [1.25e8, 1.3e9, 6.5e10]


def test_the_rate_of_these_runs_is_that_of_the_checkpoint() -> None:
    runs = as_runs(DATA, "curves", shared("large_runs_colpret/curves.parquet"))
    assert runs.has("lr")
    assert not runs.has("lr_peak")


def test_the_entry_counts_what_the_tidied_tables_hold() -> None:
    down = shared("large_runs_colpret/olmo1_downstream.parquet")
    assert DATA.tables["olmo1_downstream"].rows == down.height
