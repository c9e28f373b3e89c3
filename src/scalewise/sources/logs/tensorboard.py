"""TensorBoard event files: every scalar, in both encodings, read here without TensorBoard.

An event file is a row of records (length, checksum of it, data, checksum of them), each record an
event: time, step and a summary of values. A value is a float32 (``simple_value``) or a tensor.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare
from scalewise.sources.logs.limits import MAX_FILE_BYTES, MAX_TEXT_BYTES, head_of, size_of
from scalewise.sources.logs.log import Log, Wanted
from scalewise.sources.logs.masked_crc import damaged, masked_crc
from scalewise.sources.logs.points import WALL_TIME, Points
from scalewise.sources.logs.tensor import first_number
from scalewise.sources.logs.wire import (
    WireError,
    double,
    fields,
    signed,
    single,
    text,
    varint,
)

Column = tuple["array[int]", "array[float]"]
_UNSEEN: Column = (array("q"), array("d"))

_CHUNK = 2**20
_HEAD, _FOOT = 12, 4
_LENGTH = struct.Struct("<QI")
_FLOAT = struct.Struct("<f")
_TIME, _STEP, _SUMMARY, _SESSION = 1, 2, 5, 7
_START = 1  # SessionLog.SessionStatus
_FLOAT_TAG = 0x15  # simple_value, field 2
_HPARAMS = "_hparams_/"
_MOST_STEP = 2**62


class TensorBoardReader:
    """``events.out.tfevents.*`` files; the files of one folder are one run."""

    key = "tensorboard"
    title = "TensorBoard event file"

    def units(self, path: Path) -> list[Path]:
        """The file, if it is named and begins as an event file does."""
        named = "tfevents" in path.name and path.is_file()
        return [path] if named and _begins(head_of(path, _HEAD)) else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The run of one file, as far as it goes.

        Raises RunDataError if the file holds no whole event.
        """
        return [_Events(unit, wanted).log()]


def _begins(head: bytes) -> bool:
    return len(head) == _HEAD and masked_crc(head[:8]) == _LENGTH.unpack(head)[1]


class _Events:
    """One file while it is read."""

    def __init__(self, unit: Path, wanted: Wanted | None) -> None:
        self.unit, self.wanted = unit, wanted
        self.points = Points()
        self.known: dict[bytes, Column | None] = {}
        self.config: dict[str, object] = {}
        self.restart: int | None = None
        self.checked: dict[int, int] = {}  # checksum of each length
        self.missing = 0  # bytes that the record under way still lacks
        self.is_broken = False
        self.timed = -1  # the step whose time was last noted
        self.bad = self.tail = self.events = self.odd = 0

    def log(self) -> Log:
        size_of(self.unit, MAX_FILE_BYTES)
        for event in self._records():
            self.events += 1
            try:
                self._take(event)
            except (WireError, struct.error):
                self.bad += 1
        if not self.events:
            raise RunDataError(
                f"{bare(str(self.unit), 200)} holds no whole event.",
                hint="Copy the event file again; one that is being written fills later.",
            )
        folder = self.unit.parent
        frame = self.points.frame()
        counted = {"unreadable records": self.bad, "truncated bytes": self.tail,
                   "points at odd steps": self.odd}  # fmt: skip
        return Log(
            run_id=folder.as_posix(),
            name=folder.name,
            kind=TensorBoardReader.key,
            source=str(self.unit),
            points=frame,
            config=self.config,
            lost={name: n for name, n in counted.items() if n} | self.points.lost(),
            restart_step=self.restart,
        )

    def _records(self) -> Iterator[bytes]:
        """Whole records; reading ends where a length fails its checksum."""
        held = b""
        with self.unit.open("rb") as file:
            while True:
                more = file.read(_CHUNK + self.missing)
                held += more
                frames, at = self._frames(held)
                for (start, size), is_bad in zip(frames, damaged(held, frames), strict=True):
                    if is_bad:
                        self.bad += 1
                    else:
                        yield held[start : start + size]
                held = held[at:]
                if self.is_broken or not more:
                    break
            # What is left of the file after the last whole record.
            self.tail = len(held) + max(self.unit.stat().st_size - file.tell(), 0)

    def _frames(self, held: bytes) -> tuple[list[tuple[int, int]], int]:
        """Start and size of the whole records in ``held``, and where the next one begins."""
        unpack, checked = _LENGTH.unpack_from, self.checked
        frames: list[tuple[int, int]] = []
        at, end, self.missing = 0, len(held), 0
        while at + _HEAD <= end:
            size, crc = unpack(held, at)
            right = checked.get(size)
            if right is None:
                right = masked_crc(held[at : at + 8])
                if len(checked) < 10_000:
                    checked[size] = right
            if crc != right or size > MAX_TEXT_BYTES:
                self.bad += 1
                self.is_broken = True
                break
            stop = at + _HEAD + size + _FOOT
            if stop > end:
                self.missing = stop - end
                break
            frames.append((at + _HEAD, size))
            at = stop
        return frames, at

    def _take(self, event: bytes) -> None:
        """One event: time, step, and what it holds, in the order that writers use."""
        size = len(event)
        if size > 12 and event[0] == 0x09 and event[9] == 0x10:
            at = 10
            step = event[at]
            at += 1
            if step > 0x7F:
                step, at = varint(event, 10)
            plain = at + 1 < size and event[at] == 0x2A and step < _MOST_STEP
            if plain and event[at + 1] == size - at - 2 < 0x80:
                if self._summary(event[at + 2 :], step) and step != self.timed:
                    self.timed = step
                    self.points.add(step, WALL_TIME, double(event[1:9]))
                return
        self._take_any(event)

    def _take_any(self, event: bytes) -> None:
        """One event whatever its order."""
        at, step, time = 0, 0, None
        held: list[bytes] = []
        session = None
        while at < len(event):
            tag, at = varint(event, at)
            number, kind = tag >> 3, tag & 7
            if kind == 0:
                value, at = varint(event, at)
                step = signed(value) if number == _STEP else step
                continue
            size, at = varint(event, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), at)
            if size < 0 or at + size > len(event):
                raise WireError
            if number == _TIME and kind == 1:
                time = double(event[at : at + 8])
            elif number == _SUMMARY and kind == 2:
                held.append(event[at : at + size])
            elif number == _SESSION and kind == 2:
                session = event[at : at + size]
            at += size
        if not -1 <= step < _MOST_STEP:
            self.odd += len(held)
            return
        if session is not None:
            self._session(session, step)
        for summary in held:
            if self._summary(summary, step) and time is not None:
                self.points.add(step, WALL_TIME, time)

    def _summary(self, summary: bytes, step: int) -> bool:
        """The values of a summary; whether one of them is a scalar that is kept."""
        known, unpack = self.known, _FLOAT.unpack_from
        at, end, any_kept = 0, len(summary), False
        while at < end:
            tag = summary[at]
            size = summary[at + 1] if at + 1 < end else 0x80
            at += 2
            if tag > 0x7F or tag & 7 != 2:
                raise WireError
            if size > 0x7F:
                size, at = varint(summary, at - 1)
            stop = at + size
            if stop > end:
                raise WireError
            if tag == 0x0A:
                split = stop - 5
                fast = split > at and summary[split] == _FLOAT_TAG
                column = known.get(summary[at:split], _UNSEEN) if fast else _UNSEEN
                if column is _UNSEEN:
                    column = self._value(summary[at:stop], step)
                elif column is not None:
                    column[0].append(step)
                    column[1].append(unpack(summary, split + 1)[0])
                any_kept = any_kept or column is not None
            at = stop
        return any_kept

    def _value(self, value: bytes, step: int) -> Column | None:
        """A value taken apart with care; its column if it is a scalar that is kept."""
        tag, number, plugin = "", None, b""
        for n, kind, data in fields(value):
            if n == 1 and isinstance(data, bytes):
                tag = text(data)
            elif n == 2 and kind == 5 and isinstance(data, bytes):
                number = single(data)
            elif n == 8 and isinstance(data, bytes):
                number = first_number(data)
            elif n == 9 and isinstance(data, bytes):
                plugin = data
        if tag.startswith(_HPARAMS):
            self.config.update(_hparams(plugin))
            return None
        if number is None or not tag or (self.wanted is not None and not self.wanted(tag)):
            return None
        column = self.points.metric(tag)
        column[0].append(step)
        column[1].append(number)
        prefix = value[:-5]
        if value[-5] == _FLOAT_TAG and [n for n, _, _ in _read(prefix)] == [1]:
            self.known[prefix] = column
        return column

    def _session(self, session: bytes, step: int) -> None:
        """A writer that took up again at a step gave up what lay beyond it."""
        if (1, 0, _START) not in list(fields(session)):
            return
        self.restart = step if self.restart is None else min(step, self.restart)
        for steps, values in self.points.columns():
            kept = [(s, v) for s, v in zip(steps, values, strict=True) if s < step]
            steps[:], values[:] = (
                array("q", [s for s, _ in kept]),
                array("d", [v for _, v in kept]),
            )


def _read(data: bytes) -> list[tuple[int, int, int | bytes]]:
    try:
        return list(fields(data))
    except WireError:
        return []


def _hparams(plugin: bytes) -> Mapping[str, object]:
    """Settings that the hparams plugin keeps: plugin data > content > session start > map."""
    found: dict[str, object] = {}
    for content in _below(_below([plugin], 1), 2):
        for entry in _below(_below([content], 3), 1):
            parts = {n: data for n, _, data in _read(entry)}
            name, value = text(parts.get(1, b"")), parts.get(2)
            if name and isinstance(value, bytes):
                found |= dict.fromkeys([name], next(_settings(value), None))
    return found


def _below(messages: list[bytes], number: int) -> list[bytes]:
    return [
        data
        for message in messages
        for n, _, data in _read(message)
        if n == number and isinstance(data, bytes)
    ]


def _settings(value: bytes) -> Iterator[object]:
    """The content of a google.protobuf.Value: number, text or flag."""
    for number, kind, data in _read(value):
        if number == 2 and kind == 1 and isinstance(data, bytes):
            yield double(data)
        elif number == 3:
            yield text(data)
        elif number == 4:
            yield bool(data)
