"""Chinchilla, Hoffmann et al. 2022: a floor, a price of finite size, a price of finite data."""

from __future__ import annotations

from math import exp

from scalewise.laws.law import Constant, Law, Published, Source

_HOFFMANN = Source(key="hoffmann2022", where="sec. 3.3", arxiv="2203.15556")

CHINCHILLA = Law(
    key="chinchilla",
    title="Chinchilla: loss by size and tokens",
    formula="E + A / N**alpha + B / D**beta",
    variables={"N": "params", "D": "tokens"},
    constants=(
        Constant("E", "offset", "loss of the ideal model: the entropy of the text"),
        Constant("A", "amplitude", "price of finite size"),
        Constant("B", "amplitude", "price of finite data"),
        Constant("alpha", "exponent", "how fast loss falls with size"),
        Constant("beta", "exponent", "how fast loss falls with tokens"),
    ),
    source=_HOFFMANN,
    published=(
        Published(
            key="hoffmann2022",
            theta={"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
            source=_HOFFMANN,
            note="as printed; rounding moves the optimum at 5.76e23 FLOP from 40e9 to 32e9 params",
        ),
        Published(
            key="hoffmann2022-tex",
            theta={
                "E": exp(0.5267228),
                "A": exp(6.0073404),
                "B": exp(6.0179186),
                "alpha": 0.33917084,
                "beta": 0.2849083,
            },
            source=Source(key="hoffmann2022", where="TeX source of sec. 3.3", arxiv="2203.15556"),
            note="the same fit at the precision of the paper's TeX source",
        ),
        Published(
            key="besiroglu2024",
            theta={"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
            source=Source(key="besiroglu2024", where="as printed", arxiv="2404.10102"),
            note="refit of 240 of Hoffmann's points; least absolute deviations of log loss",
        ),
        Published(
            key="besiroglu2024-notebook",
            theta={
                "E": 1.81686,
                "A": 482.00572,
                "B": 2085.43420,
                "alpha": 0.34781,
                "beta": 0.36585,
            },
            source=Source(
                key="besiroglu2024", where="notebook of the released code", arxiv="2404.10102"
            ),
            note="the same fit before rounding; the printed E is that of besiroglu2024-huber",
        ),
        Published(
            key="besiroglu2024-huber",
            theta={
                "E": 1.817236,
                "A": 477.8417,
                "B": 2143.8638,
                "alpha": 0.3473127,
                "beta": 0.3671826,
            },
            source=Source(
                key="besiroglu2024", where="notebook of the released code", arxiv="2404.10102"
            ),
            note="Huber loss at 1e-3 on the same 240 points, best of 4500 starts",
        ),
        Published(
            key="muennighoff2023-single-epoch",
            theta={
                "E": exp(0.6254804),
                "A": exp(6.255414),
                "B": exp(7.3049974),
                "alpha": 0.3526596,
                "beta": 0.3526596,
            },
            source=Source(
                key="muennighoff2023", where="notebook of the released code", arxiv="2305.16264"
            ),
            note="54 of Hoffmann's C4 points, one exponent; muennighoff2023 without repeats",
        ),
    ),
    use_when="Size and tokens both vary, each run ends annealed, and no data is repeated much.",
)
