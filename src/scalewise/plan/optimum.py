"""The size at which a law's predicted loss is least for a given compute, C = 6 N D."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalewise.core.errors import LawError
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]
Theta = Mapping[str, Any]

SIZES = ("params", "params_nonembed")

# Laws that rise with A / N**alpha + B / D**beta alone: theta -> (A, alpha, B, beta). The optimum
# of the sum is that of the law. Keyed by formula, so that a fit read from a file is known too.
_CLOSED: Mapping[str, Callable[[Theta], tuple[Any, Any, Any, Any]]] = {
    "E + A / N**alpha + B / D**beta": lambda t: (t["A"], t["alpha"], t["B"], t["beta"]),
    "E + A / N**(2 * eta) + B / D**(2 * eta)": lambda t: (
        t["A"],
        2 * t["eta"],
        t["B"],
        2 * t["eta"],
    ),
    "((N_c / N)**(alpha_N / alpha_D) + D_c / D)**alpha_D": lambda t: (
        t["N_c"] ** (t["alpha_N"] / t["alpha_D"]),
        t["alpha_N"] / t["alpha_D"],
        t["D_c"],
        np.ones_like(t["D_c"]),
    ),
}
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_NARROWINGS = 80


def size_of(law: Law) -> str | None:
    """The parameter count that a law trades against tokens, or None if it does not."""
    if "tokens" not in law.columns:
        return None
    return next((column for column in law.columns if column in SIZES), None)


def optimal_size(law: Law, theta: Theta, flops: Array) -> Array:
    """The size that minimises predicted loss at each budget; theta and flops broadcast.

    N* = G (C/6)**(beta/(alpha+beta)) with G = (alpha A / (beta B))**(1/(alpha+beta)) for the
    additive laws (Hoffmann et al. 2022, eq. 4), else by golden-section search over log N.
    Raises LawError if the search runs into the end of its range.
    """
    closed = _CLOSED.get(law.formula)
    if closed is None:
        return _searched(law, theta, flops)
    A, alpha, B, beta = closed(theta)
    log_g = (np.log(alpha * A) - np.log(beta * B)) / (alpha + beta)
    return np.exp(log_g + beta / (alpha + beta) * np.log(flops / 6.0))


def _searched(law: Law, theta: Theta, flops: Array) -> Array:
    symbol = {column: s for s, column in law.variables.items()}
    size = size_of(law)
    shape = np.broadcast_shapes(np.shape(flops), *(np.shape(v) for v in theta.values()))
    product = np.broadcast_to(np.log(flops / 6.0), shape)

    def loss(log_size: Array) -> Array:
        inputs = {
            symbol[str(size)]: np.exp(log_size),
            symbol["tokens"]: np.exp(product - log_size),
        }
        return np.broadcast_to(law.value(theta, **inputs), shape)

    low, high = np.zeros(shape), product.copy()
    first, last = low, high
    for _ in range(_NARROWINGS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        keep_left = loss(left) < loss(right)
        low, high = np.where(keep_left, low, left), np.where(keep_left, right, high)
    best = 0.5 * (low + high)
    if np.median(np.minimum(best - first, last - best)) < 1e-3:
        raise LawError(
            f"Law {law.key!r} is least at the end of the range: it does not trade size against "
            "tokens.",
            hint="Fit a law in which both more parameters and more tokens lower the loss.",
        )
    return np.exp(best)
