from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.compute import accelerator_named
from scalewise.core.errors import GateError, LawError, UsageError
from scalewise.forecast.trajectory import Trajectory
from scalewise.plan.batch import Fleet, batch_point
from scalewise.plan.cheapest_batch import cheapest_batch
from tests.forecast.trajectory_runs import drawn, fitted

KAPLAN = Trajectory.kaplan2020()
FLEET = Fleet(
    accelerator=accelerator_named("h100"), gpus=64, mfu=0.4, batch_tokens=2**20, price=2.0
)
SIZE, LOSS = 1.5e9, 2.6


def test_under_a_deadline_the_smallest_batch_that_keeps_it_is_cheapest() -> None:
    found = cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, days=0.2)
    assert found.point.days is not None
    assert found.point.days.value == pytest.approx(0.2)
    allowed = 0.2 / FLEET.step_days(SIZE)
    fewest = float(KAPLAN.steps_min(SIZE, LOSS))
    closed = float(KAPLAN.critical_batch(LOSS)) / (allowed / fewest - 1)
    assert found.batch_tokens.value == pytest.approx(closed)
    smaller = batch_point(KAPLAN, SIZE, LOSS, 0.9 * closed, fleet=FLEET)
    assert smaller.days is not None
    assert smaller.days.value > 0.2


def test_a_price_of_waiting_has_the_closed_form_of_equal_marginal_costs() -> None:
    found = cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, day_price=20_000)
    step_days = FLEET.step_days(SIZE)
    per_token = step_days / FLEET.tokens_per_gpu * 24 * 2.0
    rho = 20_000 * step_days / per_token
    assert found.batch_tokens.value == pytest.approx(
        np.sqrt(rho * float(KAPLAN.critical_batch(LOSS))), rel=1e-6
    )


def test_no_other_batch_costs_less_with_waiting() -> None:
    found = cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, day_price=20_000)
    for factor in (0.5, 0.9, 1.1, 2.0):
        other = batch_point(KAPLAN, SIZE, LOSS, factor * found.batch_tokens.value, fleet=FLEET)
        assert other.days is not None
        assert other.cost is not None
        assert other.cost.value + 20_000 * other.days.value > found.total.value


def test_the_stricter_of_deadline_and_price_decides() -> None:
    late = cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, days=0.05).batch_tokens.value
    dear = cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, day_price=20_000).batch_tokens.value
    both = cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, days=0.05, day_price=20_000)
    assert both.batch_tokens.value == pytest.approx(max(late, dear))
    lax = cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, days=50, day_price=20_000)
    assert lax.batch_tokens.value == pytest.approx(dear)
    strict = cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, days=0.05)
    assert (strict.at_deadline, lax.at_deadline) == (True, False)


def test_the_upper_end_of_the_batch_keeps_the_deadline_in_nearly_all_resamples() -> None:
    trajectory = drawn()
    found = cheapest_batch(trajectory, SIZE, 2.8, fleet=FLEET, days=0.1)
    days = FLEET.step_days(SIZE) * np.asarray(
        trajectory.sampled().steps(SIZE, 2.8, found.batch_tokens.high)
    )
    assert np.mean(days <= 0.1 * (1 + 1e-9)) == pytest.approx(0.95, abs=0.011)


def test_a_long_deadline_still_feeds_one_accelerator() -> None:
    found = cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, days=1e6)
    assert found.batch_tokens.value == FLEET.tokens_per_gpu
    assert found.point.gpus == 1


def test_resamples_that_never_reach_the_loss_have_no_cheapest_batch() -> None:
    trajectory = drawn()
    priced = cheapest_batch(trajectory, SIZE, 2.278, fleet=FLEET, day_price=20_000)
    assert np.isfinite(priced.batch_tokens.high)
    timed = cheapest_batch(trajectory, SIZE, 2.278, fleet=FLEET, days=500)
    assert timed.batch_tokens.high == float("inf")


def test_a_critical_batch_that_goes_by_tokens_is_searched_not_solved() -> None:
    trajectory = Trajectory.from_fit(fitted("trajectory-tokens"))
    found = cheapest_batch(trajectory, 1e8, 3.4, fleet=FLEET, days=0.01)
    assert found.point.days is not None
    assert found.point.days.value == pytest.approx(0.01)


def test_a_deadline_that_no_batch_keeps_is_a_failed_gate() -> None:
    with pytest.raises(
        GateError, match=r"No batch reaches 2\.6 .* within 0\.001 days: .* takes 0\.0398 days"
    ):
        cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, days=0.001)


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(UsageError, match="Neither a deadline nor a price of waiting"):
        cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET)
    bare = Fleet(accelerator=FLEET.accelerator, gpus=64, mfu=0.4, batch_tokens=2**20)
    with pytest.raises(UsageError, match="day_price needs the price of an accelerator-hour"):
        cheapest_batch(KAPLAN, SIZE, LOSS, fleet=bare, day_price=1.0)
    with pytest.raises(UsageError, match="days=0 must be positive"):
        cheapest_batch(KAPLAN, SIZE, LOSS, fleet=FLEET, days=0)
    with pytest.raises(LawError, match="out of reach"):
        cheapest_batch(KAPLAN, SIZE, 2.2, fleet=FLEET, days=1)
