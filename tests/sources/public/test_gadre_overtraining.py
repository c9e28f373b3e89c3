"""Two hundred small JSON files of the over-training models."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from scalewise.runs.health import check_health
from scalewise.sources.public.catalogue import as_runs
from scalewise.sources.public.gadre_overtraining import (
    DATA,
    EVALS,
    GRID,
    METADATA,
    MODELS,
    SUMMARIES,
)
from tests.sources.public.rebuilt import assert_same, shared, written


def model(rows: list[dict[str, Any]]) -> str:
    """The file of one model in its layout, placeholder batch and all."""
    first = rows[0]
    return json.dumps({
        "name": first["run_id"],
        "dataset_name": first["data"],
        "hyperparameters": {
            "model": f"training/open_lm_configs/{first['model_config']}.json",
            "tokens": first["tokens"], "warmup": first["warmup_steps"], "lr": first["lr"],
            "wd": first["weight_decay"], "cd": first["lr_end"], "global_bs": 1,
            "params": first["params"], "params_no_embed": first["params_nonembed"],
            "chinchilla_multiplier": first["chinchilla_multiplier"],
        },
        "open_lm_args": ["--seed", str(first["seed"]), "--global-batch-size",
                         str(first["batch_tokens"] // 2048)],
        "results": [
            {
                "loss": row["loss"],
                "loss_sequences_lower_95": row["loss_lo95_seq"],
                "loss_sequences_upper_95": row["loss_hi95_seq"],
                "loss_tokens_lower_95": row["loss_lo95_tok"],
                "loss_tokens_upper_95": row["loss_hi95_tok"],
                "tokens": row["eval_tokens"],
                "val_data": [f"training/eval_data/val_tok_mult/{row['eval_set']}/00000001.tar"],
            }
            for row in rows
        ],
    })  # fmt: skip


def evaluation(row: dict[str, Any]) -> str:
    tasks = {name[4:]: value for name, value in row.items() if name.startswith("acc_")}
    summaries = {name: row[name] for name in SUMMARIES if row[name] is not None}
    return json.dumps({"eval_metrics": {"icl": tasks}} | summaries)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    by_run = shared("gadre_overtraining/losses.parquet").partition_by("run_id", maintain_order=True)
    evals = shared("gadre_overtraining/evals.parquet").to_dicts()
    texts = dict(zip(MODELS, (model(part.to_dicts()) for part in by_run), strict=True))
    texts |= dict(zip(EVALS, map(evaluation, evals), strict=True))
    return {name: written(tmp_path, name, text) for name, text in texts.items()}


def test_files_rebuilt_from_the_tidied_tables_read_back_the_same(files: dict[str, Path]) -> None:
    assert_same(DATA, "losses", files, shared("gadre_overtraining/losses.parquet").select(
        DATA.tables["losses"](files).columns
    ))  # fmt: skip
    evals = DATA.tables["evals"](files)
    tidied = shared("gadre_overtraining/evals.parquet")
    assert_frame_equal(evals, tidied, check_column_order=False)


def test_the_placeholder_batch_of_the_7b_runs_is_not_believed(files: dict[str, Path]) -> None:
    got = DATA.tables["losses"](files).filter(pl.col("params") > 6e9)
    assert got["batch_tokens"].unique().to_list() == [4_194_304]


def test_a_grid_rebuilt_from_the_tidied_table_reads_back_the_same(tmp_path: Path) -> None:
    grid = shared("gadre_overtraining/grid_search.parquet")
    named = {run.removeprefix("grid-"): loss for run, loss in grid.select("run_id", "loss").rows()}
    path = written(tmp_path, GRID, json.dumps(named))
    assert_same(DATA, "grid_search", {GRID: path}, grid)


def test_task_descriptions_rebuilt_from_the_tidied_table_read_back_the_same(
    tmp_path: Path,
) -> None:
    tasks = shared("gadre_overtraining/eval_metadata.parquet")
    text = io.StringIO()
    csv.writer(text).writerows([tasks.columns, *tasks.rows()])
    got = DATA.tables["eval_metadata"]({METADATA: written(tmp_path, METADATA, text.getvalue())})
    empty = "centered_metric?"
    assert_frame_equal(got.drop(empty), tasks.drop(empty))
    assert got[empty].null_count() == got.height == DATA.tables["eval_metadata"].rows


def test_the_intervals_of_the_finite_evaluation_set_become_standard_errors() -> None:
    runs = as_runs(DATA, "losses", shared("gadre_overtraining/losses.parquet"))
    assert runs.has("loss_se")
    assert runs.run_count == 104


def test_several_evaluation_sets_are_named_by_the_health_checks() -> None:
    runs = as_runs(DATA, "losses", shared("gadre_overtraining/losses.parquet"))
    assert "mixed eval_set" in {finding.name for finding in check_health(runs)}
