"""Simulated ladders of runs, from a law whose constants are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalewise.laws.catalogue import LAWS
from scalewise.laws.law import Law
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

TRUTH: Mapping[str, float] = {"E": 1.7, "A": 400.0, "B": 1500.0, "alpha": 0.34, "beta": 0.36}


def ladder(
    *,
    law: Law = LAWS["chinchilla"],
    theta: Mapping[str, float] = TRUTH,
    sizes: int = 7,
    budgets: int = 4,
    noise: float = 0.002,
    seed: int = 0,
    **columns: Any,
) -> RunTable:
    """Sizes from 10M to 1B, each trained on ``budgets`` token counts from 5 to 500 per param."""
    N = np.repeat(np.geomspace(1e7, 1e9, sizes), budgets)
    D = N * np.tile(np.geomspace(5, 500, budgets) if budgets > 1 else [20.0], sizes)
    off = np.exp(noise * np.random.default_rng(seed).standard_normal(len(N)))
    inputs = {"N": N, "D": D, "C": 6 * N * D}
    loss = law.value(theta, **{symbol: inputs[symbol] for symbol in law.variables}) * off
    names = [f"run-{i}" for i in range(len(N))]
    return read_runs({"run_id": names, "params": N, "tokens": D, "loss": loss, **columns})
