"""Loss curves that follow Kaplan's trajectory, a batch scan of one size and several sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.forecast.trajectory import Trajectory

SIZES = (1e6, 3e6, 1e7, 3e7, 6e7)
BATCHES = (2**14, 2**15, 2**16, 2**17, 2**18, 2**19, 2**20)
SCANNED = 1e7
USUAL = 2**17


def curves(
    *, noise: float = 0.002, per_run: float = 0.001, points: int = 25, seed: int = 0
) -> dict[str, list[Any]]:
    """Columns of constant-batch curves: every size at one batch, and one size at every batch."""
    kaplan = Trajectory.kaplan2020()
    rng = np.random.default_rng(seed)
    step = np.geomspace(1000, 100_000, points).round()
    table: dict[str, list[Any]] = {
        name: [] for name in ("run_id", "params_nonembed", "batch_tokens", "step", "loss")
    }
    pairs = [(size, USUAL) for size in SIZES] + [(SCANNED, b) for b in BATCHES if b != USUAL]
    for size, batch in pairs:
        exact = np.asarray(kaplan.loss(size, step, batch))
        scatter = per_run * rng.standard_normal() + noise * rng.standard_normal(points)
        table["run_id"] += [f"n{size:.0e}-b{batch}"] * points
        table["params_nonembed"] += [size] * points
        table["batch_tokens"] += [batch] * points
        table["step"] += step.tolist()
        table["loss"] += (exact * np.exp(scatter)).tolist()
    return table


def fitted(law: str = "trajectory", *, bootstrap: int = 40, **design: Any) -> FitResult:
    """A fit to these curves."""
    return fit(law, curves(**design), rows="all", bootstrap=bootstrap)
