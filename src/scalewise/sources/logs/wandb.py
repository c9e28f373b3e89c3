"""W&B offline runs: everything is in the ``.wandb`` file, read here without W&B.

SDK 0.15 wrote history items under ``key`` with nested JSON, later ones write ``nested_key`` paths,
0.31 also declares typed values. All become dotted names; summaries, which later SDKs write twice
for every step, are passed over unread.
"""

from __future__ import annotations

import json
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare
from scalewise.sources.logs.config import flattened
from scalewise.sources.logs.limits import head_of
from scalewise.sources.logs.log import Log, State, Wanted
from scalewise.sources.logs.points import WALL_TIME, Points
from scalewise.sources.logs.wandb_file import MAGIC, Losses, records
from scalewise.sources.logs.wire import WireError, double, fields, signed, text, varint, zigzag

_HISTORY, _SUMMARY, _CONFIG, _METRIC, _RUN, _EXIT = 2, 3, 5, 12, 17, 18
_NEVER = {"_runtime", "_wandb"}  # W&B's own bookkeeping
_SUMMARIES = 50  # records, from the end of the file
_JSON = b"\x82\x01"  # the tag of value_json, field 16
_WORDS = {b'"NaN"': "nan", b'"Infinity"': "inf", b'"-Infinity"': "-inf"}

Column = tuple["array[int]", "array[float]"]
_UNSEEN: Column = (array("q"), array("d"))


class WandbReader:
    """``run-*.wandb`` files of any SDK since 0.15."""

    key = "wandb"
    title = "W&B offline run"

    def units(self, path: Path) -> list[Path]:
        """The file, if it begins as a ``.wandb`` file does."""
        is_one = path.suffix == ".wandb" and path.is_file() and head_of(path, 6) == MAGIC
        return [path] if is_one else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The run of one file, as far as it goes.

        Raises RunDataError if the file is no ``.wandb`` file or holds no run.
        """
        return [_Run(unit, wanted).log()]


class _Run:
    """One file while it is read."""

    def __init__(self, unit: Path, wanted: Wanted | None) -> None:
        self.unit, self.wanted = unit, wanted
        self.points = Points()
        self.steps: array[int] = array("q")  # of each history record; columns hold its index
        self.known: dict[bytes, Column | None] = {}
        self.config: dict[str, object] = {}
        self.axes: dict[str, str] = {}
        self.about: dict[int, str] = {}
        self.exit: int | None = None
        self.summaries: deque[bytes] = deque(maxlen=_SUMMARIES)
        self.bad = 0

    def log(self) -> Log:
        losses = Losses()
        for record in records(self.unit, losses):
            try:
                self._take(record)
            except WireError:
                self.bad += 1
        name = _part_of(self.unit)
        run_id = self.about.get(1) or name
        points = self._with_steps()
        lost = losses.told()
        if self.bad:
            lost["unreadable records"] = self.bad
        frame = points.frame()
        return Log(
            run_id=run_id,
            name=self.about.get(8) or run_id,
            kind=WandbReader.key,
            source=str(self.unit),
            points=frame,
            config={**self._summary(set(frame.columns)), **flattened(self.config)},
            notes=self._notes(),
            lost=lost | points.lost(),
            state=self._state(),
        )

    def _summary(self, logged: set[str]) -> dict[str, object]:
        """What the summary alone holds, such as a parameter count, as settings."""
        found: dict[str, object] = {}
        for record in self.summaries:
            try:
                size, at = varint(record, 0)
                for number, _, item in fields(record[at : at + size]):
                    path, value = _keyed(item) if isinstance(item, bytes) else ((), None)
                    if number == 1 and path and not path[0].startswith("_"):
                        _put(found, path, value)
            except WireError:
                continue
        flat = flattened(found)
        return {key: value for key, value in flat.items() if key not in logged}

    def _state(self) -> State:
        if self.exit is None:
            return "running or crashed"
        return "failed" if self.exit else "finished"

    def _notes(self) -> tuple[str, ...]:
        return tuple(
            f"{bare(name)} is plotted over {bare(axis)}" for name, axis in self.axes.items()
        )

    def _take(self, record: bytes) -> None:
        at = 0
        while at < len(record):
            tag, at = varint(record, at)
            number, kind = tag >> 3, tag & 7
            if number == _SUMMARY:
                # Kept unread; the last of them hold what was set by hand at the end of a run.
                self.summaries.append(record[at:])
                return
            if kind != 2:
                size = {1: 8, 5: 4}.get(kind)
                at = at + size if size else varint(record, at)[1]
                continue
            size, at = varint(record, at)
            if at + size > len(record):
                raise WireError
            if number == _HISTORY:
                self._history(record[at : at + size])
            elif number in (_CONFIG, _METRIC, _RUN, _EXIT):
                self._other(number, record[at : at + size])
            at += size

    def _history(self, data: bytes) -> None:
        """One row. The fast way is for items seen before; everything else goes the slow way."""
        row = len(self.steps)
        step: int | None = None
        known, at, end = self.known, 0, len(data)
        while at < end:
            tag = data[at]
            size = data[at + 1] if at + 1 < end else 0x80
            at += 2
            if size >= 0x80:
                size, at = varint(data, at - 1)
            stop = at + size
            if tag == 0x0A and stop <= end:
                item = data[at:stop]
                split = item.rfind(_JSON)
                place = known.get(item[:split], _UNSEEN) if split > 0 else _UNSEEN
                if place is None:
                    pass
                elif place is _UNSEEN or item[split + 2] != stop - at - split - 3:
                    found = self._item(item, row)
                    step = step if found is None else found
                else:
                    try:
                        place[1].append(float(item[split + 3 :]))
                        place[0].append(row)
                    except ValueError:
                        self._item(item, row)
            elif tag == 0x12 and stop <= end:
                numbers = [v for n, k, v in fields(data[at:stop]) if (n, k) == (1, 0)]
                step = signed(int(numbers[0])) if numbers else 0
            elif stop > end or tag & 7 != 2:
                raise WireError
            at = stop
        if step is None:
            step = self.steps[-1] + 1 if row else 0
        self.steps.append(step if -1 <= step < 2**62 else -1)

    def _item(self, item: bytes, row: int) -> int | None:
        """A history item taken apart with care; the step, if it is that."""
        path, value = _keyed(item)
        if path == ("_step",):
            number = _number(value)
            return None if number is None or not abs(number) < 2**62 else int(number)
        name = WALL_TIME if path == ("_timestamp",) else ".".join(path)
        if not path or path[0] in _NEVER:
            self._remember(item, None)
            return None
        for key, number in scalars(name, value):
            column = self._column(key)
            if column is not None:
                column[0].append(row)
                column[1].append(number)
            if key == name:
                self._remember(item, column)
        return None

    def _remember(self, item: bytes, column: Column | None) -> None:
        split = item.rfind(_JSON)
        # Only where what stands before the value is nothing but its name.
        if split > 0 and len(self.known) < 100_000:
            try:
                if all(number in (1, 2) for number, _, _ in fields(item[:split])):
                    self.known[item[:split]] = column
            except WireError:
                return

    def _column(self, name: str) -> Column | None:
        if name != WALL_TIME and self.wanted is not None and not self.wanted(name):
            return None
        return self.points.metric(name)

    def _with_steps(self) -> Points:
        """Indices of records turned into their steps."""
        steps = np.frombuffer(self.steps, np.int64) if self.steps else np.zeros(0, np.int64)
        for rows, _ in self.points.columns():
            view = np.frombuffer(rows, np.int64)
            view[:] = steps[view]
        return self.points

    def _other(self, number: int, data: bytes) -> None:
        if number == _EXIT:
            codes = [v for n, k, v in fields(data) if (n, k) == (1, 0)]
            self.exit = signed(int(codes[0])) if codes else 0
        elif number == _METRIC:
            told = {n: text(v) for n, k, v in fields(data) if k == 2}
            name = told.get(1) or told.get(2)
            if name and told.get(4) and not name.startswith("_"):
                self.axes[name] = told[4]
        elif number == _CONFIG:
            self._configure(data)
        else:
            for n, k, v in fields(data):
                if n == 4 and isinstance(v, bytes):
                    self._configure(v)
                elif n in (1, 2, 3, 6, 8) and k == 2:
                    self.about[n] = text(v)

    def _configure(self, data: bytes) -> None:
        for number, _, item in fields(data):
            if number not in (1, 2) or not isinstance(item, bytes):
                continue
            path, value = _keyed(item)
            if not path or path[0] in _NEVER:
                continue
            if number == 1:
                _put(self.config, path, value)
            else:
                self.config.pop(path[0], None)


def _put(tree: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = below
    tree[path[-1]] = value


def _keyed(item: bytes) -> tuple[tuple[str, ...], object]:
    """Path and value of an item of history or config."""
    key, nested, value = "", [], None
    for number, kind, data in fields(item):
        if number == 1:
            key = text(data)
        elif number == 2:
            nested.append(text(data))
        elif number in (8, 16) and isinstance(data, bytes):
            value = _parsed(data)
        elif number == 5 and kind == 0:
            value = zigzag(int(data))
        elif number == 6 and isinstance(data, bytes) and kind == 1:
            value = double(data)
        elif number == 7:
            value = text(data)
    return (tuple(nested) if nested else (key,) if key else ()), value


def _parsed(data: bytes) -> object:
    word = _WORDS.get(data)
    if word is not None:
        return float(word)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def scalars(name: str, value: object) -> Iterator[tuple[str, float]]:
    """The numbers of a value; those of a nested one under dotted names."""
    number = _number(value)
    if number is not None:
        yield name, number
    elif isinstance(value, Mapping) and "_type" not in value:
        for key, inner in flattened({name: value}).items():
            number = _number(inner)
            if number is not None:
                yield key, number


def _part_of(unit: Path) -> str:
    name = unit.stem.removeprefix("run-")
    if not name:
        raise RunDataError(
            f"{bare(str(unit), 200)} names no run.", hint="Keep the name that W&B gave the file."
        )
    return name
