from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from scalewise.runs.write import write_runs
from tests.cli.program import answer, run, runs_file
from tests.forecast.study_families import SIZES, family

SMALL = ("--models", "3,4", "--share", "0.5,1")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two families in one file."""
    even, noisy = family(), family(noise=0.02, seed=3, sizes=SIZES[:5])
    path = tmp_path / "two.parquet"
    pl.concat(
        [
            even.frame.with_columns(family=pl.lit("even")),
            noisy.frame.with_columns(family=pl.lit("noisy")),
        ]
    ).write_parquet(path)
    return path


def test_a_study_forecasts_the_largest_model_of_every_family(two: Path) -> None:
    data = answer("backtest", two, *SMALL, "--policy", "default,choshen2024")["data"]
    assert len(data["cells"]) == 2 * 2 * 2 * 2
    assert {cell["family"] for cell in data["cells"]} == {"even", "noisy"}
    assert [s["policy"] for s in data["settings"]] == ["default", "choshen2024"]
    assert data["policies"]["choshen2024"].startswith("choshen2024: checkpoints of more than 10B")
    assert {"family", "threshold", "cell", "closest"} == set(data["cheapest"][0])
    assert {mean["by"] for mean in data["means"]} == {"models", "scale_up"}
    cell = data["cells"][0]
    assert cell["mean_abs_error"] < cell["best_seen_error"]
    assert cell["theta"]["E"] > 0


def test_the_cards_show_maps_baselines_and_the_cheapest_designs(two: Path) -> None:
    result = run("backtest", two, *SMALL)
    assert result.exit_code == 0
    for part in ("best seen", "Error by models and share of training", "in hindsight",
                 "Means over families", "policy"):  # fmt: skip
        assert part in result.stdout


def test_one_family_per_file_unless_a_column_is_named(tmp_path: Path) -> None:
    paths = [tmp_path / "one.csv", tmp_path / "other.csv"]
    for number, path in enumerate(paths):
        write_runs(family(seed=number, points=12), path)
    data = answer("backtest", *paths, "--study", "--models", "4")["data"]
    assert [cell["family"] for cell in data["cells"]] == ["one", "other"]


def test_a_named_column_tells_families_apart(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    write_runs(family(points=12, recipe=["a"] * 36 + ["b"] * 36), path)
    data = answer("backtest", path, "--family", "recipe", "--models", "2")["data"]
    assert [cell["family"] for cell in data["cells"]] == ["a", "b"]


def test_every_cell_can_be_written_and_the_page_too(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "cells.csv"
    assert run("backtest", two, *SMALL, "--out", out).exit_code == 0
    frame = pl.read_csv(out)
    assert frame.height == 8
    assert {"mean_abs_error", "theta.alpha", "reason"} <= set(frame.columns)
    page = tmp_path / "study.html"
    assert run("backtest", two, *SMALL, "--out", page).exit_code == 0
    assert "Cheapest designs, in hindsight" in page.read_text()
    refused = run("backtest", two, *SMALL, "--out", tmp_path / "cells.txt")
    assert refused.exit_code == 2
    assert "Cells cannot be written to 'cells.txt'" in refused.stderr


def test_processes_answer_the_same_and_a_cache_keeps_it(two: Path, tmp_path: Path) -> None:
    here = answer("backtest", two, *SMALL)["data"]
    kept = ("--cache", tmp_path / "cache")
    there = answer("backtest", two, *SMALL, "--executor", "processes", *kept)["data"]
    assert there["cells"] == here["cells"]
    assert there["computed"] == 2
    again = run("backtest", two, *SMALL, *kept, "--json")
    assert json.loads(again.stdout)["data"]["computed"] == 0
    assert "0 parts were computed" in again.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--policy", "mine"), "no estimation policy 'mine'"),
        (("--objective", "mse"), "No objective is named 'mse'"),
        (("--share", "1.5"), "1.5 is not a share of training"),
        (("--models", "two"), "--models='two'"),
        (("--models", "5..2"), "--models='5..2' is no range of up to 10,000 numbers"),
        (("--models", "1..99999999"), "is no range of up to 10,000 numbers"),
        (("--share", "0.5..1e12"), "--share='0.5..1e12' is not within training"),
        (("--share", "1..0.5"), "--share='1..0.5' is not within training"),
        (("--study", "--tasks", "all"), "A study forecasts losses; a task was named"),
        (("--study", "--address", "auto"), "the executor is 'local'"),
        (("--study", "--level", "0.9"), "--level says nothing in a study"),
        (("--models", "3", "--seed", "1"), "--seed says nothing in a study"),
        (("--share", "0.5", "--force"), "--force says nothing in a study"),
        (("--study", "--workers", "3"), "--workers 3 does not go with this process alone"),
    ],
)
def test_options_that_mean_nothing_are_usage_errors(
    two: Path, words: tuple[str, ...], told: str
) -> None:
    result = run("backtest", two, *words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_families_too_small_are_told_and_nothing_else_to_do_exits_with_4(tmp_path: Path) -> None:
    path = runs_file(tmp_path, sizes=(1e7, 1e8))
    result = run("backtest", path, "--study")
    assert result.exit_code == 4
    assert "None of the 1 families can be studied" in result.stderr


def test_several_files_are_one_table_without_a_study(tmp_path: Path) -> None:
    for name, sizes in (("a", (1e7, 3e7)), ("b", (1e8, 3e8, 1e9))):
        (tmp_path / name).mkdir()
        runs_file(tmp_path / name, sizes=sizes)
    files = (tmp_path / "a" / "runs.csv", tmp_path / "b" / "runs.csv")
    data = answer("backtest", *files, "--laws", "chinchilla")["data"]
    assert data["splits"]
