"""Runs drawn from a law with known constants: the truth that a fit is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalewise.fit.result import FitResult
from scalewise.laws.catalogue import LAWS
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]

CHINCHILLA = LAWS["chinchilla"]
TRUTH: Mapping[str, float] = {"E": 1.7, "A": 400.0, "B": 1500.0, "alpha": 0.34, "beta": 0.36}


def simulated(
    law: Law = CHINCHILLA,
    theta: Mapping[str, float] = TRUTH,
    *,
    sizes: int = 6,
    budgets: int = 5,
    noise: float = 0.003,
    seed: int = 0,
) -> dict[str, Array]:
    """A grid of sizes and token budgets with losses off the law by ``noise`` in logs."""
    spans = {
        "params": np.geomspace(1e7, 1e9, sizes),
        "tokens": np.geomspace(5e8, 5e10, budgets),
        "flops": np.geomspace(1e17, 1e21, sizes * budgets),
    }
    mesh = np.meshgrid(*(spans[column] for column in law.columns), indexing="ij")
    table = {column: m.ravel() for column, m in zip(law.columns, mesh, strict=True)}
    exact = law.value(theta, **{s: table[column] for s, column in law.variables.items()})
    off = np.exp(noise * np.random.default_rng(seed).standard_normal(len(exact)))
    return {**table, law.quantity: exact * off}


def take(runs: Mapping[str, Array], rows: Array) -> dict[str, Array]:
    """The rows of a mapping of columns selected by a mask or by indices."""
    return {column: values[rows] for column, values in runs.items()}


def loss_at(result: FitResult, params: Array | float, tokens: Array | float) -> Array:
    """Predicted loss as an array."""
    return np.asarray(result.predict(params=params, tokens=tokens).loss)
