from __future__ import annotations

from typing import Any

import pytest

from scalewise.core.errors import UsageError
from tests.core.shapes import shape_of


def test_fields_left_open_take_their_usual_value() -> None:
    shape = shape_of(d_ff=0)
    assert (shape.n_kv_head, shape.d_head, shape.d_ff, shape.d_attn) == (4, 12, 192, 48)


def test_attention_may_be_wider_than_the_model() -> None:
    assert shape_of(d_head=20).d_attn == 80


@pytest.mark.parametrize(
    ("field", "value", "fact"),
    [
        ("n_layer", 0, "n_layer=0; it must be at least 1"),
        ("d_ff", -3, "d_ff=-3; it must be at least 1"),
        ("n_head", 5, "d_model=48 is not a multiple of n_head=5"),
        ("n_head", 0, "n_head=0; it must be at least 1"),
        ("n_kv_head", 3, "n_head=4 is not a multiple of n_kv_head=3"),
        ("experts_per_token", 2, "experts_per_token=2 exceeds n_expert=1"),
        ("norm", "batchnorm", "norm='batchnorm'. Known values: rmsnorm, layernorm, none"),
        ("positions", "alibi", "positions='alibi'. Known values: rotary, learned"),
    ],
)
def test_an_impossible_shape_is_refused(field: str, value: Any, fact: str) -> None:
    with pytest.raises(UsageError, match=fact):
        shape_of(**{field: value})
