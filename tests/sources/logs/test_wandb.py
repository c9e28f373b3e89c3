from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.log import Log
from scalewise.sources.logs.wandb import WandbReader
from tests.sources.logs.wandb_files import (
    HISTORY,
    METRIC,
    SUMMARY,
    ended,
    field,
    history,
    nested,
    plain,
    run,
    typed,
    wandb_bytes,
    write_run,
)

READER = WandbReader()


def read(folder: Path, records: list[bytes], run_id: str = "abc") -> Log:
    path = write_run(folder, run_id, records)
    assert READER.units(path) == [path]
    (log,) = READER.read(path)
    return log


def test_items_of_old_and_new_sdks_read_the_same(tmp_path: Path) -> None:
    old = [field(HISTORY, plain("train", {"loss": 3.5, "deep": {"x": 1}}) + plain("_step", 7))]
    new = [field(HISTORY, nested(["train", "loss"], 3.5) + nested(["train", "deep", "x"], 1)
                 + nested(["_step"], 7))]  # fmt: skip
    rows = [read(tmp_path / name, items).points.rows() for name, items in
            (("old", old), ("new", new))]  # fmt: skip
    assert rows == [[(7, 3.5, 1.0)]] * 2


def test_typed_values_are_read_and_text_is_no_scalar(tmp_path: Path) -> None:
    items = (
        typed("number", b"\x31" + struct.pack("<d", 2.5))
        + typed("integer", b"\x28\x03")  # zigzag
        + typed("flag", b"\x20\x01")
        + typed("text", field(7, b"hello"))
        + typed("json", field(8, b"4.5"))
        + nested(["_step"], 0)
    )
    points = read(tmp_path, [field(HISTORY, items)]).points
    assert points.to_dicts() == [{"step": 0, "number": 2.5, "integer": -2.0, "json": 4.5}]


@pytest.mark.parametrize("spelt", [b"NaN", b'"NaN"'])
def test_a_nan_that_was_logged_is_a_nan_and_not_a_gap(tmp_path: Path, spelt: bytes) -> None:
    item = field(1, field(2, b"loss") + field(16, spelt))
    records = [
        history(0, {"loss": 1.0}),
        field(HISTORY, item + nested(["_step"], 1)),
        history(2, {"other": 1.0, "loss": float("-inf")}),
        history(3, {"other": 2.0}),
    ]
    loss = read(tmp_path, records).points["loss"].to_list()
    assert loss[0] == 1.0
    assert math.isnan(loss[1])
    assert loss[2:] == [-math.inf, None]


def test_config_name_exit_and_the_axis_of_a_metric_are_in_the_file(tmp_path: Path) -> None:
    metric = field(METRIC, field(2, b"val/*") + field(4, b"tokens"))
    config = {"model": {"n_layer": 2}, "lr": 1e-3, "_wandb": {"x": 1}}
    log = read(tmp_path, [run("abc", "tiny", config), metric, history(0, {"a": 1}), ended(0)])
    assert (log.run_id, log.name, log.state) == ("abc", "tiny", "finished")
    assert log.config == {"model.n_layer": 2, "lr": 1e-3}
    assert log.notes == ("val/* is plotted over tokens",)


@pytest.mark.parametrize(("records", "state"), [([ended(1)], "failed"), ([], "running or crashed")])
def test_the_exit_record_tells_how_a_run_ended(
    tmp_path: Path, records: list[bytes], state: str
) -> None:
    assert read(tmp_path, [history(0, {"a": 1}), *records]).state == state


def test_what_only_the_summary_holds_is_a_setting(tmp_path: Path) -> None:
    summary = field(SUMMARY, nested(["n_params"], 1e6) + nested(["loss"], 1.0))
    log = read(tmp_path, [history(0, {"loss": 1.0}), summary])
    assert log.config == {"n_params": 1e6}


def test_a_file_cut_anywhere_gives_its_complete_rows_and_counts_the_rest(tmp_path: Path) -> None:
    records = [history(step, {"loss": float(step), "note": "x" * 300}) for step in range(500)]
    whole = wandb_bytes(records)
    for cut in (len(whole) // 2, len(whole) - 1, 40_000, 32768 + 3):
        path = tmp_path / f"{cut}.wandb"
        path.write_bytes(whole[:cut])
        (log,) = READER.read(path)
        assert log.points["loss"].to_list() == [float(n) for n in range(log.points.height)]
        assert 0 < log.points.height < 500
        assert log.lost["truncated bytes"] > 0


def test_a_flipped_bit_costs_one_block_and_no_more(tmp_path: Path) -> None:
    records = [history(step, {"loss": float(step), "note": "x" * 300}) for step in range(500)]
    data = bytearray(wandb_bytes(records))
    data[2 * 32768 + 100] ^= 1
    path = tmp_path / "run-x.wandb"
    path.write_bytes(data)
    (log,) = READER.read(path)
    assert log.lost["damaged blocks"] == 1
    assert 400 - 32768 // 300 < log.points.height < 500
    assert log.points["loss"].to_list() == log.points["step"].to_list()


def test_later_rows_of_a_step_win_and_are_counted(tmp_path: Path) -> None:
    rows = [history(1, {"a": 1.0, "b": 1.0}), history(2, {"a": 2.0}), history(1, {"a": 9.0})]
    log = read(tmp_path, rows)
    assert log.points.rows() == [(1, 9.0, 1.0), (2, 2.0, None)]
    assert log.lost == {"overwritten points": 1}


def test_metrics_that_are_not_wanted_are_not_kept(tmp_path: Path) -> None:
    path = write_run(tmp_path, "a", [history(n, {"a": 1.0, "b": 2.0}) for n in range(5)])
    (log,) = READER.read(path, wanted=lambda name: name == "b")
    assert log.points.columns == ["step", "b"]


def test_a_number_too_large_for_a_float_is_infinite(tmp_path: Path) -> None:
    log = read(tmp_path, [history(0, {"a": 10**400}), history(1, {"a": 3})])
    assert log.points["a"].to_list() == [math.inf, 3.0]


def test_another_file_under_that_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run-a.wandb"
    path.write_bytes(b"not a log at all")
    assert READER.units(path) == []
    with pytest.raises(RunDataError, match=r"run-a\.wandb is not a W&B run file"):
        READER.read(path)
