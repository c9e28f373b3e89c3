"""The size at which a law's predicted loss is least for a given compute, C = 6 N D."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from scalewise.core.errors import LawError
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]
Theta = Mapping[str, Any]

SIZES = ("params", "params_nonembed")
_NOTHING: Mapping[str, float] = MappingProxyType({})


def _additive(t: Theta) -> tuple[Any, Any, Any, Any]:
    return t["A"], t["alpha"], t["B"], t["beta"]


# Laws that rise with A / N**alpha + B / D**beta alone: theta -> (A, alpha, B, beta). The optimum
# of the sum is that of the law. Keyed by formula, so that a fit read from a file is known too.
_CLOSED: Mapping[str, Callable[[Theta], tuple[Any, Any, Any, Any]]] = {
    "E + A / N**alpha + B / D**beta": _additive,
    "E + (A / N**alpha + B / D**beta)**gamma": _additive,
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
_PLACES = 64  # of log N that are looked at first: a law with kinks may have two valleys
_NARROWINGS = 50  # around the lowest of them, to the last digit that the loss can tell apart


def size_of(law: Law) -> str | None:
    """The parameter count that a law trades against tokens, or None if it does not."""
    if "tokens" not in law.columns:
        return None
    return next((column for column in law.columns if column in SIZES), None)


def trades(law: Law, given: Mapping[str, float] = _NOTHING) -> bool:
    """Whether size and tokens, with the columns that are ``given``, are all that a law asks for."""
    size = size_of(law)
    known = {size, "tokens", *given}
    return law.quantity == "loss" and size is not None and set(law.columns) == known


def inputs_at(
    law: Law, log_size: Any, log_tokens: Any, given: Mapping[str, float] = _NOTHING
) -> dict[str, Any]:
    """The law's inputs by symbol at logs of size and tokens."""
    columns = {str(size_of(law)): np.exp(log_size), "tokens": np.exp(log_tokens), **given}
    return {symbol: columns[column] for symbol, column in law.variables.items()}


def optimal_size(
    law: Law, theta: Theta, flops: Array, given: Mapping[str, float] = _NOTHING
) -> Array:
    """The size that minimises predicted loss at each budget; theta and flops broadcast.

    N* = G (C/6)**(beta/(alpha+beta)) with G = (alpha A / (beta B))**(1/(alpha+beta)) for the
    additive laws (Hoffmann et al. 2022, eq. 4), else by search over log N. ``given`` are the other
    columns of the law, such as ``tokens_unique``.
    Raises LawError if the search runs into the end of its range.
    """
    closed = _CLOSED.get(law.formula)
    if closed is None:
        return _searched(law, theta, flops, given)
    A, alpha, B, beta = closed(theta)
    log_g = (np.log(alpha * A) - np.log(beta * B)) / (alpha + beta)
    return np.exp(log_g + beta / (alpha + beta) * np.log(flops / 6.0))


def _searched(law: Law, theta: Theta, flops: Array, given: Mapping[str, float]) -> Array:
    """By the lowest of places over the whole range, then golden section between its neighbours."""
    shape = np.broadcast_shapes(np.shape(flops), *(np.shape(v) for v in theta.values()))
    product = np.broadcast_to(np.log(flops / 6.0), shape)

    def loss(log_size: Array) -> Array:
        inputs = inputs_at(law, log_size, product - log_size, given)
        return np.broadcast_to(law.value(theta, **inputs), shape)

    best, least = np.zeros(shape), np.full(shape, np.inf)
    for share in np.linspace(0.0, 1.0, _PLACES):
        here = loss(share * product)
        best, least = np.where(here < least, share * product, best), np.fmin(here, least)
    step = product / (_PLACES - 1)
    low, high = np.maximum(best - step, 0.0), np.minimum(best + step, product)
    for _ in range(_NARROWINGS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        keep_left = loss(left) < loss(right)
        low, high = np.where(keep_left, low, left), np.where(keep_left, right, high)
    best = 0.5 * (low + high)
    if np.median(np.minimum(best, product - best)) < 1e-3:
        raise LawError(
            f"Law {law.key!r} is least at the end of the range: it does not trade size against "
            "tokens.",
            hint="Fit a law in which both more parameters and more tokens lower the loss.",
        )
    return np.exp(best)
