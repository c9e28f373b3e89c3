"""How many parameters a model has, by the counts that papers use.

========================  =======================================================================
``params``                every weight, as ``sum(p.numel() for p in model.parameters())`` in
                          PyTorch: embeddings, head if untied, biases and norms included
``params_nonembed``       ``params`` less token embedding, position embedding and untied head; the
                          blocks with their biases, norms and router, and the final norm
``params_active``         ``params`` with the experts that one token visits instead of all
``kaplan_params``         Kaplan's formula, which also leaves out biases and norms and knows
                          neither gates, grouped queries nor experts
========================  =======================================================================

``params_nonembed`` equals ``kaplan_params`` for a plain MLP with full attention and without biases
or learned norms; biases and norms add less than 1 % from d_model = 128 up. Some papers count
otherwise: Gadre et al. 2024 keep the untied head in their "no embedding" count.
"""

from __future__ import annotations

from scalewise.core.errors import UsageError
from scalewise.core.shape import ModelShape


def params(shape: ModelShape) -> int:
    """Total parameters, everything included, a tied head once.

    >>> gpt2 = ModelShape(n_layer=12, d_model=768, n_head=12, vocab_size=50257,
    ...     context_length=1024, norm="layernorm", positions="learned", attention_bias=True,
    ...     mlp_bias=True, tied_head=True)
    >>> params(gpt2)
    124439808
    """
    return sum(params_by_part(shape).values())


def params_nonembed(shape: ModelShape) -> int:
    """Parameters outside token embedding, position embedding and untied head; all experts.

    These are the blocks exactly as PyTorch holds them (biases, norms, router) and the final norm.
    Kaplan et al. 2020 (sec. 2.1) exclude the same groups, and in their formula also biases and
    norms: see `kaplan_params`.
    """
    return _without_embeddings(params_by_part(shape))


def nonembed_from_total(params: float, params_embed: float) -> float:
    """``params_nonembed`` of a total, where the count of embeddings and untied head is known.

    Raises UsageError for embeddings that are not fewer than the whole.

    >>> nonembed_from_total(1.5576e9, 8.3e7)
    1474600000.0
    """
    if not 0 <= params_embed < params:
        raise UsageError(
            f"params_embed={params_embed:g} cannot be part of params={params:g}.",
            hint="Give the weights of embeddings and untied head, such as 206M of 7B.",
        )
    return params - params_embed


def params_active(shape: ModelShape) -> int:
    """Parameters that one token uses: of ``n_expert`` MLPs only ``experts_per_token``.

    Embeddings, head and the whole router are included, so a dense model has
    ``params_active == params``.
    """
    return sum(_parts(shape, experts=shape.experts_per_token).values())


def params_nonembed_active(shape: ModelShape) -> int:
    """`params_nonembed` with the experts that one token visits instead of all."""
    return _without_embeddings(_parts(shape, experts=shape.experts_per_token))


def kaplan_params(shape: ModelShape) -> int:
    """Kaplan's N = 2 d_model n_layer (2 d_attn + d_ff), as published.

    No embeddings, de-embedding, biases or norms. The formula describes a plain MLP with full
    attention; for gated, grouped-query or expert models it is Kaplan's number, not their count.
    Kaplan et al. 2020, eq. 2.1.

    >>> kaplan_params(ModelShape(n_layer=48, d_model=1600, n_head=25, vocab_size=50257,
    ...     context_length=1024))
    1474560000
    """
    return 2 * shape.d_model * shape.n_layer * (2 * shape.d_attn + shape.d_ff)


def params_by_part(shape: ModelShape) -> dict[str, int]:
    """Parameters of each named part of the model; they sum to `params`.

    Parts: ``token_embedding``, ``position_embedding``, ``attention``, ``mlp``, ``router``,
    ``norms`` (two per block and a final one) and ``head`` (0 when tied).
    """
    return _parts(shape, experts=shape.n_expert)


def _parts(shape: ModelShape, *, experts: int) -> dict[str, int]:
    learned_positions = shape.positions == "learned"
    return {
        "token_embedding": shape.vocab_size * shape.d_model,
        "position_embedding": shape.context_length * shape.d_model * learned_positions,
        "attention": shape.n_layer * _attention(shape),
        "mlp": shape.n_layer * experts * _mlp(shape),
        "router": shape.n_layer * shape.d_model * shape.n_expert * (shape.n_expert > 1),
        "norms": (2 * shape.n_layer + 1) * _norm(shape),
        "head": 0 if shape.tied_head else shape.vocab_size * shape.d_model,
    }


def _attention(shape: ModelShape) -> int:
    """Query, key, value and output projections of one block."""
    d_kv = shape.n_kv_head * shape.d_head
    weights = 2 * shape.d_model * (shape.d_attn + d_kv)
    biases = shape.d_attn + 2 * d_kv + shape.d_model
    return weights + biases * shape.attention_bias


def _mlp(shape: ModelShape) -> int:
    """One MLP: up and down, and a gate as wide as up if gated."""
    widening = 2 if shape.gated_mlp else 1
    weights = (widening + 1) * shape.d_model * shape.d_ff
    biases = widening * shape.d_ff + shape.d_model
    return weights + biases * shape.mlp_bias


def _norm(shape: ModelShape) -> int:
    return {"none": 0, "rmsnorm": 1, "layernorm": 2}[shape.norm] * shape.d_model


def _without_embeddings(parts: dict[str, int]) -> int:
    outside = ("token_embedding", "position_embedding", "head")
    return sum(count for part, count in parts.items() if part not in outside)
