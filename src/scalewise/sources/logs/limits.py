"""Bounds on what an untrusted log may cost, and the one way to open one."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare

MAX_FILE_BYTES = 8 * 2**30  # a log file that is read record by record
MAX_TEXT_BYTES = 512 * 2**20  # a file that is held in memory whole
MAX_HEAD_BYTES = 64 * 2**10  # what may be read to tell a format
MAX_METRICS = 20_000  # names in one run
MAX_CELLS = 60_000_000  # steps times metrics of one run
MAX_CONFIG_ITEMS = 20_000
MAX_CONFIG_DEPTH = 24
MAX_NAME = 300  # characters of a name taken from a log


def size_of(path: Path, most: int = MAX_TEXT_BYTES) -> int:
    """Bytes of a regular file. Raises RunDataError if it is none, or holds more than ``most``."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise RunDataError(
            f"{bare(str(path), 200)} cannot be read: {bare(str(error), 120)}.",
            hint="Check the path and its permissions.",
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise RunDataError(f"{bare(str(path), 200)} is not a file.", hint="Give a regular file.")
    if found.st_size > most:
        raise RunDataError(
            f"{bare(str(path), 200)} holds {found.st_size} bytes; at most {most} are read.",
            hint="Export the metrics that are needed into a smaller file.",
        )
    return found.st_size


def read_bytes(path: Path, most: int = MAX_TEXT_BYTES) -> bytes:
    """A whole file. Raises RunDataError as `size_of`, or if it cannot be read."""
    size_of(path, most)
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise RunDataError(
            f"{bare(str(path), 200)} cannot be read: {bare(str(error), 120)}.",
            hint="Check its permissions.",
        ) from error


def json_object(path: Path, *, unfinished: str, wrong: str) -> dict[str, Any]:
    """A JSON object from a file; the hints are for a file cut short and for something else in it.

    Raises RunDataError if it is none.
    """
    try:
        held = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise RunDataError(f"{bare(str(path), 200)} is not whole JSON.", hint=unfinished) from error
    if not isinstance(held, dict):
        kind = type(held).__name__
        raise RunDataError(f"{bare(str(path), 200)} holds {kind}, not an object.", hint=wrong)
    return held


def head_of(path: Path, most: int = MAX_HEAD_BYTES) -> bytes:
    """The first bytes of a regular file; nothing if it cannot be read."""
    try:
        # Never a pipe or a device: opening one could wait for ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - opened by its number
            return file.read(most) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except (OSError, ValueError):
        return b""
