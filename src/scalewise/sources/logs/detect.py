"""What in a folder is a log, and of which format: a bounded walk that never leaves the folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare, listed
from scalewise.sources.logs.log import Reader
from scalewise.sources.logs.text_log import is_text_log

MAX_DEPTH = 16
MAX_ENTRIES = 200_000
MAX_UNITS = 20_000

# Hidden folders that tools keep logs in; others are passed over.
HIDDEN_WITH_LOGS = frozenset({".wandb", ".mlruns", ".trackio"})
_PACKED = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip", ".7z"})
_LOGS = frozenset({".wandb", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".pq", ".db"})
_EVENTS = ".tfevents."
# Where programs' output is kept, and lines in it that tell of a step and its loss.
_OUTPUTS = frozenset({"", ".log", ".out", ".err", ".txt"})
_STEPS = re.compile(r"\b(?:step|iter(?:ation)?|epoch)s?\b\W{0,4}\d.{0,200}?\bloss\b\W{0,4}\d"
                    r"|\bloss\b\W{0,4}\d.{0,200}?\b(?:step|epoch)\b\W{0,4}\d", re.I)  # fmt: skip
_NOT_KNOWN = (
    "training output of no known tool (give what the tool logs besides, such as W&B, TensorBoard "
    "or trainer_state.json, or write its steps and losses to a CSV)"
)
_WITHOUT_LOGS = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A file or folder that one reader claims."""

    path: Path
    reader: Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The units below a path in natural order of their names, and what was passed over."""

    units: tuple[Unit, ...]
    notes: tuple[str, ...] = ()


def detect(root: Path, readers: Sequence[Reader]) -> Found:
    """What ``readers`` can read at a path; each file is claimed by the first that takes it.

    Links below the path are not followed. Raises RunDataError if there is no such path, or it is
    neither file nor folder.
    """
    if root.is_file():
        claimed = _claimed(root, readers)
        return Found(units=(claimed,) if claimed else ())
    if not root.is_dir():
        raise RunDataError(
            f"There is no file or folder {bare(str(root), 200)}.", hint=_near(root) or "Check it."
        )
    walk = _Walk(readers)
    units = tuple(walk.units(root, 0))
    passed = (
        f"passed over, {why}: {listed([p.relative_to(root).as_posix() for p in paths], 4)}"
        for why, paths in walk.passed.items()
    )
    return Found(units=units, notes=(*walk.notes, *passed))


class _Walk:
    def __init__(self, readers: Sequence[Reader]) -> None:
        self.readers = readers
        self.seen = self.found = 0
        self.notes: list[str] = []
        self.passed: dict[str, list[Path]] = {}

    def units(self, folder: Path, depth: int) -> Iterator[Unit]:
        whole = _claimed(folder, self.readers)
        if whole is not None:
            self.found += 1
            yield whole
            return
        folders, files = self._entries(folder)
        for file in files:
            unit = _claimed(file, self.readers) if self.found < MAX_UNITS else None
            if unit is None and (why := _unread(file)):
                self.passed.setdefault(why, []).append(file)
            if unit is not None:
                self.found += 1
                yield unit
                if self.found == MAX_UNITS:
                    self.notes.append(f"only the first {MAX_UNITS} logs were taken")
        if depth < MAX_DEPTH:
            for below in folders:
                yield from self.units(below, depth + 1)
        elif folders:
            self.notes.append(f"folders deeper than {MAX_DEPTH} were passed over")

    def _entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        folders, files = [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.seen += 1
                    if self.seen > MAX_ENTRIES:
                        told = f"only the first {MAX_ENTRIES} files and folders were looked at"
                        if told not in self.notes:
                            self.notes.append(told)
                        break
                    if entry.is_symlink():
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders += [Path(entry.path)] if _may_hold_logs(entry.name) else []
                    elif entry.is_file(follow_symlinks=False) and not entry.name.startswith("."):
                        files.append(Path(entry.path))
        except OSError as error:
            self.notes.append(f"{bare(str(folder), 120)} was passed over: {bare(str(error), 120)}")
        return sorted(folders, key=natural), sorted(files, key=natural)


def _may_hold_logs(name: str) -> bool:
    return name in HIDDEN_WITH_LOGS or not (name.startswith(".") or name in _WITHOUT_LOGS)


def _claimed(path: Path, readers: Sequence[Reader]) -> Unit | None:
    for reader in readers:
        try:
            if path in reader.units(path):
                return Unit(path=path, reader=reader)
        except (OSError, ValueError):
            continue
    return None


def _unread(path: Path) -> str:
    """Why a file that looks like a log is none that can be read; nothing if it is no log."""
    is_log = path.suffix.casefold() in _LOGS or _EVENTS in path.name
    if path.suffix.casefold() in _PACKED:
        inner = Path(path.stem)
        is_log = inner.suffix.casefold() in (*_LOGS, ".log") or _EVENTS in inner.name
        return "packed (unpack them)" if is_log else ""
    try:
        if not os.access(path, os.R_OK):
            return "not permitted to be read"
        if is_log and path.stat().st_size == 0:
            return "empty"
        # W&B keeps a run's output beside its log.
        is_copy = path.name == "output.log" and path.parent.name == "files"
        is_output = path.suffix.casefold() in _OUTPUTS and not is_copy
        return _NOT_KNOWN if is_output and is_text_log(path, _STEPS) else ""
    except OSError:
        return ""


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """An order in which step-900 comes before step-1000.

    >>> sorted([Path("step-1000"), Path("step-900")], key=natural)[0].name
    'step-900'
    """
    parts = re.findall(r"\d+|\D+", str(path))
    return tuple((0, int(p[:18]), p) if p.isdecimal() else (1, 0, p) for p in parts)


def _near(root: Path) -> str:
    try:
        names = sorted(p.name for p in root.parent.iterdir() if not p.name.startswith("."))
    except OSError:
        return ""
    return f"Beside it: {listed(names, 8)}." if names else ""
