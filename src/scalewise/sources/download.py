"""Fetching one published file: on request, over HTTPS, verified, kept under its checksum.

Written on the standard library: what is asked of it beyond a plain download (a pinned length, no
step down from HTTPS, errors that say what to do) is what a download library leaves to its caller.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import RunDataError
from scalewise.core.records import atomic_write, sha256_of_bytes, sha256_of_file

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

    from scalewise.sources.public.entry import RawFile

TIMEOUT = 30.0  # seconds without a byte
SLOWEST = 20_000.0  # bytes per second, on average, below which a download is given up
PATIENCE = 60.0  # seconds that even the smallest file may take
AT_ONCE = 8  # connections
_PIECE = 1 << 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def data_folder() -> Path:
    """Where fetched files are kept: ``$SCALEWISE_DATA``, else the platform's cache folder."""
    if stated := os.environ.get("SCALEWISE_DATA"):
        return Path(stated).expanduser()
    return _platform_cache() / "scalewise" / "data"


def _platform_cache() -> Path:
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    stated = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    return Path(stated) if Path(stated).is_absolute() else Path.home() / ".cache"


def kept_path(file: RawFile, folder: Path | None = None) -> Path:
    """Where the file lies, or would lie, under its checksum."""
    return (folder or data_folder()) / file.sha256[:2] / file.sha256


def lies_there(file: RawFile, folder: Path | None = None) -> bool:
    """Whether a file of its length lies in its place; what is in it is not read."""
    try:
        return kept_path(file, folder).stat().st_size == file.bytes
    except OSError:
        return False


def is_kept(file: RawFile, folder: Path | None = None) -> bool:
    """Whether the file lies there with the very bytes it should have."""
    try:
        return lies_there(file, folder) and sha256_of_file(kept_path(file, folder)) == file.sha256
    except OSError:
        return False


def fetch(file: RawFile, *, folder: Path | None = None, timeout: float = TIMEOUT) -> Path:
    """The local path of a published file, downloaded only if it is not kept intact.

    Its bytes are checked against their pinned length and sha256 before they are put in place,
    wholly or not at all, so that processes fetching at once cannot harm each other. Raises
    RunDataError when the file cannot be had or is not the one pinned, UsageError when it cannot
    be written.
    """
    path = kept_path(file, folder)
    if is_kept(file, folder):
        return path
    data = _download(file, timeout=timeout)
    _verify(file, data)
    _make_folder(path.parent)
    atomic_write(path, data)
    return path


def fetch_all(
    files: Iterable[RawFile],
    *,
    folder: Path | None = None,
    timeout: float = TIMEOUT,
    done: Callable[[RawFile], None] = lambda _: None,
) -> dict[str, Path]:
    """Local paths by name, several at a time; ``done`` is called as each arrives.

    The first failure is raised once the downloads under way have ended; what arrived is kept.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed

    wanted = tuple(files)
    pool = ThreadPoolExecutor(max_workers=min(AT_ONCE, max(1, len(wanted))))
    try:
        waiting = {pool.submit(fetch, f, folder=folder, timeout=timeout): f for f in wanted}
        for future in as_completed(waiting):
            future.result()
            done(waiting[future])
    finally:
        pool.shutdown(cancel_futures=True)
    return {file.name: kept_path(file, folder) for file in wanted}


def _make_folder(folder: Path) -> None:
    from scalewise.core.errors import UsageError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"Cannot make the folder {str(folder)!r}: {error.strerror or error}.",
            hint="Set SCALEWISE_DATA to a folder that can be written.",
        ) from error


def _verify(file: RawFile, data: bytes) -> None:
    if len(data) < file.bytes:
        raise RunDataError(
            f"{file.url} ended after {len(data):,} of {file.bytes:,} bytes.",
            hint="Nothing of it was kept. Ask again.",
        )
    found = sha256_of_bytes(data)
    if len(data) > file.bytes or found != file.sha256:
        length = f"more than {file.bytes:,} bytes" if len(data) > file.bytes else f"sha256 {found}"
        raise RunDataError(
            f"{file.url} has {length} where {file.bytes:,} bytes of sha256 {file.sha256} are "
            "pinned.",
            hint="Nothing of it was kept. Something on the way answers in its place (a proxy, a "
            "login page), or the source was rewritten.",
        )


def _download(file: RawFile, *, timeout: float) -> bytes:
    """The bytes as served, one more than pinned at the most."""
    from http.client import HTTPException, IncompleteRead
    from urllib.error import HTTPError, URLError
    from urllib.request import Request

    _check_address(file.url, came_from="")
    # The header keeps servers from packing the bytes, which would change length and checksum.
    request = Request(file.url, headers={"Accept-Encoding": "identity"})  # noqa: S310
    deadline = time.monotonic() + max(PATIENCE, timeout) + file.bytes / SLOWEST
    try:
        with _opener().open(request, timeout=timeout) as response:
            return _read(response, file, deadline)
    except HTTPError as error:
        with error:
            raise _refused(file, error.code, str(error.reason)) from error
    except IncompleteRead as error:
        return bytes(error.partial)
    except TimeoutError as error:
        raise _slow(file, timeout) from error
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _slow(file, timeout) from error
        raise _unreachable(file, str(error.reason)) from error
    except (HTTPException, OSError) as error:
        raise _unreachable(file, str(error) or type(error).__name__) from error


def _read(response: Any, file: RawFile, deadline: float) -> bytes:
    pieces = bytearray()
    while piece := response.read1(min(_PIECE, file.bytes + 1 - len(pieces))):
        pieces += piece
        if len(pieces) > file.bytes:
            break
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(pieces)


def _opener() -> OpenerDirector:
    """An opener that follows redirects from HTTPS to HTTPS only, and reads no local file."""
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class SafeRedirects(HTTPRedirectHandler):
        def redirect_request(
            self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
        ) -> Request | None:
            _check_address(newurl, came_from=req.full_url)
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return build_opener(SafeRedirects)


def _check_address(url: str, *, came_from: str) -> None:
    """HTTPS only; plain HTTP within one machine, for tests and mirrors on it."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    started_safe = came_from.startswith("https:")
    on_this_machine = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if parts.scheme == "https" or (on_this_machine and not started_safe):
        return
    told = f"{came_from} leads on to {url}" if came_from else url
    raise RunDataError(
        f"{told}, which is not HTTPS.",
        hint="Public data is fetched over HTTPS only; nothing was read from there.",
    )


def _refused(file: RawFile, code: int, reason: str) -> RunDataError:
    gone = code in (404, 410)
    return RunDataError(
        f"{file.url} answered {code} {reason}.",
        hint="The source has moved or withdrawn it; a copy found elsewhere is good if its sha256 "
        f"is {file.sha256}: put it at {kept_path(file)}."
        if gone
        else "Ask again later; what has arrived of other files is kept.",
    )


def _slow(file: RawFile, timeout: float) -> RunDataError:
    return RunDataError(
        f"{file.url} sends too slowly: nothing for {timeout:g} s, or less than "
        f"{SLOWEST / 1000:g} kB/s.",
        hint="Ask again later; what has arrived of other files is kept.",
    )


def _unreachable(file: RawFile, why: str) -> RunDataError:
    return RunDataError(
        f"{file.url} cannot be reached: {why}.",
        hint="With no network here, run the same `scalewise data get` on a machine that has one "
        f"and copy its folder to {data_folder()}, or set SCALEWISE_DATA to where it lies.",
    )
