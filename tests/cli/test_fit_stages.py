"""``scalewise fit --law trajectory``: the stages are gone through, told and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.runs.example import batch
from tests.cli.program import answer, run

LADDER = Path(batch.__file__).with_name("batch_ladder.csv")
SIZE = ("--params-nonembed", "885696")


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("staged") / "fit.json"
    result = run("fit", LADDER, "--law", "trajectory", "--bootstrap", 30, "--out", path)
    assert result.exit_code == 0, result.stderr
    assert "unfinished checkpoints" not in result.stderr
    text = " ".join(result.stdout.split())
    assert "trajectory was estimated in 6 stages." in text
    assert "21 curves, 7 sizes and 7 batches" in text
    assert "Floor of each size" in text
    return path


def test_the_fit_file_carries_what_the_other_verbs_need(fit: Path, tmp_path: Path) -> None:
    steps = answer("steps", fit, *SIZE, "--loss", "1.3")["data"]
    low, high = steps["steps_min"]["interval"]
    assert low < steps["steps_min"]["value"] < high
    words = (*SIZE, "--batch-tokens", "1536", "--steps", "3906")
    curve = answer("trajectory", fit, *words)["data"]
    assert curve["interval"][0] < curve["loss"] < curve["interval"][1]
    predicted = answer("predict", fit, *SIZE, "--batch-tokens", "1536", "--steps", "3906")["data"]
    assert predicted["loss"] == pytest.approx(curve["loss"])
    page = answer("report", fit, "--out", tmp_path / "page.html")["data"]
    assert {"Stages of the estimation", "Floor of each size"} <= set(page["cards"])


def test_the_json_tells_every_stage() -> None:
    data = answer("fit", LADDER, "--law", "trajectory-auto", "--bootstrap", 0)["data"]
    assert data["law"] == "trajectory"
    assert "trajectory-tokens missed by 2.37% and 2.26%" in data["stages"]["form"]
    assert data["stages"]["joint fit"].startswith("6 constants of trajectory at once")


def test_every_row_is_fitted_at_once_where_that_is_asked_for() -> None:
    result = run("fit", LADDER, "--law", "trajectory", "--rows", "all", "--bootstrap", 0)
    assert "describes 1,050 points" in result.stdout
    assert "Stages of the estimation" not in result.stdout


def test_a_table_without_the_scan_says_which_stage_it_lacks() -> None:
    words = ("--law", "trajectory", "--bootstrap", 0, "--where", "batch_tokens == 1024")
    result = run("fit", LADDER, *words)
    text = " ".join(result.stdout.split())
    assert "contours, critical batch and floors were not possible on these runs" in text
    assert "No size was trained at 4 batches" in text
    assert result.exit_code == 4
    assert "do not determine every constant" in " ".join(result.stderr.split())
