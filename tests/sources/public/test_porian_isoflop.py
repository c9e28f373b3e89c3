"""Porian's pickled summaries, made again with the pandas that is installed."""

from __future__ import annotations

import lzma
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from scalewise.core.errors import RunDataError
from scalewise.sources.public.porian_isoflop import CONVENTION, DATA, METHODS, PARTS
from tests.sources.public.rebuilt import shared, written


def table(rows: list[dict[str, object]]) -> pd.DataFrame:
    # Text as the pandas of the authors stored it.
    frame = pd.DataFrame({key: pd.Series([row[key] for row in rows], dtype=object)
                          for key in rows[0]})  # fmt: skip
    frame.columns = pd.Index(list(frame.columns), dtype=object)
    return frame


def configuration(name: str) -> dict[str, object]:
    """What the authors stored under one convention, from the tidied tables."""
    points = shared("porian_isoflop/isoflop_points.parquet").filter(pl.col("config") == name)
    optima = shared("porian_isoflop/optima.parquet").filter(pl.col("config") == name)
    words = dict(zip(CONVENTION, name.split("/"), strict=True))
    data = []
    for part in points.partition_by("flops", maintain_order=True):
        full = part["params"].null_count() == 0
        cells = {"orig_n": "params", "orig_t": "tokens", "orig_loss": "loss"}
        data.append({"flops": part["flops"][0]} | {
            key: pd.Series(part[column].to_numpy()) if full else float("nan")
            for key, column in cells.items()
        })  # fmt: skip
    pairs = [
        {"flops": row["flops"], "n": row["n_opt"], "t": row["d_opt"], "loss": row["loss_opt"],
         "n_star_std": row["n_opt_logstd"], "t_star_std": row["d_opt_logstd"],
         "loss_star_std": row["loss_opt_std"], "n_vals": np.zeros(2)}
        for row in optima.to_dicts()
    ]  # fmt: skip
    fits = shared("porian_isoflop/author_fits.parquet").filter(
        pl.all_horizontal(pl.col(key) == value for key, value in words.items())
    )
    fitted = {
        row["method"]: {k: np.float64(v) for k, v in row.items() if isinstance(v, float)}
        for row in fits.to_dicts()
    }
    assert set(fitted) == set(METHODS)
    return words | {
        "data": table(data), "optimal_pairs": table(pairs),
        "fit_results": fitted | {"bootstrap": [{"n_exponent": 0.5}]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("porian")
    points = shared("porian_isoflop/isoflop_points.parquet")
    paths = {}
    for part in PARTS:
        stem = Path(part).name.removesuffix(".pickle.xz")
        names = points.filter(pl.col("file") == stem)["config"].unique(maintain_order=True)
        frame = table([configuration(name) for name in names])
        paths[part] = written(folder, part, lzma.compress(pickle.dumps(frame), preset=0))
    return paths


@pytest.mark.parametrize("name", ["isoflop_points", "optima", "author_fits"])
def test_files_rebuilt_from_the_tidied_tables_read_back_the_same(
    name: str, files: dict[str, Path]
) -> None:
    got = DATA.tables[name](files)
    assert got.height == DATA.tables[name].rows
    tidied = shared(f"porian_isoflop/{name}.parquet")
    assert_frame_equal(got, tidied, check_column_order=False)


def test_budgets_without_points_are_kept_empty(files: dict[str, Path]) -> None:
    got = DATA.tables["isoflop_points"](files)
    empty = got.filter(pl.col("params").is_null())
    assert empty["flops"].to_list() == [2.56e19] * 3
    assert got["run_id"].n_unique() == DATA.tables["isoflop_points"].runs


def test_a_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, PARTS[0], lzma.compress(pickle.dumps([1, 2])))
    with pytest.raises(RunDataError, match="holds a list, not a table"):
        DATA.tables["optima"](dict.fromkeys(PARTS, path))


def test_a_summary_without_its_inner_table_is_refused(tmp_path: Path) -> None:
    frame = table([dict.fromkeys(CONVENTION, "rw")])
    path = written(tmp_path, PARTS[0], lzma.compress(pickle.dumps(frame)))
    with pytest.raises(RunDataError, match="No table with flops, orig_n"):
        DATA.tables["isoflop_points"](dict.fromkeys(PARTS, path))


def test_the_finished_models_are_those_of_the_cosine_to_their_own_end(
    files: dict[str, Path],
) -> None:
    got = DATA.tables["isoflop_points"](files)
    assert got.filter("is_final")["decay"].unique().to_list() == ["chinchilla"]
