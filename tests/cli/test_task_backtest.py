from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.cli.program import answer, run
from tests.forecast.test_task_backtest import RUNS

KNOWN = ("--chance", "quiz=0.25", "--chance", "acc_guess=0.25", "--items", "guess=500")


def runs_file(folder: Path, *left_out: str) -> Path:
    path = folder / "runs.csv"
    pl.DataFrame(RUNS).drop(left_out).write_csv(path)
    return path


def test_all_tasks_are_judged_at_the_command_line(tmp_path: Path) -> None:
    runs = runs_file(tmp_path, "acc_few", "acc_turn")
    data = answer("backtest", runs, "--tasks", "all", *KNOWN)["data"]
    verdicts = {task["task"]: task["verdict"] for task in data["tasks"]}
    assert verdicts == {"acc_quiz": "forecastable", "acc_guess": "at chance"}
    quiz = data["tasks"][0]
    assert quiz["chance"] == 0.25
    assert {score["method"] for score in quiz["scores"]} == {
        "two-step", "direct", "best seen", "most compute",
    }  # fmt: skip
    point = quiz["scores"][0]["points"][0]
    assert {"run_id", "reach", "measured", "predicted", "low", "high", "inside"} <= set(point)
    assert data["tasks"][1]["items"] == 500
    assert len(data["splits"]) == 3


def test_one_task_is_told_as_text_with_its_methods(tmp_path: Path) -> None:
    words = ("--task", "quiz", "--chance", "quiz=0.25", "--held-out", "params > 2B")
    done = run("backtest", runs_file(tmp_path), *words)
    assert done.exit_code == 0, done.stderr
    for part in ("Backtest of tasks", "two-step", "direct", "all but params > 2B", "inside 90%"):
        assert part in " ".join(done.stdout.split())


def test_runs_without_loss_are_forecast_from_compute_without_a_warning(tmp_path: Path) -> None:
    runs = runs_file(tmp_path, "loss")
    done = run("backtest", runs, "--task", "quiz", "--chance", "quiz=0.25")
    assert done.exit_code == 0, done.stderr
    assert "no loss" not in done.stderr
    assert "direct" in done.stdout


def test_a_loss_of_its_own_is_named_by_task(tmp_path: Path) -> None:
    path = runs_file(tmp_path)
    pl.read_csv(path).with_columns(bpb_quiz=pl.col("loss") / 3).write_csv(path)
    words = ("--task", "quiz", "--chance", "quiz=0.25", "--task-loss", "quiz=bpb_quiz")
    (task,) = answer("backtest", path, *words)["data"]["tasks"]
    assert task["verdict"] == "forecastable"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--items", "quiz=100"), 2, "--items without --task says nothing"),
        (("--held-out", "params > 2B"), 2, "--held-out without --task says nothing"),
        (("--tasks", "all", "--task", "quiz"), 2, "Both --task and --tasks all"),
        (("--tasks", "all", "--laws", "chinchilla"), 2, "--laws names laws of loss"),
        (("--task", "quizz"), 3, "Did you mean"),
        (("--task", "quiz", "--task-loss", "quiz=bpb"), 3, "no column 'bpb' of loss"),
        (("--task", "quiz", "--held-out", "params > 30M"), 4, "too few to forecast a task"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_fact_and_mend(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    done = run("backtest", runs_file(tmp_path), *words)
    assert done.exit_code == code
    assert done.stdout == ""
    assert said in done.stderr
    assert "Hint: " in done.stderr
