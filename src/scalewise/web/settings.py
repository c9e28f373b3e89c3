"""What a dashboard is started with."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20
GIB = 2**30
MOST_WORKERS = 8  # at once, each with some hundred MiB
_LEAST_MEMORY = 2 * GIB  # of a worker, on any machine


def _workers() -> int:
    return min(os.cpu_count() or 1, MOST_WORKERS)


def _memory() -> int:
    """What one worker may take, so that all of them leave a quarter of the machine's memory."""
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not told on this system
        return _LEAST_MEMORY
    return max(_LEAST_MEMORY, whole * 3 // 4 // _workers())


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that is taken in: sizes in bytes.

    ``waiting`` is how many jobs may wait, ``listed`` how many entries a page lists. A job gets
    ``memory`` bytes, where the system can hold it to that, and is stopped after ``seconds``.
    """

    upload: int = 1024 * MIB
    file: int = 512 * MIB
    files: int = 2000
    form: int = 4 * MIB
    name: int = 240
    depth: int = 12
    part_headers: int = 4096
    waiting: int = 500
    listed: int = 100
    memory: int = field(default_factory=_memory)
    seconds: float = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A dashboard: its project folder, the names it answers to, and what it may use.

    ``names`` are the host names that a browser may ask for besides the loopback ones. ``token`` is
    the secret that a browser must know, empty for none. ``root_path`` is the prefix under which a
    proxy serves the dashboard. ``watched`` is a folder of logs that is read again when it changes,
    looked at every ``interval`` seconds.
    """

    folder: Path
    names: tuple[str, ...] = ()
    token: str = ""
    root_path: str = ""
    watched: Path | None = None
    interval: float = 2.0
    workers: int = field(default_factory=_workers)
    limits: Limits = field(default_factory=Limits)
