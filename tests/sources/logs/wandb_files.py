"""``.wandb`` files written by the format's rules, with items as any SDK since 0.15 wrote them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

HISTORY, SUMMARY, CONFIG, METRIC, RUN, EXIT = 2, 3, 5, 12, 17, 18
_BLOCK = 32768


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, data: bytes | int) -> bytes:
    if isinstance(data, int):
        return varint(number << 3) + varint(data & (2**64 - 1))
    return varint(number << 3 | 2) + varint(len(data)) + data


def nested(path: Iterable[str], value: object) -> bytes:
    """An item as SDKs since 0.19 write it."""
    keys = b"".join(field(2, part.encode()) for part in path)
    return field(1, keys + field(16, json.dumps(value).encode()))


def plain(key: str, value: object) -> bytes:
    """An item as SDK 0.15 wrote it."""
    return field(1, field(1, key.encode()) + field(16, json.dumps(value).encode()))


def typed(key: str, tail: bytes) -> bytes:
    """An item whose value is a typed field, as 0.31 declares them."""
    return field(1, field(2, key.encode()) + tail)


def history(step: int, values: Mapping[str, object]) -> bytes:
    items = b"".join(nested([key], value) for key, value in {**values, "_step": step}.items())
    return field(HISTORY, items)


def run(run_id: str, name: str, config: Mapping[str, object] | None = None) -> bytes:
    settings = b"".join(nested([key], value) for key, value in (config or {}).items())
    about = field(1, run_id.encode()) + field(4, settings) + field(8, name.encode())
    return field(RUN, about)


def ended(code: int) -> bytes:
    return field(EXIT, field(1, code) if code else b"")


def wandb_bytes(records: Iterable[bytes]) -> bytes:
    out = bytearray(b":W&B\xe1\xbe\x00")
    for number, record in enumerate(records, start=1):
        rest, first = field(1, number) + record, True
        while rest or first:
            room = _BLOCK - len(out) % _BLOCK
            if room < 7:
                out += b"\0" * room
                continue
            piece, rest = rest[: room - 7], rest[room - 7 :]
            kind = (1 if first else 4) if not rest else (2 if first else 3)
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            first = False
    return bytes(out)


def write_run(folder: Path, run_id: str, records: Iterable[bytes], day: str = "20260101") -> Path:
    path = folder / f"offline-run-{day}_000000-{run_id}" / f"run-{run_id}.wandb"
    path.parent.mkdir(parents=True)
    path.write_bytes(wandb_bytes(records))
    return path
