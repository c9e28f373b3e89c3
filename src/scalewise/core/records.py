"""Writing things down so that they can be trusted later: JSON, checksums, atomic files."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, time
from enum import Enum
from math import isfinite
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import UsageError

if TYPE_CHECKING:
    pass

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
"""What JSON can hold; a float is finite."""


def to_json(value: object, *, indent: int | None = None) -> str:
    """``value`` as strict JSON: equal values give equal text, whatever order they were built in.

    Keys are sorted; NaN and infinities become null. Dataclasses, mappings, tuples, sets, enums,
    paths, dates, NumPy scalars and arrays are understood; see `plain`.

    >>> to_json({"loss": float("nan"), "params": (1, 2)})
    '{"loss": null, "params": [1, 2]}'
    """
    return json.dumps(
        plain(value), allow_nan=False, ensure_ascii=False, indent=indent, sort_keys=True
    )


def plain(value: object) -> Plain:
    """``value`` rebuilt from dicts, lists, strings, finite numbers, booleans and None only.

    Raises TypeError for what has no faithful JSON form, so that nothing is written as its repr.
    """
    # First, because an enum or a NumPy scalar may also be a str, an int or a float.
    if isinstance(value, Enum):
        return plain(value.value)
    numpy = sys.modules.get("numpy")  # no NumPy value exists before NumPy is imported
    if numpy is not None and isinstance(value, (numpy.generic, numpy.ndarray)):
        return plain(value.tolist())
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=json.dumps)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, PurePath):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r:.80}")


def _plain_mapping(value: Mapping[Any, object]) -> dict[str, Plain]:
    answer: dict[str, Plain] = {}
    for key, item in value.items():
        name = plain(key)
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            raise TypeError(f"A JSON key must be text or a whole number, not {key!r}.")
        if str(name) in answer:
            raise TypeError(f"Two keys read {str(name)!r} in JSON.")
        answer[str(name)] = plain(item)
    return answer


def sha256_of_bytes(data: bytes) -> str:
    """SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_json(value: object) -> str:
    """SHA-256 of `to_json`: a fingerprint of contents, blind to the order of keys."""
    return sha256_of_bytes(to_json(value).encode())


def sha256_of_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def atomic_write(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Put ``content`` (text as UTF-8) at ``path`` wholly or not at all.

    Written to a temporary file in the same folder, flushed to disk, then renamed over ``path``. A
    full disk, an interruption or a kill leaves the old file as it was; only a kill can leave the
    temporary file behind. Keeps the permissions of the old file and follows a symbolic link.
    Raises UsageError when the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(path).resolve()
    temporary = target.parent / f".scalewise-{secrets.token_hex(8)}.tmp"
    try:
        try:
            _write_through(temporary, data)
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o7777)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except OSError as error:
        raise UsageError(
            f"Cannot write {os.fspath(path)!r}: {error.strerror or error}.",
            hint="Nothing there was changed. Check the folder, its permissions and the free space.",
        ) from error


def atomic_move(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Put a finished file or folder at ``target``, where nothing is yet, wholly or not at all.

    What lies in it must have been flushed to disk, as `atomic_write` does. Both places are on one
    file system. Raises OSError if it cannot be moved, for a folder also if ``target`` is there.
    """
    old, new = Path(source), Path(target)
    if old.is_dir():
        for folder in (old, *(below for below in old.rglob("*") if below.is_dir())):
            _sync_folder(folder)
    old.rename(new)
    _sync_folder(new.parent)


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can."""
    if os.name != "posix":
        return
    # Some network file systems refuse to sync a folder; the file itself is whole by now.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
