from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.units import (
    bits_per_byte_from_loss,
    loss_from_bits_per_byte,
    loss_from_bits_per_token,
    loss_from_perplexity,
    perplexity_from_loss,
)

losses = st.floats(0, 500)


@given(loss=losses, bytes_per_token=st.floats(0.5, 20))
def test_every_conversion_has_its_inverse(loss: float, bytes_per_token: float) -> None:
    near = pytest.approx(loss, rel=1e-12, abs=1e-12)
    assert loss_from_perplexity(perplexity_from_loss(loss)) == near
    bits_per_byte = bits_per_byte_from_loss(loss, bytes_per_token)
    assert loss_from_bits_per_byte(bits_per_byte, bytes_per_token) == near


def test_known_values() -> None:
    assert perplexity_from_loss(1.0) == pytest.approx(exp(1))
    assert loss_from_perplexity(1.0) == 0.0
    assert loss_from_bits_per_token(1.0) == pytest.approx(log(2))
    # A uniform choice among 256 bytes is 8 bits per byte.
    assert bits_per_byte_from_loss(log(256), bytes_per_token=1.0) == pytest.approx(8.0)
    assert bits_per_byte_from_loss(log(256), bytes_per_token=4.0) == pytest.approx(2.0)


def test_arrays_come_back_as_new_float64_arrays_of_the_same_shape() -> None:
    given_array = np.array([[1.0, 2.0], [4.0, 8.0]])
    answer = loss_from_perplexity(given_array)
    np.testing.assert_allclose(answer, np.log(given_array))
    assert answer.dtype == np.float64
    assert given_array[0, 1] == 2.0
    assert type(loss_from_perplexity(2.0)) is float


@pytest.mark.parametrize(
    ("convert", "value", "fact"),
    [
        (
            loss_from_perplexity,
            0.0,
            r"perplexity=0 is impossible: perplexity \(per token\) must be finite and at least 1",
        ),
        (loss_from_perplexity, -3.0, "perplexity=-3"),
        (loss_from_perplexity, 0.99, "perplexity=0.99"),
        (loss_from_perplexity, nan, "perplexity=nan is impossible"),
        (loss_from_perplexity, inf, "perplexity=inf is impossible"),
        (
            perplexity_from_loss,
            -0.1,
            r"loss=-0.1 is impossible: loss \(nats/token\) must be finite and at least 0",
        ),
        (perplexity_from_loss, 1000.0, "loss=1000 nats/token is too large to convert"),
        (loss_from_bits_per_token, nan, "bits_per_token=nan is impossible"),
    ],
)
def test_a_value_that_the_unit_cannot_have_is_refused(
    convert: Callable[[float], float], value: float, fact: str
) -> None:
    with pytest.raises(RunDataError, match=fact):
        convert(value)


def test_an_array_is_refused_with_the_first_bad_value_and_their_number() -> None:
    with pytest.raises(RunDataError, match=r"perplexity=0.5 \(2 such values\)"):
        loss_from_perplexity(np.array([3.0, 0.5, nan, 2.0]))


@pytest.mark.parametrize("bytes_per_token", [0.0, -1.0, nan, inf])
def test_bytes_per_token_must_be_positive(bytes_per_token: float) -> None:
    with pytest.raises(UsageError, match=r"bytes_per_token=.* is not a positive, finite number"):
        bits_per_byte_from_loss(2.0, bytes_per_token)
    with pytest.raises(UsageError, match="bytes_per_token="):
        loss_from_bits_per_byte(1.0, bytes_per_token)
