"""Who trains a run: one process of one machine, among all that share a folder.

A lock of the operating system settles it at once between processes of one machine, and ends with
its holder. Between machines such locks may be missing or forgotten, so a claim is also a file:

- ``CLAIM-000002`` supersedes ``CLAIM-000001``; a file is only ever created where there is none,
  which every network file system does for one process only.
- Its holder touches it every few seconds. Once that has ceased for `STALE_SECONDS`, by the clock
  of the file server, any other process may supersede it.
- A holder that was superseded (it slept, or the network did) learns it before it next writes.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scalewise.core.errors import UsageError
from scalewise.core.records import atomic_write, to_json

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0  # several heartbeats, and longer than network file systems keep old answers
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class RunBusyError(UsageError):
    """Another process is training this run."""


class Claim:
    """A claim that this process holds, or did; made by `claimed` only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ended = threading.Event()

    def check(self) -> None:
        """Raise RunBusyError if another process has superseded this claim."""
        if _newest(self._path.parent) != self._path:
            raise RunBusyError(
                f"Run {self._path.parent.name} was taken over by another process, because this one "
                f"had not been heard of for {STALE_SECONDS:g} seconds.",
                hint="Leave it to that process; nothing of the run is lost.",
            )

    def beat(self) -> None:
        """Touch the claim until it is released."""
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):  # superseded, or the network is away; `check` tells which
                os.utime(self._path)

    def release(self) -> None:
        """Leave the run to whoever comes next."""
        self._ended.set()
        folder = self._path.parent
        if _newest(folder) != self._path:
            return
        if (folder / "DONE").exists():
            self._path.unlink(missing_ok=True)
        else:  # kept, because numbers must not be given twice
            with suppress(UsageError):  # a full disk: it will go stale instead
                atomic_write(self._path, to_json(_holder() | {"is_released": True}))


@contextmanager
def claimed(folder: Path) -> Iterator[Claim]:
    """Hold the run of a folder while it is trained.

    On one machine the claim ends with the process, however it ends; other machines see that after
    `STALE_SECONDS`. Raises RunBusyError when another process holds it.
    """
    with (folder / "LOCK").open("a+") as file:
        is_locked = _lock(file.fileno(), folder.name)
        claim = Claim(_take(folder, is_locked=is_locked))
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        threading.Thread(target=claim.beat, daemon=True).start()
        try:
            yield claim
        finally:
            claim.release()


def _lock(descriptor: int, name: str) -> bool:
    """Whether the lock of the operating system is ours; False where there are none."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _busy(name) from error
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def _take(folder: Path, *, is_locked: bool) -> Path:
    """Create the next claim. Raises RunBusyError if the one before it is alive."""
    current = _newest(folder)
    if current is not None and not _is_free(current, is_locked=is_locked):
        raise _busy(folder.name)
    number = 1 if current is None else int(current.name.removeprefix("CLAIM-")) + 1
    mine = folder / f"CLAIM-{number:06d}"
    try:
        with mine.open("x", encoding="utf-8") as file:
            file.write(to_json(_holder()))
    except FileExistsError as error:
        raise _busy(folder.name) from error
    if _newest(folder) != mine:  # we looked long ago, and two others have been here since
        mine.unlink(missing_ok=True)
        raise _busy(folder.name)
    for path in folder.glob("CLAIM-*"):
        if path.name < mine.name:
            path.unlink(missing_ok=True)
    return mine


def _is_free(claim: Path, *, is_locked: bool) -> bool:
    """Whether the holder of a claim has released it or must be dead."""
    try:
        facts = json.loads(claim.read_text(encoding="utf-8"))
        touched = claim.stat().st_mtime
    except FileNotFoundError:  # its run has ended, or it was superseded
        return False
    except ValueError:  # created, and not written yet
        facts, touched = {}, claim.stat().st_mtime
    if facts.get("is_released") or (is_locked and facts.get("machine") == _machine()):
        return True
    return _file_clock(claim.parent) - touched > STALE_SECONDS


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("CLAIM-*"), default=None, key=lambda path: path.name)


def _holder() -> dict[str, object]:
    return {"machine": _machine(), "host": platform.node(), "pid": os.getpid()}


def _machine() -> str:
    """A name of the running kernel; two containers of one machine share it, and its locks."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else platform.node()


def _file_clock(folder: Path) -> float:
    """Now, by the clock that stamps files in this folder."""
    probe = folder / f".scalewise-{secrets.token_hex(8)}.tmp"
    try:
        probe.touch(exist_ok=False)
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _busy(name: str) -> RunBusyError:
    return RunBusyError(
        f"Run {name} is being trained by another process.",
        hint="Wait for it, or stop that process; its work is kept.",
    )
