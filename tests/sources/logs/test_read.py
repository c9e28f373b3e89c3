from __future__ import annotations

import os
from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.detect import MAX_DEPTH, detect
from scalewise.sources.logs.read import gather, read_logs, reading_of
from scalewise.sources.logs.readers import READERS
from tests.sources.logs.damage import samples
from tests.sources.logs.tensorboard_files import event, scalar, write_events
from tests.sources.logs.wandb_files import ended, history, run, write_run


def a_run(folder: Path, run_id: str, name: str, *, first: int = 1, last: int = 10,
          loss: float = 3.0, day: str = "20260101") -> Path:  # fmt: skip
    rows = [history(n, {"tokens": 1000.0 * n, "val/loss": loss - n / 100})
            for n in range(first, last + 1)]  # fmt: skip
    return write_run(folder, run_id, [run(run_id, name, {"n_params": 1e6}), *rows, ended(0)], day)


def test_several_sources_become_one_table(tmp_path: Path) -> None:
    a_run(tmp_path / "wandb", "abc", "small")
    write_events(tmp_path / "tb" / "large", [event(n, scalar("val/loss", 2.0)) for n in (1, 2)])
    (tmp_path / "table.csv").write_text("run_id,params,tokens,loss\nold,2e6,5e6,3.3\n")
    table = read_logs(tmp_path)
    assert sorted(set(table.text("run_id"))) == ["large", "old", "small"]
    assert table.where("run_id == 'small'").column("params").tolist() == [1e6] * 10
    assert table.where("run_id == 'small'").column("tokens").max() == 10_000


def test_a_resumed_run_is_one_run_in_which_the_later_log_wins(tmp_path: Path) -> None:
    a_run(tmp_path, "abc", "base", last=6, day="20260101")
    a_run(tmp_path, "abc", "base", first=5, last=10, loss=9.0, day="20260102")
    (found,) = gather(tmp_path).logs
    assert found.log.points["val/loss"].to_list()[3:6] == [2.96, 8.95, 8.94]
    assert found.log.points.height == 10
    assert found.log.lost == {"overwritten points": 2}
    assert any(
        "lost: 2 overwritten points" in text
        for text in reading_of(gather(tmp_path)).table.assumptions
    )


def test_runs_of_one_name_stay_apart(tmp_path: Path) -> None:
    a_run(tmp_path, "abc", "base")
    a_run(tmp_path, "def", "base", loss=2.0)
    assert sorted(f.log.run_id for f in gather(tmp_path).logs) == ["base abc", "base def"]


def test_a_run_that_two_tools_logged_is_told(tmp_path: Path) -> None:
    a_run(tmp_path, "abc", "base")
    events = [event(n, scalar("val/loss", 3.0 - n / 100)) for n in range(1, 11)]
    write_events(tmp_path / "tb" / "copy", events)
    notes = reading_of(gather(tmp_path)).notes
    assert any(
        "copy (tensorboard) has the losses of base (wandb)" in note
        or "base (wandb) has the losses of copy (tensorboard)" in note
        for note in notes
    )


def test_a_damaged_log_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    a_run(tmp_path, "abc", "base")
    path = write_events(tmp_path / "tb", [event(1, scalar("val/loss", 2.0))])
    path.write_bytes(path.read_bytes()[:20])
    reading = reading_of(gather(tmp_path))
    assert reading.table.run_count == 1
    assert any("holds no whole event" in note for note in reading.notes)


def test_an_open_end_is_told(tmp_path: Path) -> None:
    write_run(tmp_path, "abc", [history(n, {"val/loss": 1.0, "tokens": n}) for n in (1, 2)])
    table = read_logs(tmp_path)
    assert table.text("status") == ("running or crashed",) * 2
    assert any("no end in their log" in text for text in table.assumptions)


def test_links_are_not_followed_and_hidden_folders_passed_over(tmp_path: Path) -> None:
    a_run(tmp_path / "outside", "abc", "base")
    inside = tmp_path / "inside"
    a_run(inside / ".cache", "hid", "hidden")
    a_run(inside / ".wandb", "def", "kept")
    (inside / "link").symlink_to(tmp_path / "outside")
    (inside / "run-x.wandb").symlink_to(next((tmp_path / "outside").rglob("*.wandb")))
    assert [unit.path.stem for unit in detect(inside, READERS).units] == ["run-def"]


def test_a_pipe_in_the_folder_is_never_waited_for(tmp_path: Path) -> None:
    a_run(tmp_path, "abc", "base")
    os.mkfifo(tmp_path / "events.out.tfevents.1")
    assert len(detect(tmp_path, READERS).units) == 1


def test_folders_too_deep_are_told(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*(["d"] * (MAX_DEPTH + 1)))
    a_run(deep, "abc", "base")
    found = detect(tmp_path, READERS)
    assert not found.units
    assert found.notes == (f"folders deeper than {MAX_DEPTH} were passed over",)


def test_every_sample_format_is_read_from_one_folder(tmp_path: Path) -> None:
    for name, data in samples().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    gathering = gather(tmp_path)
    kinds = {found.log.kind for found in gathering.logs}
    assert {reader.key for reader in READERS} <= kinds | {"table"}
    assert reading_of(gathering).table.run_count > 10


def test_a_folder_without_logs_says_what_would_be_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(RunDataError, match=r"holds no log that is known\. Known: W&B offline run"):
        read_logs(tmp_path)


def test_a_log_without_a_loss_says_which_metrics_it_has(tmp_path: Path) -> None:
    write_run(tmp_path, "abc", [history(1, {"cost": 1.0})])
    with pytest.raises(RunDataError, match=r"None of the 1 logs in .* has a metric that is known"):
        read_logs(tmp_path)
    with pytest.raises(RunDataError, match="Metrics: 'cost'"):
        reading_of(gather(tmp_path, every_metric=True))


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunDataError, match="There is no file or folder"):
        read_logs(tmp_path / "nothing")
