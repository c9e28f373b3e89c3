"""Allocations: their identities, their intervals and their refusals."""

from __future__ import annotations

import re

import numpy as np
import pytest

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult, Rival
from scalewise.fit.storage import read_fit
from scalewise.plan.allocate import allocate, frontier, trading_laws
from scalewise.plan.overtraining import optimal_multiplier
from tests.fit.simulated_runs import simulated

BUDGETS = np.geomspace(1e19, 1e25, 5)


@pytest.fixture(scope="module")
def result() -> FitResult:
    return fit("chinchilla", simulated(), bootstrap=150)


def combined(leader: FitResult, other: FitResult) -> FitResult:
    return leader.combined_with((Rival(weight=0.4, result=other),), weight=0.6, spread=1.2)


def test_a_budget_is_spent_to_the_last_flop(result: FitResult) -> None:
    for flops in BUDGETS:
        a = allocate(result, float(flops))
        assert 6 * a.params.value * a.tokens.value == pytest.approx(flops, rel=1e-14)
        assert 6 * a.params.low * a.tokens.high == pytest.approx(flops, rel=1e-14)
        assert 6 * a.params.high * a.tokens.low == pytest.approx(flops, rel=1e-14)
        assert a.tokens_per_param.value == pytest.approx(a.tokens.value / a.params.value)
        assert a.flops == flops


def test_every_interval_is_in_order_and_holds_its_value(result: FitResult) -> None:
    allocation = allocate(result, 1e23)
    for name in ("params", "tokens", "tokens_per_param", "loss"):
        interval = getattr(allocation, name)
        assert interval.low < interval.value < interval.high, name


def test_the_loss_of_an_allocation_is_the_prediction_there(result: FitResult) -> None:
    a = allocate(result, 1e23)
    prediction = result.predict(params=a.params.value, tokens=a.tokens.value)
    assert (a.loss.low, a.loss.value, a.loss.high) == pytest.approx(
        (prediction.low, prediction.value, prediction.high), rel=1e-12
    )


@pytest.mark.parametrize("shift", [0.5, 0.9, 1.1, 2.0])
def test_any_other_split_of_the_budget_is_predicted_to_be_worse(
    result: FitResult, shift: float
) -> None:
    a = allocate(result, 1e23)
    other = result.predict(params=a.params.value * shift, tokens=a.tokens.value / shift)
    assert float(other.value) > a.loss.value


def test_a_higher_level_gives_wider_intervals(result: FitResult) -> None:
    narrow, wide = (allocate(result, 1e23, level=level) for level in (0.5, 0.95))
    for name in ("params", "tokens", "tokens_per_param", "loss"):
        a, b = getattr(narrow, name), getattr(wide, name)
        assert b.low < a.low < a.high < b.high
    assert (narrow.level, wide.level) == (0.5, 0.95)


def test_spread_widens_the_interval_of_size_in_logs_by_its_factor(result: FitResult) -> None:
    plain = allocate(result, 1e23).params
    wide = allocate(result.combined_with((), weight=1.0, spread=2.0), 1e23).params
    assert np.log(wide.high / wide.value) == pytest.approx(2 * np.log(plain.high / plain.value))
    assert np.log(wide.low / wide.value) == pytest.approx(2 * np.log(plain.low / plain.value))


def test_the_frontier_is_the_allocation_at_each_budget(result: FitResult) -> None:
    line = frontier(result, BUDGETS)
    assert (line.size, line.level) == ("params", 0.9)
    for i, flops in enumerate(BUDGETS):
        a = allocate(result, float(flops))
        for name in ("params", "tokens", "tokens_per_param", "loss"):
            low, value, high = (v[i] for v in getattr(line, name))
            interval = getattr(a, name)
            assert (low, value, high) == pytest.approx(
                (interval.low, interval.value, interval.high), rel=1e-12
            )


def test_more_compute_asks_for_more_of_both_and_promises_less_loss(result: FitResult) -> None:
    line = frontier(result, BUDGETS)
    assert np.all(np.diff(line.params[1]) > 0)
    assert np.all(np.diff(line.tokens[1]) > 0)
    assert np.all(np.diff(line.loss[1]) < 0)
    assert np.all(np.diff(np.log(line.params[2] / line.params[0])) > 0)  # ever less sure


def test_combined_laws_meet_at_their_weighted_geometric_mean(result: FitResult) -> None:
    other = fit("overtraining", simulated(), bootstrap=50)
    both = allocate(combined(result, other), 1e23)
    one, two = (allocate(r, 1e23).params.value for r in (result, other))
    assert both.params.value == pytest.approx(one**0.6 * two**0.4, rel=1e-12)
    assert both.rests_on == ("chinchilla (60%)", "overtraining (40%)")


def test_a_law_that_cannot_allocate_has_no_say_and_that_is_said(result: FitResult) -> None:
    runs = simulated()
    other = fit("power-flops", {**runs, "flops": 6 * runs["params"] * runs["tokens"]}, bootstrap=20)
    both = allocate(combined(result, other), 1e23)
    assert both.params.value == pytest.approx(allocate(result, 1e23).params.value, rel=1e-12)
    assert both.rests_on == ("chinchilla (100%)",)
    assert "power-flops cannot allocate and had no say in the split." in both.warnings


def test_extrapolation_is_the_budget_over_the_largest_fitted_compute(result: FitResult) -> None:
    largest = 6 * 1e9 * 5e10
    assert allocate(result, 100 * largest).extrapolation == pytest.approx(100)
    assert allocate(result, largest / 10).extrapolation == 1.0
    assert (allocate(result, 1e23).runs, allocate(result, 1e23).law) == (30, "chinchilla")


def test_published_constants_allocate_without_width_and_pass_their_warning_on() -> None:
    a = allocate(read_fit("besiroglu2024"), 5.76e23)
    assert a.params.low == pytest.approx(a.params.high, rel=1e-12)
    assert "no runs behind them here" in a.warnings[0]


@pytest.mark.parametrize("key", ["power", "power-tokens", "power-flops"])
def test_a_law_without_a_trade_off_is_refused(key: str) -> None:
    runs = simulated()
    runs["flops"] = 6 * runs["params"] * runs["tokens"]
    alone = fit(key, runs, bootstrap=0)
    text = rf"Law '{key}' has no trade-off between size and tokens\. Fit a law in both"
    with pytest.raises(LawError, match=text):
        allocate(alone, 1e23)


@pytest.mark.parametrize("flops", [0.0, -1e20, float("inf"), float("nan")])
def test_a_budget_that_is_none_is_refused(result: FitResult, flops: float) -> None:
    with pytest.raises(UsageError, match=re.escape(f"flops={flops} is no compute budget")):
        allocate(result, flops)


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0])
def test_a_level_that_is_no_probability_is_refused(result: FitResult, level: float) -> None:
    with pytest.raises(UsageError, match="is not a probability"):
        allocate(result, 1e23, level=level)


def test_a_budget_that_buys_no_loss_at_all_is_doubted() -> None:
    fit = read_fit("besiroglu2024")
    assert "more than a uniform guess" in allocate(fit, 1e5).warnings[-1]
    assert not [w for w in allocate(fit, 1e21).warnings if "guess" in w]


def test_a_law_that_leaves_the_growth_of_the_best_size_no_choice_says_so() -> None:
    runs = simulated()
    tied = allocate(fit("overtraining", runs, bootstrap=30), 1e22).warnings
    assert "By overtraining (100%) the best size grows as flops**0.5" in " ".join(tied)
    assert "what the same runs leave open where its exponents" in " ".join(tied)
    for others in (runs, simulated(noise=0.0)):
        free = allocate(fit("chinchilla", others, bootstrap=30), 1e22).warnings
        assert "grows as" not in " ".join(free)


def test_where_growth_is_fixed_the_interval_of_size_is_about_that_of_free_exponents() -> None:
    runs = simulated()
    tied, free = (fit(law, runs, bootstrap=200) for law in ("overtraining", "chinchilla"))
    for flops in (1e21, 1e24):
        a, b = (allocate(each, flops) for each in (tied, free))
        width, wanted = (np.log(x.params.high / x.params.low) for x in (a, b))
        assert 0.6 * wanted < width < 1.7 * wanted
        # The estimate is that of the law itself: M* tokens per param at every budget.
        assert a.tokens_per_param.value == pytest.approx(optimal_multiplier(tied).value, rel=1e-9)
        said = tied.predict(params=a.params.value, tokens=a.tokens.value)
        assert a.loss.value == pytest.approx(float(said.loss), rel=1e-12)


def test_a_law_that_frees_growth_beside_one_that_fixes_it_leaves_both_as_they_are() -> None:
    runs = simulated()
    tied, free = (fit(law, runs, bootstrap=30) for law in ("overtraining", "chinchilla"))
    both = tied.combined_with((Rival(weight=0.4, result=free),), weight=0.6, spread=1.0)
    (_, first), (_, second) = trading_laws(both)
    assert first is both
    assert second is free
    said = " ".join(allocate(both, 1e22).warnings)
    assert "hold no doubt about that but what other laws bring" in said


def test_growth_that_the_user_fixed_stays_fixed() -> None:
    fixed = fit("overtraining", simulated(), fixed={"eta": 0.17}, bootstrap=30)
    for given in (fixed, fit("overtraining", simulated(), bootstrap=0),
                  read_fit("gadre2024-redpajama")):  # fmt: skip
        assert trading_laws(given)[0][1] is given
