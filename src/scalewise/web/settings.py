"""What a dashboard is started with."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20
MOST_WORKERS = 8  # at once, each with some hundred MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that is taken in: sizes in bytes.

    ``waiting`` is how many jobs may wait, ``listed`` how many entries a page lists.
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
    workers: int = field(default_factory=lambda: min(os.cpu_count() or 1, MOST_WORKERS))
    limits: Limits = field(default_factory=Limits)
