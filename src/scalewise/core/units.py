"""Cross-entropy in nats, bits, bits per byte and perplexity.

Inside scalewise a loss is in nats per token, always. These functions stand at the door. They take
a number or an array, return the same kind in float64, and leave their input untouched. They raise
RunDataError for a value that the unit cannot have, and never return NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from scalewise.core.errors import RunDataError, UsageError

Value = TypeVar("Value", float, NDArray[np.float64])
_Array = NDArray[np.float64]

NATS_PER_BIT = log(2)


def loss_from_perplexity(perplexity: Value) -> Value:
    """Loss in nats/token: ln(perplexity). A perplexity is per token and at least 1.

    >>> round(loss_from_perplexity(20.0), 4)
    2.9957
    """
    return _converted(perplexity, np.log, name="perplexity", unit="per token", least=1.0)


def perplexity_from_loss(loss: Value) -> Value:
    """Perplexity per token: exp(loss), loss in nats/token.

    >>> perplexity_from_loss(0.0)
    1.0
    """
    return _converted(loss, np.exp, name="loss", unit="nats/token")


def loss_from_bits_per_token(bits_per_token: Value) -> Value:
    """Loss in nats/token: bits x ln 2."""
    return _converted(
        bits_per_token, lambda bits: bits * NATS_PER_BIT, name="bits_per_token", unit="bits/token"
    )


def loss_from_bits_per_byte(bits_per_byte: Value, bytes_per_token: float) -> Value:
    """Loss in nats/token: bits per byte x bytes per token x ln 2.

    ``bytes_per_token`` is that of the tokenizer on the same text: bytes / tokens.
    """
    scale = _bytes_per_token(bytes_per_token) * NATS_PER_BIT
    return _converted(
        bits_per_byte, lambda bits: bits * scale, name="bits_per_byte", unit="bits/byte"
    )


def bits_per_byte_from_loss(loss: Value, bytes_per_token: float) -> Value:
    """Bits per byte: loss / (bytes per token x ln 2), loss in nats/token.

    Comparable across tokenizers, unlike loss.

    >>> round(bits_per_byte_from_loss(2.9, bytes_per_token=4.2), 4)
    0.9961
    """
    scale = _bytes_per_token(bytes_per_token) * NATS_PER_BIT
    return _converted(loss, lambda nats: nats / scale, name="loss", unit="nats/token")


def _bytes_per_token(value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise UsageError(
            f"bytes_per_token={value:g} is not a positive, finite number.",
            hint="Divide the bytes of the evaluation text by its tokens; BPE gives about 4.",
        )
    return float(value)


def _converted(
    value: Value, formula: Callable[[_Array], Any], *, name: str, unit: str, least: float = 0.0
) -> Value:
    given = np.asarray(value, dtype=np.float64)
    bad = ~(np.isfinite(given) & (given >= least))
    if bad.any():
        more = f" ({int(bad.sum())} such values)" if given.ndim else ""
        raise RunDataError(
            f"{name}={given[bad].flat[0]:g}{more} is impossible: {name} ({unit}) must be finite "
            f"and at least {least:g}.",
            hint="Drop diverged or missing rows first, and check the unit of the column.",
        )
    with np.errstate(over="ignore"):
        answer = np.asarray(formula(given), dtype=np.float64)
    if not np.isfinite(answer).all():
        raise RunDataError(
            f"{name}={given.max():g} {unit} is too large to convert.",
            hint="Check the unit of the value.",
        )
    return cast(Value, answer if given.ndim else float(answer))
