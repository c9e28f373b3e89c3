"""Training FLOPs by the three rules in use; which one, and with which N, must always be said.

==================  ===========================================================================
``6nd``             6 N per token: 2 forward, 4 backward for each weight. N is the chosen
                    parameter count; the default includes the embedding although looking up a
                    row costs nothing, as Hoffmann et al. 2022 and most run tables do
``6nd+attention``   6 N + 6 n_layer context_length d_attn: Kaplan's context term. With
                    ``params="kaplan_params"`` it is Kaplan's whole count
``exact``           every matrix product as an unfused PyTorch model executes it; see
                    `forward_flops_by_term`. No parameter count enters
==================  ===========================================================================

Causal masking is not discounted in ``exact``: scores of masked positions are counted, as in PaLM's
12 n_layer context_length d_attn. Kaplan's term is half of that, which equals both attention
products averaged over a causal mask; it is kept because it is what was published.

Multiply and add count as two. Norms, biases, softmax, activations, rotations, the loss, the
optimizer and recomputation are left out everywhere. Backward is twice forward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scalewise.core import counting
from scalewise.core.errors import UsageError
from scalewise.core.shape import ModelShape

FlopRule = Literal["6nd", "6nd+attention", "exact"]
ParamCount = Literal[
    "params", "params_active", "params_nonembed", "params_nonembed_active", "kaplan_params"
]

FORWARD_AND_BACKWARD = 3  # backward multiplies by the weights once and by the inputs once

_COUNTS: Mapping[str, Callable[[ModelShape], int]] = {
    name: getattr(counting, name) for name in get_args(ParamCount)
}


def flops_per_token(
    shape: ModelShape, rule: FlopRule = "6nd", *, params: ParamCount = "params_active"
) -> float:
    """FLOPs to train on one token, forward and backward: 3 x `forward_flops_per_token`.

    ``params`` names the count that is N in the two 6ND rules. The default, ``params_active``, is
    the total for a dense model and leaves out idle experts.
    Raises UsageError for an unknown rule or count.

    >>> xl = ModelShape(n_layer=48, d_model=1600, n_head=25, vocab_size=50257, context_length=1024)
    >>> flops_per_token(xl, "6nd+attention", params="kaplan_params")
    9319219200.0
    """
    return FORWARD_AND_BACKWARD * forward_flops_per_token(shape, rule, params=params)


def forward_flops_per_token(
    shape: ModelShape, rule: FlopRule = "6nd", *, params: ParamCount = "params_active"
) -> float:
    """FLOPs of the forward pass for one token of a full context: a third of training.

    2 N, 2 N + 2 n_layer context_length d_attn, or the sum of `forward_flops_by_term`.
    Kaplan et al. 2020, table 1; Chowdhery et al. 2022 (PaLM), appendix B.
    """
    if params not in _COUNTS:
        raise UsageError(
            f"No parameter count named {params!r}.", hint=f"Known counts: {', '.join(_COUNTS)}."
        )
    match rule:
        case "6nd":
            return float(2 * _COUNTS[params](shape))
        case "6nd+attention":
            context = 2 * shape.n_layer * shape.context_length * shape.d_attn
            return float(2 * _COUNTS[params](shape) + context)
        case "exact":
            return float(sum(forward_flops_by_term(shape).values()))
        case _:
            raise UsageError(
                f"No FLOP rule named {rule!r}.",
                hint=f"Known rules: {', '.join(get_args(FlopRule))}.",
            )


def forward_flops_by_term(shape: ModelShape) -> dict[str, int]:
    """FLOPs of each matrix product in the forward pass, for one token of a full context.

    With T = context_length and d_kv = n_kv_head d_head, summed over the n_layer blocks:

    - ``attention_projections``: 2 d_model (2 d_attn + 2 d_kv), queries, keys, values and output
    - ``attention_scores``: 2 T d_attn, queries times keys; no discount for the causal mask
    - ``attention_values``: 2 T d_attn, weights times values
    - ``mlp``: 2 x 2 d_model d_ff (2 x 3 if gated) for each expert that the token visits
    - ``router``: 2 d_model n_expert, mixture of experts only

    and once ``head``: 2 d_model vocab_size, whether tied or not. Embedding look-ups are free.
    """
    d_kv = shape.n_kv_head * shape.d_head
    per_block = {
        "attention_projections": 2 * shape.d_model * (2 * shape.d_attn + 2 * d_kv),
        "attention_scores": 2 * shape.context_length * shape.d_attn,
        "attention_values": 2 * shape.context_length * shape.d_attn,
        "mlp": 2 * (2 + shape.gated_mlp) * shape.d_model * shape.d_ff * shape.experts_per_token,
        "router": 2 * shape.d_model * shape.n_expert * (shape.n_expert > 1),
    }
    terms = {term: shape.n_layer * flops for term, flops in per_block.items()}
    return terms | {"head": 2 * shape.d_model * shape.vocab_size}


@dataclass(frozen=True, slots=True)
class FlopRow:
    """One part of a model: its parameters, and the FLOPs of its forward pass for one token."""

    part: str
    params: int
    forward_flops: int


def flop_table(shape: ModelShape) -> tuple[FlopRow, ...]:
    """Table 1 of Kaplan et al. 2020, as published: params and forward FLOPs per token by part.

    The parts that the paper counts as N are ``attention: qkv``, ``attention: project`` and
    ``feedforward``. ``attention: mask`` costs FLOPs without parameters; the embedding counts
    learned positions whether the shape has them or not. See `kaplan_flops_per_token` for totals.

    >>> xl = ModelShape(n_layer=48, d_model=1600, n_head=25, vocab_size=50257, context_length=1024)
    >>> [row.forward_flops for row in flop_table(xl) if row.part == "attention: mask"]
    [157286400]
    """
    d, layers, d_attn = shape.d_model, shape.n_layer, shape.d_attn
    weights = {
        "attention: qkv": 3 * layers * d * d_attn,
        "attention: project": layers * d_attn * d,
        "feedforward": 2 * layers * d * shape.d_ff,
    }
    qkv, project, feedforward = (FlopRow(part, n, 2 * n) for part, n in weights.items())
    return (
        FlopRow("embed", (shape.vocab_size + shape.context_length) * d, 4 * d),
        qkv,
        FlopRow("attention: mask", 0, 2 * layers * shape.context_length * d_attn),
        project,
        feedforward,
        FlopRow("de-embed", 0, 2 * d * shape.vocab_size),
    )


def kaplan_flops_per_token(
    shape: ModelShape, *, attention: bool = False, head: bool = False
) -> int:
    """FLOPs to train on one token by Kaplan's count: 6 N, to which the paper adds nothing.

    ``attention`` adds 6 n_layer context_length d_attn and ``head`` 6 d_model vocab_size. Leaving
    the head out is a main cause of Kaplan's exponent of N_opt (Porian et al. 2024).

    >>> xl = ModelShape(n_layer=48, d_model=1600, n_head=25, vocab_size=50257, context_length=1024)
    >>> kaplan_flops_per_token(xl), kaplan_flops_per_token(xl, attention=True)
    (8847360000, 9319219200)
    """
    rows = {row.part: row.forward_flops for row in flop_table(shape)}
    left_out = {"embed"}
    left_out |= set() if attention else {"attention: mask"}
    left_out |= set() if head else {"de-embed"}
    forward = sum(flops for part, flops in rows.items() if part not in left_out)
    return FORWARD_AND_BACKWARD * forward


@overload
def training_flops(params: float, tokens: float) -> float: ...
@overload
def training_flops(params: NDArray[Any], tokens: float | NDArray[Any]) -> NDArray[np.float64]: ...
@overload
def training_flops(params: float, tokens: NDArray[Any]) -> NDArray[np.float64]: ...
def training_flops(params: ArrayLike, tokens: ArrayLike) -> float | NDArray[np.float64]:
    """Training FLOPs by the ``6nd`` rule, C = 6 N D; shapes broadcast.

    Both counts become float64 before they are multiplied: 6 N D of a 10B model passes 2**63 at
    154M tokens, where int64 wraps to nonsense without a word. Beyond float64 it is infinite.
    Kaplan et al. 2020, sec. 2.1.

    >>> training_flops(70_000_000_000, 1_400_000_000_000)
    5.88e+23
    """
    with np.errstate(over="ignore"):
        flops = 6.0 * np.asarray(params, dtype=np.float64) * np.asarray(tokens, dtype=np.float64)
    return float(flops) if np.ndim(flops) == 0 else np.asarray(flops)
