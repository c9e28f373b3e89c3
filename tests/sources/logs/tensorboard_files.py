"""Event files written by the format's rules, without TensorBoard."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from scalewise.sources.logs.masked_crc import masked_crc
from tests.sources.logs.wandb_files import field, varint


def scalar(tag: str, value: float) -> bytes:
    """A value in the old encoding."""
    return field(1, field(1, tag.encode()) + b"\x15" + struct.pack("<f", value))


def tensor(tag: str, content: bytes) -> bytes:
    """A value in the new encoding."""
    return field(1, field(1, tag.encode()) + field(8, content))


def event(step: int, summary: bytes, time: float = 1.7e9) -> bytes:
    steps = b"\x10" + varint(step) if step else b""  # a zero is left out
    return b"\x09" + struct.pack("<d", time) + steps + field(5, summary)


def restart(step: int) -> bytes:
    return b"\x09" + struct.pack("<d", 1.7e9) + b"\x10" + varint(step) + field(7, field(1, 1))


def event_bytes(events: Iterable[bytes]) -> bytes:
    out = []
    for data in (b"\x09" + struct.pack("<d", 1.7e9) + field(3, b"brain.Event:2"), *events):
        head = struct.pack("<Q", len(data))
        out += [head, struct.pack("<I", masked_crc(head)), data]
        out.append(struct.pack("<I", masked_crc(data)))
    return b"".join(out)


def write_events(folder: Path, events: Iterable[bytes], number: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"events.out.tfevents.170000000{number}.host.1.{number}"
    path.write_bytes(event_bytes(events))
    return path
