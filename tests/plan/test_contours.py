"""Lines of equal loss: every point of a line is on it, and the frontier crosses at its cheapest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.errors import LawError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult, Rival
from scalewise.fit.storage import published_fit
from scalewise.plan.allocate import allocate
from scalewise.plan.contours import iso_loss
from tests.fit.simulated_runs import simulated


@pytest.fixture(scope="module")
def result() -> FitResult:
    return fit("chinchilla", simulated(), bootstrap=60)


def combined(leader: FitResult) -> FitResult:
    other = fit("overtraining", simulated(), bootstrap=30)
    return leader.combined_with((Rival(weight=0.4, result=other),), weight=0.6, spread=1.2)


def test_every_model_of_a_line_is_predicted_to_reach_its_loss(result: FitResult) -> None:
    for r in (result, combined(result)):
        for line in iso_loss(r).contours:
            assert len(line.sizes) > 50
            reached = r.predict(params=line.sizes, tokens=line.tokens)
            np.testing.assert_allclose(reached.loss, line.loss, rtol=1e-9)


def test_the_frontier_crosses_a_line_where_it_is_cheapest(result: FitResult) -> None:
    for r in (result, combined(result)):
        (line,) = iso_loss(r, [2.4]).contours
        cost = 6 * line.sizes * line.tokens
        # Where laws are combined, the optimum is a mean of theirs and not quite the joint one.
        assert line.flops.value <= cost.min() * (1 + (1e-9 if r is result else 1e-3))
        best = allocate(r, line.flops.value)
        assert best.loss.value == pytest.approx(2.4, rel=1e-9)
        assert best.params.value == pytest.approx(line.params.value, rel=1e-7)
        assert best.tokens.value == pytest.approx(line.optimal_tokens.value, rel=1e-7)


def test_the_crossing_has_an_interval_that_widens_with_the_reach(result: FitResult) -> None:
    near, *_, far = iso_loss(result).contours
    for line in (near, far):
        for interval in (line.params, line.optimal_tokens, line.flops):
            assert interval.low < interval.value < interval.high
    assert near.loss > far.loss
    assert far.flops.high / far.flops.low > near.flops.high / near.flops.low


def test_the_interval_of_compute_is_that_of_resamples_solved_one_by_one(result: FitResult) -> None:
    (line,) = iso_loss(result, [2.4], level=0.8).contours
    # An additive law's least loss is E + K C**-gamma, so each resample is solved in closed form.
    E, A, B, alpha, beta = (
        result.draws[:, result.law.constant_names.index(n)]
        for n in ("E", "A", "B", "alpha", "beta")
    )
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    price, gamma = A * G**-alpha + B * G**beta, alpha * beta / (alpha + beta)
    flops = 6 * (price / (2.4 - E)) ** (1 / gamma)
    low, high = np.quantile(flops, [0.1, 0.9])
    assert (line.flops.low, line.flops.high) == pytest.approx((low, high), rel=0.02)


def test_losses_are_told_from_high_to_low_without_repeats(result: FitResult) -> None:
    lines = iso_loss(result, [2.3, 2.6, 2.3]).contours
    assert [line.loss for line in lines] == [2.6, 2.3]


def test_the_fitted_runs_are_on_the_plane_and_published_constants_have_none(
    result: FitResult,
) -> None:
    found = iso_loss(result)
    assert len(found.fitted[0]) == len(found.fitted[1]) == result.points
    published = iso_loss(published_fit("besiroglu2024"), [2.2])
    assert len(published.fitted[0]) == 0
    assert published.contours[0].params.low == published.contours[0].params.high
    assert "no runs behind them" in published.warnings[0]


def test_a_loss_that_resamples_never_reach_has_no_upper_edge(result: FitResult) -> None:
    draws = result.draws.copy()
    draws[: len(draws) // 4, result.law.constant_names.index("E")] = 2.5
    (line,) = (found := iso_loss(replace(result, draws=draws), [2.4])).contours
    assert np.isinf(line.flops.high)
    assert np.isfinite(line.flops.low)
    assert "Some resamples never reach a loss of 2.4 nats/token." in found.warnings


def test_laws_of_repeated_data_have_lines_at_their_unique_tokens() -> None:
    found = iso_loss(published_fit("muennighoff2023"), [2.25], tokens_unique=25e9)
    (line,) = found.contours
    free = iso_loss(published_fit("muennighoff2023"), [2.25], tokens_unique=1e15).contours[0]
    assert line.flops.value > free.flops.value


def test_a_loss_below_the_irreducible_part_is_refused(result: FitResult) -> None:
    with pytest.raises(UnfitDataError, match=r"No model reaches a loss of 1 nats/token"):
        iso_loss(result, [2.4, 1.0])


@pytest.mark.parametrize("losses", [[], [0.0], [float("nan")], [-1.0, 2.0]])
def test_what_is_no_loss_is_refused(result: FitResult, losses: list[float]) -> None:
    with pytest.raises(UsageError, match="are no losses"):
        iso_loss(result, losses)


def test_a_law_without_a_trade_off_has_no_lines() -> None:
    with pytest.raises(LawError, match="no trade-off between size and tokens"):
        iso_loss(fit("power", simulated(), bootstrap=0))
