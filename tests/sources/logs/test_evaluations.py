"""Evaluations of checkpoints beside the training that made them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from scalewise.sources.logs.evaluations import attached
from scalewise.sources.logs.log import Log, State
from scalewise.sources.logs.read import read_logs
from tests.sources.logs.test_hf_trainer import written
from tests.sources.logs.test_lm_eval import results


def log(kind: str, run_id: str, steps: list[int | None], *, state: State = "finished") -> Log:
    points = pl.DataFrame(
        {"step": steps, "v": [1.0] * len(steps)}, schema_overrides={"step": pl.Int64}
    )
    return Log(
        run_id=run_id, name=Path(run_id).name, kind=kind, source="s", points=points, state=state
    )


def evaluation(folder: Path, model: str, accuracy: float, name: str) -> None:
    held = {
        "results": {"arc_easy": {"acc,none": accuracy}},
        "config": {"model_args": f"pretrained={model},dtype=float32"},
    }
    results(folder, held, name)


def test_accuracy_and_loss_of_a_checkpoint_come_into_one_row(tmp_path: Path) -> None:
    written(tmp_path / "d12", 4, 8)
    evaluation(tmp_path, "models/d12/checkpoint-4", 0.3, "results_1.json")
    evaluation(tmp_path, "models/d12", 0.4, "results_2.json")
    table = read_logs(tmp_path)
    kept = table.frame.filter(eval_set="validation").sort("step")
    assert kept.select("run_id", "step", "tokens", "acc_arc_easy").rows() == [
        ("d12", 4, 512, 0.3),
        ("d12", 8, 1024, 0.4),
    ]
    assert kept["loss"].null_count() == 0
    assert kept["status"].to_list() == ["ok", "ok"]


def test_what_is_taken_for_a_run_is_told() -> None:
    run, first = attached([log("wandb", "d12", [10, 20]), log("lm-eval", "org/d12", [None])])
    assert (first.kind, first.run_id, run.kind) == ("wandb", "d12", "wandb")
    assert first.points["step"].to_list() == [20]
    assert "for its last step where they name none" in first.notes[0]


def test_a_name_that_two_runs_share_is_nobodys() -> None:
    logs = [log("wandb", "a/d12", [10]), log("wandb", "b/d12", [10]), log("lm-eval", "d12", [10])]
    assert attached(logs) == logs


def test_a_run_that_goes_on_has_no_last_step_to_evaluate() -> None:
    logs = [log("wandb", "d12", [10], state="running or crashed"), log("lm-eval", "d12", [None])]
    assert attached(logs) == logs


def test_evaluations_alone_stay_what_they_are(tmp_path: Path) -> None:
    evaluation(tmp_path, "org/m-160m", 0.3, "160m_step1000.json")
    path = tmp_path / "160m_step1000.json"
    assert "org/m-160m" in json.loads(path.read_text())["config"]["model_args"]
    table = read_logs(tmp_path, mapping={"constants": {"batch_tokens": "1M"}})
    assert table.frame.select("run_id", "tokens", "acc_arc_easy").rows() == [
        ("m-160m", 1_000_000_000, 0.3)
    ]


def test_a_restart_of_the_run_does_not_give_its_evaluations_up(tmp_path: Path) -> None:
    line = (
        "Step {0:05d} | Validation bpb: 2.5\nstep {0:05d}/00009 (1.00%) | loss: 4.0 | lrm: 1.00 |\n"
    )
    lines = [line.format(step) for step in (0, 1, 2, 1, 2, 3)]
    (tmp_path / "d12.log").write_text("".join(lines))
    evaluation(tmp_path, "models/d12_step2", 0.3, "results_1.json")
    frame = read_logs(tmp_path).frame
    assert frame.filter(step=2).select("run_id", "acc_arc_easy").rows() == [("d12", 0.3)]
    assert set(frame["status"]) == {"running or crashed"}
