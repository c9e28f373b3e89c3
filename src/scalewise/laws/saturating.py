"""Laws in one input that level off, Alabdulmohsin et al. 2022.

Of the paper's forms M1 and M2 are ``power-tokens-pure`` and ``power-tokens``. M3 is
``b * (1 / D + g)**c``, here with its floor ``E = b * g**c`` and ``D_s = 1 / g``. M4 is
``(L - E) / (L_0 - L)**a = b * D**-c``, which gives D by L but has no formula for L by D unless
a = 1; that case is here, with ``A = L_0 - E`` and ``D_s = b**(1 / c)``.
"""

from __future__ import annotations

from scalewise.laws.law import Constant, Law, Source

_ARXIV = "2209.06640"

SATURATING = Law(
    key="saturating-tokens",
    title="Power law in training tokens that levels off",
    formula="E * (1 + D_s / D)**alpha",
    variables={"D": "tokens"},
    constants=(
        Constant("E", "amplitude", "loss that no amount of training tokens removes"),
        Constant("D_s", "amplitude", "tokens at which the power law has begun to level off"),
        Constant("alpha", "exponent", "how fast loss falls with tokens before it levels off"),
    ),
    source=Source(key="alabdulmohsin2022", where="form M3", arxiv=_ARXIV),
    use_when=(
        "Only tokens varies, and loss follows a pure power law until it levels off; power-tokens "
        "levels off more slowly."
    ),
)

SIGMOID = Law(
    key="sigmoid-tokens",
    title="From the untrained loss down a power law in training tokens to a floor",
    formula="E + A / (1 + (D / D_s)**alpha)",
    variables={"D": "tokens"},
    constants=(
        Constant("E", "offset", "loss that no amount of training tokens removes"),
        Constant("A", "amplitude", "loss of an untrained model above the floor"),
        Constant("D_s", "amplitude", "tokens at which half of the fall is done"),
        Constant("alpha", "exponent", "how fast loss falls with tokens"),
    ),
    source=Source(key="alabdulmohsin2022", where="form M4 with alpha = 1", arxiv=_ARXIV),
    use_when=(
        "Only tokens varies, and the points begin where a model still knows almost nothing, as "
        "learning curves from their first tokens do."
    ),
)

SATURATING_LAWS = (SATURATING, SIGMOID)
