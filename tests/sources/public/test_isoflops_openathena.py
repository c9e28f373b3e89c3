"""Open Athena's compiled points and Marin's exports."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from scalewise.sources.public.isoflops_openathena import COMPILED, DATA, MARIN, MIXES
from tests.sources.public.rebuilt import assert_same, published, shared, written

HEADER = {
    "source": "source", "dataset": "data", "model": "model", "condition": "condition",
    "experiment": "experiment", "tokens": "tokens", "params": "params", "budget": "flops",
    "loss": "loss", "outlier": "outlier", "reason": "reason",
}  # fmt: skip
MARIN_HEADER = {
    "Name": "run_id", "parameter_count": "params", "throughput/total_tokens": "tokens",
    "throughput/total_gflops": "flops", "eval/paloma/macro_loss": "loss",
    "trainer.train_batch_size": "batch_seqs", "trainer.num_train_steps": "step",
    "optimizer.learning_rate": "lr", "model.hidden_dim": "d_model", "model.num_layers": "n_layers",
}  # fmt: skip


def test_the_published_compilation_reads_as_the_tidied_table(tmp_path: Path) -> None:
    compiled = shared("isoflops_openathena/compiled.parquet")
    rows = [
        ["" if cell is None else cell for cell in row]
        for row in compiled.select(HEADER.values()).iter_rows()
    ]
    path = published(tmp_path, DATA.files[0], [*HEADER], rows, "\n")
    # Marin's evaluation set is named here, as in its own exports.
    named = compiled.with_columns(pl.col("eval_set").replace("see README", "paloma macro"))
    assert_same(DATA, "compiled", {COMPILED: path}, named)


def quoted(frame: pl.DataFrame) -> str:
    """As the exports are: every cell in quotation marks, an empty one for nothing."""
    rows = [frame.columns, *frame.with_columns(pl.all().cast(pl.String).fill_null("")).rows()]
    return "".join(",".join(json.dumps(cell) for cell in row) + "\n" for row in rows)


def test_exports_rebuilt_from_the_tidied_table_read_back_without_the_validation_ladder(
    tmp_path: Path,
) -> None:
    grid = shared("isoflops_openathena/marin_raw_grid.parquet")
    files = {}
    for name, mix in zip(MARIN, MIXES, strict=True):
        part = grid.filter(pl.col("mix") == mix).with_columns(flops=pl.col("flops") / 1e9)
        raw = part.select(pl.col(column).alias(key) for key, column in MARIN_HEADER.items())
        ladder = raw.head(1).with_columns(Name=pl.lit(f"exp2166-scaling-ladder-{mix}"))
        files[name] = written(tmp_path, name, quoted(pl.concat([ladder, raw])))
    got = DATA.tables["marin_raw_grid"](files)
    assert got.height == DATA.tables["marin_raw_grid"].rows
    assert_frame_equal(got, grid, rel_tol=4e-16, abs_tol=0.0)


def test_the_two_readings_of_llama_3_keep_different_experiments() -> None:
    compiled = shared("isoflops_openathena/compiled.parquet")
    llama = compiled.filter(pl.col("source") == "llama_3")
    assert set(llama["condition"]) == {"raw_loss", "exp_loss"}
    assert llama["experiment"].n_unique() == 2
