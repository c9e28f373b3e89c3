"""Muennighoff et al. 2023: what repeated tokens, and parameters in excess of the data, are worth.

The law is Chinchilla's with one exponent, in effective counts. Of ``D`` tokens ``u = min(D, U)``
are unique, and the optimal size for them is ``(A / B)**(1 / alpha) * u``, so that of N params
``n = min(N, (A / B)**(1 / alpha) * u)`` are useful without repetition. What goes beyond, as
``R = D / u - 1`` epochs and likewise for params, is worth less and less::

    D' = u + u * R_D * (1 - exp(-(D / u - 1) / R_D))
    N' = n + n * R_N * (1 - exp(-(N / n - 1) / R_N))

As R_D and R_N grow without limit, D' and N' become D and N.
"""

from __future__ import annotations

from math import exp

from scalewise.core.expression import parse, render
from scalewise.laws.law import Constant, Law, Published, Source

_ARXIV = "2305.16264"
_OPTIMAL_PARAMS = "((A / B)**(1 / alpha) * min(D, U))"

# Beyond a million epochs 1 - exp(-R / R_D) loses its digits, and no run can tell it from infinity.
_EPOCHS = (1e-3, 1e6)


def _effective(count: str, limit: str, decay: str) -> str:
    """What ``count`` is worth if only ``limit`` of it can be fresh."""
    # min(0, ...) is exactly 0 without repeats; count / min(count, limit) - 1 would be rounding.
    excess = f"min(0, 1 - {count} / {limit})"
    return f"(min({count}, {limit}) * (1 + {decay} * (1 - exp({excess} / {decay}))))"


DATA_CONSTRAINED = Law(
    key="data-constrained",
    title="Data-constrained: loss by size, tokens and unique tokens",
    formula=render(
        parse(
            f"E + A / {_effective('N', _OPTIMAL_PARAMS, 'R_N')}**alpha"
            f" + B / {_effective('D', 'U', 'R_D')}**alpha"
        )
    ),
    variables={"N": "params", "D": "tokens", "U": "tokens_unique"},
    constants=(
        Constant("E", "offset", "loss of the ideal model: the entropy of the text"),
        Constant("A", "amplitude", "price of finite size"),
        Constant("B", "amplitude", "price of finite data"),
        Constant("alpha", "exponent", "how fast loss falls with size and with tokens"),
        Constant("R_D", "amplitude", "repeats after which data is worth little more", _EPOCHS),
        Constant("R_N", "amplitude", "excess of size after which it is worth little more", _EPOCHS),
    ),
    source=Source(key="muennighoff2023", where="sec. 3", arxiv=_ARXIV),
    published=(
        Published(
            key="muennighoff2023",
            theta={
                "E": exp(0.6254804),
                "A": exp(6.255414),
                "B": exp(7.3049974),
                "alpha": 0.3526596,
                "R_D": 15.387756,
                "R_N": 5.309743,
            },
            source=Source(
                key="muennighoff2023", where="notebook of the released code", arxiv=_ARXIV
            ),
            note=(
                "C4, 182 runs; a local optimum: R_D = 95, R_N = 1.7 fits the same runs better and "
                "R_D has no upper limit at 95 % confidence, so never rest on R_D alone"
            ),
        ),
    ),
    use_when=(
        "Unique tokens are scarce and runs repeat them; profile R_D and R_N, which are often flat "
        "or unbounded, and note that loss that rises from over-fitting is outside the form."
    ),
)
