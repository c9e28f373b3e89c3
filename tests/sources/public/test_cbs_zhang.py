"""The notebook of steps to a target loss."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from scalewise.core.errors import RunDataError
from scalewise.sources.public.cbs_zhang import BATCHES, DATA, NOTEBOOK, SIZES
from tests.sources.public.rebuilt import assert_same, shared, written

# One entry of the published notebook's output (MIT).
PRINTED = (
    "Minimum goal step {raw:.0f} for batch size {batch} (Model Size {size}, Run Name {run}), "
    "Run ID {id}\n"
)


def notebook(table: pl.DataFrame, *, curated: bool = True) -> str:
    lines, steps = [], {}
    for name, *_ in SIZES:
        rows = table.filter(pl.col("run_id").str.starts_with(f"cbs-{name}-"))
        steps[name] = rows["steps_to_target"].to_list()
        lines += [
            PRINTED.format(
                raw=row["steps_to_target_raw"], batch=row["batch_seqs"], size=name,
                run=row["best_run_name"], id=row["wandb_run_id"],
            )
            for row in rows.iter_rows(named=True)
        ]  # fmt: skip
    cells = [
        {"source": ["goal_losses = {'85M': 3.42, '151M-ablation': 3.24}\n"],
         "outputs": [{"text": lines}]},
        {"source": [f"results = {steps}\n"] if curated else ["results = {}\n"], "outputs": []},
    ]  # fmt: skip
    return json.dumps({"cells": cells})


def test_a_notebook_rebuilt_from_the_tidied_table_reads_back_the_same(tmp_path: Path) -> None:
    table = shared("cbs_zhang/steps_to_target.parquet")
    path = written(tmp_path, NOTEBOOK.name, notebook(table))
    assert_same(DATA, "steps_to_target", {NOTEBOOK.name: path}, table)


def test_the_printed_line_of_a_run_reads_as_the_tidied_row(tmp_path: Path) -> None:
    table = shared("cbs_zhang/steps_to_target.parquet")
    path = written(tmp_path, NOTEBOOK.name, notebook(table))
    got = DATA.tables["steps_to_target"]({NOTEBOOK.name: path})
    first = got.row(0, named=True)
    assert (first["best_run_name"], first["wandb_run_id"], first["steps_to_target_raw"]) == (
        "bs64-adamw_0.95-lr0.00316-ewa0.9995", "n0wjhnb6", 46_000.0,
    )  # fmt: skip
    assert_frame_equal(got.head(len(BATCHES)), table.head(len(BATCHES)))


def test_a_notebook_without_the_curated_table_is_refused(tmp_path: Path) -> None:
    text = notebook(shared("cbs_zhang/steps_to_target.parquet"), curated=False)
    path = written(tmp_path, NOTEBOOK.name, text)
    with pytest.raises(RunDataError, match="no table of steps for 85M, 151M-ablation"):
        DATA.tables["steps_to_target"]({NOTEBOOK.name: path})
