"""Fetching files from a server that misbehaves in every way a real one does."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.sources import download
from scalewise.sources.download import (
    data_folder,
    fetch,
    fetch_all,
    is_kept,
    kept_path,
    lies_there,
)
from scalewise.sources.public.entry import RawFile
from tests.sources.server import CONTENT, Site, site

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    monkeypatch.setenv("SCALEWISE_DATA", str(tmp_path / "kept"))
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with site() as served:
        yield served


def nothing_kept(folder: Path) -> bool:
    return not any(path.is_file() for path in folder.rglob("*"))


def test_a_file_is_fetched_once_and_kept_under_its_checksum(web: Site) -> None:
    web.serve("/a.csv", CONTENT)
    file = web.file("/a.csv")
    assert not is_kept(file)
    first = fetch(file)
    assert first == kept_path(file) == data_folder() / file.sha256[:2] / file.sha256
    assert first.read_bytes() == CONTENT
    assert fetch(file) == first
    assert web.asked["/a.csv"] == 1


def test_a_kept_file_is_used_with_no_server_at_all(web: Site) -> None:
    web.serve("/a.csv", CONTENT)
    fetch(web.file("/a.csv"))
    moved = RawFile("a.csv", "https://nowhere.invalid/a.csv", *_content(web.file("/a.csv")))
    assert fetch(moved).read_bytes() == CONTENT


def _content(file: RawFile) -> tuple[int, str]:
    return file.bytes, file.sha256


def test_a_damaged_copy_is_fetched_again(web: Site) -> None:
    web.serve("/a.csv", CONTENT)
    file = web.file("/a.csv")
    path = fetch(file)
    path.write_bytes(b"x" * len(CONTENT))
    assert lies_there(file)
    assert not is_kept(file)
    assert fetch(file).read_bytes() == CONTENT
    assert web.asked["/a.csv"] == 2


@pytest.mark.parametrize("told", [len(CONTENT), 1000])
def test_a_truncated_file_is_refused_and_not_kept(web: Site, told: int, tmp_path: Path) -> None:
    web.serve("/cut.csv", CONTENT[:1000], length=told)
    with pytest.raises(RunDataError, match=r"/cut.csv ended after 1,000 of 70,026 bytes"):
        fetch(web.file("/cut.csv"))
    assert nothing_kept(tmp_path)


def test_other_bytes_of_the_same_length_are_refused(web: Site, tmp_path: Path) -> None:
    web.serve("/other.csv", b"x" * len(CONTENT))
    with pytest.raises(RunDataError, match=r"has sha256 \w{64} where 70,026 bytes of sha256"):
        fetch(web.file("/other.csv"))
    assert nothing_kept(tmp_path)


def test_a_file_that_goes_on_is_cut_off_and_refused(web: Site, tmp_path: Path) -> None:
    web.serve("/long.csv", CONTENT * 50)
    with pytest.raises(RunDataError, match="has more than 70,026 bytes where"):
        fetch(web.file("/long.csv"))
    assert nothing_kept(tmp_path)


def test_a_missing_file_says_what_copy_would_do(web: Site) -> None:
    file = web.file("/gone.csv")
    with pytest.raises(RunDataError, match=r"/gone.csv answered 404 Not Found") as caught:
        fetch(file)
    assert file.sha256 in caught.value.hint
    assert str(kept_path(file)) in caught.value.hint


def test_a_server_that_falls_silent_is_given_up(web: Site, tmp_path: Path) -> None:
    web.stall("/slow.csv", CONTENT[:500])
    with pytest.raises(RunDataError, match=r"/slow.csv sends too slowly"):
        fetch(web.file("/slow.csv"), timeout=0.3)
    assert nothing_kept(tmp_path)


def test_a_server_that_drips_is_given_up(web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    web.serve("/drip.csv", CONTENT)
    clock = iter([0.0, *(1e6 for _ in range(100))])
    monkeypatch.setattr("scalewise.sources.download.time.monotonic", lambda: next(clock))
    monkeypatch.setattr(download, "_PIECE", 100)
    file = web.file("/drip.csv")
    with pytest.raises(RunDataError, match="less than 20 kB/s"):
        download._download(file, timeout=5.0)


def test_a_redirect_on_this_machine_is_followed(web: Site) -> None:
    web.serve("/there.csv", CONTENT)
    web.redirect("/here.csv", f"{web.url}/there.csv")
    assert fetch(web.file("/here.csv")).read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["http://example.com/x", "ftp://x/y"])
def test_a_redirect_to_what_is_not_https_is_refused(web: Site, target: str) -> None:
    web.redirect("/here.csv", target)
    with pytest.raises(RunDataError, match=f"/here.csv leads on to {target}, which is not HTTPS"):
        fetch(web.file("/here.csv"))


def test_a_redirect_to_a_local_file_is_refused(web: Site) -> None:
    web.redirect("/here.csv", "file:///etc/hostname")
    with pytest.raises(RunDataError, match="'file:///etc/hostname' is not allowed"):
        fetch(web.file("/here.csv"))


def test_https_is_not_left_even_for_this_machine() -> None:
    with pytest.raises(RunDataError, match=r"leads on to http://127.0.0.1/x, which is not HTTPS"):
        download._check_address("http://127.0.0.1/x", came_from="https://example.com/x")


def test_a_redirect_without_end_is_an_error(web: Site) -> None:
    web.redirect("/round.csv", f"{web.url}/round.csv")
    with pytest.raises(RunDataError, match=r"/round.csv answered 302"):
        fetch(web.file("/round.csv"))


@pytest.mark.parametrize("url", ["http://example.com/a", "file:///etc/hostname", "a.csv"])
def test_only_https_is_asked(url: str) -> None:
    with pytest.raises(RunDataError, match="which is not HTTPS"):
        fetch(RawFile("a", url, 1, "0" * 64))


def test_without_a_network_the_error_says_how_to_bring_the_files(web: Site, tmp_path: Path) -> None:
    with site() as closed:
        file = closed.file("/a.csv")
    with pytest.raises(RunDataError, match=r"/a.csv cannot be reached: ") as caught:
        fetch(file)
    assert "scalewise data get" in caught.value.hint
    assert str(tmp_path / "kept") in caught.value.hint
    assert "SCALEWISE_DATA" in caught.value.hint


def test_a_full_disk_leaves_nothing_behind(
    web: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    web.serve("/a.csv", CONTENT)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        fetch(web.file("/a.csv"))
    assert nothing_kept(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(
    web: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    web.serve("/a.csv", CONTENT)
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("SCALEWISE_DATA", str(tmp_path / "taken"))
    with pytest.raises(UsageError, match="Cannot make the folder"):
        fetch(web.file("/a.csv"))


FETCHING = """
import sys
from scalewise.sources.download import fetch
from scalewise.sources.public.entry import RawFile
name, url, size, sha256 = sys.argv[1:]
print("started", flush=True)
print(fetch(RawFile(name, url, int(size), sha256)))
"""


def process(file: RawFile) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", FETCHING, file.name, file.url, str(file.bytes), file.sha256]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )


def test_a_download_killed_half_way_leaves_no_file_and_can_be_done_again(web: Site) -> None:
    web.stall("/a.csv", CONTENT[:30_000])
    file = web.file("/a.csv")
    with process(file) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "started\n"
        while not web.asked["/a.csv"]:
            assert started.poll() is None
        started.send_signal(signal.SIGKILL)
    assert not lies_there(file)
    web.let_go.set()
    web.serve("/a.csv", CONTENT)
    assert fetch(file).read_bytes() == CONTENT


def test_two_processes_at_once_both_get_the_file(web: Site) -> None:
    web.serve("/a.csv", CONTENT)
    file = web.file("/a.csv")
    both = [process(file), process(file)]
    told = [started.communicate()[0].splitlines()[-1] for started in both]
    assert told == [str(kept_path(file))] * 2
    assert kept_path(file).read_bytes() == CONTENT


def test_threads_at_once_all_get_the_file(web: Site) -> None:
    web.serve("/a.csv", CONTENT)
    file = web.file("/a.csv")
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(fetch, [file] * 16))
    assert paths == {kept_path(file)}
    assert kept_path(file).read_bytes() == CONTENT


def test_many_files_come_by_name_and_the_arrived_are_kept_when_one_fails(web: Site) -> None:
    contents = {f"/{k}.csv": CONTENT + str(k).encode() for k in range(12)}
    for path, content in contents.items():
        web.serve(path, content)
    files = [web.file(path, content) for path, content in contents.items()]
    seen: list[str] = []
    paths = fetch_all(files, done=lambda file: seen.append(file.name))
    assert {name: path.read_bytes() for name, path in paths.items()} == contents
    assert sorted(seen) == sorted(contents)
    with pytest.raises(RunDataError, match="404"):
        fetch_all([*files, web.file("/gone.csv", b"gone")])
    assert all(is_kept(file) for file in files)
    assert fetch_all([]) == {}


@pytest.mark.skipif(
    os.name == "nt" or sys.platform == "darwin", reason="the place of other systems"
)
def test_files_are_kept_in_the_cache_folder_of_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SCALEWISE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "scalewise" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert data_folder() == Path.home() / ".cache" / "scalewise" / "data"
    monkeypatch.setenv("SCALEWISE_DATA", "~/runs")
    assert data_folder() == Path.home() / "runs"
