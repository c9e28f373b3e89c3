"""Trainer states as transformers writes them, by hand; `formats` has them from the real tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.hf_trainer import STATE, HfTrainerReader
from scalewise.sources.logs.read import read_logs


def state(step: int, *, tokens: int = 0, last: int = 8) -> dict[str, Any]:
    seen = [{"num_input_tokens_seen": 128 * at} if tokens else {} for at in range(step + 1)]
    history = [
        {"epoch": at / 8, "learning_rate": 1e-3, "loss": 4 - at / 8, "step": at, **seen[at]}
        for at in range(2, step + 1, 2)
    ]
    evaluated = [
        {"epoch": at / 8, "eval_loss": 4.1 - at / 8, "eval_c4_loss": 5.0, "step": at, **seen[at]}
        for at in range(4, step + 1, 4)
    ]
    summed = [{"step": step, "train_loss": 3.9, "train_runtime": 2.0, "total_flos": 1e9}]
    return {
        "global_step": step, "max_steps": last, "train_batch_size": 4,
        "num_input_tokens_seen": tokens, "total_flos": 6.0 * 6592 * tokens,
        "log_history": sorted(history + evaluated, key=lambda entry: entry["step"])
        + (summed if step == last else []),
    }  # fmt: skip


def written(folder: Path, *steps: int, tokens: bool = True) -> Path:
    for step in steps:
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        held = state(step, tokens=128 * step * tokens)
        (checkpoint / STATE).write_text(json.dumps(held))
    return folder


def test_checkpoints_of_a_run_are_read_once_by_the_newest(tmp_path: Path) -> None:
    run = written(tmp_path / "out", 4, 8)
    reader = HfTrainerReader()
    assert reader.units(run) == [run]
    (log,) = reader.read(run)
    assert log.points["step"].to_list() == [2, 4, 6, 8]
    assert log.source.endswith("checkpoint-8/trainer_state.json")
    assert (log.lost, log.state) == ({}, "finished")
    assert "train_loss" not in log.points.columns


def test_tokens_give_the_batch_and_the_flops_give_the_parameters(tmp_path: Path) -> None:
    table = read_logs(written(tmp_path / "out", 8))
    sets = table.frame["eval_set"].to_list()
    assert sorted(set(sets)) == ["c4", "validation"]
    assert set(table.column("batch_tokens")) == {128.0}
    assert table.column("params_nonembed")[0] == pytest.approx(6592)
    assert table.column("tokens").tolist() == [512, 1024, 512, 1024]


def test_the_batch_of_one_device_is_not_taken_for_the_batch(tmp_path: Path) -> None:
    run = written(tmp_path / "out", 4, tokens=False)
    table = read_logs(run)
    assert not table.has("tokens")
    (log,) = HfTrainerReader().read(run)
    assert log.config["sequences_per_device"] == 4
    assert "include_num_input_tokens_seen" in log.notes[0]
    assert log.state == "running or crashed"


def test_a_state_that_is_half_written_gives_way_to_the_one_before(tmp_path: Path) -> None:
    run = written(tmp_path / "out", 4, 8)
    cut = run / "checkpoint-8" / STATE
    cut.write_text(cut.read_text()[:200])
    (log,) = HfTrainerReader().read(run)
    assert log.points["step"].to_list() == [2, 4]
    assert log.lost == {"unreadable checkpoints": 1}


def test_a_folder_with_other_runs_below_it_is_not_one_run(tmp_path: Path) -> None:
    run = written(tmp_path / "out", 4)
    written(run / "ablation", 8)
    assert HfTrainerReader().units(run) == []
    table = read_logs(run)
    assert sorted(set(table.frame["run_id"])) == ["ablation", "out"]


def test_the_pickle_beside_the_state_is_never_opened(tmp_path: Path) -> None:
    run = written(tmp_path / "out", 4)
    bomb = run / "checkpoint-4" / "training_args.bin"
    bomb.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    bomb.chmod(0o000)
    (log,) = HfTrainerReader().read(run)
    assert log.points.height == 2


def test_a_damaged_header_beside_the_state_is_told_and_passed_over(tmp_path: Path) -> None:
    run = written(tmp_path / "out", 4)
    (run / "checkpoint-4" / "model.safetensors").write_bytes(b"\xff" * 20)
    (log,) = HfTrainerReader().read(run)
    assert "params" not in log.facts
    assert any("not a safetensors file" in note for note in log.notes)


@pytest.mark.parametrize("text", ["[1, 2]", "{", "null"])
def test_a_state_that_is_no_object_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / STATE
    path.write_text(text)
    with pytest.raises(RunDataError, match=r"trainer_state\.json (is not whole JSON|holds)"):
        HfTrainerReader().read(path)
