"""A folder of logs that is read again whenever it changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scalewise.core.errors import UsageError
from scalewise.web.watch import check_watched, fingerprint
from tests.web.conftest import Starter
from tests.web.dashboard import run_table


def test_a_watched_folder_is_read_at_once_and_again_when_it_changes(
    started: Starter, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    lines = run_table().splitlines(keepends=True)
    (logs / "runs.csv").write_bytes(b"".join(lines[:10]))
    served = started(watched=str(logs), interval=0.2)
    first = served.until(lambda: served.ask("/api/watch").data)
    assert served.ask(f"/api/runs/{first['runs']}").data["runs"] == 9
    fit = served.fit_of(first["runs"], bootstrap=0)
    assert served.ask(f"/api/fits/{fit}").data["newer"] is None
    (logs / "runs.csv").write_bytes(b"".join(lines))
    second = served.until(
        lambda: served.ask("/api/watch").data, lambda state: state["job"] != first["job"]
    )
    assert served.ask(f"/api/runs/{second['runs']}").data["runs"] == 12
    assert served.ask(f"/api/fits/{fit}").data["newer"] == second["runs"]
    assert "The data have changed since this fit" in served.ask(f"/fits/{fit}").text
    assert f'href="/runs/{second["runs"]}"' in served.ask("/").text
    assert "changed since" not in served.ask(f"/runs/{second['runs']}").text

    (logs / "runs.csv").write_bytes(b"\xff\x00damaged")
    third = served.until(
        lambda: served.ask("/api/watch").data, lambda state: state["job"] != second["job"]
    )
    assert third["error"]["message"]
    assert third["runs"] == second["runs"]  # what was read last stays
    assert str(tmp_path / "project") not in third["error"]["message"]

    jobs = set((served.folder / "jobs").iterdir())
    served.stop()
    served.start()
    assert served.ask("/api/watch").data == third
    assert set((served.folder / "jobs").iterdir()) == jobs  # unchanged, so not read again


def test_a_fingerprint_changes_with_names_sizes_and_times_and_follows_no_link(
    tmp_path: Path,
) -> None:
    folder, outside = tmp_path / "logs", tmp_path / "outside"
    (folder / "a").mkdir(parents=True)
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    seen = [fingerprint(folder)]
    (folder / "a" / "runs.csv").write_text("x")
    seen.append(fingerprint(folder))
    (folder / "a" / "runs.csv").write_text("xy")
    seen.append(fingerprint(folder))
    os.utime(folder / "a" / "runs.csv", ns=(1, 1))
    seen.append(fingerprint(folder))
    assert len(set(seen)) == 4
    (outside / "more.csv").write_text("x")
    assert fingerprint(folder) == seen[-1]


def test_a_project_and_its_watched_folder_lie_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no folder"):
        check_watched(tmp_path / "absent", tmp_path / "project")
    for watched, project in ((tmp_path, tmp_path / "project"), (tmp_path, tmp_path)):
        with pytest.raises(UsageError, match="lie in each other"):
            check_watched(watched, project)
