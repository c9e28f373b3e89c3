"""For any law: constants to try it at and inputs to try it on, found from the law alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from scalewise.core.expression import evaluate
from scalewise.laws.catalogue import LAWS
from scalewise.laws.law import QUANTITY_UNITS, Constant, Law

Array = np.ndarray[Any, np.dtype[Any]]

SPANS: Mapping[str, tuple[float, float]] = {
    "params": (1e6, 1e11),
    "params_nonembed": (1e6, 1e11),
    "tokens": (1e8, 1e13),
    "tokens_unique": (3e8, 3e12),
    "flops": (1e17, 1e25),
    "steps_min": (1e3, 1e6),
    "step": (1e3, 1e6),
    "batch_tokens": (1e4, 1e8),
    "loss": (1.9, 5.5),
}

# Where a law holds, if not everywhere: beyond 1.2e10 params this rate is negative, and far beyond
# its runs Farseer has larger models do worse.
HELD: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "farseer": {"params": (1e8, 2e10), "tokens": (1e9, 5e11)},
    "lr-by-log-params": {"params_nonembed": (1e6, 1e10)},
}

# Constants of a usual size for laws whose constants depend on each other too much to be guessed.
USUAL: Mapping[str, Mapping[str, float]] = {
    "farseer": {
        "A": 0.45, "alpha": 0.12, "a": 0.13, "B": 130.0, "delta": 1.1, "b": 0.17,
        "beta": 0.31, "gamma": 0.2, "c": 0.05,
    },
    "error-by-flops": {"eps": 0.75, "a": 0.6, "C0": 1e21, "p": 0.4},
}  # fmt: skip


def grid(law: Law, per_axis: int = 5) -> dict[str, Array]:
    """Inputs by symbol: every combination of log-spaced values; a single column is denser."""
    count = per_axis if len(law.columns) > 1 else per_axis**2
    spans = {**SPANS, **HELD.get(law.key, {})}
    axes = [np.geomspace(*spans[column], count) for column in law.columns]
    mesh = np.meshgrid(*axes, indexing="ij")
    return {symbol: m.ravel() for symbol, m in zip(law.variables, mesh, strict=True)}


def thetas(law: Law) -> dict[str, Mapping[str, float]]:
    """The published constants by key; for a law without any, plausible ones by role."""
    published = {p.key: p.theta for p in law.published}
    return published or {"usual": USUAL[law.key] if law.key in USUAL else _by_role(law)}


def has_floor(law: Law) -> bool:
    """Whether a law levels off: a choice may grow without end, and so may logs of an input."""
    return law.quantity in ("loss", "error") and not law.rigid


def floor(law: Law, theta: Mapping[str, float]) -> float:
    """What the law approaches: its offsets, without any a factor in the predicted unit, else 0."""
    if law.key == "error-by-flops":  # its offset is where it starts, not where it ends
        return theta["eps"] - theta["a"]
    plain = [c.name for c in law.constants if law.unit(c.name) == QUANTITY_UNITS[law.quantity]]
    offsets = [c.name for c in law.constants if c.role == "offset"]
    return sum(theta[name] for name in offsets or plain)


def _by_role(law: Law) -> dict[str, float]:
    theta = {c.name: _typical(c, rank) for rank, c in enumerate(law.constants)}
    middle = {s: float(np.sqrt(np.prod(SPANS[c]))) for s, c in law.variables.items()}
    scales = {
        name: np.prod([middle[s] ** float(evaluate(p, theta)) for s, p in powers.items()])
        for name, powers in law.dimensions.items()
    }
    stated = {c.name for c in law.constants if _states_an_interval(c)}
    return {n: float(v if n in stated else v * scales[n]) for n, v in theta.items()}


def _typical(constant: Constant, rank: int) -> float:
    """The middle of a stated interval, else by role; no two exponents are alike."""
    if _states_an_interval(constant):
        return sum(constant.bounds) / 2
    return {"offset": 1.7, "exponent": 0.3 + 0.1 * rank, "amplitude": 2.0}[constant.role]


def _states_an_interval(constant: Constant) -> bool:
    return constant.bounds != Constant("", constant.role).bounds and np.isfinite(constant.bounds[1])


every_law = pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.key)


def _each(laws: Iterable[Law]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("law", "theta"),
        [pytest.param(law, theta, id=f"{law.key}/{key}")
         for law in laws for key, theta in thetas(law).items()],
    )  # fmt: skip


every_theta = _each(LAWS.values())
every_theta_with_a_floor = _each(law for law in LAWS.values() if has_floor(law))
