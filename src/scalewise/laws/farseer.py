"""Farseer, Li et al. 2025: the price of data, and how fast it falls, depend on model size.

The paper writes ``exp(s * N**q + S) + exp(B * N**b + Q) * D**-exp(A * N**a + E)``, with s, b and A
negative. Its constants move together over many powers of ten. Here each of the three terms in N
is told at a billion params: its value there, its slope in log-log there, and how that slope
drifts. That is the same law, see ``from_paper_form``, with every constant of order one and of a
stated unit. A drift of zero leaves a power law; a negative ``a`` lets the price of size level
off at ``A * exp(alpha / a)``. Far outside its runs the form bends: since beta falls with size,
larger models do worse on many tokens, and since B does, well on almost none.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp

from scalewise.laws.law import Constant, Law, Source

REFERENCE = 1e9  # params at which the constants are told; stands in the formula below
_DRIFT = (-1.0, 2.0)
_FADES = (1e-3, 2.0)  # else the price of data would fall to nothing as size grows, at one token

FARSEER = Law(
    key="farseer",
    title="Farseer: loss by size and tokens, data worth more or less to larger models",
    formula=(
        "A * exp(alpha * (1 - (N / 1e9)**a) / a)"
        " + B * exp(delta * ((1e9 / N)**b - 1) / b"
        " - beta * log(D) * exp(gamma * (1 - (N / 1e9)**c) / c))"
    ),
    variables={"N": "params", "D": "tokens"},
    constants=(
        Constant("A", "amplitude", "price of finite size at 1e9 params"),
        Constant("alpha", "exponent", "how fast it falls with size, at 1e9 params"),
        Constant("a", "exponent", "how fast that slope steepens with size", _DRIFT),
        Constant("B", "amplitude", "price of finite data at 1e9 params, at one token"),
        Constant("delta", "exponent", "how fast it falls with size, at 1e9 params"),
        Constant("b", "exponent", "how fast that slope flattens with size", _FADES),
        Constant("beta", "exponent", "how fast loss falls with tokens, at 1e9 params"),
        Constant("gamma", "exponent", "how fast beta falls with size, at 1e9 params"),
        Constant("c", "exponent", "how fast that slope steepens with size", _DRIFT),
    ),
    source=Source(key="farseer2025", where="the law of the title", arxiv="2506.10972"),
    use_when=(
        "A hundred runs or more fill a wide grid of ten sizes or more; on less the drifts a, b and "
        "c are guesses, and coupled says as much with three constants fewer."
    ),
)


def from_paper_form(
    *,
    s: float, q: float, S: float, B: float, b: float, Q: float, A: float, a: float, E: float,
) -> Mapping[str, float]:  # fmt: skip
    """Constants of the law from those of the paper's form, N and D counted one by one.

    alpha = -s q N_0**q and A = exp(S + s N_0**q) at N_0 = 1e9, and likewise for the other two
    pairs. Li et al. 2025.

    >>> theta = from_paper_form(s=-0.06, q=0.1, S=0.1, B=200, b=-0.2, Q=-1.5, A=-1.6, a=0.05, E=3)
    >>> round(theta["beta"], 3), round(theta["alpha"], 3)
    (0.221, 0.048)
    """
    size, price, pace = s * REFERENCE**q, B * REFERENCE**b, A * REFERENCE**a
    return {
        "A": exp(S + size), "alpha": -size * q, "a": q,
        "B": exp(Q + price), "delta": -price * b, "b": -b,
        "beta": exp(E + pace), "gamma": -pace * a, "c": a,
    }  # fmt: skip
