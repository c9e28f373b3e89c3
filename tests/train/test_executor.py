"""Several runs in one folder: order, crashes, claims, and one table at the end."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scalewise.core import records
from scalewise.core.errors import RunDataError, UsageError
from scalewise.runs.spec import RunSpec
from scalewise.runs.spec_file import specs_to_toml
from scalewise.train.executor import train_all
from scalewise.train.pretokenized import map_bins
from scalewise.train.progress import Progress
from scalewise.train.run_folder import RunFolder
from scalewise.train.shape import shape_from_width
from tests.train.small_runs import small_spec, write_text


@pytest.fixture
def text(tmp_path: Path) -> str:
    return str(write_text(tmp_path / "words.txt"))


def small_ladder(text: str) -> tuple[RunSpec, ...]:
    return tuple(
        small_spec(
            run_id=f"d{width}",
            shape=shape_from_width(width, context_length=32),
            token_budgets=(4_096,),
            corpus=text,
        )
        for width in (8, 16)
    )


def test_processes_train_what_one_process_trains(tmp_path: Path, text: str) -> None:
    specs = small_ladder(text)
    events: list[Progress] = []
    spread = train_all(specs, tmp_path / "two", workers=2, on_progress=events.append)
    inline = train_all(specs, tmp_path / "one", executor="inline")
    assert [{**row, "cpu_seconds": 0} for row in spread.rows] == [
        {**row, "cpu_seconds": 0} for row in inline.rows
    ]
    assert {(e.run_id, e.status) for e in events} >= {("d8", "ok"), ("d16", "ok")}
    assert all(0 <= e.updates <= e.total_updates for e in events)
    assert spread.unfinished == ()
    table = [json.loads(line) for line in spread.path.read_text().splitlines()]
    assert sorted({row["run_id"] for row in table}) == ["d16", "d8"]


def test_the_longest_run_goes_first_and_finished_ones_are_not_repeated(
    tmp_path: Path, text: str
) -> None:
    specs = small_ladder(text)
    events: list[Progress] = []
    train_all(specs, tmp_path / "q", executor="inline", on_progress=events.append)
    assert list(dict.fromkeys(event.run_id for event in events)) == ["d16", "d8"]
    again: list[Progress] = []
    result = train_all(specs, tmp_path / "q", executor="inline", on_progress=again.append)
    assert again == []
    assert {row["run_id"] for row in result.rows} == {"d8", "d16"}


def test_the_table_of_a_folder_holds_all_its_finished_runs(tmp_path: Path, text: str) -> None:
    small, large = small_ladder(text)
    train_all([small], tmp_path / "q", executor="inline")
    result = train_all([large], tmp_path / "q", executor="inline")
    assert {row["run_id"] for row in result.rows} == {"d16"}
    table = [json.loads(line) for line in result.path.read_text().splitlines()]
    assert {row["run_id"] for row in table} == {"d8", "d16"}


def test_a_run_of_a_changed_plan_replaces_its_namesake_in_the_table(
    tmp_path: Path, text: str
) -> None:
    first, other = small_ladder(text)
    train_all([first, other], tmp_path / "q", executor="inline")
    changed = replace(first, lr_peak=first.lr_peak / 2)
    result = train_all([changed], tmp_path / "q", executor="inline")
    table = json_rows(result.path)
    assert result.superseded == (first.run_id,)
    rates = {(row["run_id"], row["lr_peak"]) for row in table}
    assert rates == {("d8", changed.lr_peak), ("d16", other.lr_peak)}
    # Whoever is asked for decides; of others' namesakes the later one stays.
    table = json_rows(train_all([first], tmp_path / "q", executor="inline").path)
    assert {row["lr_peak"] for row in table if row["run_id"] == "d8"} == {first.lr_peak}
    table = json_rows(train_all([other], tmp_path / "q", executor="inline").path)
    assert {row["lr_peak"] for row in table if row["run_id"] == "d8"} == {changed.lr_peak}


def json_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_killed_worker_is_reported_its_run_resumed_and_the_other_run_untouched(
    tmp_path: Path, text: str
) -> None:
    doomed, safe = (
        small_spec(run_id="doomed", token_budgets=(512_000,), corpus=text),
        small_spec(run_id="safe", token_budgets=(4_096,), corpus=text),
    )

    def kill(event: Progress) -> None:
        if event.run_id == "doomed" and event.status == "running":
            lock = RunFolder(tmp_path / "q", doomed).path / "LOCK"
            os.kill(int(lock.read_text()), signal.SIGKILL)

    result = train_all([doomed, safe], tmp_path / "q", workers=1, on_progress=kill)
    (crash,) = result.unfinished
    assert (crash.run_id, crash.status) == ("doomed", "crashed")
    assert crash.detail == "its process was killed by signal 9"
    assert {row["run_id"] for row in result.rows} == {"safe"}


def test_a_run_held_by_another_process_is_reported_as_busy(tmp_path: Path, text: str) -> None:
    held, free = small_ladder(text)
    folder = RunFolder(tmp_path / "q", held)
    folder.create()
    with folder.claimed():
        result = train_all([held, free], tmp_path / "q", executor="inline")
    assert [(e.run_id, e.status) for e in result.unfinished] == [("d8", "busy")]
    assert {row["run_id"] for row in result.rows} == {"d16"}
    assert train_all([held, free], tmp_path / "q", executor="inline").unfinished == ()


def test_the_claim_of_a_killed_process_does_not_outlive_it(tmp_path: Path, text: str) -> None:
    spec = small_ladder(text)[0]
    folder = RunFolder(tmp_path / "q", spec)
    folder.create()
    script = f"""
        import sys, time
        from pathlib import Path
        from scalewise.train.claim import _lock
        with Path({str(folder.path / "LOCK")!r}).open("a+") as file:
            _lock(file.fileno(), "run")
            print("held", flush=True)
            time.sleep(600)
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, env=environment
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        result = train_all([spec], tmp_path / "q", executor="inline")
        assert result.unfinished[0].status == "busy"
        holder.kill()
    assert train_all([spec], tmp_path / "q", executor="inline").unfinished == ()


def test_an_interrupt_stops_the_processes_and_a_second_call_goes_on(
    tmp_path: Path, text: str
) -> None:
    spec = small_spec(run_id="long", token_budgets=(51_200,), corpus=text)
    workers: list[int] = []

    def interrupt(event: Progress) -> None:
        if event.updates > 0:
            workers.append(int((RunFolder(tmp_path / "q", spec).path / "LOCK").read_text()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_all([spec], tmp_path / "q", workers=1, checkpoint_seconds=0, on_progress=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(workers[0], 0)
    result = train_all([spec], tmp_path / "q", executor="inline")
    whole = train_all([spec], tmp_path / "whole", executor="inline")
    assert [row["loss"] for row in result.rows] == [row["loss"] for row in whole.rows]


def test_training_here_leaves_the_process_as_it_was(tmp_path: Path, text: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    train_all(small_ladder(text)[:1], tmp_path / "q", executor="inline")
    assert torch.get_num_threads() == 2
    assert torch.tensor(1e-42) * 0.5 > 0  # denormal numbers still count
    torch.set_num_threads(before)


def test_one_diverging_run_does_not_stop_the_others(tmp_path: Path, text: str) -> None:
    specs = [*small_ladder(text), small_spec(run_id="wild", lr_peak=9.0, corpus=text)]
    result = train_all(specs, tmp_path / "q", executor="inline")
    assert [(e.run_id, e.status) for e in result.unfinished] == [("wild", "diverged")]
    assert {row["run_id"] for row in result.rows} == {"d8", "d16", "wild"}


def test_a_deliberate_error_in_one_run_does_not_stop_the_others(tmp_path: Path, text: str) -> None:
    wrong = small_spec(
        run_id="wrong", corpus=text, shape=shape_from_width(16, vocab_size=99, context_length=32)
    )
    result = train_all([wrong, *small_ladder(text)], tmp_path / "q", executor="inline")
    (failure,) = result.unfinished
    assert (failure.run_id, failure.status) == ("wrong", "failed")
    assert "vocab_size=99" in failure.detail


def test_a_full_disk_stops_one_run_and_not_the_others(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = small_ladder(text)
    plain = records._write_through

    def write(path: Path, data: bytes) -> None:
        if path.parent == RunFolder(tmp_path / "q", first).path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(records, "_write_through", write)
        result = train_all([first, *others], tmp_path / "q", executor="inline")
    (failure,) = result.unfinished
    assert (failure.run_id, failure.status) == ("d8", "failed")
    assert "No space left on device" in failure.detail
    assert {row["run_id"] for row in result.rows} == {"d16"}
    assert train_all([first, *others], tmp_path / "q", executor="inline").unfinished == ()


def test_a_shared_queue_takes_over_what_another_process_lets_fall(
    tmp_path: Path, text: str
) -> None:
    short, free = small_ladder(text)
    held = replace(short, token_budgets=(65_536,))  # longer, so that it is tried first
    folder = RunFolder(tmp_path / "q", held)
    folder.create()
    other = folder.claimed()
    other.__enter__()

    def let_fall(event: Progress) -> None:
        if (event.run_id, event.status) == ("d16", "ok"):
            other.__exit__(None, None, None)

    specs = [held, free]
    result = train_all(specs, tmp_path / "q", executor="inline", on_progress=let_fall, shared=True)
    assert result.unfinished == ()
    assert {row["run_id"] for row in result.rows} == {"d8", "d16"}


def test_processes_that_share_a_queue_train_each_run_once(tmp_path: Path, text: str) -> None:
    short = small_spec(token_budgets=(4_096,), corpus=text)
    specs = [replace(short, run_id=f"s{seed}", seed=seed) for seed in range(4)]
    (tmp_path / "plan.toml").write_text(specs_to_toml(specs))
    words = [sys.executable, "-m", "scalewise", "train", "plan.toml", "--out", "q"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    tasks = [
        subprocess.Popen(
            [*words, "--executor", "inline", "--shared"], cwd=tmp_path, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for task in tasks:
        _, told = task.communicate()
        assert task.returncode == 0, told
    folders = [RunFolder(tmp_path / "q", spec) for spec in specs]
    assert [len(folder.attempts()) for folder in folders] == [1, 1, 1, 1]
    table = (tmp_path / "q" / "runs.jsonl").read_text().splitlines()
    assert {json.loads(line)["run_id"] for line in table} == {spec.run_id for spec in specs}


def test_a_folder_of_another_corpus_is_refused(tmp_path: Path, text: str) -> None:
    train_all(small_ladder(text)[:1], tmp_path / "q", executor="inline")
    other = str(write_text(tmp_path / "other.txt", seed=1))
    with pytest.raises(RunDataError, match="their losses cannot be compared"):
        train_all(small_ladder(other), tmp_path / "q", executor="inline")


def test_byte_pair_runs_train_too(tmp_path: Path, text: str) -> None:
    shape = shape_from_width(16, vocab_size=280, context_length=32)
    spec = small_spec(tokenizer="bpe-280", shape=shape, token_budgets=(4_096,), corpus=text)
    result = train_all([spec], tmp_path / "q", executor="inline")
    assert result.rows[-1]["tokenizer"] == "bpe-280"
    assert result.rows[-1]["bytes_per_token"] > 1.2


def ready_tokens(folder: Path, highest: int = 99) -> Path:
    folder.mkdir()
    for split, count in (("train", 9_000), ("val", 600)):
        (7 * np.arange(count) % (highest + 1)).astype("<u2").tofile(folder / f"{split}.bin")
    return folder


def test_ready_tokens_are_mapped_where_they_lie(tmp_path: Path) -> None:
    bins = ready_tokens(tmp_path / "bins")
    shape = shape_from_width(16, vocab_size=100, context_length=32)
    spec = small_spec(tokenizer="tokens-100", shape=shape, token_budgets=(4_096,), corpus=str(bins))
    result = train_all([spec], tmp_path / "q", executor="inline")
    assert result.unfinished == ()
    assert result.rows[-1]["tokens_unique"] == 9_000
    assert result.rows[-1]["bytes_per_token"] is None
    assert not list((tmp_path / "q").rglob("*.npy"))
    ready_tokens(tmp_path / "others", highest=98)
    with pytest.raises(RunDataError, match="their losses cannot be compared"):
        train_all([replace(spec, corpus=str(tmp_path / "others"))], tmp_path / "q")


def test_numbers_that_are_no_tokens_are_refused(tmp_path: Path) -> None:
    bins = ready_tokens(tmp_path / "bins", highest=99)
    with pytest.raises(RunDataError, match=r"train\.bin holds token 99, outside of tokens-99"):
        map_bins(bins, "tokens-99")
    (bins / "val.bin").write_bytes(b"odd")
    with pytest.raises(RunDataError, match="3 bytes, no whole number of uint16 tokens"):
        map_bins(bins, "tokens-100")
    (bins / "val.bin").unlink()
    with pytest.raises(UsageError, match="No tokens in"):
        map_bins(bins, "tokens-100")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"executor": "abacus"}, "No executor named 'abacus'"),
        ({"workers": 0}, "workers=0"),
        ({"specs": ()}, "There are no runs to train"),
        ({"specs": (small_spec(), small_spec())}, "More than one run is called 'small'"),
        ({"specs": (small_spec(), small_spec(run_id="b", corpus="x"))}, "are on 2 corpora"),
    ],
)
def test_a_malformed_order_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    order: dict[str, object] = {"specs": (small_spec(),), "folder": tmp_path} | changes
    with pytest.raises(UsageError, match=message):
        train_all(**order)  # type: ignore[arg-type]


def test_a_worker_whose_parent_is_gone_goes_home(tmp_path: Path, text: str) -> None:
    spec = small_spec(run_id="orphan", token_budgets=(5_120_000,), corpus=text)
    script = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from scalewise.train.executor import train_all
        from tests.train.small_runs import small_spec
        spec = small_spec(run_id="orphan", token_budgets=(5_120_000,), corpus={text!r})
        if __name__ == "__main__":
            train_all([spec], {str(tmp_path / "q")!r}, workers=1,
                      on_progress=lambda event: print(event.updates, flush=True))
    """
    (tmp_path / "parent.py").write_text(textwrap.dedent(script))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"0\n"
        worker = int((RunFolder(tmp_path / "q", spec).path / "LOCK").read_text())
        parent.kill()
    for _ in range(600):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker went on without its parent")


def test_a_plan_is_taken_up_from_another_folder_and_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    text = write_text(tmp_path / "data" / "words.txt")
    queue = tmp_path / "queue"
    monkeypatch.chdir(tmp_path)
    spec = small_spec(corpus="data/words.txt", token_budgets=(4_096,))
    rows = train_all([spec], queue, executor="inline").rows
    done = sorted(queue.glob("runs/*"))

    def no_training(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("scalewise.train.executor.train_here", no_training)
    monkeypatch.chdir(tmp_path / "elsewhere")
    for corpus in (str(text), "../data/words.txt"):
        again = train_all([replace(spec, corpus=corpus)], queue, executor="inline")
        assert again.rows == rows
    # As an earlier release named it, by the path as it was written.
    done[0].rename(done[0].with_name(f"small-{'0' * 16}"))
    assert train_all([replace(spec, corpus=str(text))], queue, executor="inline").rows == rows
    assert RunFolder(queue, replace(spec, seed=1)).path.name != f"small-{'0' * 16}"
