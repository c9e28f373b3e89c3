"""The compute-efficient frontier in closed form, against trying every size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.errors import LawError, UsageError
from scalewise.forecast.trajectory import CONSTANTS, Trajectory
from scalewise.plan.compute_efficient import (
    EfficientFrontier,
    efficient_run,
    size_cost,
    stop_cost,
)

KAPLAN = Trajectory.kaplan2020()
OTHER = replace(KAPLAN, alpha_N=0.12, alpha_S=0.6, alpha_B=0.35, N_c=3e9, S_c=900.0, B_star=4e7)


def drawn(spread: float = 0.005) -> Trajectory:
    centre = np.array([getattr(KAPLAN, name) for name in CONSTANTS])
    noise = np.random.default_rng(0).standard_normal((60, len(CONSTANTS)))
    return replace(KAPLAN, draws=centre * np.exp(spread * noise))


@pytest.mark.parametrize("path", [KAPLAN, OTHER], ids=["kaplan", "other"])
@pytest.mark.parametrize("budget", [1e19, 1e25])
def test_the_closed_form_is_the_least_compute_over_all_sizes(
    path: Trajectory, budget: float
) -> None:
    frontier = EfficientFrontier(path)
    best, loss = float(frontier.params_nonembed(budget)), float(frontier.loss(budget))
    sizes = best * np.exp(np.linspace(-0.5, 0.5, 20001))
    flops = np.asarray(path.flops_min(sizes, loss))
    assert sizes[flops.argmin()] == pytest.approx(best, rel=1e-4)
    assert flops.min() == pytest.approx(budget, rel=1e-8)


@pytest.mark.parametrize("path", [KAPLAN, OTHER], ids=["kaplan", "other"])
def test_the_quantities_of_the_frontier_fit_together(path: Trajectory) -> None:
    frontier, flops = EfficientFrontier(path), np.geomspace(1e18, 1e26, 5)
    loss, size = frontier.loss(flops), frontier.params_nonembed(flops)
    np.testing.assert_allclose(path.steps_min(size, loss), frontier.steps_min(flops), rtol=1e-9)
    np.testing.assert_allclose(6 * size * frontier.tokens_min(flops), flops, rtol=1e-10)
    np.testing.assert_allclose(loss / path.floor(size), 1 + frontier.excess, rtol=1e-12)
    for name, power in frontier.exponents().items():
        values = np.asarray(getattr(frontier, name)(flops))
        slopes = np.diff(np.log(values)) / np.diff(np.log(flops))
        np.testing.assert_allclose(slopes, power, rtol=1e-9)


def test_the_exponents_of_size_batch_and_steps_sum_to_one() -> None:
    powers = EfficientFrontier(OTHER).exponents()
    assert powers["params_nonembed"] + powers["batch_tokens"] + powers["steps_min"] == (
        pytest.approx(1.0)
    )
    assert powers["tokens_min"] == pytest.approx(powers["batch_tokens"] + powers["steps_min"])


def test_another_size_costs_what_the_trajectory_says() -> None:
    budget, frontier = 8.64e19, EfficientFrontier(KAPLAN)
    best, loss = float(frontier.params_nonembed(budget)), float(frontier.loss(budget))
    for ratio in (0.4, 1.0, 5.0):
        cost = size_cost(KAPLAN, ratio)
        assert cost.flops == pytest.approx(KAPLAN.flops_min(ratio * best, loss) / budget, rel=1e-9)
        assert cost.steps_min == pytest.approx(
            KAPLAN.steps_min(ratio * best, loss) / KAPLAN.steps_min(best, loss), rel=1e-9
        )


def test_sizes_from_0_6_to_2_2_times_the_best_cost_a_fifth_more_compute() -> None:
    cost = size_cost(KAPLAN, np.linspace(0.6, 2.2, 50))
    assert np.max(cost.flops) == pytest.approx(1.2, abs=0.01)


def test_a_size_that_never_reaches_the_loss_is_refused_with_the_least_that_does() -> None:
    with pytest.raises(
        LawError, match=r"0\.2 times the efficient size never .* least 0\.286 times"
    ):
        size_cost(KAPLAN, [1.0, 0.2])
    assert np.isfinite(size_cost(KAPLAN, 0.2864).flops)


def test_stopping_elsewhere_costs_what_the_trajectory_says() -> None:
    loss = 2.9
    sizes, steps = [], []
    for excess in (0.1, 0.02):
        size = float(KAPLAN.N_c) * ((1 + excess) / loss) ** (1 / float(KAPLAN.alpha_N))
        sizes.append(size)
        steps.append(float(KAPLAN.steps_min(size, loss)))
    cost = stop_cost(KAPLAN, 0.1, 0.02)
    assert cost.params_nonembed == pytest.approx(sizes[0] / sizes[1], rel=1e-9)
    assert cost.steps_min == pytest.approx(steps[0] / steps[1], rel=1e-9)
    assert cost.flops == pytest.approx(sizes[0] * steps[0] / sizes[1] / steps[1], rel=1e-9)


def test_a_run_has_intervals_where_the_constants_have_draws() -> None:
    run = efficient_run(drawn(), 8.64e19, level=0.8)
    for name in ("params_nonembed", "loss", "batch_tokens", "steps_min", "tokens_min"):
        interval = getattr(run, name)
        assert interval.low < interval.value < interval.high
    wide = efficient_run(drawn(), 8.64e19, level=0.95)
    assert wide.loss.high - wide.loss.low > run.loss.high - run.loss.low
    published = efficient_run(KAPLAN, 8.64e19)
    assert published.loss.low == published.loss.high == published.loss.value
    assert "no interval is known" in published.warnings[0]


def test_a_run_far_outside_says_so() -> None:
    warnings = efficient_run(KAPLAN, 8.64e22).warnings
    assert any(w.startswith("params_nonembed lies x43.1 outside") for w in warnings)
    assert any(w.startswith("loss lies x1.6 outside") for w in warnings)


@pytest.mark.parametrize("flops", [0.0, -5.0, np.inf, np.nan])
def test_a_budget_that_is_none_is_refused(flops: float) -> None:
    with pytest.raises(UsageError, match=f"flops={flops:g} must be positive and finite"):
        efficient_run(KAPLAN, flops)
