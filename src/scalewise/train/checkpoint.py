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


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Arrays by name, and facts that fit in JSON; ``progress`` orders checkpoints of one run."""

    progress: int
    facts: Mapping[str, Any]
    arrays: Arrays


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write over the older of the folder's two checkpoints.

    Raises UsageError when the disk refuses; both checkpoints are then as they were.
    """
    found = {name: _progress_of(folder / name) for name in NAMES}
    path = folder / min(NAMES, key=lambda name: found[name])
    facts = {"progress": checkpoint.progress, "facts": dict(checkpoint.facts)}
    meta = np.frombuffer(to_json(facts).encode(), np.uint8)
    digest = np.frombuffer(_digest(meta, checkpoint.arrays), np.uint8)
    archive = io.BytesIO()
    np.savez(archive, **{META: meta, DIGEST: digest}, **checkpoint.arrays)
    atomic_write(path, archive.getvalue())
    return path


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The most advanced checkpoint that is whole, or None where there is none."""
    whole = []
    for name in NAMES:
        try:
            whole.append(read_checkpoint(folder / name))
        except (FileNotFoundError, RunDataError):
            continue
    return max(whole, key=lambda checkpoint: checkpoint.progress, default=None)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint file. Raises RunDataError when its contents are not what was written."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta, digest = arrays.pop(META), arrays.pop(DIGEST)
        whole = digest.tobytes() == _digest(meta, arrays)
        head = json.loads(meta.tobytes()) if whole else {}
        return Checkpoint(progress=head["progress"], facts=head["facts"], arrays=arrays)
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError) as e:
        if isinstance(e, FileNotFoundError):
            raise
        raise RunDataError(
            f"Checkpoint {path.name} is damaged ({type(e).__name__}).",
            hint="The one before it is used; delete the run's folder to start afresh.",
        ) from e


def drop_older_checkpoint(folder: Path) -> None:
    """Keep the newest checkpoint only, once a run has finished."""
    found = {name: _progress_of(folder / name) for name in NAMES}
    (folder / min(NAMES, key=lambda name: found[name])).unlink(missing_ok=True)


def _progress_of(path: Path) -> int:
    try:
        return read_checkpoint(path).progress
    except (FileNotFoundError, RunDataError):
        return -1


def _digest(meta: np.ndarray[Any, Any], arrays: Arrays) -> bytes:
    digest = hashlib.sha256(meta.tobytes())
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{values.dtype.str}:{values.shape}".encode())
        digest.update(values.data if values.size else b"")
    return digest.digest()
