from __future__ import annotations

import re
from contextlib import suppress
from math import inf, isfinite, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalewise.core.errors import UsageError
from scalewise.core.quantities import (
    check_level,
    format_count,
    format_flops,
    parse_count,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7B", 7e9),
        ("7b", 7e9),
        ("7G", 7e9),
        ("2T", 2e12),
        ("3P", 3e15),
        ("4M", 4e6),
        ("4m", 4e6),
        ("100k", 1e5),
        ("100K", 1e5),
        ("1e24", 1e24),
        ("1E24", 1e24),
        ("5.76e+23", 5.76e23),
        ("1.5e9", 1.5e9),
        ("1.44B", 1_440_000_000.0),
        ("1.1B", 1_100_000_000.0),
        ("0.3T", 300_000_000_000.0),
        (".5B", 5e8),
        ("7.", 7.0),
        ("512", 512.0),
        ("+12", 12.0),
        (" 7 B ", 7e9),
        ("1,000,000", 1e6),
        ("1_000_000", 1e6),
        ("1,234.5k", 1_234_500.0),
        ("1e-3", 1e-3),
    ],
)
def test_numbers_are_read_the_way_people_write_them(text: str, value: float) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "7 bananas", "7BB", "B", "e24", "1e", "1e3B", "seven", "7 B T", "0x10", "1e2.5", "--7",
        "1,5", "1,00", "1,000_000", "1_000,000", ",000", "1__000", "7  B", "7B\n8B", "٧", "7B;",
        "1/2", "nan", "inf", "Infinity", "-inf", "12" * 40, "1e99999",
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"params=.* is not a number\. Write a number such as"):
        parse_quantity(text, name="params")


@pytest.mark.parametrize("text", ["", "   ", "\t"])
def test_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"params is empty\. Write a number such as"):
        parse_quantity(text, name="params")


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        ("-7B", "tokens='-7B' is negative"),
        (-1, "tokens=-1 is negative"),
        ("0", "tokens='0' is zero"),
        ("1e-9999", "tokens='1e-9999' is zero"),
        ("1e999", "tokens='1e999' is not a finite number"),
        (nan, "tokens=nan is not a finite number"),
        (inf, "tokens=inf is not a finite number"),
        (True, "tokens=True is not a number"),
        (None, "tokens=None is not a number"),
        (1j, "tokens=1j is not a number"),
        (10**400, "tokens=an integer is too large"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused(value: Any, fact: str) -> None:
    with pytest.raises(UsageError, match=re.escape(fact)):
        parse_quantity(value, name="tokens")


def test_a_pasted_novel_is_not_quoted_in_full() -> None:
    with pytest.raises(UsageError) as caught:
        parse_quantity("a" * 10_000)
    assert len(str(caught.value)) < 250


def test_zero_and_negative_numbers_are_read_where_allowed() -> None:
    assert parse_quantity("0", allow_zero=True) == 0.0
    assert parse_quantity("-2k", allow_negative=True) == -2000.0
    with pytest.raises(UsageError, match="is negative"):
        parse_quantity("-2k", allow_zero=True)


def test_a_number_passes_through() -> None:
    assert parse_quantity(7e9) == 7e9
    assert parse_quantity(np.int64(7)) == 7.0
    assert parse_count(512) == 512
    assert parse_count(np.int64(512)) == 512
    assert type(parse_count(np.float64(512.0))) is int


def test_a_count_is_whole_and_exact() -> None:
    assert parse_count("1.44B") == 1_440_000_000
    assert parse_count("9007199254740993") == 9_007_199_254_740_993
    assert parse_count("1e24") == 10**24
    assert parse_count("0", allow_zero=True) == 0
    for text in ("1.5", "0.0001k", 2.5):
        with pytest.raises(UsageError, match=r"steps=.* is not a whole number"):
            parse_count(text, name="steps")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7e9, "7B"),
        (7.25e9, "7.25B"),
        (1.44e9, "1.44B"),
        (614_400, "614k"),
        (999_499, "999k"),
        (999_500, "1M"),
        (999.6, "1k"),
        (1000, "1k"),
        (512, "512"),
        (2.5, "2.5"),
        (0, "0"),
        (-0.0, "0"),
        (-7e9, "-7B"),
        (0.05, "0.05"),
        (1.5e-7, "1.5e-7"),
        (9.994e14, "999T"),
        (9.996e14, "1e15"),
        (216.2e12, "216T"),
        (nan, "nan"),
        (-inf, "-inf"),
    ],
)
def test_counts_are_written_the_way_people_read_them(value: float, text: str) -> None:
    assert format_count(value) == text


def test_digits_can_be_chosen() -> None:
    assert format_count(1_439_795_200, digits=5) == "1.4398B"
    assert format_count(614_400_000, digits=1) == "600M"
    assert format_flops(5.8765e23, digits=2) == "5.9e23"


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.1e23, "3.1e23"), (1e24, "1e24"), (9.999e23, "1e24"), (2.4141e19, "2.41e19"), (0, "0")],
)
def test_flops_are_written_with_an_exponent(value: float, text: str) -> None:
    assert format_flops(value) == text


@given(value=st.floats(1e-300, 1e300))
def test_what_is_written_reads_back_to_three_digits(value: float) -> None:
    assert parse_quantity(format_count(value)) == pytest.approx(value, rel=5.001e-3)
    assert parse_quantity(format_count(value)) == float(f"{value:.2e}")
    assert parse_quantity(format_flops(value)) == float(f"{value:.2e}")


@given(text=st.integers(1, 999), suffix=st.sampled_from("kMBT"))
def test_short_numbers_are_written_as_they_were_read(text: int, suffix: str) -> None:
    assert format_count(parse_quantity(f"{text}{suffix}")) == f"{text}{suffix}"


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_is_read_back_from_its_own_text(value: float) -> None:
    assert parse_quantity(repr(value), allow_negative=True) == value


@given(text=st.text(max_size=80))
def test_any_text_is_a_number_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert isfinite(parse_quantity(text, allow_negative=True))


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 90.0, float("nan")])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(UsageError, match=f"level={level:g} is not a probability") as error:
        check_level(level)
    assert error.value.hint == "Use 0.9 for 90 % intervals."
