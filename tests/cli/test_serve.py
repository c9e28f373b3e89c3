"""``scalewise serve`` as a person starts and ends it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from scalewise.cli import serve as door
from scalewise.core.errors import MissingExtraError, UsageError


def started(*arguments: str, cwd: Path) -> tuple[subprocess.Popen[str], str]:
    """A running program and the address that it tells on standard error."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scalewise", "serve", "--port", "0", *arguments],
        cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r" on (http://\S+) until interrupted", line)
    assert found, line + process.communicate()[1]
    return process, found[1]


def test_it_tells_where_it_serves_and_ends_quietly_when_interrupted(tmp_path: Path) -> None:
    process, url = started("--json", cwd=tmp_path)
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310
        assert b"Dashboard" in answer.read()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["data"] == {"folder": "scalewise-project", "url": url}
    assert (tmp_path / "scalewise-project" / "project.json").is_file()


def test_a_token_is_made_and_told_once(tmp_path: Path) -> None:
    process, url = started("shared", "--host", "0.0.0.0", "--token", "--json", cwd=tmp_path)  # noqa: S104
    address, token = url.split("?token=")
    local = re.sub(r"//[^/:]+:", "//127.0.0.1:", address)
    assert len(token) > 40
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(local, timeout=60)  # noqa: S310
    asked = urllib.request.Request(local, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
        assert answer.status == 200
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert token not in out
    assert not [
        p for p in (tmp_path / "shared").rglob("*") if p.is_file() and token in p.read_text()
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--host", "192.0.2.1"), "can be reached by others, and the dashboard has no token"),
     (("--allow-host", "hub.example"), "answers to hub.example and has no token"),
     (("--port", "70000"), "There is no port 70000"),
     (("--root-path", "/a?b"), "--root-path '/a?b' is no path"),
     (("--watch", "nowhere"), "There is no folder nowhere to watch"),
     (("--watch", "."), "lie in each other")],
)  # fmt: skip
def test_what_cannot_be_served_is_told(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scalewise", "serve", *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert "Hint: " in done.stderr
    assert not (tmp_path / "scalewise-project").exists()


def test_a_port_that_is_taken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"Cannot listen on 127\.0\.0\.1 port {port}"):
            door.serve(
                folder="p", port=port, host="127.0.0.1", allowed=(), with_token=False,
                root_path="", watched=None,
            )  # fmt: skip


def test_without_its_packages_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'scalewise\[serve\]'"):
        door._room()
