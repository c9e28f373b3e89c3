"""The number in a one-element TensorFlow tensor, as new-style summaries hold their scalars."""

from __future__ import annotations

import struct

from scalewise.sources.logs.wire import WireError, fields, signed, varint

# DataType: how an element lies in tensor_content, and the field of its own that it may lie in.
_CONTENT = {1: "<f", 2: "<d", 3: "<i", 4: "<B", 5: "<h", 6: "<b", 9: "<q", 17: "<H", 19: "<e",
            22: "<I", 23: "<Q"}  # fmt: skip
_BFLOAT16, _HALF = 14, 19
_DTYPE, _SHAPE, _BYTES, _HALF_BITS = 1, 2, 4, 13
_FLOATS = {5: "<f", 6: "<d"}
_INTEGERS = {7, 10, 16, 17}


def first_number(tensor: bytes) -> float | None:
    """The one element of a tensor of numbers; None if it holds text, or not one element."""
    dtype, value = 0, None
    for number, kind, data in fields(tensor):
        if number == _DTYPE and kind == 0:
            dtype = int(data)
        elif number == _SHAPE and isinstance(data, bytes) and _elements(data) != 1:
            return None
        elif number == _BYTES and isinstance(data, bytes) and data:
            value = _content(dtype, data)
        elif number in _FLOATS and isinstance(data, bytes) and data:
            value = float(_unpacked(_FLOATS[number], data))
        elif number in _INTEGERS:
            value = float(signed(varint(data, 0)[0] if isinstance(data, bytes) else data))
        elif number == _HALF_BITS:
            bits = varint(data, 0)[0] if isinstance(data, bytes) else data
            value = _half(dtype, bits & 0xFFFF)
    if value is None and dtype in _CONTENT:
        return 0.0  # an element that is zero may be left out
    return value


def _elements(shape: bytes) -> int:
    count = 1
    for number, _, data in fields(shape):
        if number == 2 and isinstance(data, bytes):
            sizes = [int(v) for n, k, v in fields(data) if (n, k) == (1, 0)]
            count *= sizes[0] if sizes else 0
    return count


def _content(dtype: int, data: bytes) -> float | None:
    if dtype == _BFLOAT16 and len(data) == 2:
        return _half(dtype, int.from_bytes(data, "little"))
    form = _CONTENT.get(dtype)
    return float(_unpacked(form, data)) if form and len(data) == struct.calcsize(form) else None


def _unpacked(form: str, data: bytes) -> float:
    if len(data) != struct.calcsize(form):
        raise WireError
    return struct.unpack(form, data)[0]


def _half(dtype: int, bits: int) -> float:
    if dtype == _HALF:
        return float(struct.unpack("<e", struct.pack("<H", bits))[0])
    return float(struct.unpack("<f", struct.pack("<I", bits << 16))[0])
