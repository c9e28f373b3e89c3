"""The checksum of record files: CRC-32C, rotated and shifted so that it may lie beside data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected
_MASK = 0xA282EAD8


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


def masked_crc(data: bytes) -> int:
    """The masked CRC-32C of some bytes.

    >>> hex(masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


_LONGEST = 4096  # records beyond this are pictures and histograms, not scalars
_ENTRIES = np.array(_TABLE, np.uint32)


def damaged(data: bytes, frames: Sequence[tuple[int, int]]) -> list[bool]:
    """Which records fail the checksum behind them; those longer than 4 KiB are not checked.

    ``frames`` are the start and size of each record in ``data``. Records of one size are checked
    together, byte by byte.

    >>> good = b"abc" + masked_crc(b"abc").to_bytes(4, "little")
    >>> damaged(good + b"abd" + good[3:], [(0, 3), (7, 3)])
    [False, True]
    """
    octets = np.frombuffer(data, np.uint8)
    starts = np.array([start for start, _ in frames], np.int64)
    sizes = np.array([size for _, size in frames], np.int64)
    wrong = np.zeros(len(frames), bool)
    for size in np.unique(sizes[sizes <= _LONGEST]):
        these = np.flatnonzero(sizes == size)
        wrong[these] = _computed(octets, starts[these], int(size)) != _stored(
            octets, starts[these] + size
        )
    return wrong.tolist()


def _computed(
    octets: NDArray[np.uint8], starts: NDArray[np.int64], size: int
) -> NDArray[np.uint32]:
    crc = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    for place in range(size):
        crc = _ENTRIES[(crc ^ octets[starts + place]) & 0xFF] ^ (crc >> 8)
    crc = ~crc
    turned: NDArray[np.uint32] = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return turned + np.uint32(_MASK)


def _stored(octets: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.uint32]:
    return octets[ends[:, None] + np.arange(4)].view("<u4")[:, 0]
