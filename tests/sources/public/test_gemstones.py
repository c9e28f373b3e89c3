"""Gemstones: JSON lines of losses, and two tables of benchmark scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from scalewise.sources.public.gemstones import (
    COOL_END,
    DATA,
    DCLM,
    FINEWEB_EDU,
    HALF_RATE,
    HOT,
    SCORE_ERRORS,
    SCORES,
    SUBSETS,
    TASKS,
)
from tests.sources.public.rebuilt import assert_same, proven, shared, written

# Lines of the published files (MIT).
LINES = {
    HOT: '{"run_name":"PyGemma-768x45_pretrain","params_active_precise":475468032,"width":768,'
    '"depth":45,"tokens":348118843392,"step":82998,"num_nodes":32,'
    '"seconds_per_step":1.4776716723,"final_loss":2.7233233452}\n'
    '{"run_name":"PyGemma-768x45_pretrain","params_active_precise":475468032,"width":768,'
    '"depth":45,"tokens":350119526400,"step":83475,"num_nodes":32,'
    '"seconds_per_step":1.4776716723,"final_loss":2.7242980003}\n',
    HALF_RATE: '{"run_name":"cooler_PyGemma-768x45_pretrain","params_active_precise":475468032,'
    '"width":768,"depth":45,"tokens":99992207360,"step":23840,"num_nodes":32,'
    '"seconds_per_step":1.4776716723,"final_loss":2.8042330742}\n',
    COOL_END: '{"run_name":"PyGemma-1024x28_pretrain","params_active_precise":543482880,'
    '"width":1024,"depth":28,"tokens":10997465088,"step":2622,"num_nodes":32,'
    '"seconds_per_step":1.3941352542,"final_loss":3.0146045685}\n'
    '{"run_name":"PyGemma-1024x28_pretrain","params_active_precise":543482880,"width":1024,'
    '"depth":28,"tokens":22003318784,"step":5246,"num_nodes":32,'
    '"seconds_per_step":1.3941352542,"final_loss":2.8741080761}\n',
    DCLM: '{"step":81090,"final_loss":3.2928255016,"run_name":"Gemstone-512x12","width":512,'
    '"depth":12,"tokens":340116111360,"params_active_precise":98710016,"num_nodes":null,'
    '"seconds_per_step":null}\n',
    FINEWEB_EDU: '{"step":83475,"final_loss":3.362790967,"run_name":"Gemstone-768x3","width":768,'
    '"depth":3,"tokens":350119526400,"params_active_precise":103814400,"num_nodes":null,'
    '"seconds_per_step":null}\n',
}


def excerpt(folder: Path) -> dict[str, Path]:
    lines = {name: LINES.get(name, LINES[COOL_END]) for name in (*SUBSETS, DCLM, FINEWEB_EDU)}
    return {name: written(folder, name, text) for name, text in lines.items()}


def test_an_excerpt_reads_as_the_rows_of_the_tidied_tables(tmp_path: Path) -> None:
    files = excerpt(tmp_path)
    got = DATA.tables["losses"](files).filter(pl.col("subset") != "cool_begin")
    keys = ["subset", "run_id", "step"]
    tidy = shared("gemstones/losses.parquet").join(got.select(keys), on=keys, how="semi")
    assert got.equals(tidy)
    others = DATA.tables["other_losses"](files)
    keys = ["eval_set", "run_id", "step"]
    tidy = shared("gemstones/other_losses.parquet").join(others.select(keys), on=keys, how="semi")
    assert others.equals(tidy)


def test_each_cooled_row_is_a_run_of_its_own_and_final(tmp_path: Path) -> None:
    table = DATA.tables["losses"](excerpt(tmp_path))
    cooled = table.filter(pl.col("subset") == "cool_end")
    assert cooled["run_id"].n_unique() == cooled.height == cooled["is_final"].sum()
    hot = table.filter(pl.col("subset") == "hot_100b+_477")
    assert hot["is_final"].to_list() == [False, True]
    assert hot["schedule"].unique().to_list() == ["constant lr after warm-up (hot)"]


def test_flops_of_the_largest_runs_do_not_overflow(tmp_path: Path) -> None:
    flops = DATA.tables["losses"](excerpt(tmp_path))["flops_6ND"]
    assert flops.to_list()[1] == 6.0 * 475468032 * 350119526400


def other_loss(row: dict[str, Any]) -> str:
    """One line as published: with two fields that are always empty."""
    fields = {"step": row["step"], "final_loss": round(row["loss"], 10),
              "run_name": row["run_id"].replace("PyGemma", "Gemstone"), "width": row["d_model"],
              "depth": row["n_layers"], "tokens": row["tokens"],
              "params_active_precise": row["params"], "num_nodes": None,
              "seconds_per_step": None}  # fmt: skip
    return json.dumps(fields, separators=(",", ":")) + "\n"


def benchmark_table(rows: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """Scores as a dataframe's index and columns: the last checkpoint is called main."""
    shape = pl.format("Gemstone-{}x{}", "d_model", "n_layers")
    step = pl.col("step").cast(pl.String).str.zfill(8)
    named = (
        pl.when(pl.col("step") == 83_475)
        .then(pl.format("tomg-group-umd/{}-main", shape))
        .otherwise(pl.format("tomg-group-umd/{}-step_{}", shape, step))
    )
    scores = [pl.col(prefix + short).alias(task) for task, short in TASKS.items()]
    return rows.select(*scores, named.alias("__index_level_0__"))


def test_files_rebuilt_from_the_tidied_tables_read_back_the_same(tmp_path: Path) -> None:
    losses, others, scores = (
        shared(f"gemstones/{name}.parquet") for name in ("losses", "other_losses", "downstream")
    )
    layout = {"run_name": "run_id", "params_active_precise": "params", "width": "d_model",
              "depth": "n_layers", "tokens": "tokens", "step": "step",
              "final_loss": "loss"}  # fmt: skip
    files = {}
    for name, (subset, _) in SUBSETS.items():
        rows = losses.filter(pl.col("subset") == subset).select(**layout)
        files[name] = written(tmp_path, name, rows.write_ndjson())
    for name, corpus in ((DCLM, "DCLM"), (FINEWEB_EDU, "FineWeb-Edu")):
        rows = others.filter(pl.col("eval_set") == corpus)
        file = next(file for file in DATA.files if file.name == name)
        files[name] = proven(tmp_path, file, "".join(map(other_loss, rows.to_dicts())).encode())
    for name, prefix in ((SCORES, "acc_"), (SCORE_ERRORS, "se_")):
        files[name] = tmp_path / name.rsplit("/", 1)[-1]
        benchmark_table(scores, prefix).write_parquet(files[name])
    assert_same(DATA, "losses", files, losses)
    assert_same(DATA, "other_losses", files, others)
    assert_same(DATA, "downstream", files, scores)
