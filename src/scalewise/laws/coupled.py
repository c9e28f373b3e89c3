"""Coupled laws: the prices of size and of data are not simply added."""

from __future__ import annotations

from scalewise.laws.law import Constant, Law, Source

COUPLED = Law(
    key="coupled",
    title="Coupled: loss by size and tokens, prices joined by a power",
    formula="E + (A / N**alpha + B / D**beta)**gamma",
    variables={"N": "params", "D": "tokens"},
    constants=(
        Constant("E", "offset", "loss of the ideal model: the entropy of the text"),
        Constant("A", "amplitude", "price of finite size, before the joining power"),
        Constant("B", "amplitude", "price of finite data, before the joining power"),
        Constant("alpha", "exponent", "how fast the price of size falls, before the power"),
        Constant("beta", "exponent", "how fast the price of data falls, before the power"),
        Constant("gamma", "exponent", "how the prices join: 1 adds them, below 1 they overlap"),
    ),
    source=Source(key="busbridge2025", where="supervised law", arxiv="2502.08606"),
    use_when=(
        "Size and tokens vary on a wide grid, and chinchilla leaves residuals that change sign "
        "from its corners to its middle."
    ),
)
