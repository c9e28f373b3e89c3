"""Runs simulated on isoFLOP grids and as training curves, with their true optimum."""

from __future__ import annotations

import numpy as np

from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

E, A, ALPHA, B, BETA = 1.8, 480.0, 0.25, 40_000.0, 0.45
EXPONENT = BETA / (ALPHA + BETA)
_G = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))


def best_size(flops: float) -> float:
    """N_opt of the law."""
    return float(_G * (flops / 6) ** EXPONENT)


def loss_of(size: float, tokens: float) -> float:
    """The law."""
    return float(E + A / size**ALPHA + B / tokens**BETA)


def isoflop_runs(*, noise: float = 0.0, drift: float = 0.0, seed: int = 0) -> RunTable:
    """Nine sizes at each of seven budgets; ``drift`` moves the sampling off the optimum."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, flops in enumerate(np.geomspace(1e18, 1e21, 7)):
        for x in np.linspace(-1.5, 1.5, 9) + drift * (1 - i / 3):
            size = best_size(flops) * np.exp(x)
            tokens = flops / 6 / size
            loss = loss_of(size, tokens) * np.exp(noise * rng.normal())
            rows.append({"params": size, "tokens": tokens, "loss": loss})
    return read_runs(rows)


def curves(*, sizes: int = 12, checkpoints: int = 30) -> RunTable:
    """Every size trained far on a constant rate: each checkpoint on the law."""
    rows = [
        {
            "run_id": f"run-{i}", "params": size, "tokens": tokens,
            "loss": loss_of(size, tokens), "is_final": False,
        }
        for i, size in enumerate(np.geomspace(1e7, 1e10, sizes))
        for tokens in size * np.geomspace(0.3, 3000, checkpoints)
    ]  # fmt: skip
    return read_runs(rows)


def shaped(*, vocab: int = 32_000, context: int = 2048) -> RunTable:
    """Sizes with a constant aspect ratio, four tokens-per-param each, loss on total params."""
    rows = []
    for layers in (3, 4, 6, 8, 11, 15, 20, 27, 36):
        width = 40 * layers
        bare = 12 * layers * width**2
        total = bare + vocab * width
        for ratio in np.geomspace(0.5, 2000, 12):
            tokens = ratio * total
            rows.append(
                {
                    "run_id": f"l{layers}-{ratio:.3g}", "params": total, "params_nonembed": bare,
                    "n_layer": layers, "d_model": width, "vocab_size": vocab,
                    "context_length": context, "tokens": tokens, "loss": loss_of(total, tokens),
                    "is_final": True,
                }
            )  # fmt: skip
    return read_runs(rows)
