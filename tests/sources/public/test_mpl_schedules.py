"""The multi-power law's curves: 27 small CSV files of step, rate and loss."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from scalewise.sources.public.mpl_schedules import DATA
from tests.sources.public.rebuilt import assert_same, published, shared, written

# Rows of csv_100/wsdcon_9.csv (MIT): either side of its drop, and its end.
NAME = "loss_curve_repo/csv_100/wsdcon_9.csv"
ROWS = (
    "step,lr,loss\n2176,0.0003,3.7666\n7936,0.0003,3.2169\n8000,9e-05,3.215\n15936,9e-05,3.0588\n"
)


def test_an_excerpt_reads_as_the_rows_of_the_tidied_table(tmp_path: Path) -> None:
    got = DATA.tables["curves"]({NAME: written(tmp_path, NAME, ROWS)})
    expected = shared("mpl_schedules/curves.parquet").filter(
        pl.col("run_id") == "mpl-100M-wsdcon_9", pl.col("step").is_in([2176, 7936, 8000, 15936])
    )
    assert got.equals(expected)


@pytest.mark.parametrize(
    ("name", "steps", "split"),
    [("constant_24000", 24_000.0, "train"), ("cosine_72000", 72_000.0, "test"),
     ("wsdld_20000_24000", 24_000.0, "test"), ("wsdcon_18", 15_936.0, "test")],
)  # fmt: skip
def test_the_horizon_and_the_authors_split_come_from_the_name(
    tmp_path: Path, name: str, steps: float, split: str
) -> None:
    name = f"loss_curve_repo/csv_25/{name}.csv"
    row = DATA.tables["curves"]({name: written(tmp_path, name, ROWS)}).row(-1, named=True)
    assert (row["total_steps"], row["split"], row["params"]) == (steps, split, 2.5e7)


def test_unstated_token_counts_are_empty_and_not_guessed(tmp_path: Path) -> None:
    table = DATA.tables["curves"]({NAME: written(tmp_path, NAME, ROWS)})
    assert table["tokens"].null_count() == table["batch_tokens"].null_count() == table.height


def test_the_published_files_made_again_to_the_byte_read_as_the_tidied_table(
    tmp_path: Path,
) -> None:
    curves = shared("mpl_schedules/curves.parquet")
    files = {}
    for file in DATA.files:
        size, schedule = file.name.split("csv_")[1].removesuffix(".csv").split("/")
        rows = curves.filter(pl.col("run_id") == f"mpl-{size}M-{schedule}")
        raw = rows.select("step", lr="lr_now", loss="loss")
        files[file.name] = published(tmp_path, file, raw.columns, raw.rows(), "\r\n")
    assert_same(DATA, "curves", files, curves)
