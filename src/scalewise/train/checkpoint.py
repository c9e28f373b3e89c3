"""Checkpoints: NumPy archives with a checksum, written whole or not at all, never pickled.

Two files take turns, so that a damaged newest one leaves the one before it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalewise.core.errors import RunDataError
from scalewise.core.records import atomic_write, to_json

Arrays = Mapping[str, np.ndarray[Any, Any]]
NAMES = ("checkpoint-a.npz", "checkpoint-b.npz")
META, DIGEST = "meta", "sha256"
# What NumPy and zipfile raise on bytes that are not, or no longer, an archive.
_DAMAGE = (ValueError, KeyError, TypeError, EOFError, OSError, NotImplementedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Arrays by name, and facts that fit in JSON; ``progress`` orders checkpoints of one run."""

    progress: int
    facts: Mapping[str, Any]
    arrays: Arrays


class CheckpointPair:
    """The two checkpoints of one run; knows which of them is the newest good one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._newest = NAMES[1]

    def load(self) -> Checkpoint | None:
        """The most advanced checkpoint that is whole, or None where there is none."""
        whole: dict[str, Checkpoint] = {}
        for name in NAMES:
            path = self._folder / name
            if path.exists():
                try:
                    whole[name] = read_checkpoint(path)
                except RunDataError:
                    continue
        if not whole:
            return None
        self._newest = max(whole, key=lambda name: whole[name].progress)
        return whole[self._newest]

    def save(self, checkpoint: Checkpoint) -> None:
        """Write over the other one than the newest.

        Raises UsageError when the disk refuses; both checkpoints are then as they were.
        """
        name = self._other()
        write_checkpoint(self._folder / name, checkpoint)
        self._newest = name

    def keep_newest(self) -> None:
        """Drop the older one, once a run has ended."""
        (self._folder / self._other()).unlink(missing_ok=True)

    def _other(self) -> str:
        return NAMES[1 - NAMES.index(self._newest)]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write one checkpoint file, atomically."""
    facts = {"progress": checkpoint.progress, "facts": dict(checkpoint.facts)}
    meta = np.frombuffer(to_json(facts).encode(), np.uint8)
    digest = np.frombuffer(_digest(meta, checkpoint.arrays), np.uint8)
    contents = {META: meta, DIGEST: digest, **checkpoint.arrays}
    archive = io.BytesIO()
    np.savez(archive, allow_pickle=False, **contents)
    atomic_write(path, archive.getvalue())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint file. Raises RunDataError when its contents are not what was written."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta, digest = arrays.pop(META), arrays.pop(DIGEST)
        if digest.tobytes() != _digest(meta, arrays):
            raise ValueError("the checksum differs")
        head = json.loads(meta.tobytes())
        return Checkpoint(progress=head["progress"], facts=head["facts"], arrays=arrays)
    except (*_DAMAGE, zipfile.BadZipFile) as error:
        raise RunDataError(
            f"Checkpoint {path.name} is damaged: {error}.",
            hint="The one before it is used; without any, the run starts afresh.",
        ) from error


def _digest(meta: np.ndarray[Any, Any], arrays: Arrays) -> bytes:
    digest = hashlib.sha256(meta.tobytes())
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{values.dtype.str}:{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.digest()
