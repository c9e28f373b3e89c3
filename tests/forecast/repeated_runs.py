"""Ladders in which every experiment is run with several seeds, with known noise."""

from __future__ import annotations

import numpy as np

from scalewise.laws.catalogue import LAWS
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.forecast.ladders import TRUTH


def repeated(
    *,
    seeds: int = 3,
    noise: float = 0.004,
    bend: float = 0.0,
    sizes: int = 6,
    budgets: int = 4,
    seed: int = 0,
    **columns: float,
) -> RunTable:
    """Sizes by token budgets by seeds; ``bend`` adds what no additive law can follow."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, size in enumerate(np.geomspace(1e7, 1e9, sizes)):
        for j, ratio in enumerate(np.geomspace(5, 500, budgets)):
            exact = float(LAWS["chinchilla"].value(TRUTH, N=size, D=ratio * size))
            exact *= 1 + bend * (-1) ** (i + j)
            rows += [
                {
                    "run_id": f"n{i}-d{j}-s{k}", "params": size, "tokens": ratio * size, "seed": k,
                    "loss": exact * np.exp(noise * rng.standard_normal()), **columns,
                }
                for k in range(seeds)
            ]  # fmt: skip
    return read_runs(rows)
