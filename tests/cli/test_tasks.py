from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.program import answer, run, simulated_csv

TARGET = ("--params", "7B", "--tokens", "140B")
QUICK = ("--law", "chinchilla", "--objective", "ls", "--bootstrap", 40)
Cell = Callable[[float, int], object]


def task_file(folder: Path, **columns: Cell) -> Path:
    """Simulated runs with a column ``acc_quiz`` and others, each from loss and row number."""
    cells: dict[str, Cell] = {"acc_quiz": accuracy, **columns}
    rows = list(csv.DictReader(io.StringIO(simulated_csv())))
    path = folder / "runs.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys([*rows[0], *cells])))
        writer.writeheader()
        for i, row in enumerate(rows):
            writer.writerow(row | {name: f(float(row["loss"]), i) for name, f in cells.items()})
    return path


def accuracy(loss: float, row: int) -> float:
    return float(1 - (0.75 - 5.0 * np.exp(-1.2 * loss)) + 0.004 * np.sin(7.0 * row))


def fitted(folder: Path, *more: object) -> Path:
    out = folder / "fit.json"
    words = ("fit", task_file(folder), *QUICK, "--task", "acc_quiz", *more, "--out", out)
    done = run(*words)
    assert done.exit_code == 0, done.stderr
    return out


def test_one_fit_file_holds_loss_and_tasks_and_predicts_both(tmp_path: Path) -> None:
    fit = fitted(tmp_path)
    data = answer("predict", fit, *TARGET, "--task", "acc_quiz", "--level", "0.8")["data"]
    assert {"error", "interval", "level", "extrapolation"} <= set(data)
    low, high = data["interval"]
    assert low < data["error"] < high
    assert data["level"] == 0.8
    assert data["extrapolation"]["loss"] > 1
    assert data["task"] == "acc_quiz"
    loss = answer("predict", fit, *TARGET, "--level", "0.8")["data"]
    assert data["through"] == {
        "loss": loss["loss"], "interval": loss["interval"], "stated": False,
    }  # fmt: skip
    assert data["parts"]["loss"][0] > low


def test_a_forecast_of_error_is_told_with_the_part_of_each_step(tmp_path: Path) -> None:
    done = run("predict", fitted(tmp_path), *TARGET, "--task", "acc_quiz")
    assert done.exit_code == 0
    for part in (
        "Predicted error", "90% interval", "extrapolation ×", "from 20 runs", "both steps",
        "the loss alone", "the error law alone", "below the least of the runs",
    ):  # fmt: skip
        assert part in " ".join(done.stdout.split())


def test_a_stated_loss_stands_for_the_model(tmp_path: Path) -> None:
    whole = answer("predict", fitted(tmp_path), "--loss", "2.5", "--task", "acc_quiz")
    assert whole["data"]["through"] == {"loss": 2.5, "interval": [None, None], "stated": True}
    assert whole["data"]["error"] == pytest.approx(0.75 - 5.0 * np.exp(-1.2 * 2.5), abs=0.01)


def test_a_fit_tells_its_tasks_and_what_was_made_of_them(tmp_path: Path) -> None:
    done = run("fit", task_file(tmp_path), *QUICK, "--task", "quiz", "--chance", "quiz=0.2")
    assert done.exit_code == 0
    assert "task quiz <- 1 - accuracy in acc_quiz, 20 points" in done.stderr
    assert "Downstream tasks" in done.stdout
    told = " ".join(done.stdout.split())  # columns of the table may break its cells
    assert "eps - k * exp(-gamma * L);" in told
    assert "eps=0.74" in told


def test_the_json_of_a_fit_has_each_task_as_a_fit(tmp_path: Path) -> None:
    words = ("--task", "acc_quiz", "--task-law", "error-sigmoid", "--chance", "acc_quiz=0.25")
    task = answer("fit", task_file(tmp_path), *QUICK, *words)["data"]["tasks"]["acc_quiz"]
    assert task["law"] == "error-sigmoid"
    assert task["theta"]["eps"] == 0.75
    assert task["provenance"]["error"] == "1 - accuracy in acc_quiz"
    assert set(task) >= {"intervals", "status", "points", "runs", "objective"}


def test_laws_of_error_may_rest_on_other_rows_and_are_tested_on_others_still(
    tmp_path: Path,
) -> None:
    words = (
        "--where", "params < 200M", "--task", "mean=acc_quiz,acc_more", "--task-where",
        "params < 500M", "--task-held-out", "params > 500M",
    )  # fmt: skip
    path = task_file(tmp_path, acc_more=lambda loss, row: accuracy(loss, row) - 0.05)
    data = answer("fit", path, *QUICK, *words)["data"]
    assert data["points"] == 12
    assert data["tasks"]["mean"]["points"] == 16
    check = data["task_backtests"]["mean"]
    assert len(check["points"]) == 4
    assert check["mean_abs_error"] < 0.05
    shown = run("fit", path, *QUICK, *words).stdout
    assert "Forecast errors in mean against truth" in shown
    assert "had the losses been known" in " ".join(shown.split())


def test_without_rows_of_its_own_a_task_uses_those_of_the_fit(tmp_path: Path) -> None:
    words = ("--where", "params < 200M", "--task", "acc_quiz")
    data = answer("fit", task_file(tmp_path), *QUICK, *words)["data"]
    assert data["tasks"]["acc_quiz"]["points"] == data["points"] == 12


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--task", "acc_quizz"), 3, "Did you mean 'acc_quiz'?"),
        (("--task", "loss"), 3, "does not say whether it holds error or accuracy"),
        (("--task", "acc_percent"), 3, "divide the column by 100"),
        (("--task", "acc_wrong"), 3, "outside [0, 1] in 1 of 20 rows"),
        (("--task", "acc_words"), 3, "holds text"),
        (("--task", "acc_empty"), 4, "has no value in the 20 rows"),
        (("--task", "acc_guess", "--chance", "acc_guess=0.25"), 4, "at chance in task 'acc_guess'"),
        (("--task", "acc_fall"), 4, "does not fall with loss"),
        (("--task", "acc_quiz", "--chance", "acc_quiz=25"), 2, "not in [0, 1)"),
        (("--task", "acc_quiz", "--chance", "other=0.25"), 2, "which is no task here"),
        (("--task", "acc_quiz", "--chance", "acc_quiz"), 2, "is not NAME=VALUE"),
        (("--task", "acc_quiz", "--task-law", "chinchilla"), 2, "a law of error by loss"),
        (("--task", "acc_quiz", "--task", "acc_quiz"), 2, "names 'acc_quiz' twice"),
        (("--task", "mean="), 2, "names no column"),
        (("--task-law", "error-sigmoid"), 2, "--task-law without --task says nothing"),
        (("--task-where", "params < 1B"), 2, "--task-where without --task says nothing"),
        (("--task", "acc_quiz", "--task-held-out", "params < 1B"), 3, "were in the fit"),
    ],
)  # fmt: skip
def test_hostile_tasks_are_refused_with_fact_and_mend(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    path = task_file(
        tmp_path,
        acc_percent=lambda loss, row: 100 * accuracy(loss, row),
        acc_wrong=lambda loss, row: -0.1 if row == 3 else accuracy(loss, row),
        acc_words=lambda loss, row: "good",
        acc_empty=lambda loss, row: "",
        acc_guess=lambda loss, row: 0.25 + 0.01 * np.sin(row),
        acc_fall=lambda loss, row: 0.1 * loss,
    )
    done = run("fit", path, *QUICK, *words)
    assert done.exit_code == code
    assert done.stdout == ""
    assert said in done.stderr
    assert "Hint: " in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*TARGET, "--task", "acc_quizz"), "Did you mean 'acc_quiz'?"),
        ((*TARGET, "--task", "acc_quiz", "--loss", "2.5"), "Both loss=2.5 and params, tokens"),
        (("--params", "7B", "--task", "acc_quiz"), "needs tokens"),
    ],
)
def test_a_forecast_of_error_that_cannot_be_made_is_a_usage_error(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = run("predict", fitted(tmp_path), *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_published_constants_have_no_tasks() -> None:
    done = run("predict", "besiroglu2024", *TARGET, "--task", "acc_quiz")
    assert done.exit_code == 2
    assert "scalewise fit RUNS --task COLUMN" in done.stderr


def test_missing_values_are_left_out_and_said(tmp_path: Path) -> None:
    path = task_file(tmp_path, acc_part=lambda loss, row: "" if row < 3 else accuracy(loss, row))
    whole = answer("fit", path, *QUICK, "--task", "acc_part")
    assert whole["data"]["tasks"]["acc_part"]["points"] == 17
    assert "acc_part: 3 points lack error; left out of the fit." in whole["warnings"]


def test_gates_hold_for_errors_too(tmp_path: Path) -> None:
    fit = fitted(tmp_path)
    words = ("predict", fit, *TARGET, "--task", "acc_quiz")
    wide = run(*words, "--max-interval", "0.001")
    assert wide.exit_code == 5
    assert "of the error wide" in wide.stderr
    assert run(*words, "--max-extrapolation", "10").exit_code == 5


def test_a_task_that_is_not_identified_is_shown_with_exit_4(tmp_path: Path) -> None:
    out = tmp_path / "fit.json"
    # The larger models have two losses only, which leave a sigmoid open.
    two = task_file(
        tmp_path,
        loss=lambda loss, row: loss if row < 12 else 2.5 + 0.1 * (row % 2),
        acc_quiz=lambda loss, row: 0.5 - 0.05 * (row % 2) + 0.001 * np.sin(row),
    )
    words = ("--where", "params < 200M", "--task", "acc_quiz", "--task-where", "params > 200M")
    done = run("fit", two, *QUICK, *words, "--task-law", "error-sigmoid", "--out", out)
    assert done.exit_code == 4
    record = json.loads(out.read_text())
    assert record["tasks"]["acc_quiz"]["status"] in ("NOT_IDENTIFIED", "MAX_ITERATIONS")
    assert run("predict", out, *TARGET, "--task", "acc_quiz").exit_code == 4
    assert run("predict", out, *TARGET).exit_code == 0


def test_a_report_of_a_fit_with_tasks_shows_them(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run("report", fitted(tmp_path), "--out", page)
    assert done.exit_code == 0, done.stderr
    assert "Downstream tasks" in page.read_text()
