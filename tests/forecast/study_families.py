"""Simulated families of training curves, and work that dies on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.laws.catalogue import LAWS
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.forecast.ladders import TRUTH

SIZES = (1e7, 3e7, 1e8, 3e8, 1e9, 3e9)


def family(
    *,
    sizes: Sequence[float] = SIZES,
    longest: float = 1e11,
    points: int = 30,
    noise: float = 0.002,
    seed: int = 0,
    **columns: Any,
) -> RunTable:
    """One curve per size, checkpoints evenly apart, off the published form by a little noise."""
    N = np.repeat(np.asarray(sizes), points)
    D = np.tile(np.linspace(longest / points, longest, points), len(sizes))
    off = np.exp(noise * np.random.default_rng(seed).standard_normal(len(N)))
    loss = LAWS["chinchilla"].value(TRUTH, N=N, D=D) * off
    return read_runs(
        {"run_id": [f"n{n:.0e}" for n in N], "params": N, "tokens": D, "loss": loss, **columns}
    )


def count(item: int) -> str:
    """What an honest worker answers."""
    return str(10 * item)


def die_once(item: tuple[str, int]) -> str:
    """The first call with item 3 ends its process without a word."""
    folder, number = item
    marker = Path(folder) / "died"
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return str(10 * number)


def die_always(item: tuple[str, int]) -> str:
    """Item 3 cannot be done."""
    if item[1] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return str(10 * item[1])


def refuse(item: int) -> str:
    """An error that scalewise raises on purpose."""
    raise UnfitDataError(f"item {item} is refused.", hint="Ask for another.")
