"""Clark et al.: one packed CSV of losses every 10,000 steps."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl

from scalewise.runs.read import read_runs
from scalewise.sources.public.clark_routing import CURVES, DATA, LOSSES, SHAPES
from tests.sources.public.rebuilt import assert_same, shared, written

HEAD = ("hyper_id,step,router_type,num_experts,k,routing_frequency,flop_increase,d_model,"
        "num_blocks,num_heads,kqv_size,seed,total_parameter_count,dense_parameter_count,"
        "flops_per_step,model_size_label,loss_validation," + ",".join(LOSSES))  # fmt: skip
# Two models of three and two rows, with made-up numbers; the last step lacks a loss.
ROWS = (
    "7,0,Dense,1,1,0.5,1.0,512,6,8,32,42,1000.0,1000.0,4e13,15M,10.9,10.8,10.7,10.6,10.5,10.4",
    "7,10000,Dense,1,1,0.5,1.0,512,6,8,32,42,1000.0,1000.0,4e13,15M,3.5,3.4,3.3,3.2,3.1,3.0",
    "7,20000,Dense,1,1,0.5,1.0,512,6,8,32,42,1000.0,1000.0,4e13,15M,,3.3,3.2,3.1,3.0,2.9",
    "8,0,Hash,512,2,1.0,1.0,512,6,8,32,1,90000.0,1000.0,4e13,15M,10.9,10.8,10.7,10.6,10.5,10.4",
    "8,10000,Hash,512,2,1.0,1.0,512,6,8,32,1,90000.0,1000.0,4e13,15M,3.1,nan,3.3,3.2,3.1,3.0",
)


def made_up(folder: Path) -> pl.DataFrame:
    packed = gzip.compress("\n".join((HEAD, *ROWS)).encode())
    return DATA.tables["curves"]({CURVES: written(folder, CURVES, packed)})


def test_step_zero_rows_are_kept_with_no_tokens_and_no_flops(tmp_path: Path) -> None:
    first = made_up(tmp_path).filter(pl.col("step") == 0)
    assert first["tokens"].to_list() == [0, 0]
    assert first["flops"].to_list() == [0.0, 0.0]
    assert first["loss"].to_list() == [10.9, 10.9]


def test_a_missing_loss_stays_empty(tmp_path: Path) -> None:
    table = made_up(tmp_path)
    assert table["loss"].null_count() == 1
    assert table["loss_c4"].null_count() == 1


def test_the_last_logged_row_of_each_run_is_its_final_one(tmp_path: Path) -> None:
    final = made_up(tmp_path).filter("is_final")
    assert final.select("run_id", "step").rows() == [
        ("routing-7-s42", 20_000),
        ("routing-8-s1", 10_000),
    ]


def test_experts_count_in_params_but_not_in_params_active(tmp_path: Path) -> None:
    runs = read_runs(made_up(tmp_path), mapping=DATA.tables["curves"].mapping)
    routed = runs.frame.filter(pl.col("run_id") == "routing-8-s1").row(0, named=True)
    assert (routed["params"], routed["params_active"]) == (90_000.0, 1_000.0)


def test_a_file_rebuilt_from_the_tidied_table_reads_back_the_same(tmp_path: Path) -> None:
    curves = shared("clark_routing/curves.parquet")
    raw = curves.select(
        "hyper_id", "step", "router_type", "k", "routing_frequency", "flop_increase", *SHAPES,
        "seed", "flops_per_step", "model_size_label", *LOSSES,
        total_parameter_count="params_total", dense_parameter_count="params",
        loss_validation="loss",
    )  # fmt: skip
    packed = gzip.compress(raw.write_csv().encode())
    assert_same(DATA, "curves", {CURVES: written(tmp_path, CURVES, packed)}, curves)
