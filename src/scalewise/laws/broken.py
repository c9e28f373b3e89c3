"""Broken power laws, Caballero et al. 2022: one power law passes smoothly into another.

The paper writes the exponent after the break as c0 + c1, with c1 of either sign. Here both
exponents are positive and stand by themselves: c0 is alpha, c0 + c1 is beta, f is w.
"""

from __future__ import annotations

from scalewise.laws.law import Constant, Law, Source

BROKEN_COMPUTE = Law(
    key="broken-flops",
    title="Broken power law in training compute, one break",
    formula="E + A / C**alpha * (1 + (C / C_b)**(1 / w))**(w * (alpha - beta))",
    variables={"C": "flops"},
    constants=(
        Constant("E", "offset", "loss that no amount of training compute removes"),
        Constant("A", "amplitude", "reducible loss of one FLOP, before the break"),
        Constant("alpha", "exponent", "how fast loss falls with compute before the break"),
        Constant("beta", "exponent", "how fast loss falls with compute after the break"),
        Constant("C_b", "amplitude", "compute at which the break lies"),
        # Below 0.05 the break takes a tenth of a decade: no grid of runs can tell it from sharp.
        Constant("w", "exponent", "width of the break, in powers of e", bounds=(0.05, 2.0)),
    ),
    source=Source(key="caballero2022", where="eq. 1 with one break", arxiv="2210.14891"),
    use_when=(
        "Compute alone varies over many decades, loss bends between two slopes, and runs lie well "
        "on both sides of the bend; a break beyond the runs cannot be forecast by this or any law."
    ),
)
