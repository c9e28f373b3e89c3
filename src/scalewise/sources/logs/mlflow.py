"""MLflow without MLflow: its SQLite database, and the folders of the older file store.

A NaN is stored as value 0 with ``is_nan`` set, an infinity as the largest float. Points that share
a step are ordered by their time stamp.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare
from scalewise.sources.logs.limits import MAX_CONFIG_ITEMS, MAX_METRICS, head_of, read_bytes
from scalewise.sources.logs.log import Log, State, Wanted
from scalewise.sources.logs.plain_yaml import settings
from scalewise.sources.logs.points import WALL_TIME, Points
from scalewise.sources.logs.sqlite import columns, opened, rows, tables

LARGEST = 1.7976931348623157e308
STATES: dict[str, State] = {
    "FINISHED": "finished", "FAILED": "failed", "KILLED": "failed",
    "RUNNING": "running or crashed", "SCHEDULED": "running or crashed",
    "3": "finished", "4": "failed", "5": "failed", "1": "running or crashed",
}  # fmt: skip

_TABLES = {
    "runs": {"run_uuid", "status", "lifecycle_stage", "experiment_id"},
    "metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
    "params": {"key", "value", "run_uuid"},
    "experiments": {"experiment_id", "name"},
}
_MOST_DEPTH = 8
_RUN_META = re.compile(rb"^run_(?:id|uuid):", re.MULTILINE)


class MlflowReader:
    """``mlflow.db``, or the folder of one run in ``mlruns``."""

    key = "mlflow"
    title = "MLflow store"

    def units(self, path: Path) -> list[Path]:
        """A database with MLflow's tables, or a folder with a run's ``meta.yaml``."""
        if path.is_dir():
            meta = path / "meta.yaml"
            is_run = (path / "metrics").is_dir() and bool(_RUN_META.search(head_of(meta)))
            return [path] if is_run else []
        held = tables(path)
        is_store = all(held.get(name, frozenset()) >= needs for name, needs in _TABLES.items())
        return [path] if is_store else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """Every run that is not deleted. Raises RunDataError if there is none."""
        if unit.is_dir():
            return [_folder(unit, wanted)]
        return list(_database(unit, wanted))


def value_of(value: float, is_nan: object = False) -> float:
    """A stored value as it was logged.

    >>> value_of(0.0, 1), value_of(-LARGEST)
    (nan, -inf)
    """
    if is_nan:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) >= LARGEST else value


def _database(unit: Path, wanted: Wanted | None) -> Iterator[Log]:
    with opened(unit) as connection:
        named = "r.name" if "name" in columns(connection)["runs"] else "''"
        query = (
            f"SELECT r.run_uuid, {named}, r.status, e.name, r.lifecycle_stage FROM runs r "  # noqa: S608
            "LEFT JOIN experiments e ON e.experiment_id = r.experiment_id ORDER BY r.start_time"
        )
        found = list(rows(connection, query))
        kept = [row for row in found if row[4] != "deleted"]
        if not kept:
            told = f"{len(found)} deleted runs and no other" if found else "no run"
            raise RunDataError(
                f"{bare(unit.name, 120)} holds {told}.", hint="Log a run, or restore one."
            )
        for run, name, status, experiment, _ in kept:
            points, bad = Points(), 0
            ask = (
                "SELECT key, value, is_nan, step, timestamp FROM metrics WHERE run_uuid = ? "
                "ORDER BY timestamp, rowid"
            )
            for key, value, is_nan, step, when in rows(connection, ask, run):
                if not (isinstance(value, (int, float)) and isinstance(step, int)):
                    bad += 1
                elif wanted is None or wanted(str(key)):
                    points.add(step, str(key), value_of(value, is_nan))
                    if isinstance(when, int):
                        points.add(step, WALL_TIME, when / 1e3)
            params = rows(connection, "SELECT key, value FROM params WHERE run_uuid = ?", run)
            config = dict(_limited(params))
            yield run_log(unit, run, (name, status, experiment), points, config, bad)


def run_log(
    source: Path | str,
    run: object,
    about: tuple[object, object, object],
    points: Points,
    config: dict[str, object],
    bad: int,
) -> Log:
    """A log from what an MLflow store holds of a run; ``about`` is name, status, experiment."""
    name, status, experiment = about
    frame = points.frame()
    lost = points.lost() | ({"unreadable records": bad} if bad else {})
    notes = (f"MLflow experiment {bare(str(experiment), 80)}",) if experiment else ()
    return Log(
        run_id=str(run),
        name=str(name or run),
        kind=MlflowReader.key,
        source=str(source),
        points=frame,
        config=config,
        notes=notes,
        lost=lost,
        state=STATES.get(str(status), "unknown"),
    )


def _limited(params: Iterator[tuple[Any, ...]]) -> Iterator[tuple[str, object]]:
    for index, (key, value) in enumerate(params):
        if index >= MAX_CONFIG_ITEMS:
            return
        yield str(key), value


def _folder(unit: Path, wanted: Wanted | None) -> Log:
    """One run of the file store: a file per metric, ``time value step`` a line."""
    meta = settings(read_bytes(unit / "meta.yaml", 2**20))
    if meta.get("lifecycle_stage") == "deleted":
        raise RunDataError(f"The run in {bare(unit.name, 80)} is deleted.", hint="Restore it.")
    points, bad = Points(), 0
    for name, path in _files(unit / "metrics", MAX_METRICS):
        if wanted is not None and not wanted(name):
            continue
        for line in read_bytes(path).split(b"\n"):
            if not line:
                continue
            try:
                when, value, step = line.split()
                points.add(int(step), name, value_of(float(value)))
                points.add(int(step), WALL_TIME, int(when) / 1e3)
            except (ValueError, OverflowError):
                bad += 1
    config: dict[str, object] = {
        name: read_bytes(path, 2**20).decode("utf-8", "replace").rstrip("\n")
        for name, path in _files(unit / "params", MAX_CONFIG_ITEMS)
    }
    run = meta.get("run_id") or meta.get("run_uuid") or unit.name
    about = (meta.get("run_name"), meta.get("status"), None)
    return run_log(unit, run, about, points, config, bad)


def _files(folder: Path, most: int, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Regular files below a folder under their names with slashes; links are passed over."""
    if not folder.is_dir() or prefix.count("/") > _MOST_DEPTH:
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name)[:most]:
            if entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), most, f"{prefix}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                yield f"{prefix}{entry.name}", Path(entry.path)
