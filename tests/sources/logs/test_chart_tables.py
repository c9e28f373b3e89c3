"""Sparse tables of Lightning's CSV logger, and charts exported from W&B's page."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.lightning import LightningReader
from scalewise.sources.logs.plain_yaml import settings
from scalewise.sources.logs.read import read_logs
from scalewise.sources.logs.wandb_csv import WandbCsvReader

SPARSE = """\
epoch,lr-AdamW,step,train_loss,val_loss
,0.0003,49,,
0,,49,5.12,
0,,99,4.87,
0,,99,,4.91
"""
CHART = """\
"Step","base-2 - train/loss","base-2 - train/loss__MIN","base-2 - train/loss__MAX","a - b - val/loss","a - b - val/loss__MIN","a - b - val/loss__MAX"
"0","10.5","10.4","10.6","","",""
"100","4.5","4.4","4.6","4.7","4.7","4.7"
"""  # noqa: E501


def lightning(folder: Path, text: str = SPARSE) -> Path:
    version = folder / "lightning_logs" / "version_0"
    version.mkdir(parents=True)
    path = version / "metrics.csv"
    path.write_text(text)
    return path


def test_sparse_rows_of_one_step_become_one(tmp_path: Path) -> None:
    path = lightning(tmp_path)
    reader = LightningReader()
    assert reader.units(path) == [path]
    (log,) = reader.read(path)
    assert log.points.columns == ["step", "lr-AdamW", "train_loss", "val_loss"]
    assert log.points.rows() == [(49, 0.0003, 5.12, None), (99, None, 4.87, 4.91)]
    assert (log.name, log.lost) == ("lightning_logs/version_0", {})


def test_hyperparameters_beside_the_table_are_its_settings(tmp_path: Path) -> None:
    path = lightning(tmp_path)
    path.with_name("hparams.yaml").write_text(
        "n_layer: 4\nbatch_tokens: 1024\nmodel: !!python/object:x.Model\n  width: 64\n"
    )
    table = read_logs(path)
    assert table.column("tokens").tolist() == [99 * 1024]
    assert table.column("loss").tolist() == [4.91]


def test_a_row_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    (log,) = LightningReader().read(lightning(tmp_path, SPARSE + "0,,149,4.7"))
    assert log.points["step"].to_list() == [49, 99]
    assert log.lost == {"truncated bytes": 10}


def test_a_table_without_steps_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunDataError, match="holds no row with a step"):
        LightningReader().read(lightning(tmp_path, "epoch,step,val_loss\n0,,1.0\n"))


def test_lines_of_a_chart_are_runs_whose_names_may_hold_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "wandb_export_2026-11-22T06_00_00.csv"
    path.write_text(CHART)
    reader = WandbCsvReader()
    assert reader.units(path) == [path]
    first, second = reader.read(path)
    assert (first.run_id, first.points.columns) == ("base-2", ["step", "train/loss"])
    assert first.points.rows() == [(0, 10.5), (100, 4.5)]
    assert (second.run_id, second.points.rows()) == ("a - b", [(100, 4.7)])
    assert "points may be missing" in first.notes[0]


def test_a_group_of_runs_is_said_to_be_a_mean(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text('"Step","Group: d12 - loss","Group: d12 - loss__MIN"\n"1","2.0","1.9"\n')
    (log,) = WandbCsvReader().read(path)
    assert log.notes[1] == "Group: d12 is the mean of a group of runs"


def test_a_chart_over_something_else_uses_its_own_steps_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text('"tokens","a - _step","a - loss","a - loss__MIN"\n"5000","7","2.5","2.4"\n')
    (log,) = WandbCsvReader().read(path)
    assert log.points.rows() == [(7, 2.5)]
    path.write_text('"Relative Time (Process)","a - loss","a - loss__MIN"\n"5","2.5","2.4"\n')
    with pytest.raises(RunDataError, match=r"drawn over 'Relative Time.*has no steps") as told:
        WandbCsvReader().read(path)
    assert "Step as its x axis" in told.value.hint


def test_a_plain_table_is_no_chart(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("step,loss\n1,2.0\n")
    assert WandbCsvReader().units(path) == []
    assert LightningReader().units(path) == []


def test_only_the_plain_part_of_yaml_is_read() -> None:
    raw = (
        b"a: 1\nb:\n  c: 2.5e-1\n  'd e': off # no\n  list:\n  - 1\nf: \"x: y\"\n"
        b"g: !!python/object/apply:os.system [ls]\nh: {i: 1}\nj:\n    k: null\n"
    )
    assert settings(raw) == {
        "a": 1, "b.c": 0.25, "b.d e": "off", "f": "x: y", "j.k": None,
    }  # fmt: skip
