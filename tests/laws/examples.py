"""For any law: constants to try it at and inputs to try it on, found from the law alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from scalewise.core.expression import evaluate
from scalewise.laws.catalogue import LAWS
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]

SPANS: Mapping[str, tuple[float, float]] = {
    "params": (1e6, 1e11),
    "params_nonembed": (1e6, 1e11),
    "tokens": (1e8, 1e13),
    "flops": (1e17, 1e25),
    "steps_min": (1e3, 1e6),
    "loss": (1.9, 5.5),
}


def grid(law: Law, per_axis: int = 5) -> dict[str, Array]:
    """Inputs by symbol: every combination of log-spaced values of each column."""
    axes = [np.geomspace(*SPANS[column], per_axis) for column in law.columns]
    mesh = np.meshgrid(*axes, indexing="ij")
    return {symbol: m.ravel() for symbol, m in zip(law.variables, mesh, strict=True)}


def thetas(law: Law) -> dict[str, Mapping[str, float]]:
    """The published constants by key; for a law without any, plausible ones by role."""
    return {p.key: p.theta for p in law.published} or {"by-role": _by_role(law)}


def _by_role(law: Law) -> dict[str, float]:
    theta = {c.name: {"offset": 1.7, "exponent": 0.3, "amplitude": 2.0}[c.role]
             for c in law.constants}  # fmt: skip
    typical = {s: float(np.sqrt(np.prod(SPANS[c]))) for s, c in law.variables.items()}
    scales = {
        name: np.prod([typical[s] ** float(evaluate(p, theta)) for s, p in powers.items()])
        for name, powers in law.dimensions.items()
    }
    return {name: float(value * scales[name]) for name, value in theta.items()}


every_law = pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.key)
every_theta = pytest.mark.parametrize(
    ("law", "theta"),
    [pytest.param(law, theta, id=f"{law.key}/{key}")
     for law in LAWS.values() for key, theta in thetas(law).items()],
)  # fmt: skip
