"""The watched folder: looked at every few seconds, read again when anything in it has changed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from pathlib import Path
from typing import Any

from anyio import to_thread

from scalewise.core.errors import ScalewiseError, UsageError
from scalewise.web.asked import ReadQuestion
from scalewise.web.jobs import Jobs
from scalewise.web.project import Project
from scalewise.web.settings import Settings

STATE = "watch.json"
_MOST_ENTRIES = 200_000
_DEEPEST = 16

_log = logging.getLogger(__name__)


async def watch(project: Project, jobs: Jobs, settings: Settings) -> None:
    """Read the watched folder now and after every change, until cancelled.

    What was read last is in the project, so that an unchanged folder is not read again.
    """
    folder = settings.watched
    if folder is None:
        return
    while True:
        try:
            print_ = await to_thread.run_sync(fingerprint, folder)
            if print_ != project.read_state(STATE).get("fingerprint"):
                await _read(project, jobs, folder, print_)
        except ScalewiseError as error:  # no room to keep it, or too many jobs: try again
            _log.warning("%s", error)
        await asyncio.sleep(settings.interval)


async def _read(project: Project, jobs: Jobs, folder: Path, found: str) -> None:
    job = await jobs.ask(ReadQuestion(watched=found))
    ended = await jobs.ended(job)
    if ended["state"] == "interrupted":
        return
    before = project.read_state(STATE)
    state: dict[str, Any] = {
        "folder": folder.name,
        "fingerprint": found,
        "job": job,
        "runs": ended.get("runs", before.get("runs")),
        "error": ended.get("error"),
    }
    await to_thread.run_sync(project.write_state, STATE, state)


def fingerprint(folder: Path) -> str:
    """A checksum of the names, sizes and times of all files below a folder; no link is followed."""
    digest = hashlib.sha256(f"{folder}\0".encode("utf-8", "surrogateescape"))
    waiting, seen = [(folder, 0)], 0
    while waiting and seen < _MOST_ENTRIES:
        place, depth = waiting.pop()
        try:
            with os.scandir(place) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in found:
            seen += 1
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEEPEST:
                    waiting.append((Path(entry.path), depth + 1))
            elif entry.is_file(follow_symlinks=False):
                digest.update(_line(entry))
    return digest.hexdigest()


def _line(entry: os.DirEntry[str]) -> bytes:
    try:
        about = entry.stat(follow_symlinks=False)
    except OSError:  # gone in between
        return b""
    text = f"{entry.path}\0{about.st_size}\0{about.st_mtime_ns}\0"
    return text.encode("utf-8", "surrogateescape")


def check_watched(watched: Path, project: Path) -> None:
    """Raise UsageError unless a folder is there and neither in the project nor around it."""
    if not watched.is_dir():
        raise UsageError(f"There is no folder {watched} to watch.", hint="Check the name.")
    inner, outer = project.resolve(), watched.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise UsageError(
            f"The project folder {project} and the watched folder {watched} lie in each other.",
            hint="Watch the folder of the logs itself, or name a project folder elsewhere.",
        )
