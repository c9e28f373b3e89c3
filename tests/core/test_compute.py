from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from scalewise.core.compute import (
    ACCELERATORS,
    PF_DAY,
    Accelerator,
    accelerator_named,
    flops_from_gpus,
    gpu_hours,
    pf_days,
    price,
)
from scalewise.core.errors import UsageError

H100 = ACCELERATORS["h100"]


def test_a_pf_day_is_a_petaflop_per_second_for_a_day() -> None:
    assert PF_DAY == 1e15 * 24 * 3600
    assert pf_days(13.6533 * PF_DAY) == pytest.approx(13.6533)


def test_gpu_hours_and_flops_from_gpus_are_inverse() -> None:
    flops = flops_from_gpus(512, 14, H100, mfu=0.4)
    assert gpu_hours(flops, H100, mfu=0.4) == pytest.approx(512 * 14 * 24)


def test_a_full_hour_at_peak_is_one_gpu_hour() -> None:
    assert gpu_hours(3600 * H100.peak_flops, H100, mfu=1.0) == pytest.approx(1.0)
    assert gpu_hours(3600 * H100.peak_flops, H100, mfu=0.5) == pytest.approx(2.0)


def test_price_is_hours_times_rate() -> None:
    assert price(1000.0, 2.5) == 2500.0


@pytest.mark.parametrize(
    ("call", "fact"),
    [
        (lambda: gpu_hours(1e20, H100, mfu=40), r"mfu=40 does not lie in (0, 1]"),
        (lambda: gpu_hours(1e20, H100, mfu=0), r"mfu=0 does not lie in (0, 1]"),
        (lambda: gpu_hours(1e20, H100, mfu=float("nan")), r"mfu=nan does not lie"),
        (lambda: gpu_hours(-1.0, H100, mfu=0.4), r"flops=-1 (FLOP) is not a positive"),
        (lambda: pf_days(float("inf")), r"flops=inf (FLOP) is not a positive"),
        (lambda: flops_from_gpus(0, 1, H100, mfu=0.4), r"gpus=0 (chips) is not a positive"),
        (lambda: flops_from_gpus(8, -1, H100, mfu=0.4), r"days=-1 (days) is not a positive"),
        (lambda: price(10, 0), r"price_per_gpu_hour=0 (currency per hour) is not a positive"),
    ],
)
def test_impossible_numbers_are_refused(call: Callable[[], float], fact: str) -> None:
    with pytest.raises(UsageError, match=re.escape(fact)):
        call()


def test_an_accelerator_is_found_in_any_case_and_the_unknown_is_told_the_known() -> None:
    assert accelerator_named(" H100 ") is H100
    with pytest.raises(UsageError, match=r"No accelerator named 'h1000'\. Known: a100, "):
        accelerator_named("h1000")


def test_a_user_can_describe_an_accelerator_of_their_own() -> None:
    mine = Accelerator(
        name="mine", peak_flops=1e14, memory_bytes=8e9, source="measured", as_of="2026-11"
    )
    assert gpu_hours(3.6e17, mine, mfu=1.0) == 1.0
    with pytest.raises(UsageError, match="peak_flops=0"):
        Accelerator(name="x", peak_flops=0, memory_bytes=1, source="", as_of="")


@pytest.mark.parametrize("key", list(ACCELERATORS))
def test_every_accelerator_states_source_and_month_and_believable_numbers(key: str) -> None:
    accelerator = ACCELERATORS[key]
    assert key == key.lower()
    assert accelerator.source
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", accelerator.as_of)
    assert 5e13 < accelerator.peak_flops < 1e16
    assert 1e10 < accelerator.memory_bytes < 1e12


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        ACCELERATORS["h100"] = H100  # type: ignore[index]
