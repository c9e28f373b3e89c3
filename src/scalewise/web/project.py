"""The project folder: everything a dashboard keeps, as files that are there wholly or not at all.

::

    project.json            what the folder is
    incoming/               being written; emptied when a dashboard starts
    sources/ID/             uploaded files, and source.json
    runs/ID/                runs.parquet, runs.csv, facts.json, cards.html, mapping.toml
    fits/ID/                fit.json, about.json, payload.json, laws.js, report.html, ...
    jobs/ID/                request.json, and result.json once it has ended
    watch.json              what was last read of the watched folder

A folder with an ID is written in ``incoming`` and moved into its place when it is complete. The
IDs of sources, runs and fits are checksums of what they were made from, so equal questions have
equal answers and nobody's can replace another's.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scalewise.core.errors import UsageError
from scalewise.core.records import atomic_move, atomic_write, to_json
from scalewise.runs.quote import quoted
from scalewise.web.refusals import NotThereError

SCHEMA = "scalewise.project/1"
Kind = Literal["sources", "runs", "fits", "jobs"]
KINDS: tuple[Kind, ...] = ("sources", "runs", "fits", "jobs")
_ID = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?")
_MARK = "project.json"
_NAMES = {"sources": "source", "runs": "run table", "fits": "fit", "jobs": "job"}


@dataclass(frozen=True, slots=True)
class Project:
    """A project folder; nothing of it is kept in memory."""

    folder: Path

    def place(self, kind: Kind, key: str) -> Path:
        """The folder of a thing that is there. Raises NotThereError for anything else."""
        found = self.folder / kind / key
        if not _ID.fullmatch(key) or not found.is_dir():
            raise NotThereError(
                f"There is no {_NAMES[kind]} {quoted(key, 80)} in this project.",
                hint="Open the dashboard's first page: it lists what there is.",
            )
        return found

    def has(self, kind: Kind, key: str) -> bool:
        """Whether a thing is there."""
        return bool(_ID.fullmatch(key)) and (self.folder / kind / key).is_dir()

    def record(self, kind: Kind, key: str, name: str) -> dict[str, Any]:
        """One JSON file of a thing. Raises NotThereError if there is none."""
        path = self.place(kind, key) / name
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise NotThereError(
                f"The {_NAMES[kind]} {key} has no {name}.", hint="Make it again."
            ) from None
        return found

    def text(self, kind: Kind, key: str, name: str) -> str:
        """One text file of a thing, empty if there is none."""
        path = self.place(kind, key) / name
        return path.read_text("utf-8") if path.is_file() else ""

    def newest(self, kind: Kind, most: int) -> list[str]:
        """The keys of a kind, newest first."""
        found = [
            (path.stat().st_mtime_ns, path.name)
            for path in (self.folder / kind).iterdir()
            if _ID.fullmatch(path.name)
        ]
        return [name for _, name in sorted(found, reverse=True)[:most]]

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder to write in; what is not confirmed by the end is gone."""
        folder = self.folder / "incoming" / secrets.token_hex(16)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def confirm(self, staged: Path, kind: Kind, key: str) -> None:
        """Move a complete folder to its place; the same thing may be there already."""
        target = self.folder / kind / key
        if target.is_dir():
            return
        try:
            atomic_move(staged, target)
        except OSError as error:
            if target.is_dir():  # somebody asked the same and was faster
                return
            raise UsageError(
                f"Cannot keep {kind} {key}: {error.strerror or error}.",
                hint="Check the free space and the permissions of the project folder.",
            ) from error

    def read_state(self, name: str) -> dict[str, Any]:
        """A JSON file of the project itself, empty if there is none."""
        path = self.folder / name
        if not path.is_file():
            return {}
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    def write_state(self, name: str, value: object) -> None:
        """Write a JSON file of the project itself."""
        atomic_write(self.folder / name, to_json(value))


def open_project(folder: Path) -> Project:
    """The project in a folder, made if it is not there.

    Raises UsageError if the folder holds something else or cannot be written.
    """
    mark = folder / _MARK
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", hint="Name a folder for the project.")
    if folder.is_dir() and not mark.is_file() and any(folder.iterdir()):
        raise UsageError(
            f"The folder {folder} holds other files and is no project.",
            hint="Name a new folder, or one that scalewise serve has made.",
        )
    try:
        for name in ("incoming", *KINDS):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The project folder {folder} cannot be made: {error.strerror}.",
            hint="Name a folder that you may write to.",
        ) from error
    if not mark.is_file():
        atomic_write(mark, to_json({"schema": SCHEMA}))
    return Project(folder.resolve())


def clear_incoming(project: Project) -> None:
    """Remove what was being written when an earlier dashboard ended."""
    for left in (project.folder / "incoming").iterdir():
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def held(project: Project) -> Iterator[None]:
    """Keep other dashboards out of the project for the while; a kill lets go of it too."""
    with (project.folder / "held").open("a") as file:
        try:
            import fcntl
        except ImportError:  # not on this system
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"Another dashboard serves {project.folder}.",
                hint="Use that one, or name another folder.",
            ) from error
        yield
