"""Who may train a run, among processes of one machine and of many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from scalewise.train import claim
from scalewise.train.claim import RunBusyError, claimed


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of the operating system that do not reach the other machine."""
    monkeypatch.setattr(claim, "_lock", lambda descriptor, name: True)


def of_another_machine(folder: Path, *, number: int = 1, age: float = 0.0) -> Path:
    path = folder / f"CLAIM-{number:06d}"
    path.write_text(json.dumps({"machine": "another", "host": "b", "pid": 1}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_claim_of_another_machine_holds_while_it_is_touched(tmp_path: Path) -> None:
    of_another_machine(tmp_path, age=claim.STALE_SECONDS / 2)
    with pytest.raises(RunBusyError, match="is being trained by another process"):
        claimed(tmp_path).__enter__()


def test_a_claim_that_is_not_touched_any_more_is_superseded(tmp_path: Path) -> None:
    old = of_another_machine(tmp_path, age=2 * claim.STALE_SECONDS)
    with claimed(tmp_path) as mine:
        mine.check()
        assert not old.exists()
        assert (tmp_path / "CLAIM-000002").exists()


def test_a_claim_that_was_created_and_not_yet_written_holds(tmp_path: Path) -> None:
    (tmp_path / "CLAIM-000001").touch()
    with pytest.raises(RunBusyError):
        claimed(tmp_path).__enter__()


def test_whoever_was_superseded_learns_it_and_leaves_the_claim_of_the_other_alone(
    tmp_path: Path,
) -> None:
    with claimed(tmp_path) as mine:
        other = of_another_machine(tmp_path, number=2)
        before = other.read_text()
        with pytest.raises(RunBusyError, match="was taken over by another process"):
            mine.check()
    assert other.read_text() == before


def test_a_released_claim_is_free_at_once_for_every_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claimed(tmp_path):
        pass
    monkeypatch.setattr(claim, "_machine", lambda: "another")
    with claimed(tmp_path) as mine:
        mine.check()
    assert [path.name for path in tmp_path.glob("CLAIM-*")] == ["CLAIM-000002"]


def test_a_finished_run_keeps_no_claim(tmp_path: Path) -> None:
    with claimed(tmp_path):
        (tmp_path / "DONE").touch()
    assert not list(tmp_path.glob("CLAIM-*"))


def test_the_holder_touches_its_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "HEARTBEAT_SECONDS", 0.01)
    with claimed(tmp_path):
        path = tmp_path / "CLAIM-000001"
        os.utime(path, (0, 0))
        for _ in range(500):
            if path.stat().st_mtime > 0:
                return
            time.sleep(0.01)
    pytest.fail("the claim was left to go stale")


def test_a_slow_rival_with_an_old_number_steps_back(
    tmp_path: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked when there was claim 1; since then 2 and 3 came, and 1 and 2 are gone."""
    of_another_machine(tmp_path, number=3)
    looks = iter([of_another_machine(tmp_path, number=1, age=1e6)])
    plain = claim._newest
    monkeypatch.setattr(claim, "_newest", lambda folder: next(looks, None) or plain(folder))
    with pytest.raises(RunBusyError):
        claimed(tmp_path).__enter__()
    assert not (tmp_path / "CLAIM-000002").exists()


def test_of_many_rivals_without_locks_one_gets_the_claim(tmp_path: Path) -> None:
    script = f"""
        import sys, time
        from pathlib import Path
        from scalewise.train import claim
        claim._lock = lambda descriptor, name: False
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            with claim.claimed(Path({str(tmp_path)!r})):
                print("held", flush=True)
                sys.stdin.readline()
        except claim.RunBusyError:
            print("busy", flush=True)
    """
    of_another_machine(tmp_path, age=2 * claim.STALE_SECONDS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(6)
    ]  # fmt: skip
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    answers = []
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("\n")
        rival.stdin.flush()
    for rival in rivals:
        assert rival.stdout is not None
        answers.append(rival.stdout.readline())
    for rival in rivals:
        rival.communicate("\n")
    assert sorted(answers) == ["busy\n"] * 5 + ["held\n"]
