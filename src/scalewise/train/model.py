"""A decoder-only transformer over three flat buffers of weights.

The buffers are the parameter groups of the optimizer (`Group`): one fused update each, whatever
the number of layers, and one copy to save or restore. Dimension letters in names and comments:
B sequences, T positions, H heads, K key-value heads, C head size, D width, F MLP width, V tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from scalewise.core.errors import UsageError
from scalewise.core.shape import ModelShape
from scalewise.train.gradients import cross_entropy, rms_norm, rotate, squared_relu

Group = Literal["hidden", "embedding", "gain"]
GROUPS: tuple[Group, ...] = ("hidden", "embedding", "gain")
NORM_EPSILON = 1e-6
ROTARY_BASE = 10_000.0
EMBEDDING_STD = 0.1


@dataclass(frozen=True, slots=True)
class Slot:
    """One weight tensor: where it lives and how it starts (``std`` 0 and ``mean`` 0: zeros)."""

    name: str
    group: Group
    size: tuple[int, ...]
    std: float = 0.0
    mean: float = 0.0


def weight_slots(shape: ModelShape) -> tuple[Slot, ...]:
    """Every weight tensor of the model; their sizes sum to `core.counting.params`.

    Matrices that write into the residual stream, and the head, start at zero: the first loss is
    exactly ln(vocab_size) and early steps do not depend on width.
    """
    if shape.n_expert > 1:
        raise UsageError(
            f"n_expert={shape.n_expert}: the trainer builds dense models only.",
            hint="Use n_expert=1.",
        )
    D, F = shape.d_model, shape.d_ff
    d_attn, d_kv = shape.d_attn, shape.n_kv_head * shape.d_head
    slots = [Slot("token_embedding", "embedding", (shape.vocab_size, D), EMBEDDING_STD)]
    if shape.positions == "learned":
        slots.append(Slot("position_embedding", "embedding", (shape.context_length, D), 0.1))
    for layer in range(shape.n_layer):
        slots += [
            *_norm_slots(shape, f"{layer}.attention_norm"),
            *_linear(f"{layer}.qkv", d_attn + 2 * d_kv, D, shape.attention_bias, D**-0.5),
            *_linear(f"{layer}.attention_out", D, d_attn, shape.attention_bias),
            *_norm_slots(shape, f"{layer}.mlp_norm"),
            *_linear(f"{layer}.mlp_in", F * (1 + shape.gated_mlp), D, shape.mlp_bias, D**-0.5),
            *_linear(f"{layer}.mlp_out", D, F, shape.mlp_bias),
        ]
    slots += _norm_slots(shape, "final_norm")
    if not shape.tied_head:
        slots += _linear("head", shape.vocab_size, D, False)
    return tuple(slots)


def _linear(name: str, rows: int, columns: int, bias: bool, std: float = 0.0) -> list[Slot]:
    weight = Slot(f"{name}.weight", "hidden", (rows, columns), std)
    return [weight, Slot(f"{name}.bias", "gain", (rows,))] if bias else [weight]


def _norm_slots(shape: ModelShape, name: str) -> list[Slot]:
    gain = Slot(f"{name}.weight", "gain", (shape.d_model,), mean=1.0)
    bias = Slot(f"{name}.bias", "gain", (shape.d_model,))
    return {"none": [], "rmsnorm": [gain], "layernorm": [gain, bias]}[shape.norm]


def initial_weights(shape: ModelShape, seed: int) -> dict[Group, np.ndarray[Any, Any]]:
    """The first weights, one flat float32 array per group: a function of shape and seed alone.

    Drawn by NumPy, so that they are the same on every device.
    """
    parts: dict[Group, list[np.ndarray[Any, Any]]] = {group: [] for group in GROUPS}
    for index, slot in enumerate(weight_slots(shape)):
        values = np.full(prod(slot.size), slot.mean, np.float32)
        if slot.std:
            draw = np.random.default_rng([seed, index]).standard_normal(values.size, np.float32)
            values += np.float32(slot.std) * draw
        parts[slot.group].append(values)
    empty = np.zeros(0, np.float32)
    return {group: np.concatenate([empty, *parts[group]]) for group in GROUPS}


class Transformer:
    """The forward pass: tokens (B, T) -> logits (B*T, V), over flat weights per group."""

    def __init__(self, shape: ModelShape, device: torch.device) -> None:
        self.shape = shape
        self._slots = weight_slots(shape)
        self._layout = {
            group: [slot for slot in self._slots if slot.group == group] for group in GROUPS
        }
        self._rotation = _rotation(shape, device) if shape.positions == "rotary" else None

    def weights_by_name(self, flat: dict[Group, Tensor]) -> dict[str, Tensor]:
        """Views of the flat buffers, shaped and named; gradients flow back into the buffers."""
        views: dict[str, Tensor] = {}
        for group, slots in self._layout.items():
            if not slots:
                continue
            pieces = flat[group].split_with_sizes([prod(slot.size) for slot in slots])
            views |= {
                slot.name: piece.view(slot.size) for slot, piece in zip(slots, pieces, strict=True)
            }
        return views

    def logits(self, flat: dict[Group, Tensor], tokens: Tensor) -> Tensor:
        """Scores of the next token at every position; tokens (B, T) of at most context_length."""
        B, T = tokens.shape
        shape, w = self.shape, self.weights_by_name(flat)
        x = functional.embedding(tokens, w["token_embedding"])
        if shape.positions == "learned":
            x = x + w["position_embedding"][:T]
        x = x.view(B * T, shape.d_model)
        for layer in range(shape.n_layer):
            y = self._norm(x, w, f"{layer}.attention_norm")
            x = x + self._attend(y, w, f"{layer}", B, T)
            y = self._norm(x, w, f"{layer}.mlp_norm")
            x = x + self._mlp(y, w, f"{layer}")
        x = self._norm(x, w, "final_norm")
        return x @ (w["token_embedding"] if shape.tied_head else w["head.weight"]).t()

    def loss(self, flat: dict[Group, Tensor], tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats/token; tokens (B, T), targets (B*T,)."""
        return cross_entropy(self.logits(flat, tokens), targets)

    def _norm(self, x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
        width = (self.shape.d_model,)
        if self.shape.norm == "layernorm":
            gain, bias = w[f"{name}.weight"], w[f"{name}.bias"]
            return functional.layer_norm(x, width, gain, bias, NORM_EPSILON)
        if self.shape.norm == "none":
            return functional.rms_norm(x, width, None, NORM_EPSILON)
        return rms_norm(x, w[f"{name}.weight"], NORM_EPSILON)

    def _attend(self, x: Tensor, w: dict[str, Tensor], layer: str, B: int, T: int) -> Tensor:
        shape = self.shape
        H, K, C = shape.n_head, shape.n_kv_head, shape.d_head
        qkv = functional.linear(x, w[f"{layer}.qkv.weight"], w.get(f"{layer}.qkv.bias"))
        q_and_k, v = qkv.view(B, T, H + 2 * K, C).transpose(1, 2).split_with_sizes([H + K, K], 1)
        if self._rotation is not None:
            q_and_k = rotate(q_and_k, self._rotation[:T])
        q, k = q_and_k.split_with_sizes([H, K], 1)
        if K < H:
            k, v = (z.repeat_interleave(H // K, dim=1) for z in (k, v))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y.transpose(1, 2).reshape(B * T, H * C)
        name = f"{layer}.attention_out"
        return functional.linear(y, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def _mlp(self, x: Tensor, w: dict[str, Tensor], layer: str) -> Tensor:
        u = functional.linear(x, w[f"{layer}.mlp_in.weight"], w.get(f"{layer}.mlp_in.bias"))
        if self.shape.gated_mlp:
            gate, up = u.chunk(2, dim=1)
            u = functional.silu(gate) * up
        else:
            u = squared_relu(u)
        name = f"{layer}.mlp_out"
        return functional.linear(u, w[f"{name}.weight"], w.get(f"{name}.bias"))


def _rotation(shape: ModelShape, device: torch.device) -> Tensor:
    """Angles of each position as cos + i sin, (T, C/2)."""
    if shape.d_head % 2:
        raise UsageError(
            f"d_head={shape.d_head} is odd; rotary positions turn pairs of dimensions.",
            hint="Choose an even d_head, or positions='learned'.",
        )
    frequencies = ROTARY_BASE ** (-np.arange(0, shape.d_head, 2) / shape.d_head)
    angles = np.outer(np.arange(shape.context_length), frequencies)
    return torch.from_numpy(np.exp(1j * angles).astype(np.complex64)).to(device)
