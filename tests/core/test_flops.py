from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalewise.core import counting
from scalewise.core.errors import UsageError
from scalewise.core.flops import (
    FlopRule,
    flop_table,
    flops_per_token,
    forward_flops_by_term,
    forward_flops_per_token,
    kaplan_flops_per_token,
    training_flops,
)
from scalewise.core.shape import ModelShape
from tests.core.shapes import SHAPES, shape_of

XL = ModelShape(n_layer=48, d_model=1600, n_head=25, vocab_size=50257, context_length=1024)


def _multiplied(shape: ModelShape, sequences: int = 2) -> tuple[int, int]:
    """FLOPs of forward and of backward that PyTorch counts while it runs the model."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from tests.core.reference_transformer import built

    model = built(shape)
    tokens = torch.zeros((sequences, shape.context_length), dtype=torch.long, device="meta")
    with FlopCounterMode(display=False) as forward:
        logits = model(tokens)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_exact_flops_are_what_pytorch_multiplies(shape: ModelShape) -> None:
    forward, backward = _multiplied(shape)
    tokens = 2 * shape.context_length
    assert forward_flops_per_token(shape, "exact") * tokens == forward
    assert flops_per_token(shape, "exact") * tokens == forward + backward


def test_kaplans_published_counts_are_reproduced() -> None:
    forward = forward_flops_per_token(XL, "6nd+attention", params="kaplan_params")
    assert forward == 3_106_406_400
    assert flops_per_token(XL, "6nd+attention", params="kaplan_params") == 9_319_219_200
    assert flops_per_token(XL, "6nd", params="kaplan_params") == 8_847_360_000


# Kaplan et al. 2020, table 1, at (48, 1600): params, forward FLOPs per token.
TABLE_1 = {
    "embed": ((50257 + 1024) * 1600, 4 * 1600),
    "attention: qkv": (368_640_000, 737_280_000),
    "attention: mask": (0, 157_286_400),
    "attention: project": (122_880_000, 245_760_000),
    "feedforward": (983_040_000, 1_966_080_000),
    "de-embed": (0, 2 * 1600 * 50257),
}


def test_the_flops_by_part_are_those_of_kaplans_table() -> None:
    assert {row.part: (row.params, row.forward_flops) for row in flop_table(XL)} == TABLE_1


@pytest.mark.parametrize(
    ("attention", "head", "flops"),
    [
        (False, False, 8_847_360_000),
        (True, False, 9_319_219_200),
        (False, True, 8_847_360_000 + 6 * 1600 * 50257),
        (True, True, 9_319_219_200 + 6 * 1600 * 50257),
    ],
)
def test_kaplans_count_takes_attention_and_head_or_leaves_them(
    attention: bool, head: bool, flops: int
) -> None:
    assert kaplan_flops_per_token(XL, attention=attention, head=head) == flops


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_the_parts_of_the_table_add_up_to_the_rules(shape: ModelShape) -> None:
    rows = {row.part: row for row in flop_table(shape)}
    counted = ("attention: qkv", "attention: project", "feedforward")
    assert sum(rows[part].params for part in counted) == counting.kaplan_params(shape)
    for attention, rule in ((False, "6nd"), (True, "6nd+attention")):
        assert kaplan_flops_per_token(shape, attention=attention) == flops_per_token(
            shape, cast("FlopRule", rule), params="kaplan_params"
        )


def test_the_exact_rule_is_kaplans_count_with_full_attention_and_the_head() -> None:
    half_of_attention = 2 * 48 * 1024 * 1600
    head = 2 * 1600 * 50257
    kaplan = forward_flops_per_token(XL, "6nd+attention", params="kaplan_params")
    assert forward_flops_per_token(XL, "exact") == kaplan + half_of_attention + head


def test_the_attention_terms_are_those_of_palm() -> None:
    terms = forward_flops_by_term(XL)
    attention = 3 * (terms["attention_scores"] + terms["attention_values"])
    assert attention == 12 * XL.n_layer * XL.context_length * XL.d_attn


@pytest.mark.parametrize(
    "count",
    ["params", "params_active", "params_nonembed", "params_nonembed_active", "kaplan_params"],
)
def test_the_named_count_enters_6nd(count: Any) -> None:
    shape = SHAPES["experts"]
    assert flops_per_token(shape, "6nd", params=count) == 6 * getattr(counting, count)(shape)


def test_6nd_counts_only_visited_experts_unless_told_otherwise() -> None:
    dense, experts = SHAPES["plain"], SHAPES["experts"]
    assert flops_per_token(dense) == 6 * counting.params(dense)
    assert flops_per_token(experts) == 6 * counting.params_active(experts)


def test_a_tied_head_is_multiplied_all_the_same() -> None:
    tied, untied = shape_of(tied_head=True), shape_of()
    assert flops_per_token(tied, "exact") == flops_per_token(untied, "exact")


def test_an_unknown_rule_or_count_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'8nd'. Known rules: 6nd, 6nd\+attention, exact"):
        flops_per_token(XL, "8nd")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"'weights'\. Known counts: params, params_active"):
        flops_per_token(XL, "6nd", params="weights")  # type: ignore[arg-type]


def test_training_flops_pass_the_range_of_int64_unharmed() -> None:
    params, tokens = np.array([70_000_000_000]), np.array([1_400_000_000_000])
    assert params.dtype == tokens.dtype == np.int64
    flops = training_flops(params, tokens)
    assert flops.dtype == np.float64
    np.testing.assert_allclose(flops, [5.88e23], rtol=1e-15)
    assert params[0] == 70_000_000_000


@given(params=st.integers(1, 2**63 - 1), tokens=st.integers(1, 10**18))
@settings(max_examples=100)
def test_training_flops_agree_with_exact_integers(params: int, tokens: int) -> None:
    exact = 6 * params * tokens
    assert training_flops(params, tokens) == pytest.approx(exact, rel=1e-15)
    assert type(training_flops(params, tokens)) is float
    assert training_flops(np.array([params]), tokens)[0] == training_flops(params, tokens)


def test_training_flops_take_fractions_as_they_are() -> None:
    assert training_flops(1.5, 2.5) == 22.5


def test_training_flops_broadcast() -> None:
    flops = training_flops(np.array([[1e6], [1e7]]), np.array([1e8, 1e9, 1e10]))
    assert flops.shape == (2, 3)
    assert flops[1, 2] == pytest.approx(6e17)


# Hoffmann et al. 2022, tables 3 and A3: params, FLOPs, tokens, as rounded there.
@pytest.mark.parametrize(
    ("params", "flops", "tokens"),
    [
        (400e6, 1.92e19, 8.0e9),
        (1e9, 1.21e20, 20.2e9),
        (10e9, 1.23e22, 205.1e9),
        (67e9, 5.76e23, 1.5e12),
        (280e9, 9.90e24, 5.9e12),
        (10e12, 1.30e28, 216.2e12),
        (520e9, 1.36e26, 43.5e12),
    ],
)
def test_training_flops_match_hoffmann_2022(params: float, flops: float, tokens: float) -> None:
    assert training_flops(params, tokens) == pytest.approx(flops, rel=0.05)


# Gadre et al. 2024: the sum over the five runs of the loss fit is 2.4141e19.
def test_training_flops_match_the_fit_set_of_gadre_2024() -> None:
    sizes = np.array([10_569_312, 78_914_048, 153_677_376, 411_616_256, 10_569_312])
    multipliers = np.array([20, 20, 20, 20, 320])
    assert training_flops(sizes, multipliers * sizes).sum() == pytest.approx(2.4141e19, rel=2e-5)
