"""Protocol-buffer messages taken apart without their definitions."""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")


class WireError(ValueError):
    """Bytes that are no message; where a log is read, they are counted as lost."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number of at most 64 bits, and where it ends."""
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise WireError


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    r"""Number, wire type and value of each field, in order.

    Numbers are unsigned integers, everything else is bytes. Raises WireError where the bytes are
    no message.

    >>> list(fields(b"\x08\x96\x01\x12\x02hi"))
    [(1, 0, 150), (2, 2, b'hi')]
    """
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            number, at = varint(data, at)
            yield tag >> 3, kind, number
            continue
        if kind == LENGTH:
            size, at = varint(data, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise WireError
        if at + size > len(data):
            raise WireError
        yield tag >> 3, kind, data[at : at + size]
        at += size


def signed(value: int) -> int:
    """An int64 or int32 that came as an unsigned varint."""
    return value - 2**64 if value >= 2**63 else value


def zigzag(value: int) -> int:
    """A sint64 that came as an unsigned varint.

    >>> [zigzag(n) for n in (0, 1, 2, 3)]
    [0, -1, 1, -2]
    """
    return (value >> 1) ^ -(value & 1)


def double(data: bytes) -> float:
    """A float64 field."""
    return float(_DOUBLE.unpack(data)[0])


def single(data: bytes) -> float:
    """A float32 field."""
    return float(_FLOAT.unpack(data)[0])


def text(data: int | bytes) -> str:
    """A text field, odd bytes replaced."""
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else ""
