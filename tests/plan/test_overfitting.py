"""Tokens against overfitting: closed form, its inverse, intervals and doubts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.fit.storage import read_fit
from scalewise.forecast.trajectory import CONSTANTS, Trajectory
from scalewise.laws.catalogue import law_named
from scalewise.plan.overfitting import early_stop_steps, excess, overfit, tokens_needed

PUBLISHED = read_fit("kaplan2020-overfit")
KAPLAN = Trajectory.kaplan2020()


@pytest.fixture(scope="module")
def fitted() -> FitResult:
    law = law_named("kaplan-overfit")
    N, D = (v.ravel() for v in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(3e7, 2e10, 6)))
    noise = np.exp(0.002 * np.random.default_rng(3).standard_normal(N.size))
    loss = noise * law.value(PUBLISHED.theta, N=N, D=D)
    return fit(law, {"params_nonembed": N, "tokens": D, "loss": loss}, bootstrap=60)


def test_the_excess_is_that_of_the_law_over_its_limit_of_unlimited_data() -> None:
    sizes, tokens = np.array([[1e6], [1e9]]), np.array([1e8, 1e10])
    law, theta = PUBLISHED.law, PUBLISHED.theta
    limit = (theta["N_c"] / sizes) ** theta["alpha_N"]
    np.testing.assert_allclose(
        excess(PUBLISHED, sizes, tokens), law.value(theta, N=sizes, D=tokens) / limit - 1, rtol=1e-9
    )


@pytest.mark.parametrize("tolerance", [1e-6, 0.02, 0.5])
def test_the_tokens_needed_have_the_tolerance_as_their_excess(tolerance: float) -> None:
    sizes = np.geomspace(1e6, 1e11, 4)
    tokens = tokens_needed(PUBLISHED, sizes, tolerance=tolerance)
    np.testing.assert_allclose(excess(PUBLISHED, sizes, tokens), tolerance, rtol=1e-9)


def test_the_tokens_needed_grow_as_the_paper_rounds_them() -> None:
    few, many = tokens_needed(PUBLISHED, 1e8), tokens_needed(PUBLISHED, 1e9)
    assert np.log10(many / few) == pytest.approx(0.738, abs=5e-4)
    assert many == pytest.approx(5.52e3 * 1e9**0.738, rel=0.005)


def test_eight_times_the_size_needs_about_five_times_the_data() -> None:
    assert tokens_needed(PUBLISHED, 8e8) / tokens_needed(PUBLISHED, 1e8) == pytest.approx(
        5, abs=0.4
    )


def test_the_early_stop_lasts_longer_at_smaller_batches() -> None:
    fewest = early_stop_steps(PUBLISHED, KAPLAN, 1e8, 1e9)
    loss = PUBLISHED.law.value(PUBLISHED.theta, N=1e8, D=1e9)
    batch = KAPLAN.critical_batch(float(loss))
    assert early_stop_steps(PUBLISHED, KAPLAN, 1e8, 1e9, batch) == pytest.approx(2 * fewest)


def test_a_fit_gives_each_answer_its_interval(fitted: FitResult) -> None:
    found = overfit(fitted, 1e9, 1e10, trajectory=KAPLAN)
    assert found.early_stop is not None
    for interval in (found.tokens_needed, found.excess, found.loss, found.early_stop.steps_min):
        assert interval.low < interval.value < interval.high
    truth = overfit(PUBLISHED, 1e9, 1e10, trajectory=KAPLAN)
    assert found.tokens_needed.low < truth.tokens_needed.value < found.tokens_needed.high
    assert found.runs == 30
    assert found.extrapolation["params_nonembed"] == pytest.approx(1.0)
    assert overfit(fitted, 1e10).extrapolation["params_nonembed"] == pytest.approx(10.0)


def test_draws_of_the_steps_widen_the_early_stop(fitted: FitResult) -> None:
    noise = np.random.default_rng(0).standard_normal((50, 6))
    centre = np.array([getattr(KAPLAN, name) for name in CONSTANTS])
    uncertain = replace(KAPLAN, draws=centre * np.exp(0.05 * noise))

    def width(result: FitResult, path: Trajectory) -> float:
        stop = overfit(result, 1e9, 1e10, trajectory=path, batch_tokens=2**19).early_stop
        assert stop is not None
        return float(np.log(stop.steps.high / stop.steps.low))

    assert width(PUBLISHED, KAPLAN) == 0
    assert width(fitted, uncertain) > width(fitted, KAPLAN) > 0
    assert width(PUBLISHED, uncertain) > 0


def test_without_tokens_the_answers_are_those_at_the_tokens_needed() -> None:
    found = overfit(PUBLISHED, 1e9, tolerance=0.05)
    assert found.tokens == found.tokens_needed.value
    assert found.excess.value == pytest.approx(0.05)
    assert found.early_stop is None


def test_a_law_on_total_params_says_which_count_it_uses(fitted: FitResult) -> None:
    law = replace(fitted.law, variables={"N": "params", "D": "tokens"})
    assert overfit(replace(fitted, law=law), 1e9).size == "params"


def test_published_constants_say_that_they_have_no_interval_and_where_they_are_poor() -> None:
    poor = overfit(PUBLISHED, 1e6, 2e7, trajectory=KAPLAN).warnings
    assert any("2e+07 tokens are near the 2.2e7 of the smallest data set" in w for w in poor)
    assert any("lower bound" in w for w in poor)
    fine = overfit(PUBLISHED, 1e9, 1e10)
    assert not any("smallest data set" in w for w in fine.warnings)
    assert "the interval has no width" in fine.warnings[0]
    assert fine.tokens_needed.low == fine.tokens_needed.high


def test_the_law_of_overfitting_is_found_among_combined_laws(fitted: FitResult) -> None:
    from scalewise.fit.result import Rival

    leader = read_fit("besiroglu2024")
    both = replace(leader, rivals=(Rival(weight=0.4, result=fitted),), weight=0.6)
    assert tokens_needed(both, 1e9) == tokens_needed(fitted, 1e9)


def test_another_law_is_refused() -> None:
    with pytest.raises(LawError, match="'chinchilla' does not say what limited data cost a model"):
        overfit(read_fit("besiroglu2024"), 1e9)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"params": 0.0}, "params=0 must be positive"),
        ({"params": 1e9, "tokens": -1.0}, "tokens=-1 must be positive"),
        ({"params": 1e9, "tolerance": 0.0}, "tolerance=0 must be positive"),
    ],
)
def test_values_that_are_no_counts_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        overfit(PUBLISHED, **given)
