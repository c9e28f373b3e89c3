from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalewise.core.errors import UsageError
from scalewise.core.records import (
    atomic_move,
    atomic_write,
    plain,
    sha256_of_bytes,
    sha256_of_file,
    sha256_of_json,
    to_json,
)

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")


class _Status(Enum):
    CONVERGED = "converged"


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@dataclass(frozen=True, slots=True)
class _Point:
    params: int
    loss: float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "null"),
        ([float("inf"), -float("inf"), 1.5], "[null, null, 1.5]"),
        (np.float64("nan"), "null"),
        (np.float32(0.5), "0.5"),
        (np.int64(2**62), str(2**62)),
        (np.bool_(True), "true"),
        (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        (np.array([1.0, np.nan]), "[1.0, null]"),
        (np.array(3), "3"),
        ((1, (2, 3)), "[1, [2, 3]]"),
        ({"b": 1, "a": 2}, '{"a": 2, "b": 1}'),
        ({3: "x"}, '{"3": "x"}'),
        ({np.int64(3): "x"}, '{"3": "x"}'),
        ({"z", "a"}, '["a", "z"]'),
        (_Status.CONVERGED, '"converged"'),
        (_Point(params=7, loss=float("nan")), '{"loss": null, "params": 7}'),
        (Path("runs") / "a.csv", '"runs/a.csv"'),
        (date(2026, 11, 3), '"2026-11-03"'),
        (datetime(2026, 11, 3, 12, tzinfo=UTC), '"2026-11-03T12:00:00+00:00"'),
        ("α", '"α"'),
        (None, "null"),
        (True, "true"),
    ],
)
def test_values_are_written_as_strict_json(value: Any, text: str) -> None:
    assert to_json(value) == text


def test_the_order_of_building_leaves_no_trace() -> None:
    one, two = {"a": {"x": 1, "y": 2}, "b": 3}, {"b": 3, "a": {"y": 2, "x": 1}}
    assert to_json(one) == to_json(two)
    assert sha256_of_json(one) == sha256_of_json(two)
    assert sha256_of_json(one) != sha256_of_json({"a": {"x": 1, "y": 2}, "b": 4})


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (object(), "object has no JSON form"),
        (b"bytes", "bytes has no JSON form"),
        (1j, "complex has no JSON form"),
        (_Point, "type has no JSON form"),
        ({1.5: "x"}, "A JSON key must be text or a whole number, not 1.5"),
        ({True: "x"}, "A JSON key must be text or a whole number, not True"),
        ({1: "x", "1": "y"}, "Two keys read '1' in JSON"),
    ],
)
def test_what_has_no_faithful_form_is_refused(value: Any, fact: str) -> None:
    with pytest.raises(TypeError, match=fact):
        to_json(value)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(value=trees)
def test_plain_values_survive_the_round_trip(value: Any) -> None:
    assert json.loads(to_json(value)) == value
    assert plain(value) == value


def test_checksums_match_known_answers(tmp_path: Path) -> None:
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of_bytes(b"abc") == abc
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "abc") == abc


def test_text_and_bytes_are_written_exactly(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a.txt", "α\n\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "α\n\r\n".encode()
    atomic_write(str(tmp_path / "a.txt"), b"\x00\xff")
    assert (tmp_path / "a.txt").read_bytes() == b"\x00\xff"
    assert _names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("cause", [OSError(errno.ENOSPC, "No space left on device"), None])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, cause: OSError | None
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise cause or KeyboardInterrupt

    target = tmp_path / "fit.json"
    target.write_text("old")
    monkeypatch.setattr(os, failing, fail)
    expected = UsageError if cause else KeyboardInterrupt
    with pytest.raises(expected, match="No space left on device" if cause else None):
        atomic_write(target, "new")
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["fit.json"]


def _in_a_child(code: str, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, str(target)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@posix
def test_a_disk_that_fills_up_midway_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "fit.json"
    target.write_text("old")
    child = _in_a_child(
        "import resource, signal, sys\n"
        "from scalewise.core.errors import UsageError\n"
        "from scalewise.core.records import atomic_write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    atomic_write(sys.argv[1], 'new' * 100_000)\n"
        "except UsageError as error:\n"
        "    print(error)\n",
        target,
    )
    assert "Cannot write" in child.stdout, child.stderr
    assert "File too large" in child.stdout
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["fit.json"]


@posix
def test_a_kill_midway_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "fit.json"
    target.write_text("old")
    child = _in_a_child(
        "import os, signal, sys\n"
        "from scalewise.core.records import atomic_write\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic_write(sys.argv[1], 'new')\n",
        target,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert target.read_text() == "old"
    left = [name for name in _names(tmp_path) if name != "fit.json"]
    assert len(left) == 1
    assert left[0].startswith(".scalewise-")


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot write .*No such file or directory\. Nothing"):
        atomic_write(tmp_path / "absent" / "fit.json", "new")


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "fit").mkdir()
    with pytest.raises(UsageError, match="Cannot write"):
        atomic_write(tmp_path / "fit", "new")
    assert _names(tmp_path) == ["fit"]


@posix
def test_permissions_are_kept_and_new_files_follow_the_umask(tmp_path: Path) -> None:
    target, fresh, ordinary = (tmp_path / name for name in ("old", "new", "ordinary"))
    target.write_text("old")
    target.chmod(0o640)
    atomic_write(target, "new")
    atomic_write(fresh, "new")
    ordinary.write_text("")
    assert target.stat().st_mode & 0o777 == 0o640
    assert fresh.stat().st_mode == ordinary.stat().st_mode


@posix
def test_a_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    atomic_write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_the_longest_file_name_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    atomic_write(target, "new")
    assert target.read_text() == "new"


def test_a_finished_folder_is_moved_whole_and_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "fit.json").write_text("{}")
    atomic_move(tmp_path / "incoming", tmp_path / "kept")
    assert (tmp_path / "kept" / "fit.json").read_text() == "{}"
    assert not (tmp_path / "incoming").exists()
    (tmp_path / "incoming").mkdir()
    with pytest.raises(OSError, match="not empty"):
        atomic_move(tmp_path / "incoming", tmp_path / "kept")
    assert (tmp_path / "kept" / "fit.json").read_text() == "{}"
