from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.detect import MAX_DEPTH, detect
from scalewise.sources.logs.gather import gather, is_one_run
from scalewise.sources.logs.read import read_logs, reading_of
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


def test_rows_of_files_that_share_a_name_are_runs_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.csv").write_text(
            "params,tokens,loss\n1e6,5e6,3.3\n2e6,5e6,3.1\n"
        )
    table = read_logs(tmp_path)
    assert len(set(table.text("run_id"))) == 4
    (told,) = (text for text in table.assumptions if "each row is its own run" in text)
    assert told.endswith("(2 tables)")


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


def test_a_copied_run_is_told_and_a_second_seed_is_not(tmp_path: Path) -> None:
    a_run(tmp_path / "a", "abc", "base")
    a_run(tmp_path / "b", "def", "copy")
    a_run(tmp_path / "c", "ghi", "seed", loss=3.0000001)
    (note,) = reading_of(gather(tmp_path)).notes
    assert "copy (wandb) has the losses of base (wandb): if that is one run twice" in note


def test_files_that_look_like_logs_and_cannot_be_read_are_told(tmp_path: Path) -> None:
    a_run(tmp_path, "abc", "base")
    for name in ("run-x.wandb", "metrics.csv.gz", "events.out.tfevents.1.gz", "notes.txt.gz"):
        (tmp_path / name).write_bytes(b"" if name.endswith(".wandb") else b"\x1f\x8b")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    notes = reading_of(gather(tmp_path)).notes
    assert "passed over, empty: 'run-x.wandb'" in notes
    packed = "passed over, packed (unpack them): 'events.out.tfevents.1.gz', 'metrics.csv.gz'"
    assert packed in notes
    assert any("cut.parquet is a damaged Parquet file" in note for note in notes)


def test_a_folder_of_unreadable_logs_says_why(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(RunDataError) as error:
        gather(tmp_path)
    assert "unpack them): 'metrics.jsonl.gz'" in error.value.hint


def test_a_file_without_permission_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run(tmp_path, "abc", "base")
    (tmp_path / "train.log").write_text("x")
    allowed = os.access  # the superuser may read everything
    monkeypatch.setattr(os, "access", lambda p, m: Path(p).name != "train.log" and allowed(p, m))
    assert "passed over, not permitted to be read: 'train.log'" in gather(tmp_path).notes


def test_records_that_a_crash_cut_short_are_read_up_to_there(tmp_path: Path) -> None:
    rows = [f'{{"step": {n}, "tokens": {n}e6, "val_loss": {4 - n / 10}}}' for n in range(1, 6)]
    (tmp_path / "m.jsonl").write_text("\n".join(rows)[:-7])
    table = read_logs(tmp_path)
    assert table.column("tokens").tolist() == [1e6, 2e6, 3e6, 4e6]
    assert "lost: 36 truncated bytes in 1 runs" in table.assumptions


def test_a_loss_that_is_once_written_as_a_word_is_still_a_loss(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(
        '{"step": 1, "val_loss": 3.5}\n{"step": 2, "val_loss": "NaN"}\n'
        '{"step": 3, "val_loss": 3.0}\n{"step": 4, "val_loss": "diverged"}\n'
    )
    table = read_logs(tmp_path)
    np.testing.assert_array_equal(table.column("loss"), [3.5, np.nan, 3.0])
    assert "lost: 1 unreadable cells in 1 runs" in table.assumptions


def test_a_curve_that_repeats_its_size_on_each_row_is_one_run(tmp_path: Path) -> None:
    rows = [f"{100 * n},1e8,3,c4,{n}e8,{4 - n / 10}" for n in range(1, 6)]
    (tmp_path / "r.csv").write_text("\n".join(["step,params,seed,corpus,tokens,val_loss", *rows]))
    table = read_logs(tmp_path)
    assert set(table.text("run_id")) == {"r"}
    assert table.column("params").tolist() == [1e8] * 5
    assert (set(table.text("corpus")), set(table.column("seed"))) == ({"c4"}, {3.0})
    sizes = [f"{100 * n},{n}e8,{n}e9,{4 - n / 10}" for n in range(1, 6)]
    (tmp_path / "r.csv").write_text("\n".join(["step,params,tokens,val_loss", *sizes]))
    assert read_logs(tmp_path).run_count == 5


def test_the_lines_of_a_chart_that_is_no_loss_are_no_runs(tmp_path: Path) -> None:
    home = tmp_path / "run"
    write_events(home, [event(n, scalar("val/loss", 3.0 - n / 100)) for n in (1, 2)])
    write_events(home / "norms_layer1", [event(1, scalar("norms", 1.0))])
    reading = reading_of(gather(tmp_path))
    assert [found.log.run_id for found in reading.logs] == ["run"]
    assert reading.notes == ()


def test_what_a_reader_says_of_the_numbers_is_told(tmp_path: Path) -> None:
    chart = (
        '"Step","Group: x - val/loss","Group: x - val/loss__MIN"\n"1","3.0","2.9"\n"2","2.9","2"'
    )
    (tmp_path / "chart.csv").write_text(chart + "\n")
    told = read_logs(tmp_path).assumptions
    assert "Group: x is the mean of a group of runs" in told
    assert any("points may be missing" in note for note in told)


def test_a_table_whose_steps_are_told_needs_no_known_name_for_them(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("it,val_loss\n100,3.0\n200,2.5\n300,2.4\n")
    table = read_logs(tmp_path, mapping={"columns": {"step": "it"}})
    assert table.column("step").tolist() == [100, 200, 300]
    assert set(table.text("run_id")) == {"r"}


def test_each_evaluation_set_of_a_curve_keeps_its_losses(tmp_path: Path) -> None:
    rows = [f"{step},{name},{loss}" for step, loss in ((100, 3.0), (200, 2.5), (300, 2.4))
            for name in ("c4", "wiki")]  # fmt: skip
    (tmp_path / "r.csv").write_text("\n".join(["step,eval_set,loss", *rows]))
    table = read_logs(tmp_path)
    assert set(table.text("run_id")) == {"r"}
    assert table.where("eval_set == 'c4'").column("loss").tolist() == [3.0, 2.5, 2.4]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("tokens,loss\n1e8,3.0\n2e8,2.8\n4e8,2.7\n", 3),
        ("step,batch_tokens,loss\n100,65536,2.9\n150,32768,2.9\n300,16384,2.9\n", 3),
        ("step,loss,seed\n100,3.0,1\n100,3.1,2\n100,3.2,3\n", 3),
        ("step,val_loss\n100,3.0\n200,2.8\n150,2.9\n200,2.8\n", 1),
        ("step,batch_tokens,loss\n100,1024,3.0\n200,1024,2.8\n300,2048,2.7\n", 1),
    ],
    ids=["token counts", "a scan of batches", "seeds", "restarted", "a schedule of batches"],
)
def test_rows_without_run_id_are_runs_unless_they_are_the_steps_of_one(
    tmp_path: Path, text: str, runs: int
) -> None:
    (tmp_path / "r.csv").write_text(text)
    assert read_logs(tmp_path).run_count == runs
    assert is_one_run(tmp_path / "r.csv") == (runs == 1)
