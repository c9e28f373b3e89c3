"""Budgets over scarce tokens; the published anchors are in tests/certified."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.result import FitResult
from scalewise.fit.storage import published_fit
from scalewise.plan.allocate import allocate, frontier
from scalewise.plan.data_constrained import allocate_repeated, worth_of_epochs


@pytest.fixture(scope="module")
def result() -> FitResult:
    """The published constants with resamples that leave R_D open, as its own runs do."""
    made = published_fit("muennighoff2023")
    rng = np.random.default_rng(0)
    theta = np.array([made.theta[name] for name in made.law.constant_names])
    width = np.array([0.01, 0.02, 0.02, 0.005, 0.5, 0.3])
    draws = theta * np.exp(width * rng.normal(size=(60, len(theta))))
    symbols = {"N": np.array([1e8, 1e9]), "D": np.array([4e9, 4e10]), "U": np.array([1e9, 4e10])}
    return replace(made, draws=draws, inputs=symbols, points=2, runs=2)


def test_epochs_are_tokens_over_unique_tokens_with_their_interval(result: FitResult) -> None:
    best = allocate_repeated(result, 1e22, tokens_unique=25e9)
    tokens = best.allocation.tokens
    assert best.epochs.value == pytest.approx(tokens.value / 25e9, rel=1e-12)
    assert best.epochs.low < best.epochs.value < best.epochs.high
    assert best.epochs.high == pytest.approx(tokens.high / 25e9, rel=1e-12)


def test_worth_and_the_next_epoch_have_intervals_from_the_decay(result: FitResult) -> None:
    best = allocate_repeated(result, 1e22, tokens_unique=25e9)
    assert best.worth is not None
    assert best.next_epoch is not None
    assert 1 < best.worth.low < best.worth.value < best.worth.high < best.epochs.value
    assert 0 < best.next_epoch.low < best.next_epoch.value < best.next_epoch.high < 1


def test_what_backtests_found_missing_widens_the_worth_within_what_is_possible(
    result: FitResult,
) -> None:
    plain = allocate_repeated(result, 1e22, tokens_unique=25e9)
    wide = allocate_repeated(replace(result, spread=2.0), 1e22, tokens_unique=25e9)
    for before, after in ((plain.worth, wide.worth), (plain.next_epoch, wide.next_epoch)):
        assert before is not None
        assert after is not None
        assert after.value == before.value
        assert after.low < before.low < before.high < after.high
    far = allocate_repeated(replace(result, spread=40.0), 1e22, tokens_unique=25e9)
    assert far.worth is not None
    assert far.next_epoch is not None
    assert 0 < far.worth.low < far.worth.high < far.epochs.value
    assert 0 <= far.next_epoch.low < far.next_epoch.high < 1


def test_scarcity_asks_for_a_smaller_model_on_more_tokens_and_costs_loss(result: FitResult) -> None:
    best = allocate_repeated(result, 1e22, tokens_unique=25e9)
    assert best.allocation.params.value < best.unlimited.params.value
    assert best.allocation.tokens.value > best.unlimited.tokens.value
    assert best.allocation.loss.value > best.unlimited.loss.value


def test_enough_unique_tokens_make_no_difference(result: FitResult) -> None:
    best = allocate_repeated(result, 1e21, tokens_unique=1e12)
    assert best.epochs.value < 1
    assert best.allocation.params.value == pytest.approx(best.unlimited.params.value, rel=1e-6)
    assert best.worth is not None
    assert best.worth.value == pytest.approx(best.epochs.value, rel=1e-12)


def test_more_epochs_than_were_seen_are_a_warning(result: FitResult) -> None:
    beyond = allocate_repeated(result, 1e22, tokens_unique=25e9).warnings
    assert any("repeat their tokens 4 times at most; 9.49 epochs are beyond" in w for w in beyond)
    inside = allocate_repeated(result, 1e21, tokens_unique=25e9).warnings
    assert not any("times at most" in w for w in inside)


def test_repeating_that_is_spent_is_a_warning(result: FitResult) -> None:
    spent = allocate_repeated(result, 1e24, tokens_unique=1e9).warnings
    assert any("repeating is spent, and only more unique tokens would help" in w for w in spent)


def test_the_frontier_over_scarce_tokens_is_the_allocation_at_each_budget(
    result: FitResult,
) -> None:
    flops = np.array([1e20, 1e22])
    line = frontier(result, flops, tokens_unique=25e9)
    for i, budget in enumerate(flops):
        alone = allocate(result, float(budget), tokens_unique=25e9)
        assert line.params[1][i] == pytest.approx(alone.params.value, rel=1e-7)
        assert line.loss[0][i] == pytest.approx(alone.loss.low, rel=1e-7)


def test_a_law_of_fresh_data_is_refused_and_the_right_one_named() -> None:
    text = r"does not know repeated data.*--law data-constrained.*muennighoff2023"
    with pytest.raises(LawError, match=text):
        allocate_repeated(published_fit("besiroglu2024"), 1e22, tokens_unique=25e9)


def test_a_law_of_repeated_data_asks_for_the_unique_tokens() -> None:
    with pytest.raises(LawError, match=r"asks how many unique tokens there are.*--tokens-unique"):
        allocate(published_fit("muennighoff2023"), 1e22)


@pytest.mark.parametrize("unique", [0.0, -1.0, float("nan"), float("inf")])
def test_unique_tokens_that_are_no_count_are_refused(unique: float) -> None:
    with pytest.raises(UsageError, match="is no count"):
        allocate(published_fit("muennighoff2023"), 1e22, tokens_unique=unique)


def test_worth_never_exceeds_the_epochs_nor_its_limit() -> None:
    epochs = np.geomspace(0.1, 1e4, 50)
    worth = worth_of_epochs(epochs, 15.4)
    assert np.all(worth <= epochs * (1 + 1e-12))
    assert np.all(np.diff(worth) >= 0)
    assert worth.max() <= 1 + 15.4
