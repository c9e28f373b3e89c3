"""The shape of a decoder-only transformer: what its parameters and FLOPs are counted from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from scalewise.core.errors import UsageError

Norm = Literal["rmsnorm", "layernorm", "none"]
Positions = Literal["rotary", "learned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Everything that decides how many parameters and FLOPs a decoder-only transformer has.

    ``norm="none"`` means norms without learned weights. ``layernorm`` has a weight and a bias,
    ``rmsnorm`` a weight. ``attention_bias`` puts a bias on all four projections, ``mlp_bias`` on
    every matrix of the MLP; router and head never have one. ``tied_head`` lets the head share the
    token embedding. With ``n_expert > 1`` each block has that many MLPs and a router.

    Fields left at 0 take their usual value: ``n_kv_head = n_head``, ``d_head = d_model / n_head``,
    ``d_ff = 4 d_model``. Raises UsageError for a shape that no model can have.

    >>> ModelShape(n_layer=2, d_model=64, n_head=4, vocab_size=256, context_length=32).d_head
    16
    """

    n_layer: int
    d_model: int
    n_head: int
    vocab_size: int
    context_length: int
    n_kv_head: int = 0
    d_head: int = 0
    d_ff: int = 0
    gated_mlp: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    norm: Norm = "rmsnorm"
    positions: Positions = "rotary"
    tied_head: bool = False
    n_expert: int = 1
    experts_per_token: int = 1

    def __post_init__(self) -> None:
        for name, known in (("norm", get_args(Norm)), ("positions", get_args(Positions))):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"A model shape has {name}={getattr(self, name)!r}.",
                    hint=f"Known values: {', '.join(known)}.",
                )
        if self.d_head == 0 and self.n_head > 0 and self.d_model % self.n_head:
            raise UsageError(
                f"d_model={self.d_model} is not a multiple of n_head={self.n_head}.",
                hint="Change one of them, or give d_head.",
            )
        fill = {"n_kv_head": self.n_head, "d_ff": 4 * self.d_model}
        if self.n_head > 0:
            fill["d_head"] = self.d_model // self.n_head
        for name, value in fill.items():
            if getattr(self, name) == 0:
                object.__setattr__(self, name, value)
        for name in (
            "n_layer", "d_model", "n_head", "vocab_size", "context_length", "n_kv_head",
            "d_head", "d_ff", "n_expert", "experts_per_token",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise UsageError(
                    f"A model shape has {name}={getattr(self, name)}; it must be at least 1.",
                    hint=f"Give a positive {name}.",
                )
        if self.n_head % self.n_kv_head:
            raise UsageError(
                f"n_head={self.n_head} is not a multiple of n_kv_head={self.n_kv_head}.",
                hint="Each key-value head serves the same number of query heads.",
            )
        if self.experts_per_token > self.n_expert:
            raise UsageError(
                f"experts_per_token={self.experts_per_token} exceeds n_expert={self.n_expert}.",
                hint="A token cannot visit more experts than there are.",
            )

    @property
    def d_attn(self) -> int:
        """Width of all query heads together, Kaplan's d_attn."""
        return self.n_head * self.d_head
