"""How counting without embeddings bends the exponent, from the law alone (Pearce & Song 2024).

Suppose loss follows E + A / N**alpha + B / D**beta in *total* params and compute is spent
optimally, but both are then counted without embeddings: N_E and C_E = 6 N_E D. With a constant
aspect ratio, total and non-embedding params are tied by N = N_E + omega N_E**(1/3), so N*_E(C_E)
is no power law: its local exponent starts at beta/(alpha/3 + beta), passes a maximum and falls to
Hoffmann's beta/(alpha + beta) where embeddings are negligible. Kaplan's 0.73 is its mean over
Kaplan's sizes. arXiv:2406.12907, sec. 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.errors import UsageError

Array = np.ndarray[Any, np.dtype[Any]]

OMEGA = 47491.0  # (vocabulary + context) (aspect ratio / 12)**(1/3), as fitted in the paper
KAPLAN_SIZES = (768.0, 1.5e9)  # smallest and largest of Kaplan et al. 2020


def local_exponent(
    params_nonembed: Array | float, *, alpha: float, beta: float, omega: float = OMEGA
) -> Array | float:
    """The slope d log N*_E / d log C_E at an optimal non-embedding size.

    1/g = 1 - (1/beta)(x + w/9)/(x + w/3) + ((alpha + 1)/beta)(x + w/3)/(x + w), x = N_E**(2/3) and
    w = omega. The amplitudes of the law do not enter.

    >>> round(float(local_exponent(1e8, alpha=0.3478, beta=0.3658)), 4)
    0.6128
    """
    size = np.asarray(params_nonembed, dtype=float)
    _check(size, alpha, beta, omega)
    x = size ** (2.0 / 3.0)
    inverse = (
        1.0
        - (x + omega / 9) / (x + omega / 3) / beta
        + (alpha + 1) / beta * (x + omega / 3) / (x + omega)
    )
    return 1.0 / inverse if size.ndim else float(1.0 / inverse)


def observed_exponent(
    *,
    alpha: float,
    beta: float,
    omega: float = OMEGA,
    sizes: tuple[float, float] = KAPLAN_SIZES,
    points: int = 4000,
) -> float:
    """The exponent that a straight line through log N*_E against log C_E would show.

    Least squares over optimal sizes from ``sizes[0]`` to ``sizes[1]``, evenly spaced in log C_E.

    >>> round(observed_exponent(alpha=0.3478, beta=0.3658), 4)
    0.7877
    """
    low, high = sizes
    if not 0 < low < high:
        raise UsageError(f"sizes={sizes} is no range.", hint="Give the smaller size first.")
    _check(np.asarray(low), alpha, beta, omega)
    log_size = np.linspace(np.log(low), np.log(high), points)
    size = np.exp(log_size)
    total = size + omega * size ** (1.0 / 3.0)
    share = (size + omega / 3 * size ** (1.0 / 3.0)) / total  # d log N / d log N_E
    # alpha A N**-alpha share = beta B D**-beta at the optimum, up to constants in log D.
    log_tokens = (alpha * np.log(total) - np.log(share)) / beta
    log_flops = log_size + log_tokens
    even = np.linspace(log_flops[0], log_flops[-1], points)
    return float(np.polyfit(even, np.interp(even, log_flops, log_size), 1)[0])


def _check(size: Array, alpha: float, beta: float, omega: float) -> None:
    if not (np.all(size > 0) and alpha > 0 and beta > 0 and omega >= 0):
        raise UsageError(
            f"alpha={alpha}, beta={beta}, omega={omega} or a size is not positive.",
            hint="Exponents are positive: the law is A / N**alpha + B / D**beta.",
        )
