"""Logs of one run made one: resumed runs, restarts in one folder, charts of several lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from scalewise.sources.logs.log import Log
from scalewise.sources.logs.points import WALL_TIME

if TYPE_CHECKING:
    import polars as pl

_STATES = ("finished", "failed", "running or crashed", "unknown")
_TIMESTAMP = re.compile(r"\d{9,}\.\d+")


def merged(logs: Sequence[Log]) -> list[Log]:
    """One log per run. Of points at the same step and metric the later log's wins, counted."""
    groups: dict[tuple[str, str], list[Log]] = {}
    for log in _adopted(logs):
        groups.setdefault((log.kind, log.run_id), []).append(log)
    return [one if len(rest) == 0 else _joined([one, *rest]) for one, *rest in groups.values()]


def _joined(logs: list[Log]) -> Log:
    frame, overwritten, given_up = logs[0].points, 0, 0
    for later in logs[1:]:
        if later.restart_step is not None and "step" in frame.columns:
            before = _count(frame)
            # Null steps compare as null, and are kept.
            frame = frame.filter((frame["step"] < later.restart_step).fill_null(value=True))
            given_up += before - _count(frame)
        frame, count = _over(frame, later.points)
        overwritten += count
    lost = _summed(log.lost for log in logs)
    for name, count in (("overwritten points", overwritten), ("points given up", given_up)):
        if count:
            lost[name] = lost.get(name, 0) + count
    last = logs[-1]
    return replace(
        last,
        points=frame,
        name=next((log.name for log in reversed(logs) if log.name != log.run_id), last.name),
        config={k: v for log in logs for k, v in log.config.items()},
        meanings={k: v for log in logs for k, v in log.meanings.items()},
        facts={k: v for log in logs for k, v in log.facts.items()},
        notes=tuple(dict.fromkeys(note for log in logs for note in log.notes)),
        lost=lost,
        source=f"{logs[0].source} and {len(logs) - 1} more",
        state="finished" if any(log.state == "finished" for log in logs) else last.state,
        restart_step=None,
    )


def _over(earlier: pl.DataFrame, later: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Both frames by step, the later's cells over the earlier's, and how many that changed."""
    import polars as pl

    if earlier.is_empty() or later.is_empty():
        return (later, 0) if earlier.is_empty() else (earlier, 0)
    shared = [n for n in later.columns if n in earlier.columns and n != "step"]
    both = earlier.join(
        later, on="step", how="full", suffix="\x00", coalesce=True, nulls_equal=True
    )
    counted = [n for n in shared if n != WALL_TIME]
    written = sum(
        # A checkpoint repeats the points of the one before it; only a new value writes over one.
        int(both.select((pl.col(n) != pl.col(f"{n}\x00")).sum()).item())
        for n in counted
    )
    frame = both.with_columns(pl.coalesce(f"{n}\x00", n).alias(n) for n in shared)
    return frame.drop([f"{n}\x00" for n in shared]).sort("step"), written


def _count(frame: pl.DataFrame) -> int:
    names = [name for name in frame.columns if name not in ("step", WALL_TIME)]
    return sum(frame.height - frame[name].null_count() for name in names)


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for name, number in count.items():
            total[name] = total.get(name, 0) + number
    return total


def _adopted(logs: Sequence[Log]) -> list[Log]:
    """TensorBoard's helpers keep the lines of one chart, and settings, in folders of their own."""
    known = {log.run_id for log in logs if log.kind == "tensorboard"}
    return [_home(log, known) if log.kind == "tensorboard" else log for log in logs]


def _home(log: Log, known: set[str]) -> Log:
    folder = PurePosixPath(log.run_id)
    parent = folder.parent.as_posix()
    if parent not in known:
        return log
    log_at_home = replace(log, run_id=parent, name=folder.parent.name)
    if _TIMESTAMP.fullmatch(folder.name):
        # Its one point stands at step 0 whatever the run's last step was.
        return replace(log_at_home, points=log.points.clear())
    tags = [name for name in log.points.columns if name not in ("step", WALL_TIME)]
    if not tags:  # the lines of a chart that no column is made of, which were not read
        return replace(log_at_home, points=log.points.clear())
    lines = {tag: folder.name.removeprefix(f"{tag.replace('/', '_')}_") for tag in tags}
    if any(line == folder.name for line in lines.values()):
        return log
    renamed = {tag: f"{tag}/{line}" for tag, line in lines.items()}
    return replace(log_at_home, points=log.points.rename(renamed))
