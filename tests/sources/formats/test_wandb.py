"""W&B offline runs that the installed SDK writes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from scalewise.sources.logs.read import read_logs
from scalewise.sources.logs.wandb import WandbReader
from tests.sources.formats.tools import tool


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    wandb = tool("wandb")
    for name, value in {"MODE": "offline", "SILENT": "true", "DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = wandb.init(
        project="p", name="tiny", dir=tmp_path, settings=wandb.Settings(console="off"),
        config={"model": {"n_layer": 2}, "batch_tokens": 512, "n_params": 1_000_000},
    )  # fmt: skip
    run.define_metric("val/*", step_metric="tokens")
    for step in range(20):
        run.log({"train": {"loss": 3 / (step + 1)}, "tokens": (step + 1) * 512, "note": "text"})
        if step % 5 == 4:
            run.log({"val/loss": math.nan if step == 9 else 4.0 - step / 10})
    run.summary["final"] = 3
    run.finish(exit_code=0)
    wandb.teardown()  # finish() may return before the tool's other process wrote the file
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # of the tool
def test_an_offline_run_comes_back_point_by_point(folder: Path) -> None:
    (path,) = (p for p in folder.rglob("*.wandb") if not p.parent.is_symlink())
    (log,) = WandbReader().read(path)
    assert (log.name, log.state, log.lost) == ("tiny", "finished", {})
    assert log.config["model.n_layer"] == 2
    assert log.config["final"] == 3
    assert log.points["train.loss"].drop_nulls().to_list() == [3 / (n + 1) for n in range(20)]
    values = log.points["val/loss"].drop_nulls().to_list()
    assert values[0] == pytest.approx(3.6)
    assert math.isnan(values[1])
    assert "note" not in log.points.columns


@pytest.mark.filterwarnings("ignore")
def test_the_folder_of_a_project_becomes_a_run_table(folder: Path) -> None:
    table = read_logs(folder)
    assert table.frame["tokens"].to_list() == [2560, 5120, 7680, 10240]
    assert table.column("params").tolist() == [1e6] * 4
    assert table.text("run_id") == ("tiny",) * 4
    assert table.frame["is_final"].to_list() == [False, False, False, True]


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_is_cut_off_is_read_up_to_there(folder: Path) -> None:
    (path,) = (p for p in folder.rglob("*.wandb") if not p.parent.is_symlink())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    (log,) = WandbReader().read(path)
    assert log.state == "running or crashed"
    assert 0 < log.points.height < 24
