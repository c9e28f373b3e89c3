"""Model shapes to test with: one for each choice, and any at all."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from scalewise.core.shape import ModelShape


def shape_of(**overrides: Any) -> ModelShape:
    """A small shape in which no two widths agree, so that a swap shows."""
    small: dict[str, Any] = {
        "n_layer": 3,
        "d_model": 48,
        "n_head": 4,
        "vocab_size": 101,
        "context_length": 29,
        "d_ff": 70,
    }
    return ModelShape(**(small | overrides))


CHOICES: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied head": {"tied_head": True},
    "gated MLP": {"gated_mlp": True},
    "gated MLP with biases": {"gated_mlp": True, "mlp_bias": True},
    "plain MLP with biases": {"mlp_bias": True},
    "attention biases": {"attention_bias": True},
    "grouped queries": {"n_kv_head": 2},
    "multi-query with biases": {"n_kv_head": 1, "attention_bias": True},
    "narrow heads": {"d_head": 5},
    "wide heads, grouped, biases": {"d_head": 33, "n_kv_head": 2, "attention_bias": True},
    "layernorm": {"norm": "layernorm"},
    "norms without weights": {"norm": "none"},
    "learned positions": {"positions": "learned"},
    "experts": {"n_expert": 5, "experts_per_token": 2},
    "gated experts with biases": {
        "n_expert": 4,
        "experts_per_token": 3,
        "gated_mlp": True,
        "mlp_bias": True,
    },
    "GPT-2 style": {
        "norm": "layernorm",
        "positions": "learned",
        "attention_bias": True,
        "mlp_bias": True,
        "tied_head": True,
    },
}
SHAPES: dict[str, ModelShape] = {name: shape_of(**choice) for name, choice in CHOICES.items()}


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    """Any valid small shape."""
    n_kv_head = draw(st.integers(1, 3))
    n_head = n_kv_head * draw(st.integers(1, 3))
    n_expert = draw(st.integers(1, 4))
    return ModelShape(
        n_layer=draw(st.integers(1, 3)),
        d_model=n_head * draw(st.integers(1, 9)),
        n_head=n_head,
        n_kv_head=n_kv_head,
        d_head=draw(st.integers(0, 9)),
        d_ff=draw(st.integers(0, 40)),
        vocab_size=draw(st.integers(1, 60)),
        context_length=draw(st.integers(1, 20)),
        gated_mlp=draw(st.booleans()),
        attention_bias=draw(st.booleans()),
        mlp_bias=draw(st.booleans()),
        norm=draw(st.sampled_from(["rmsnorm", "layernorm", "none"])),
        positions=draw(st.sampled_from(["rotary", "learned"])),
        tied_head=draw(st.booleans()),
        n_expert=n_expert,
        experts_per_token=draw(st.integers(1, n_expert)),
    )
