"""A run that is killed, at any moment and however often, ends as if nothing had happened."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from scalewise.core.errors import UsageError
from scalewise.train import trainer
from scalewise.train.checkpoint import NAMES, Checkpoint, CheckpointPair
from scalewise.train.learner import Learner
from scalewise.train.process import settled
from scalewise.train.run_folder import Row, RunBusyError, RunFolder
from scalewise.train.tokenizer import TokenizedCorpus, save_tokens
from scalewise.train.trainer import train_run
from tests.train import killed_run
from tests.train.small_runs import outcome, small_spec, small_tokens

KILLS = 10


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenizedCorpus:
    return small_tokens(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def undisturbed(
    tokens: TokenizedCorpus, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[Row]]:
    queue = tmp_path_factory.mktemp("undisturbed")
    with settled():
        train_run(small_spec(), tokens, queue)
    return outcome(queue, small_spec())


class Killed(BaseException):
    """Stands for a kill that strikes inside this process."""


def started(*args: object) -> BaseProcess:
    # The fork server imports torch once, so that each victim costs a fork only.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([killed_run.__name__])
    process = context.Process(target=killed_run.train, args=args)
    process.start()
    return process


def test_killed_at_ten_random_moments_each_run_ends_with_the_same_weights_and_rows(
    tmp_path: Path, tokens: TokenizedCorpus, undisturbed: tuple[str, list[Row]]
) -> None:
    spec = small_spec()
    save_tokens(tokens, tmp_path / "tokens")
    draw = random.Random(20)  # noqa: S311

    def run(queue: Path) -> BaseProcess:
        process = started(spec, tmp_path / "tokens", queue)
        lock = RunFolder(queue, spec).path / "LOCK"
        while process.is_alive() and not lock.exists():
            time.sleep(0.001)
        return process

    whole = run(tmp_path / "whole")
    start = time.monotonic()
    whole.join()
    duration = time.monotonic() - start
    assert outcome(tmp_path / "whole", spec) == undisturbed

    killed = 0
    for attempt in range(4 * KILLS):
        queue = tmp_path / f"killed-{attempt}"
        victim = run(queue)
        time.sleep(duration * draw.random())
        victim.kill()
        victim.join()
        killed += not RunFolder(queue, spec).is_done
        with settled():
            train_run(spec, tokens, queue)
        assert outcome(queue, spec) == undisturbed
        if killed == KILLS:
            return
    pytest.fail(f"only {killed} of {4 * KILLS} kills struck before the end")


@pytest.mark.parametrize("update", [1, 26, 50, 51, 70, 120, 140])
def test_killed_at_a_given_update_a_run_goes_on_from_its_last_checkpoint(
    update: int,
    tmp_path: Path,
    tokens: TokenizedCorpus,
    undisturbed: tuple[str, list[Row]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = small_spec()
    with monkeypatch.context() as patch:
        count = 0
        plain_update = Learner.update

        def deadly_update(*args: object) -> None:
            nonlocal count
            count += 1
            if count == update:
                raise Killed
            plain_update(*args)  # type: ignore[arg-type]

        patch.setattr(Learner, "update", deadly_update)
        with pytest.raises(Killed):
            train_run(spec, tokens, tmp_path / "killed", checkpoint_seconds=0.0)
    made = []
    train_run(spec, tokens, tmp_path / "killed", on_progress=lambda p: made.append(p.updates))
    assert outcome(tmp_path / "killed", spec) == undisturbed
    assert made[0] in range(max(0, update - trainer.CHECK_EVERY - 1), update)


def stop_after(queue: Path, tokens: TokenizedCorpus, saves: int) -> None:
    """Train until the given number of checkpoints has been written, then die."""
    plain_save = CheckpointPair.save
    left = saves

    def deadly_save(pair: CheckpointPair, checkpoint: Checkpoint) -> None:
        nonlocal left
        plain_save(pair, checkpoint)
        left -= 1
        if left == 0:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointPair, "save", deadly_save)
        with pytest.raises(Killed):
            train_run(small_spec(), tokens, queue, checkpoint_seconds=0.0)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "one bit", "empty"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_used(
    damage: str,
    tmp_path: Path,
    tokens: TokenizedCorpus,
    undisturbed: tuple[str, list[Row]],
) -> None:
    spec = small_spec()
    stop_after(tmp_path / "damaged", tokens, saves=3)
    folder = RunFolder(tmp_path / "damaged", spec).path
    newest = max((folder / name for name in NAMES), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(
        {
            "truncated": bytes(data[: len(data) // 2]),
            "garbage": random.Random(0).randbytes(len(data)),  # noqa: S311
            "one bit": bytes(data),
            "empty": b"",
        }[damage]
    )
    made: list[int] = []
    train_run(spec, tokens, tmp_path / "damaged", on_progress=lambda p: made.append(p.updates))
    assert made[0] > 0
    assert outcome(tmp_path / "damaged", spec) == undisturbed


def test_with_both_checkpoints_damaged_the_run_starts_afresh(
    tmp_path: Path, tokens: TokenizedCorpus, undisturbed: tuple[str, list[Row]]
) -> None:
    spec = small_spec()
    stop_after(tmp_path / "damaged", tokens, saves=3)
    for name in NAMES:
        (RunFolder(tmp_path / "damaged", spec).path / name).write_bytes(b"PK\x03\x04 not really")
    train_run(spec, tokens, tmp_path / "damaged")
    assert outcome(tmp_path / "damaged", spec) == undisturbed


def test_a_full_disk_is_told_and_the_last_good_checkpoint_stays(
    tmp_path: Path,
    tokens: TokenizedCorpus,
    undisturbed: tuple[str, list[Row]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = small_spec()
    stop_after(tmp_path / "full", tokens, saves=2)

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(UsageError, match=r"Cannot write .*No space left on device"):
            train_run(spec, tokens, tmp_path / "full")
    made: list[int] = []
    train_run(spec, tokens, tmp_path / "full", on_progress=lambda p: made.append(p.updates))
    assert made[0] > 0
    assert outcome(tmp_path / "full", spec) == undisturbed


def test_a_finished_run_is_read_and_not_trained_again(
    tmp_path: Path, tokens: TokenizedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec()
    rows = train_run(spec, tokens, tmp_path)
    monkeypatch.setattr(trainer, "_Trainer", None)
    assert train_run(spec, tokens, tmp_path) == rows


def test_a_run_that_another_process_holds_is_refused(
    tmp_path: Path, tokens: TokenizedCorpus
) -> None:
    spec = small_spec()
    folder = RunFolder(tmp_path, spec)
    folder.create()
    with folder.claimed(), pytest.raises(RunBusyError, match="being trained by another process"):
        train_run(spec, tokens, tmp_path)
    assert train_run(spec, tokens, tmp_path)
