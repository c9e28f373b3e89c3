"""Loss curves that follow Kaplan's trajectory, a batch scan of one size and several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.forecast.loss_curve import predict_curve
from scalewise.forecast.trajectory import CONSTANTS, Trajectory

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


@cache
def fitted(law: str = "trajectory", bootstrap: int = 40) -> FitResult:
    """A fit to these curves; the same one each time, as it is never changed."""
    return fit(law, curves(), rows="all", bootstrap=bootstrap)


@cache
def drawn(spread: float = 0.003) -> Trajectory:
    """Kaplan's trajectory with resamples scattered around its constants."""
    kaplan = Trajectory.kaplan2020()
    centre = np.array([getattr(kaplan, name) for name in CONSTANTS])
    scatter = np.random.default_rng(0).standard_normal((200, len(CONSTANTS)))
    return replace(kaplan, draws=centre * np.exp(spread * scatter))


def log_text(
    *, size: float = 6e8, stages: Sequence[tuple[float, float]] = ((2**18, 60_000.0),),
    upto: float = 25_000.0, off: float = 0.0, from_step: float = 0.0, points: int = 40,
    noise: float = 0.0015,
) -> str:  # fmt: skip
    """The log of a run under way as CSV: on the law, or off it by a factor from some step on."""
    curve = predict_curve(Trajectory.kaplan2020(), size, stages, points=300)
    step = np.geomspace(1500, upto, points).round()
    loss = np.exp(np.interp(np.log(step), np.log(curve.step), np.log(curve.loss)))
    scatter = noise * np.random.default_rng(1).standard_normal(points)
    loss = loss * np.exp(scatter + np.where(step >= from_step, off, 0.0))
    return "step,loss\n" + "".join(f"{s:.0f},{v:.6f}\n" for s, v in zip(step, loss, strict=True))
