"""Loss curves of several sizes and a batch scan, from a trajectory whose constants are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalewise.forecast.trajectory import Trajectory
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

# Kaplan et al. 2020, appendix A, with the step law of table 3.
TRUTH = Trajectory(N_c=8.8e13, alpha_N=0.076, S_c=2.1e3, alpha_S=0.76, B_star=2.1e8, alpha_B=0.21)
SIZES = (1e6, 4e6, 8e6, 2e7, 6e7)
SCANNED = 8e6
BATCHES = tuple(2.0 ** np.arange(15, 24, 2))
BATCH = 2.0**19
LADDER = tuple([(N, BATCH) for N in SIZES] + [(SCANNED, B) for B in BATCHES if B != BATCH])


def curves(
    path: Trajectory = TRUTH,
    *,
    designs: Sequence[tuple[float, float]] = LADDER,
    steps: tuple[float, float] = (3e3, 2.5e5),
    points: int = 15,
    point: float = 0.0,
    run: float = 0.0,
    seed: int = 0,
    **columns: Any,
) -> RunTable:
    """A curve for each (size, batch), with noise of log loss per point and per run."""
    rng = np.random.default_rng(seed)
    step = np.geomspace(*steps, points)
    N, B = (np.repeat(column, points) for column in zip(*designs, strict=True))
    S = np.tile(step, len(designs))
    off = np.repeat(run * rng.standard_normal(len(designs)), points)
    off += point * rng.standard_normal(len(off))
    return read_runs(
        {
            "run_id": [f"run-{i}" for i in range(len(designs)) for _ in range(points)],
            "params_nonembed": N,
            "batch_tokens": B,
            "step": S,
            "loss": np.asarray(path.loss(N, S, B)) * np.exp(off),
            **columns,
        }
    )
