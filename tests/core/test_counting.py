from __future__ import annotations

import pytest
from hypothesis import given, settings

from scalewise.core.counting import (
    kaplan_params,
    params,
    params_active,
    params_by_part,
    params_nonembed,
    params_nonembed_active,
)
from scalewise.core.shape import ModelShape
from tests.core.shapes import SHAPES, shape_of, shapes

pytest.importorskip("torch")
from tests.core.reference_transformer import built, numel

every_choice = pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))


@every_choice
def test_params_are_what_pytorch_counts(shape: ModelShape) -> None:
    assert params(shape) == numel(built(shape))


@settings(max_examples=60, deadline=None)
@given(shape=shapes())
def test_params_are_what_pytorch_counts_for_any_shape(shape: ModelShape) -> None:
    assert params(shape) == numel(built(shape))


@every_choice
def test_each_part_is_what_pytorch_counts(shape: ModelShape) -> None:
    model, parts = built(shape), params_by_part(shape)
    positions = model.position_embedding
    assert parts == {
        "token_embedding": numel(model.token_embedding),
        "position_embedding": 0 if positions is None else numel(positions),
        "attention": sum(numel(block.attention) for block in model.each_block),
        "mlp": sum(numel(block.experts) for block in model.each_block),
        "router": sum(numel(b.router) for b in model.each_block if b.router is not None),
        "norms": sum(numel(block.norms) for block in model.each_block) + numel(model.norm),
        "head": 0 if shape.tied_head else numel(model.head),
    }


@every_choice
def test_nonembed_params_are_the_blocks_and_the_final_norm(shape: ModelShape) -> None:
    model = built(shape)
    assert params_nonembed(shape) == numel(model.blocks) + numel(model.norm)


@every_choice
def test_active_params_are_all_params_less_the_idle_experts(shape: ModelShape) -> None:
    one_expert = numel(built(shape).each_block[0].experts[0])
    idle = shape.n_layer * (shape.n_expert - shape.experts_per_token) * one_expert
    assert params_active(shape) == params(shape) - idle
    assert params_nonembed_active(shape) == params_nonembed(shape) - idle


def test_every_count_is_a_python_int() -> None:
    shape = shape_of(positions="learned", attention_bias=True, mlp_bias=True, n_expert=2)
    assert {type(count) for count in params_by_part(shape).values()} == {int}
    assert type(params(shape)) is int


@pytest.mark.parametrize(
    ("n_layer", "d_model", "n_head", "published"),
    [(48, 1600, 25, 1_474_560_000), (36, 1280, 20, 707_788_800), (2, 128, 2, 393_216)],
)
def test_kaplan_params_match_kaplan_2020(
    n_layer: int, d_model: int, n_head: int, published: int
) -> None:
    shape = ModelShape(
        n_layer=n_layer,
        d_model=d_model,
        n_head=n_head,
        vocab_size=50257,
        context_length=1024,
        norm="none",
        positions="learned",
        tied_head=True,
    )
    assert kaplan_params(shape) == published
    # Without biases and learned norms the two non-embedding counts are one.
    assert params_nonembed(shape) == published


def test_biases_and_norms_add_little_to_kaplans_count() -> None:
    shape = shape_of(
        n_layer=12, d_model=768, n_head=12, d_ff=0, norm="layernorm",
        attention_bias=True, mlp_bias=True,
    )  # fmt: skip
    assert params_nonembed(shape) == kaplan_params(shape) + 12 * 768 * (4 + 5 + 4) + 2 * 768


@pytest.mark.parametrize(
    ("d_model", "n_layer", "n_head", "d_ff", "published"),
    [
        (96, 8, 4, 256, 10_569_312),
        (512, 8, 4, 1536, 78_914_048),
        (576, 24, 8, 1536, 153_677_376),
        (1024, 24, 8, 2816, 411_616_256),
        (2048, 24, 16, 5632, 1_439_795_200),
        (4096, 32, 32, 11008, 6_889_410_560),
    ],
)
def test_params_match_the_models_of_gadre_2024(
    d_model: int, n_layer: int, n_head: int, d_ff: int, published: int
) -> None:
    shape = ModelShape(
        n_layer=n_layer,
        d_model=d_model,
        n_head=n_head,
        d_ff=d_ff,
        gated_mlp=True,
        vocab_size=50432,
        context_length=2048,
    )
    assert params(shape) == published


GPT2 = {
    "vocab_size": 50257,
    "context_length": 1024,
    "norm": "layernorm",
    "positions": "learned",
    "attention_bias": True,
    "mlp_bias": True,
    "tied_head": True,
}
LLAMA2 = {"vocab_size": 32000, "context_length": 4096, "gated_mlp": True}
PUBLISHED = {
    "GPT-2 small": (dict(n_layer=12, d_model=768, n_head=12, **GPT2), 124_439_808),
    "GPT-2 XL": (dict(n_layer=48, d_model=1600, n_head=25, **GPT2), 1_557_611_200),
    "Llama 2 7B": (dict(n_layer=32, d_model=4096, n_head=32, d_ff=11008, **LLAMA2), 6_738_415_616),
    "Llama 2 70B": (
        dict(n_layer=80, d_model=8192, n_head=64, n_kv_head=8, d_ff=28672, **LLAMA2),
        68_976_648_192,
    ),
    "Mixtral 8x7B": (
        dict(
            n_layer=32, d_model=4096, n_head=32, n_kv_head=8, d_ff=14336, n_expert=8,
            experts_per_token=2, **LLAMA2,
        ),
        46_702_792_704,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "published"), PUBLISHED.values(), ids=list(PUBLISHED))
def test_params_match_well_known_checkpoints(facts: dict[str, object], published: int) -> None:
    assert params(ModelShape(**facts)) == published  # type: ignore[arg-type]


def test_a_mixture_of_experts_has_the_active_params_its_makers_state() -> None:
    mixtral = ModelShape(**PUBLISHED["Mixtral 8x7B"][0])  # type: ignore[arg-type]
    assert params_active(mixtral) == pytest.approx(12.9e9, rel=2e-3)
