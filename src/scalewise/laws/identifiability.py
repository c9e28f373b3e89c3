"""Whether the form of a law lets its constants be told apart at all, whatever the data.

In ``E + F + A / N**a`` only the sum of E and F matters, in ``A * B / N**a`` only the product of A
and B. Such a formula would fit, and its constants would mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalewise.core.errors import FormulaError
from scalewise.core.expression import evaluate
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]

_POINTS = 64
_DEPENDENT = 1e-11  # rounding leaves about 1e-15 of a missing direction, real ones keep 1e-7
_INVOLVED = 1e-6

# Spans of the inputs, as powers of ten. A formula may contain numbers in real units (N / 1e9), so
# that one span can lie where the formula is flat or undefined: the best of them counts.
_SPANS = ((-1.0, 1.0), (1.0, 5.0), (6.0, 12.0), (8.0, 10.0))


def inseparable_constants(law: Law) -> tuple[str, ...]:
    """Constants that no data could tell apart, in the order of the law; empty if there are none.

    The derivatives by the constants are taken at generic values and points; a combination of
    them that vanishes everywhere is a direction in which the constants can move unseen.
    Raises FormulaError if the formula has no finite value for positive constants and inputs.
    """
    rng = np.random.default_rng(0)
    found: list[tuple[str, ...]] = []
    for low, high in _SPANS:
        inputs = {s: 10.0 ** rng.uniform(low, high, _POINTS) for s in law.variables}
        with np.errstate(all="ignore"):
            matrix = _sensitivities(law, _generic_theta(law, inputs, rng), inputs)
        if matrix.shape[1] > len(law.constants):
            found.append(_null_names(law, matrix))
    if not found:
        raise FormulaError(
            f"The formula {law.formula!r} has no finite value for positive constants.",
            hint="Check its logarithms, roots and divisions.",
        )
    return min(found, key=len)


def _generic_theta(
    law: Law, inputs: Mapping[str, Array], rng: np.random.Generator
) -> dict[str, Array]:
    """Values of order one, times what their units make of typical inputs."""
    theta = {c.name: rng.uniform(0.3, 1.2) for c in law.constants}
    typical = {symbol: np.exp(np.mean(np.log(x))) for symbol, x in inputs.items()}
    scaled = {}
    for name, value in theta.items():
        scaled[name] = np.asarray(value)
        for symbol, power in law.dimensions[name].items():
            exponent = evaluate(power, {**theta, **typical})
            scaled[name] = scaled[name] * typical[symbol] ** exponent
    return scaled


def _sensitivities(law: Law, theta: Mapping[str, Array], inputs: Mapping[str, Array]) -> Array:
    """Change of the prediction per relative change of each constant, shape (p, usable points)."""
    gradient = law.gradient(theta, **inputs)
    rows = np.stack([gradient[name] * theta[name] for name in law.constant_names])
    usable = rows[:, np.isfinite(rows).all(axis=0)]
    length = np.sqrt(np.sum(usable**2, axis=1, keepdims=True))
    return np.asarray(usable / np.where(length > 0, length, 1.0))


def _null_names(law: Law, matrix: Array) -> tuple[str, ...]:
    left, strength, _ = np.linalg.svd(matrix, full_matrices=False)
    lost = left[:, strength <= _DEPENDENT * strength[0]]
    involved = np.abs(lost).max(axis=1, initial=0.0) > _INVOLVED
    return tuple(n for n, lit in zip(law.constant_names, involved, strict=True) if lit)
