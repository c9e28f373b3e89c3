"""Event files that torch's SummaryWriter writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.sources.logs.gather import gather
from tests.sources.formats.tools import tool


@pytest.mark.filterwarnings("ignore")  # of the tool
def test_scalars_charts_settings_and_restarts_come_back(tmp_path: Path) -> None:
    tool("tensorboard")
    tool("torch")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path / "a") as writer:
        for step in range(1, 20):
            writer.add_scalar("train/loss", 3 / step, step)
            writer.add_scalar("val/loss", 2.5 - step / 20, step, new_style=True)
        writer.add_text("note", "hello", 1)
        writer.add_scalars("loss", {"train": 1.0, "val": 2.0}, 3)
        writer.add_hparams({"n_layer": 2, "schedule": "cosine"}, {"hparam/final": 3.0})
    with SummaryWriter(tmp_path / "a", purge_step=15) as writer:
        writer.add_scalar("train/loss", 9.0, 15)

    (found,) = gather(tmp_path, every_metric=True).logs
    points = found.log.points
    assert found.log.run_id == "a"
    assert found.log.config == {"n_layer": 2.0, "schedule": "cosine"}
    assert points["step"].max() == 15
    assert points["train/loss"].to_list()[-1] == 9.0
    assert points["val/loss"].drop_nulls().len() == 14
    assert points["loss/val"].drop_nulls().to_list() == [2.0]
    assert found.log.lost == {"points given up": 10}
