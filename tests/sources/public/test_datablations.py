"""The notebook of final losses and the curves of the data-constrained models."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from scalewise.core.errors import RunDataError
from scalewise.sources.public.catalogue import as_runs
from scalewise.sources.public.datablations import CURVES, DATA, NAME, NOTEBOOK, count
from tests.sources.public.rebuilt import assert_same, shared, written

# Lines of the published notebook (Apache-2.0), with those that must be left out.
LINES = (
    "# losses of 0 are skipped as these models haven't finished training\n",
    "NAMES_TO_VAL_LOSSES = {\n",
    '    "2b84b4b": 3.265024E+00,\n',
    "\n",
    '    # "2b855b55bdedup": 2.758145E+00,\n',
    '    "2b855b1b25c4seed1": 3.425332E+00,\n',
    '    "14m20b100m": 4.510410E+00, ### DOUBLE DESCENT ###\n',
    '    "220m3b9100mdedup": 3.863982E+00,\n',
    '    "8b7178b4b": 0,\n',
    "}\n",
)
# Read wrongly in the tidied table: 84.1B tokens of 2.2B unique ones.
MISREAD = "4b284b12bc4opt2"


def notebook(*cells: tuple[str, ...]) -> str:
    return json.dumps(
        {"cells": [{"cell_type": "code", "source": list(source)} for source in cells]}
    )


def losses(frame: pl.DataFrame) -> tuple[str, ...]:
    rows = frame.select("name", "loss").iter_rows()
    body = (f'    "{name}": {loss:.6E},\n' for name, loss in rows)
    return ("NAMES_TO_VAL_LOSSES = {\n", *body, "}\n")


def test_commented_unfinished_and_deduplicated_models_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, NOTEBOOK.name, notebook(LINES, ("x = {}\n",)))
    got = DATA.tables["final_points"]({NOTEBOOK.name: path}).unique("name", maintain_order=True)
    assert got["name"].to_list() == ["2b84b4b", "2b855b1b25c4seed1", "14m20b100m"]
    assert got["seed"].to_list() == [None, 1.0, None]
    assert got["epochs"].to_list() == [1.0, 44.0, 200.0]
    same = shared("datablations/final_points.parquet").filter(pl.col("set") == "with_seeds")
    same = same.filter(pl.col("name").is_in(got["name"].to_list()))
    assert_frame_equal(got.filter(pl.col("set") == "with_seeds"), same)


def test_a_notebook_without_the_losses_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, NOTEBOOK.name, notebook(("print(1)\n",)))
    with pytest.raises(RunDataError, match="has no table NAMES_TO_VAL_LOSSES"):
        DATA.tables["final_points"]({NOTEBOOK.name: path})


def test_a_notebook_rebuilt_from_the_tidied_table_reads_back_the_same(tmp_path: Path) -> None:
    points = shared("datablations/final_points.parquet")
    tables = points.partition_by("set", maintain_order=True)
    path = written(tmp_path, NOTEBOOK.name, notebook(*map(losses, tables)))
    got = DATA.tables["final_points"]({NOTEBOOK.name: path})
    odd = pl.col("name") == MISREAD
    assert_frame_equal(got.filter(~odd), points.filter(~odd))
    assert got.filter(odd).select("tokens", "unique_tokens").row(0) == (84e9, 12e9)
    assert got.height == DATA.tables["final_points"].rows


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("2b84b4b", ("2b8", "4b", "4b", None)),
        ("5b9", None),
        ("280m5b9400m", ("280m", "5b9", "400m", None)),
        ("196m1b51b5", ("196m", "1b5", "1b5", None)),
        ("4b284b84bc4v2seed3", ("4b2", "84b", "84b", "3")),
    ],
)
def test_run_names_are_taken_apart(name: str, words: tuple[str | None, ...] | None) -> None:
    found = NAME.fullmatch(name)
    assert (found and found.groups()) == words


def test_token_counts_of_names_are_numbers() -> None:
    assert [count(text) for text in ("1b25", "178b", "100m")] == [1.25e9, 1.78e11, 1e8]


def test_a_trajectory_file_rebuilt_from_the_tidied_table_reads_back_the_same(
    tmp_path: Path,
) -> None:
    curves = shared("datablations/trajectories.parquet")
    raw = curves.with_row_index("index").select(
        "index", "data", "loss", "checkpoint",
        pl.col("tokens").alias("token_num"),
        epochs="max_epochs",
        num_params=pl.col("run_id").str.split("|").list.get(2),
        tokens_per_epoch="unique_tokens",
        flops=1e30 / (pl.col("index") + 1),
    )  # fmt: skip
    path = written(tmp_path, CURVES.name, raw.write_csv())
    assert_same(DATA, "trajectories", {CURVES.name: path}, curves)


def test_flops_of_the_source_are_not_believed(tmp_path: Path) -> None:
    header = "index,data,epochs,token_num,loss,num_params,tokens_per_epoch,flops,checkpoint"
    line = "0,c4,44,104857600,6.9756693840026855,2.8B,1250000000.0,4.878044128417969e+23,x/y"
    path = written(tmp_path, CURVES.name, f"{header}\n{line}\n")
    got = DATA.tables["trajectories"]({CURVES.name: path})
    assert got["flops"].item() == 6.0 * 2.81e9 * 104_857_600


def test_repeats_are_read_as_epochs_of_unique_tokens() -> None:
    runs = as_runs(DATA, "final_points", shared("datablations/final_points.parquet"))
    assert runs.column("epochs").max() == 9000
    assert runs.has("tokens_unique")
