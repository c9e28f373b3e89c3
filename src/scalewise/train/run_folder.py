"""One run's folder: its spec, its rows so far, its checkpoints, and whether it is done.

::

    QUEUE/
    ├── corpus.json                 the one corpus that all runs of the queue share
    ├── tokens/FINGERPRINT-TOKENIZER/
    ├── runs/RUN_ID-HASH/
    │   ├── spec.json
    │   ├── rows.jsonl              rewritten whole at every evaluation
    │   ├── checkpoint-{a,b}.npz
    │   ├── LOCK, CLAIM-NUMBER      of the process that is training it
    │   ├── attempts.jsonl          one line for each process that took it up
    │   ├── progress.json           its last event, where no pipe leads to the user
    │   └── DONE                    written last
    └── runs.jsonl                  the rows of all finished runs
"""

from __future__ import annotations

import glob
import json
import os
import platform
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.core.records import atomic_write, to_json
from scalewise.runs.spec import RunSpec
from scalewise.train.claim import Claim, RunBusyError, claimed

Row = dict[str, Any]

__all__ = ["Row", "RunBusyError", "RunFolder", "bind_corpus", "finished_rows"]


class RunFolder:
    """Paths and files of one run below a queue folder."""

    def __init__(self, queue: Path, spec: RunSpec) -> None:
        self.path = _place(queue, spec)
        self._spec = spec
        self._claim: Claim | None = None

    @property
    def is_done(self) -> bool:
        """Whether the run has ended, well or not."""
        return (self.path / "DONE").exists()

    def create(self) -> None:
        """Make the folder and write down what it is for."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "spec.json").exists():
            atomic_write(self.path / "spec.json", to_json(self._spec, indent=1))

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Replace the rows measured so far."""
        self._check_claim()
        atomic_write(self.path / "rows.jsonl", "".join(f"{to_json(row)}\n" for row in rows))

    def rows(self) -> list[Row]:
        """The rows measured so far; none before the first evaluation."""
        return _read_rows(self.path / "rows.jsonl")

    def finish(self, facts: Row) -> None:
        """Mark the run as ended; it will not be trained again."""
        self._check_claim()
        atomic_write(self.path / "DONE", to_json(facts, indent=1))

    def outcome(self) -> Row:
        """What `finish` wrote."""
        facts: Row = json.loads((self.path / "DONE").read_text(encoding="utf-8"))
        return facts

    def note_attempt(self, from_update: int) -> None:
        """Add who takes the run up now, and where."""
        facts = {"host": platform.node(), "pid": os.getpid(), "from_update": from_update}
        with (self.path / "attempts.jsonl").open("a", encoding="utf-8") as file:
            file.write(f"{to_json(facts)}\n")

    def attempts(self) -> list[Row]:
        """Host, process and first update of each attempt at this run, the first one first."""
        return _read_rows(self.path / "attempts.jsonl")

    def tell(self, progress: str) -> None:
        """Leave an event for whoever looks on from another machine."""
        partial = self.path / f".scalewise-{os.getpid()}.tmp"
        with suppress(OSError):  # not worth a failure, nor the wait for the disk
            partial.write_text(progress, encoding="utf-8")
            partial.replace(self.path / "progress.json")

    def told(self) -> str:
        """The last event that was left; nothing before the first."""
        try:
            return (self.path / "progress.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the run while it is trained; see `scalewise.train.claim`.

        Raises RunBusyError when another process holds it, or has taken it over since.
        """
        with claimed(self.path) as claim:
            self._claim = claim
            try:
                yield
            finally:
                self._claim = None

    def _check_claim(self) -> None:
        if self._claim is not None:
            self._claim.check()


def _place(queue: Path, spec: RunSpec) -> Path:
    """The folder of a run: the one of its fingerprint, or that of an earlier release.

    Earlier releases took the whole path of the corpus into the fingerprint. A queue is tied to one
    corpus, so a run there that is the same but for that path is the same run.
    """
    readable = re.sub(r"[^A-Za-z0-9._=-]+", "_", spec.run_id)[:60]
    path = queue / "runs" / f"{readable}-{spec.fingerprint}"
    if path.exists():
        return path
    earlier = sorted((queue / "runs").glob(f"{glob.escape(readable)}-{'[0-9a-f]' * 16}"))
    return next((folder for folder in earlier if _is_of(folder, spec)), path)


def _is_of(folder: Path, spec: RunSpec) -> bool:
    """Whether a folder is of a run that differs from ``spec`` in the path of its corpus at most."""
    try:
        stored = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    meant = json.loads(to_json(spec))
    # What an earlier release did not know is left as it is by default.
    defaults = {f.name: f.default for f in fields(spec) if f.default is not MISSING}
    known = json.loads(to_json(defaults))
    return {**known, **stored, "corpus": ""} == {**meant, "corpus": ""}


def finished_rows(queue: Path, specs: Sequence[RunSpec] = ()) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of the finished runs of a queue, in the order of their folders' names.

    A changed plan trains a run anew under its old run_id: of folders that share one, that of the
    ``specs`` counts, else the one that ended last, or two runs would read as one. Second, the
    run_ids of which something was left out.
    """
    planned = {spec.run_id: RunFolder(queue, spec).path for spec in specs}
    counts: dict[str, Path] = {}
    ended = {path.parent: path.stat().st_mtime_ns for path in queue.glob("runs/*/DONE")}
    rows = {folder: _read_rows(folder / "rows.jsonl") for folder in ended}
    for folder in sorted(ended, key=lambda folder: (ended[folder], folder)):
        if rows[folder]:
            run_id = str(rows[folder][0]["run_id"])
            counts[run_id] = planned.get(run_id, folder)
    kept = set(counts.values())
    left_out = {str(rows[f][0]["run_id"]) for f in ended if rows[f] and f not in kept}
    table = [row for folder in sorted(kept & ended.keys()) for row in rows[folder]]
    return table, tuple(sorted(left_out))


def _read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def bind_corpus(queue: Path, fingerprint: str, name: str) -> None:
    """Tie a queue to one corpus. Raises RunDataError when it is tied to another one."""
    path = queue / "corpus.json"
    if not path.exists():
        queue.mkdir(parents=True, exist_ok=True)
        atomic_write(path, to_json({"fingerprint": fingerprint, "name": name}))
        return
    bound = json.loads(path.read_text())
    if bound["fingerprint"] != fingerprint:
        raise RunDataError(
            f"This folder holds runs on corpus {bound['name']!r} ({bound['fingerprint']}), and the "
            f"new ones are on {name!r} ({fingerprint}); their losses cannot be compared.",
            hint="Use another folder for another corpus.",
        )
