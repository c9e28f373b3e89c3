"""A decoder-only transformer from stock PyTorch layers, to count what the formulas claim to count.

Written for counting alone: weights live on the meta device, so that any size is free.
"""

from __future__ import annotations

import torch
from torch import nn

from scalewise.core.shape import ModelShape


def _norm(shape: ModelShape) -> nn.Module:
    match shape.norm:
        case "layernorm":
            return nn.LayerNorm(shape.d_model)
        case "rmsnorm":
            return nn.RMSNorm(shape.d_model)
        case _:
            return nn.LayerNorm(shape.d_model, elementwise_affine=False)


class _Attention(nn.Module):
    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        bias = shape.attention_bias
        self.query = nn.Linear(shape.d_model, shape.n_head * shape.d_head, bias=bias)
        self.key = nn.Linear(shape.d_model, shape.n_kv_head * shape.d_head, bias=bias)
        self.value = nn.Linear(shape.d_model, shape.n_kv_head * shape.d_head, bias=bias)
        self.out = nn.Linear(shape.n_head * shape.d_head, shape.d_model, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def heads(y: torch.Tensor, n: int) -> torch.Tensor:
            y = y.view(*y.shape[:2], n, self.shape.d_head).transpose(1, 2)
            return y.repeat_interleave(self.shape.n_head // n, dim=1)

        q = heads(self.query(x), self.shape.n_head)
        k = heads(self.key(x), self.shape.n_kv_head)
        v = heads(self.value(x), self.shape.n_kv_head)
        weights = (q @ k.transpose(-1, -2)).softmax(-1)
        out: torch.Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))
        return out


class _MLP(nn.Module):
    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        bias = shape.mlp_bias
        self.up = nn.Linear(shape.d_model, shape.d_ff, bias=bias)
        self.gate = nn.Linear(shape.d_model, shape.d_ff, bias=bias) if shape.gated_mlp else None
        self.down = nn.Linear(shape.d_ff, shape.d_model, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up = self.up(x)
        hidden = up.relu() if self.gate is None else up * self.gate(x).sigmoid()
        out: torch.Tensor = self.down(hidden)
        return out


class Block(nn.Module):
    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.norms = nn.ModuleList([_norm(shape), _norm(shape)])
        self.attention = _Attention(shape)
        self.experts = nn.ModuleList([_MLP(shape) for _ in range(shape.n_expert)])
        moe = shape.n_expert > 1
        self.router = nn.Linear(shape.d_model, shape.n_expert, bias=False) if moe else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norms[0](x))
        y = self.norms[1](x)
        # Which experts are visited changes no count; the first ones stand for the chosen ones.
        visited = [self.experts[i](y) for i in range(self.shape.experts_per_token)]
        if self.router is not None:
            share = self.router(y).softmax(-1)
            visited = [out * share[..., i : i + 1] for i, out in enumerate(visited)]
        return x + torch.stack(visited).sum(0)


class ReferenceTransformer(nn.Module):
    """Pre-norm decoder with the layers that a `ModelShape` names."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(shape.vocab_size, shape.d_model)
        learned = shape.positions == "learned"
        self.position_embedding = (
            nn.Embedding(shape.context_length, shape.d_model) if learned else None
        )
        # A plain list beside the registered one keeps the type of its items.
        self.each_block = [Block(shape) for _ in range(shape.n_layer)]
        self.blocks = nn.ModuleList(self.each_block)
        self.norm = _norm(shape)
        self.head = nn.Linear(shape.d_model, shape.vocab_size, bias=False)
        if shape.tied_head:
            self.head.weight = self.token_embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.token_embedding(tokens)
        if self.position_embedding is not None:
            x = x + self.position_embedding(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.head(self.norm(x))
        return logits


def built(shape: ModelShape) -> ReferenceTransformer:
    with torch.device("meta"):
        return ReferenceTransformer(shape)


def numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
