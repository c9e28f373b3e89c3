"""The model against its counts, its first loss, and plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from scalewise.core import counting
from scalewise.core.errors import UsageError
from scalewise.core.shape import ModelShape
from scalewise.train.gradients import cross_entropy, rms_norm, rotate, squared_relu
from scalewise.train.model import GROUPS, Group, Transformer, initial_weights, weight_slots
from scalewise.train.shape import heads_for, shape_from_width

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gated": {"gated_mlp": True, "d_ff": 40},
    "tied": {"tied_head": True},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "gated with biases": {"gated_mlp": True, "mlp_bias": True},
    "grouped queries": {"n_head": 4, "n_kv_head": 2, "d_head": 8},
    "one key": {"n_head": 4, "n_kv_head": 1},
    "layernorm": {"norm": "layernorm"},
    "no norm weights": {"norm": "none"},
    "learned positions": {"positions": "learned"},
    "deep": {"n_layer": 5},
    "wide heads": {"n_head": 2, "d_head": 24},
}


def shape_of(variant: str) -> ModelShape:
    return shape_from_width(32, context_length=16, **VARIANTS[variant])


def weights(shape: ModelShape, seed: int = 0, noise: float = 0.0) -> dict[Group, torch.Tensor]:
    torch.manual_seed(seed)
    flat = {g: torch.from_numpy(w) for g, w in initial_weights(shape, seed).items()}
    return {g: (w + noise * torch.randn_like(w)).requires_grad_() for g, w in flat.items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_model_has_as_many_weights_as_are_counted(variant: str) -> None:
    shape = shape_of(variant)
    by_slot = sum(math.prod(slot.size) for slot in weight_slots(shape))
    in_buffers = sum(array.size for array in initial_weights(shape, 0).values())
    assert by_slot == in_buffers == counting.params(shape)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_first_loss_is_that_of_knowing_nothing(variant: str) -> None:
    shape = shape_of(variant)
    model = Transformer(shape, torch.device("cpu"))
    draw = torch.Generator().manual_seed(1)
    tokens, targets = (torch.randint(0, 256, (4, 16), generator=draw) for _ in range(2))
    loss = model.loss(weights(shape), tokens, targets.flatten())
    # A tied head cannot start at zero; it starts small.
    assert loss.item() == pytest.approx(math.log(256), rel=0.1 if shape.tied_head else 1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_position_sees_the_future_and_every_weight_matters(variant: str) -> None:
    shape = shape_of(variant)
    model = Transformer(shape, torch.device("cpu"))
    flat = weights(shape, noise=0.1)
    tokens = torch.randint(0, 256, (1, 16), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[0, 10] = (changed[0, 10] + 1) % 256
    before, after = model.logits(flat, tokens), model.logits(flat, changed)
    assert torch.equal(before[:10], after[:10])
    assert not torch.allclose(before[10:], after[10:])
    model.loss(flat, tokens, tokens.flatten()).backward()  # type: ignore[no-untyped-call]
    gradients = {g: leaf.grad for g, leaf in flat.items() if leaf.numel()}
    named = model.weights_by_name({g: grad for g, grad in gradients.items() if grad is not None})
    assert all(bool(grad.abs().max() > 0) for grad in named.values())


def test_the_plain_model_agrees_with_one_written_with_torch_modules() -> None:
    shape = shape_of("plain")
    D, H, T = shape.d_model, shape.n_head, shape.context_length
    model, flat = Transformer(shape, torch.device("cpu")), weights(shape, noise=0.1)
    w = model.weights_by_name(flat)
    tokens = torch.randint(0, 256, (3, T), generator=torch.Generator().manual_seed(1))

    angles = torch.outer(torch.arange(T), 10_000.0 ** (-torch.arange(0, D // H, 2) / (D // H)))

    def turned(z: torch.Tensor) -> torch.Tensor:
        even, odd = z[..., ::2], z[..., 1::2]
        rotated = (
            even * angles.cos() - odd * angles.sin(),
            even * angles.sin() + odd * angles.cos(),
        )
        return torch.stack(rotated, dim=-1).flatten(-2)

    x = w["token_embedding"][tokens]
    for layer in range(shape.n_layer):
        y = functional.rms_norm(x, (D,), w[f"{layer}.attention_norm.weight"], 1e-6)
        parts = (y @ w[f"{layer}.qkv.weight"].T).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (H, D // H)).transpose(1, 2) for part in parts)  # type: ignore[no-untyped-call]
        scores = turned(q) @ turned(k).transpose(-1, -2) / (D // H) ** 0.5
        scores = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -math.inf)
        y = (scores.softmax(-1) @ v).transpose(1, 2).flatten(-2)
        x = x + y @ w[f"{layer}.attention_out.weight"].T
        y = functional.rms_norm(x, (D,), w[f"{layer}.mlp_norm.weight"], 1e-6)
        y = (y @ w[f"{layer}.mlp_in.weight"].T).relu().square()
        x = x + y @ w[f"{layer}.mlp_out.weight"].T
    x = functional.rms_norm(x, (D,), w["final_norm.weight"], 1e-6)
    logits = (x @ w["head.weight"].T).flatten(0, 1)

    torch.testing.assert_close(model.logits(flat, tokens), logits, rtol=1e-4, atol=1e-4)
    plain = functional.cross_entropy(logits, tokens.flatten())
    expected = torch.autograd.grad(plain, list(flat.values()), retain_graph=True)
    found = torch.autograd.grad(
        model.loss(flat, tokens, tokens.flatten()), list(flat.values()), retain_graph=True
    )
    for group, ours, theirs in zip(GROUPS, found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5, msg=f"gradient of {group}")


TARGETS = torch.arange(12) % 6
TURNS = torch.exp(1j * torch.arange(12.0).reshape(4, 3)).to(torch.complex64)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (squared_relu, lambda x: x.relu().square()),
        (
            lambda x: rms_norm(x, x[0].detach() + 1, 1e-6),
            lambda x: functional.rms_norm(x, (6,), x[0].detach() + 1, 1e-6),
        ),
        (lambda x: rms_norm(x.detach(), x[0], 1e-6), lambda x: x.detach() * 0 + _gain_only(x)),
        (lambda x: cross_entropy(x, TARGETS), lambda x: functional.cross_entropy(x, TARGETS)),
        (lambda x: rotate(x.view(3, 4, 6), TURNS), lambda x: _rotated(x.view(3, 4, 6))),
    ],
    ids=["squared_relu", "rms_norm", "rms_norm gain", "cross_entropy", "rotate"],
)
def test_written_out_gradients_agree_with_autograd(
    ours: Callable[[torch.Tensor], torch.Tensor], theirs: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(3)).requires_grad_()
    a, b = ours(x), theirs(x)
    torch.testing.assert_close(a, b)
    incoming = torch.randn(a.shape, generator=torch.Generator().manual_seed(4))
    (grad_a,), (grad_b,) = torch.autograd.grad(a, x, incoming), torch.autograd.grad(b, x, incoming)
    torch.testing.assert_close(grad_a, grad_b)


def _gain_only(x: torch.Tensor) -> torch.Tensor:
    return functional.rms_norm(x.detach(), (6,), x[0], 1e-6)


def _rotated(x: torch.Tensor) -> torch.Tensor:
    even, odd = x[..., ::2], x[..., 1::2]
    turned = (even * TURNS.real - odd * TURNS.imag, even * TURNS.imag + odd * TURNS.real)
    return torch.stack(turned, dim=-1).flatten(-2)


def test_first_weights_depend_on_the_seed_alone() -> None:
    shape = shape_of("plain")
    one, same, other = (initial_weights(shape, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(one[group], same[group]) for group in GROUPS)
    assert not np.array_equal(one["hidden"], other["hidden"])


def test_experts_are_refused() -> None:
    with pytest.raises(UsageError, match="n_expert=4: the trainer builds dense models only"):
        weight_slots(shape_from_width(16, n_expert=4))


def test_an_odd_head_cannot_be_rotated() -> None:
    shape = shape_from_width(16, n_head=1, d_head=15)
    with pytest.raises(UsageError, match="d_head=15 is odd"):
        Transformer(shape, torch.device("cpu"))


def test_the_dial_sets_depth_and_heads_and_may_be_overridden() -> None:
    assert [shape_from_width(w).n_layer for w in (16, 64, 128, 192, 768)] == [2, 2, 2, 3, 12]
    assert shape_from_width(64, n_layer=7, tied_head=True).n_layer == 7
    assert shape_from_width(64, n_head=1).d_head == 64


@pytest.mark.parametrize("width", [*range(2, 200, 2), 256, 384, 512, 768, 1024])
def test_every_even_width_splits_into_heads_of_even_size(width: int) -> None:
    assert width % (2 * heads_for(width)) == 0


@pytest.mark.parametrize("width", [0, -16, 33])
def test_a_width_that_cannot_be_split_is_refused(width: int) -> None:
    with pytest.raises(UsageError, match=f"A width of {width} cannot be split"):
        shape_from_width(width)
