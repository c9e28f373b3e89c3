"""trackio projects: one SQLite file, metrics and settings as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare
from scalewise.sources.logs.config import flattened
from scalewise.sources.logs.log import Log, Wanted
from scalewise.sources.logs.points import WALL_TIME, Points
from scalewise.sources.logs.sqlite import columns, opened, rows, tables

_METRICS = {"run_name", "step", "metrics", "timestamp"}
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class TrackioReader:
    """``{project}.db`` of trackio; runs are told apart by ``run_id``, in old files by name."""

    key = "trackio"
    title = "trackio project"

    def units(self, path: Path) -> list[Path]:
        """The file, if it is a database with trackio's table of metrics."""
        return [path] if tables(path).get("metrics", frozenset()) >= _METRICS else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """Every run of a project. Raises RunDataError if there is none."""
        with opened(unit) as connection:
            held = columns(connection)
            who = "run_id" if "run_id" in held["metrics"] else "run_name"
            runs: dict[str, _Run] = {}
            query = f"SELECT {who}, run_name, step, timestamp, metrics FROM metrics ORDER BY rowid"  # noqa: S608 - one of two words
            for run, name, step, when, metrics in rows(connection, query):
                runs.setdefault(str(run), _Run(str(name))).take(step, when, metrics, wanted)
            if {"run_name", "config"} <= held.get("configs", frozenset()):
                of = who if who in held["configs"] else "run_name"
                for run, config in rows(connection, f"SELECT {of}, config FROM configs"):  # noqa: S608
                    if str(run) in runs:
                        runs[str(run)].config = _object(config) or {}
        if not runs:
            raise RunDataError(
                f"{bare(unit.name, 120)} holds no logged metrics.",
                hint="Log a step first; trackio writes it when the run finishes or every second.",
            )
        return [run.log(unit, run_id) for run_id, run in runs.items()]


class _Run:
    """One run while it is read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.points = Points()
        self.config: Mapping[str, object] = {}
        self.bad = 0

    def take(self, step: object, when: object, metrics: object, wanted: Wanted | None) -> None:
        held = _object(metrics)
        if held is None or not isinstance(step, int):
            self.bad += 1
            return
        values = {name: value for name, value in _scalars(held)
                  if wanted is None or wanted(name)}  # fmt: skip
        self.points.add_row(step, values)
        if values and (seconds := _seconds(when)) is not None:
            self.points.add(step, WALL_TIME, seconds)

    def log(self, unit: Path, run_id: str) -> Log:
        frame = self.points.frame()
        bad = {"unreadable records": self.bad} if self.bad else {}
        return Log(
            run_id=f"{unit.stem}/{run_id}",
            name=self.name,
            kind=TrackioReader.key,
            source=str(unit),
            points=frame,
            config=flattened({k: v for k, v in self.config.items() if not k.startswith("_")}),
            lost=self.points.lost() | bad,
        )


def _scalars(held: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    for name, value in flattened(held).items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, value
        elif isinstance(value, str) and value in _WORDS:
            yield name, _WORDS[value]


def _object(raw: object) -> dict[str, Any] | None:
    if not isinstance(raw, (str, bytes)):
        return None
    try:
        held = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) else None


def _seconds(when: object) -> float | None:
    try:
        return datetime.fromisoformat(str(when)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
