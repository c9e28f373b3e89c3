"""A project that trackio writes."""

from __future__ import annotations

import math
from pathlib import Path

from scalewise.sources.logs.read import read_logs
from scalewise.sources.logs.trackio import TrackioReader
from tests.sources.formats.processes import run
from tests.sources.formats.tools import need

SCRIPT = """
import trackio
for name, start in (("d4", 3.0), ("d8", 2.5)):
    trackio.init(project="ladder", name=name, config={"batch_tokens": 1024, "opt": {"lr": 3e-4}})
    for i in range(1, 4):
        trackio.log({"train/loss": start - i / 10, "val": {"loss": start - i / 9}}, step=10 * i)
    trackio.log({"train/loss": float("nan"), "val": {"loss": float("inf")}}, step=40)
    trackio.log({"train/loss": 9.0}, step=20)
    trackio.finish()
"""


def test_runs_of_a_real_project(tmp_path: Path) -> None:
    need("trackio")
    run(SCRIPT, tmp_path)
    logs = [log for path in (tmp_path / "trackio_dir").glob("*.db")
            for log in TrackioReader().read(path)]  # fmt: skip
    assert [log.name for log in logs] == ["d4", "d8"]
    points = logs[0].points
    assert points["step"].to_list() == [10, 20, 30, 40]
    assert points["train/loss"].to_list()[:3] == [2.9, 9.0, 2.7]
    assert math.isnan(points["train/loss"].to_list()[3])
    assert points["val.loss"].to_list()[3] == math.inf
    assert logs[0].lost == {"overwritten points": 1}
    table = read_logs(tmp_path / "trackio_dir")
    assert sorted(set(table.frame["run_id"])) == ["d4", "d8"]
    assert table.column("tokens").tolist()[:3] == [10240, 20480, 30720]
    assert set(table.column("lr_peak")) == {3e-4}
