from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.compute import accelerator_named, gpu_hours, price
from scalewise.core.errors import LawError, UsageError
from scalewise.forecast.trajectory import Trajectory
from scalewise.plan.batch import Fleet, batch_point, batch_tradeoff, doubling
from scalewise.plan.reachable import reaches, unreachable
from tests.forecast.trajectory_runs import drawn, fitted

KAPLAN = Trajectory.kaplan2020()
PF_DAY = 8.64e19


def fleet(**changes: object) -> Fleet:
    whole = {"gpus": 64, "mfu": 0.4, "batch_tokens": 2**20, "price": 2.0} | changes
    return Fleet(accelerator=accelerator_named("h100"), **whole)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "critical", "steps_min", "tokens_min", "at_2_19", "at_4m", "pf_days"),
    [
        (3.0, 1.12257e6, 3207.80, 3.60098e9, 10076.1, 4108.05, 0.375102),
        (2.6, 2.21899e6, 9225.18, 2.04706e10, 48269.7, 14342.8, 2.13235),
        (2.3, 3.97838e6, 273328, 1.08740e12, 2.34738e6, 545178, 113.271),
    ],
)
def test_kaplans_constants_give_the_table_of_steps_to_a_loss(
    loss: float, critical: float, steps_min: float, tokens_min: float, at_2_19: float,
    at_4m: float, pf_days: float,
) -> None:  # fmt: skip
    found = batch_tradeoff(KAPLAN, 1.5e9, loss, batch_tokens=2**19)
    assert found.critical_batch_tokens.value == pytest.approx(critical, rel=1e-5)
    assert found.steps_min.value == pytest.approx(steps_min, rel=1e-5)
    assert found.tokens_min.value == pytest.approx(tokens_min, rel=1e-5)
    assert found.flops_min.value == pytest.approx(pf_days * PF_DAY, rel=1e-5)
    assert found.at_batch is not None
    assert found.at_batch.steps.value == pytest.approx(at_2_19, rel=1e-5)
    assert batch_point(KAPLAN, 1.5e9, loss, 4e6).steps.value == pytest.approx(at_4m, rel=1e-5)


def test_at_the_critical_batch_steps_tokens_and_compute_are_twice_the_least() -> None:
    found = batch_tradeoff(KAPLAN, 1.5e9, 2.6)
    at = found.at_critical
    assert at.relative == pytest.approx(1)
    assert at.steps.value == pytest.approx(2 * found.steps_min.value)
    assert at.tokens.value == pytest.approx(2 * found.tokens_min.value)
    assert at.flops.value == pytest.approx(2 * found.flops_min.value)


def test_the_frontier_lies_on_the_hyperbola() -> None:
    found = batch_tradeoff(KAPLAN, 1.5e9, 2.6)
    for point in found.frontier:
        s = point.steps.value / found.steps_min.value - 1
        e = point.tokens.value / found.tokens_min.value - 1
        assert s * e == pytest.approx(1)
    assert found.frontier[0].relative == pytest.approx(1 / 32)
    assert found.frontier[-1].relative == pytest.approx(32)


def test_the_local_critical_batch_is_another_number_than_the_global_one() -> None:
    found = batch_tradeoff(KAPLAN, 1.5e9, 3.0)
    ratio = found.local_critical_batch_tokens.value / found.critical_batch_tokens.value
    assert ratio == pytest.approx(1 + 0.76 / 0.21 * (3.0 - found.floor.value) / 3.0)


@pytest.mark.parametrize("relative", [1e-6, 0.1, 1.0, 10.0, 1e6])
def test_doubling_saves_time_below_the_critical_batch_and_costs_compute_above_it(
    relative: float,
) -> None:
    critical = float(KAPLAN.critical_batch(2.6))
    found = doubling(KAPLAN, 1.5e9, 2.6, relative * critical)
    assert found.time_saved.value == pytest.approx(1 / (2 * (1 + relative)), abs=1e-12)
    assert found.flops_added.value == pytest.approx(relative / (1 + relative), abs=1e-12)


def test_intervals_hold_the_draws_and_the_estimate() -> None:
    found = batch_tradeoff(drawn(), 1.5e9, 2.8, batch_tokens=2**20, level=0.8)
    for interval in (
        found.floor, found.steps_min, found.tokens_min, found.flops_min,
        found.critical_batch_tokens, found.local_critical_batch_tokens, found.at_critical.steps,
        found.doubling.time_saved, found.doubling.flops_added,
    ):  # fmt: skip
        assert interval.low < interval.value < interval.high
    steps = np.asarray(drawn().sampled().steps(1.5e9, 2.8, 2**20))
    assert found.at_batch is not None
    inside = (steps >= found.at_batch.steps.low) & (steps <= found.at_batch.steps.high)
    assert inside.mean() == pytest.approx(0.8, abs=0.02)


def test_without_draws_no_interval_is_claimed() -> None:
    found = batch_tradeoff(KAPLAN, 1.5e9, 2.6)
    assert found.steps_min.low == found.steps_min.value == found.steps_min.high
    assert any("no interval is known" in warning for warning in found.warnings)


def test_time_and_money_follow_from_the_fleet() -> None:
    own = fleet()
    point = batch_point(KAPLAN, 1.5e9, 2.6, 2**21, fleet=own)
    assert point.gpus == 128
    assert point.days is not None
    assert point.cost is not None
    hours = gpu_hours(point.flops.value, own.accelerator, own.mfu)
    assert point.days.value * 24 * 128 == pytest.approx(hours)
    assert point.cost.value == pytest.approx(price(hours, 2.0))


def test_without_a_price_accelerator_hours_are_what_costs() -> None:
    point = batch_point(KAPLAN, 1.5e9, 2.6, 2**21, fleet=fleet(price=None))
    assert point.cost is not None
    assert point.cost.value == pytest.approx(
        gpu_hours(point.flops.value, accelerator_named("h100"), 0.4)
    )


def test_a_larger_batch_takes_less_time_and_more_money() -> None:
    points = batch_tradeoff(KAPLAN, 1.5e9, 2.6, fleet=fleet()).frontier
    days = [point.days.value for point in points if point.days is not None]
    cost = [point.cost.value for point in points if point.cost is not None]
    assert days == sorted(days, reverse=True)
    assert cost == sorted(cost)
    assert len(days) == len(cost) == len(points)


def test_no_batch_of_the_frontier_starves_its_accelerator() -> None:
    own = fleet(gpus=1)
    points = batch_tradeoff(KAPLAN, 1.5e9, 2.6, fleet=own).frontier
    assert 1 <= (points[0].gpus or 0) < 2**0.25
    starving = fleet(gpus=1, batch_tokens=1e12)
    assert len(batch_tradeoff(KAPLAN, 1.5e9, 2.6, fleet=starving).frontier) == 1


def test_a_critical_batch_that_goes_by_tokens_answers_too() -> None:
    trajectory = Trajectory.from_fit(fitted("trajectory-tokens"))
    found = batch_tradeoff(trajectory, 1e8, 3.4)
    assert found.critical_batch_tokens.value == pytest.approx(
        found.tokens_min.value / found.steps_min.value
    )
    steps = [point.steps.value for point in found.frontier]
    tokens = [point.tokens.value for point in found.frontier]
    assert steps == sorted(steps, reverse=True)
    assert tokens == sorted(tokens)
    assert found.steps_min.low < found.steps_min.value < found.steps_min.high


def test_an_extrapolated_loss_is_named() -> None:
    found = batch_tradeoff(Trajectory.from_fit(fitted()), 1.5e9, 2.6)
    assert found.extrapolation["params_nonembed"] == pytest.approx(25)
    assert any(warning.startswith("loss lies x1.2") for warning in found.warnings)


def test_a_loss_that_some_resamples_never_reach_has_no_upper_end() -> None:
    found = batch_tradeoff(drawn(), 1.5e9, 2.278)
    assert 0.05 < found.unreached < 0.95
    assert found.steps_min.high == float("inf")
    assert any("put the floor of this size above the loss" in w for w in found.warnings)
    assert np.isfinite(found.doubling.time_saved.high)


def test_a_loss_below_the_floor_is_refused_and_explained() -> None:
    with pytest.raises(LawError, match=r"out of reach .* the floor of that size is 2\.2753"):
        batch_tradeoff(KAPLAN, 1.5e9, 2.2)
    found = unreachable(drawn(), 1.5e9, 2.2)
    assert not reaches(drawn(), 1.5e9, 2.2)
    assert reaches(drawn(), 1.5e9, 2.3)
    assert found.floor.low < found.floor.value < found.floor.high
    assert float(KAPLAN.floor(found.smallest_size)) == pytest.approx(2.2, rel=1e-9)
    assert 0 <= found.reached < 0.5
    assert "out of reach of 1.5B params_nonembed" in str(found)


def test_an_irreducible_loss_forbids_every_size() -> None:
    floored = replace(KAPLAN, E=1.7)
    assert unreachable(floored, 1e9, 1.6).smallest_size == float("inf")


@pytest.mark.parametrize(
    ("size", "loss", "fact"),
    [
        (0.5, 2.6, "params_nonembed=0.5 is less than one parameter"),
        (0.0, 2.6, "params_nonembed=0 must be positive"),
        (1e9, float("nan"), "loss=nan must be positive"),
        (float("inf"), 2.6, "params_nonembed=inf must be positive"),
    ],
)
def test_what_is_no_size_or_loss_is_refused(size: float, loss: float, fact: str) -> None:
    with pytest.raises(UsageError, match=fact):
        batch_tradeoff(KAPLAN, size, loss)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"mfu": 40}, "mfu=40 does not lie in"),
        ({"gpus": 0}, "gpus=0 must be positive"),
        ({"price": -1.0}, "price=-1 must be positive"),
        ({"batch_tokens": float("inf")}, "batch_tokens=inf must be positive"),
    ],
)
def test_what_is_no_fleet_is_refused(changes: dict[str, float], fact: str) -> None:
    with pytest.raises(UsageError, match=fact):
        fleet(**changes)


def test_a_loss_within_reach_is_not_explained_away() -> None:
    with pytest.raises(UsageError, match=r"within reach: the floor is 2\.2753"):
        unreachable(KAPLAN, 1.5e9, 2.6)
