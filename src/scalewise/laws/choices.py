"""Laws of a choice: the batch, learning rate, size or tokens to take, by compute, size or data.

Each is a power law ``k * x**p`` or, where the choice falls, ``k / x**p``. The points they are
fitted to are optima: the best batch of a sweep, the best size of a budget. Papers count their
inputs differently, so each published set says how; none holds for another count.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import NamedTuple

from scalewise.core.compute import PF_DAY
from scalewise.laws.law import Constant, Law, Published, Quantity, Source


class _Input(NamedTuple):
    """What a choice is made by."""

    symbol: str
    column: str
    key: str  # in the law's key
    words: str


_C = _Input("C", "flops", "flops", "compute")
_N = _Input("N", "params", "params", "model size")
_N_NONEMBED = _N._replace(column="params_nonembed")
_D = _Input("D", "tokens", "tokens", "training tokens")

_WORDS: Mapping[Quantity, tuple[str, str]] = {
    "params": ("params", "Model size"),
    "params_nonembed": ("params-nonembed", "Model size without embeddings"),
    "tokens": ("tokens", "Training tokens"),
    "batch_tokens": ("batch", "Batch"),
    "critical_batch_tokens": ("critical-batch", "Critical batch"),
    "steps_min": ("steps-min", "Least updates"),
    "lr_peak": ("lr", "Peak learning rate"),
}


def _power(
    quantity: Quantity,
    by: _Input,
    use_when: str,
    *published: Published,
    falls: bool = False,
) -> Law:
    """The power law of one choice by one input."""
    short, words = _WORDS[quantity]
    return Law(
        key=f"{short}-by-{by.key}",
        title=f"{words} by {by.words}",
        formula=f"k {'/' if falls else '*'} {by.symbol}**p",
        variables={by.symbol: by.column},
        constants=(
            Constant("k", "amplitude", f"{words.lower()} at one unit of {by.column}"),
            Constant("p", "exponent", f"how fast it {'falls' if falls else 'grows'}"),
        ),
        source=published[0].source if published else None,
        published=published,
        quantity=quantity,
        use_when=use_when,
        default_objective="ls-log",
    )


def _kaplan(key: str, k: float, p: float, where: str, note: str) -> Published:
    """A power law in PF-days, as one in FLOP."""
    return Published(
        key=f"kaplan2020-{key}",
        theta={"k": k * PF_DAY**-p, "p": p},
        source=Source(key="kaplan2020", where=where, arxiv="2001.08361"),
        note=f"{note}; published per PF-day of 8.64e19 FLOP",
    )


def _deepseek(key: str, k: float, p: float, where: str, note: str = "") -> Published:
    counted = (
        "C is M * D, with M the non-embedding FLOPs of a token, attention included; optima of "
        "1e17 to 2e19 FLOP"
    )
    return Published(
        key=f"deepseek2024-{key}",
        theta={"k": k, "p": p},
        source=Source(key="deepseek2024", where=where, arxiv="2401.02954"),
        note="; ".join(part for part in (counted, note) if part),
    )


_PORIAN = Source(key="porian2024", where="fits of the tuned optima", arxiv="2406.19146")
_PORIAN_N = "N counts the output head but no input embedding, as params does where they are tied"
_STEP_LAW = Source(key="steplaw2025", where="the step law", arxiv="2503.04715")
_C_MIN = "C is C_min, the compute at batches far below the critical one"

BY_COMPUTE = (
    _power(
        "params",
        _C,
        "The best size at each of several budgets is known, for example from isoFLOP profiles.",
    ),
    _power(
        "params_nonembed",
        _C,
        "The best size at each of several budgets is known, counted without embeddings.",
        _kaplan("table-6-params", 1.3e9, 0.73, "table 6", _C_MIN),
        _kaplan(
            "fixed-batch-params",
            1.6e9,
            0.88,
            "optimum at a fixed batch, as quoted in arXiv:2406.19146",
            "C at a batch of 2**19 tokens; never combine with table 6",
        ),
    ),
    _power(
        "tokens",
        _C,
        "The best number of tokens at each of several budgets is known.",
        _kaplan("table-6-tokens", 2e10, 0.27, "table 6", f"one pass over the data; {_C_MIN}"),
        _kaplan(
            "eq-6-7-tokens",
            4e10,
            0.26,
            "eq. 6.7",
            f"disagrees with table 6, whose size and tokens make up the budget; {_C_MIN}",
        ),
        _deepseek(
            "tokens", 5.8316, 0.4757, "eq. 4", "its twin is M = 0.1715 * C**0.5243, so C = M * D"
        ),
    ),
    _power(
        "batch_tokens",
        _C,
        "The best batch at each of several budgets is known.",
        _kaplan("table-6-batch", 2.0e6, 0.24, "table 6", f"the critical batch; {_C_MIN}"),
        _deepseek("batch", 0.2920, 0.3271, "eq. 1"),
    ),
    _power(
        "steps_min",
        _C,
        "The fewest updates at each of several budgets are known.",
        _kaplan(
            "table-6-steps",
            5.4e3,
            0.03,
            "table 6",
            f"a lower bound: at the critical batch twice as many; {_C_MIN}",
        ),
    ),
    _power(
        "lr_peak",
        _C,
        "The best learning rate at each of several budgets is known.",
        _deepseek("lr", 0.3118, 0.1250, "eq. 1"),
        falls=True,
    ),
)

BATCH_BY_LOSS = Law(
    key="batch-by-loss",
    title="Batch by loss",
    formula="B_star / L**(1 / alpha_B)",
    variables={"L": "loss"},
    constants=(
        Constant("B_star", "amplitude", "batch at a loss of 1 nat/token"),
        Constant("alpha_B", "exponent", "how slowly the batch grows as loss falls"),
    ),
    source=Source(key="minicpm2024", where="batch size", arxiv="2404.06395"),
    published=(
        Published(
            key="minicpm2024-batch",
            theta={"B_star": 1.2110e9, "alpha_B": 1 / 6.2393},
            source=Source(key="minicpm2024", where="batch size", arxiv="2404.06395"),
            note="fewest tokens to a loss on C4; models of 9M, 30M and 170M, six batches each",
        ),
    ),
    quantity="batch_tokens",
    use_when="The batch that reached each of several losses on the fewest tokens is known.",
    default_objective="ls-log",
)

BATCH = (
    BATCH_BY_LOSS,
    _power(
        "batch_tokens",
        _D,
        "The best batch at each of several token budgets is known.",
        Published(
            key="steplaw2025-batch",
            theta={"k": 0.58, "p": 0.571},
            source=_STEP_LAW,
            note="the same at every size; cosine schedules of 4e9 to 1e11 tokens",
        ),
    ),
    _power(
        "batch_tokens",
        _N,
        "The best batch at each of several sizes is known, trained on a fixed multiple of tokens.",
        Published(
            key="porian2024-batch",
            theta={"k": 0.00037 * 2048, "p": 0.703},
            source=_PORIAN,
            note=f"published in sequences of 2048 tokens; {_PORIAN_N}",
        ),
    ),
    _power(
        "critical_batch_tokens",
        _N_NONEMBED,
        "Batch scans at several sizes have given a critical batch at each.",
        Published(
            key="zhang2024-critical-batch",
            theta={"k": 93.1968 * 512 / 1e6**0.46828, "p": 0.46828},
            source=Source(
                key="zhang2024", where="notebook of the released code", arxiv="2410.21676"
            ),
            note=(
                "batch that needs 20 % more updates than linear scaling from 256 sequences, each "
                "size at its own loss, 85M to 1.2B params; published in sequences of 512 tokens"
            ),
        ),
    ),
    _power(
        "critical_batch_tokens",
        _D,
        "Batch scans at several token budgets have given a critical batch at each.",
    ),
)

LR_BY_LOG_PARAMS = Law(
    key="lr-by-log-params",
    title="Peak learning rate by model size, linear in its logarithm",
    formula="b * log(N_0 / N)",
    variables={"N": "params_nonembed"},
    constants=(
        Constant("b", "amplitude", "fall of the rate as size grows by a factor of e"),
        Constant("N_0", "amplitude", "size at which the rate reaches zero"),
    ),
    source=Source(key="kaplan2020", where="appendix D.1", arxiv="2001.08361"),
    published=(
        Published(
            key="kaplan2020-lr",
            # Published as 0.003239 - 0.0001395 * log(N), which fixes one unit of N.
            theta={"b": 0.0001395, "N_0": exp(0.003239 / 0.0001395)},
            source=Source(key="kaplan2020", where="appendix D.1", arxiv="2001.08361"),
            note="Adam, 3000 steps of warm-up, cosine to zero; means nothing from 1e10 params on",
        ),
    ),
    quantity="lr_peak",
    use_when="Sizes differ little, and never beyond them: it reaches zero at a finite size.",
    default_objective="ls",
)

LR_BY_PARAMS_AND_TOKENS = Law(
    key="lr-by-params-and-tokens",
    title="Peak learning rate by model size and training tokens",
    formula="k * D**b / N**a",
    variables={"N": "params_nonembed", "D": "tokens"},
    constants=(
        Constant("k", "amplitude", "rate at one param and one token"),
        Constant("a", "exponent", "how fast the rate falls with size"),
        Constant("b", "exponent", "how fast the rate grows with tokens"),
    ),
    source=_STEP_LAW,
    published=(
        Published(
            key="steplaw2025-lr",
            theta={"k": 1.79, "a": 0.713, "b": 0.307},
            source=_STEP_LAW,
            note="AdamW, 2000 steps of warm-up, cosine to 1e-5; sizes of 2e8 to 1e9 params",
        ),
    ),
    quantity="lr_peak",
    use_when="The best learning rate is known on a grid of sizes and token budgets.",
    default_objective="ls-log",
)

LEARNING_RATE = (
    _power(
        "lr_peak",
        _N,
        "The best learning rate at each of several sizes is known.",
        Published(
            key="porian2024-lr",
            theta={"k": 3.7, "p": 0.36},
            source=_PORIAN,
            note=f"AdamW with its second beta tuned; {_PORIAN_N}",
        ),
        falls=True,
    ),
    LR_BY_LOG_PARAMS,
    LR_BY_PARAMS_AND_TOKENS,
)

TOKENS_BY_PARAMS = _power(
    "tokens",
    _N_NONEMBED,
    "The fewest tokens that avoid over-fitting, or the best number, are known at several sizes.",
    Published(
        key="kaplan2020-tokens-needed",
        theta={"k": 5e3, "p": 0.74},
        source=Source(key="kaplan2020", where="eq. 4.4", arxiv="2001.08361"),
        note="over-fitting then costs about 2 % of the loss",
    ),
)

CHOICE_LAWS = (*BY_COMPUTE, TOKENS_BY_PARAMS, *BATCH, *LEARNING_RATE)
