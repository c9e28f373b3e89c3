"""The records of a ``.wandb`` file: 32 KiB blocks of checksummed pieces, in the manner of LevelDB.

Layout, found by reading files that SDK 0.15 to 0.31 wrote: seven bytes ``:W&B``, 0xBEE1, version;
then pieces, each with a head of CRC-32 (of type and data), length and type (whole, first, middle,
last), all little-endian. A piece never crosses a block; a rest of a block too short for a head is
zeros.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare
from scalewise.sources.logs.limits import MAX_FILE_BYTES, MAX_TEXT_BYTES, size_of

MAGIC = b":W&B\xe1\xbe"
_HEADER = 7
_BLOCK = 32 * 2**10
_CHUNK = 32 * _BLOCK
_HEAD = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_TYPE_CRC = {kind: zlib.crc32(bytes([kind])) for kind in (_WHOLE, _FIRST, _MIDDLE, _LAST)}


@dataclass(slots=True)
class Losses:
    """What could not be read, counted while the records go by."""

    blocks: int = 0
    tail: int = 0

    def told(self) -> dict[str, int]:
        """For `Log.lost`."""
        found = {"damaged blocks": self.blocks, "truncated bytes": self.tail}
        return {name: count for name, count in found.items() if count}


def records(path: Path, losses: Losses) -> Iterator[bytes]:
    """Every complete record; past damage reading goes on with the next block.

    Raises RunDataError if the file is not a ``.wandb`` file.
    """
    size_of(path, MAX_FILE_BYTES)
    parts: list[bytes] = []
    held = 0
    for kind, piece in _pieces(path, losses):
        if kind == _WHOLE:
            yield piece
        elif kind == _FIRST:
            parts, held = [piece], len(piece)
        elif parts:
            parts.append(piece)
            held += len(piece)
            if held > MAX_TEXT_BYTES:
                parts, losses.blocks = [], losses.blocks + 1
            elif kind == _LAST:
                yield b"".join(parts)
                parts = []
    losses.tail += sum(len(part) for part in parts)


def _pieces(path: Path, losses: Losses) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        at = _start(file.read(_HEADER), path)
        file.seek(0)
        while chunk := file.read(_CHUNK):
            for begin in range(0, len(chunk), _BLOCK):
                block = chunk[begin : begin + _BLOCK]
                yield from _block(block, at, losses)
                at = 0


def _block(block: bytes, at: int, losses: Losses) -> Iterator[tuple[int, bytes]]:
    unpack, crc32 = _HEAD.unpack_from, zlib.crc32
    while at + _HEADER <= len(block):
        crc, length, kind = unpack(block, at)
        end = at + _HEADER + length
        if not kind and not length:
            # Zeros, as a live file holds them where it is not written yet.
            return
        if end > len(block) and len(block) < _BLOCK:
            losses.tail += len(block) - at
            return
        data = block[at + _HEADER : end]
        start = _TYPE_CRC.get(kind)
        if start is None or end > len(block) or crc32(data, start) != crc:
            losses.blocks += 1
            return
        yield kind, data
        at = end
    if len(block) < _BLOCK:
        losses.tail += len(block) - at


def _start(head: bytes, path: Path) -> int:
    if head[: len(MAGIC)] != MAGIC or len(head) < _HEADER:
        raise RunDataError(
            f"{bare(str(path), 200)} is not a W&B run file: it begins with {head!r}.",
            hint="Give the run-*.wandb file of an offline run, or its folder.",
        )
    return _HEADER
