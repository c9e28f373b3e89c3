"""Step Law's two grids."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from scalewise.runs.health import check_health
from scalewise.sources.public.catalogue import as_runs
from scalewise.sources.public.steplaw import DATA, DENSE, MOE
from tests.sources.public.rebuilt import assert_same, published, shared, written

COLUMNS = {
    "h": "d_model", "ffnh": "d_ff", "numh": "n_heads", "numl": "n_layers", "lr": "lr",
    "bs": "batch_seqs", "ti": "step", "loss": "loss_last", "smooth loss": "loss",
    "exp_name": "run_id", "D": "tokens_nominal", "N": "params",
}  # fmt: skip
MOE_HEADER = (
    "seq_len,topk,nume,moeh,sed,h,ffnh,numh,numl,lr,bs,ti,loss,smooth loss,average_iter_time,"
    "target_iter,final_iter,exp_name,moe_layer_enum_type,mfa_version,numld,Nattn,N,Na,M,kvcache,"
    "D,D/N,total_time,Na/N,moe_name"
)


def test_the_published_dense_grid_reads_as_the_tidied_table(tmp_path: Path) -> None:
    dense = shared("steplaw/dense.parquet")
    ratio = dense["tokens_nominal"] / dense["params"]
    rows = dense.select(COLUMNS.values()).hstack([ratio.alias("D/N")]).rows()
    path = published(tmp_path, DATA.files[0], (*COLUMNS, "D/N"), rows, "\n")
    assert_same(DATA, "dense", {DENSE: path}, dense)


def test_a_mixture_of_experts_grid_rebuilt_from_the_tidied_table_reads_back(tmp_path: Path) -> None:
    moe = shared("steplaw/moe.parquet")
    named = COLUMNS | {"N": "params_total", "Na": "params", "seq_len": "context_length"}
    raw = moe.with_columns(pl.lit(1.0).alias("D/N")).select(
        pl.col(named.get(name, name)).alias(name) for name in MOE_HEADER.split(",")
    )
    assert_same(DATA, "moe", {MOE: written(tmp_path, MOE, raw.write_csv())}, moe)


def test_active_and_total_parameters_of_experts_are_not_taken_for_each_other() -> None:
    moe = shared("steplaw/moe.parquet")
    runs = as_runs(DATA, "moe", moe)
    assert runs.column("params_active").tolist() == moe["params"].to_list()
    assert runs.column("params").tolist() == moe["params_total"].to_list()


def test_diverged_runs_are_kept_for_the_health_checks_to_name() -> None:
    runs = as_runs(DATA, "dense", shared("steplaw/dense.parquet"))
    assert runs.column("loss").max() > 7
    assert any("diverged" in finding.name for finding in check_health(runs))


def test_the_rate_of_a_grid_is_the_peak() -> None:
    runs = as_runs(DATA, "dense", shared("steplaw/dense.parquet"))
    assert runs.has("lr_peak")
    assert not runs.has("lr")
