"""The likelihood of residuals, and stated constants tested against a fit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import chdtrc, huber
from scipy.stats import laplace, norm

from scalewise.core.errors import LawError, RunDataError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.likelihood import (
    NORMAL,
    chi_squared_beyond,
    compatible,
    likelihood,
    log_likelihood,
)
from scalewise.fit.result import FitResult, Rival
from tests.fit.simulated_runs import CHINCHILLA, TRUTH, simulated

RESIDUALS = 0.01 * np.random.default_rng(3).standard_t(3, size=200)


@cache
def fitted(objective: str = "ls-log") -> FitResult:
    runs = simulated(sizes=10, budgets=8, noise=0.01, seed=4)
    return fit("chinchilla", runs, objective=objective, bootstrap=200)


@pytest.mark.parametrize("delta", [1e-3, 0.3, 1.345, 5.0])
def test_no_other_scale_makes_the_residuals_more_probable(delta: float) -> None:
    found = likelihood(RESIDUALS, delta=delta)

    def loss(log_scale: float) -> float:
        return float(huber(delta, RESIDUALS / np.exp(log_scale)).sum() + 200 * log_scale)

    best = minimize_scalar(loss, bracket=(-12.0, -4.0), tol=1e-10)
    assert np.log(found.scale) == pytest.approx(best.x, abs=1e-6)
    assert loss(np.log(found.scale)) <= best.fun + 1e-9


@pytest.mark.parametrize("delta", [0.1, 1.0, 3.0])
def test_the_density_has_an_integral_of_one(delta: float) -> None:
    grid = np.linspace(-300 / delta, 300 / delta, 2_000_001)
    z = np.trapezoid(np.exp(-huber(delta, grid)), grid)
    found = likelihood(RESIDUALS, delta=delta)
    rest = -huber(delta, RESIDUALS / found.scale).sum() - 200 * np.log(found.scale)
    assert rest - found.value == pytest.approx(200 * np.log(z), rel=1e-6)


def test_a_small_threshold_is_laplaces_density_and_none_the_normal_one() -> None:
    long = laplace.logpdf(RESIDUALS, scale=np.abs(RESIDUALS).mean()).sum()
    assert likelihood(RESIDUALS, delta=1e-6).value == pytest.approx(long, abs=1e-6)
    normal = norm.logpdf(RESIDUALS, scale=np.sqrt(np.mean(RESIDUALS**2))).sum()
    assert likelihood(RESIDUALS, delta=NORMAL).value == pytest.approx(normal, rel=1e-12)
    assert likelihood(RESIDUALS, delta=1e6).value == pytest.approx(normal, rel=1e-9)


@given(st.floats(1e-3, 1e3), st.sampled_from([1e-3, 1.0, NORMAL]))
def test_a_change_of_unit_moves_the_likelihood_by_its_logarithm(unit: float, delta: float) -> None:
    one, other = likelihood(RESIDUALS, delta=delta), likelihood(unit * RESIDUALS, delta=delta)
    assert other.scale == pytest.approx(unit * one.scale, rel=1e-9)
    assert other.value == pytest.approx(one.value - 200 * np.log(unit), abs=1e-6)


@pytest.mark.parametrize("delta", [1e-3, 1.0, NORMAL])
def test_a_weight_of_three_is_three_copies(delta: float) -> None:
    times = np.random.default_rng(1).integers(1, 4, size=200)
    weighted = likelihood(RESIDUALS, delta=delta, weights=times.astype(float))
    copied = likelihood(np.repeat(RESIDUALS, times), delta=delta)
    assert weighted.scale == pytest.approx(copied.scale, rel=1e-12)
    assert weighted.value == pytest.approx(copied.value, rel=1e-12)


def test_the_size_of_the_weights_is_no_evidence() -> None:
    runs = simulated(sizes=10, budgets=8, noise=0.01, seed=4)
    weights = np.random.default_rng(2).uniform(0.5, 2.0, size=80)
    one, other = (
        compatible(fit("chinchilla", runs, weights=w, bootstrap=50), TRUTH)
        for w in (weights, weights / 80)
    )
    assert other.likelihood_ratio == pytest.approx(one.likelihood_ratio, rel=1e-6)
    assert other.distance == pytest.approx(one.distance, rel=1e-3)


@pytest.mark.parametrize("degrees", range(1, 9))
def test_chi_squared_probabilities_are_the_tabulated_ones(degrees: int) -> None:
    for value in (0.0, 1e-3, 0.5, 3.84, 20.0, 238.4, 900.0):
        expected = float(chdtrc(degrees, value))
        assert chi_squared_beyond(value, degrees) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("objective", ["ls-log", "huber-log"])
def test_true_constants_are_refused_as_often_as_the_level_says(objective: str) -> None:
    refused = 0
    for seed in range(40):
        runs = simulated(sizes=10, budgets=8, noise=0.01, seed=seed)
        result = fit("chinchilla", runs, objective=objective, bootstrap=20, resampling="asymptotic")
        refused += compatible(result, TRUTH).likelihood_ratio_p < 0.1
    # Four of 40 are expected; ten or more happen once in two hundred times.
    assert 0 < refused < 10


def test_a_density_sharper_than_the_residuals_is_allowed_for() -> None:
    """Normal residuals judged by Laplace's density: the ratio is pi / 2 too large."""
    runs = simulated(sizes=40, budgets=40, noise=0.01, seed=0)
    result = fit("chinchilla", runs, objective="ls-log", bootstrap=20, resampling="asymptotic")
    assert compatible(result, TRUTH, delta=1e-3).sharpness == pytest.approx(2 / np.pi, rel=0.05)
    assert compatible(result, TRUTH, delta=NORMAL).sharpness == pytest.approx(1 - 5 / 1600)


def test_constants_of_other_runs_are_not_compatible() -> None:
    found = compatible(fitted(), {**TRUTH, "E": 1.6})
    assert found.distance_p < 1e-6
    assert found.likelihood_ratio_p < 1e-6
    assert found.mean_residual == pytest.approx(0.1, abs=0.01)
    assert "degrees of freedom; mean residual +0." in str(found)


def test_a_fit_is_at_no_distance_from_itself() -> None:
    found = compatible(fitted(), fitted())
    assert (found.distance, found.likelihood_ratio) == (0.0, 0.0)
    assert (found.distance_p, found.likelihood_ratio_p) == (1.0, 1.0)


def test_a_fit_of_least_squares_is_judged_by_the_normal_density() -> None:
    assert compatible(fitted("ls-log"), TRUTH).log_likelihood.delta == NORMAL
    assert compatible(fitted("huber-log"), TRUTH).log_likelihood.delta == 1e-3
    assert compatible(fitted("ls-log"), TRUTH, delta=1.0).log_likelihood.delta == 1.0


def test_a_fixed_constant_is_not_a_degree_of_freedom_and_its_difference_is_told() -> None:
    runs = simulated(sizes=10, budgets=8, noise=0.01, seed=4)
    result = fit("chinchilla", runs, fixed={"alpha": 0.34}, bootstrap=100)
    assert compatible(result, TRUTH).degrees == 4
    found = compatible(result, {**TRUTH, "alpha": 0.33})
    assert any("alpha is fixed at 0.34 in the fit; the stated 0.33" in w for w in found.warnings)


def test_more_probable_constants_than_the_fitted_ones_are_told() -> None:
    lad = fit("chinchilla", simulated(sizes=10, budgets=8, noise=0.01, seed=4),
              objective="lad-log", bootstrap=0)  # fmt: skip
    found = compatible(fitted("ls-log"), lad, delta=1e-3)
    assert found.likelihood_ratio < 0
    assert found.likelihood_ratio_p == 1.0
    assert any("more probable than the fitted ones" in w for w in found.warnings)


def test_constants_of_another_count_and_a_combination_of_laws_are_doubts() -> None:
    runs = simulated(sizes=10, budgets=8, noise=0.01, seed=4)
    runs["params_nonembed"] = runs.pop("params")
    result = fit("chinchilla@params_nonembed", runs, bootstrap=50)
    found = compatible(result, "besiroglu2024").warnings
    assert "The stated constants count params, tokens, the fit counts params_nonembed, tokens." in (
        found
    )
    combined = result.combined_with((Rival(weight=0.4, result=result),), weight=0.6, spread=1.0)
    assert any("Only 'chinchilla@" in w for w in compatible(combined, TRUTH).warnings)


def test_few_runs_are_a_doubt() -> None:
    runs = simulated(sizes=4, budgets=3, noise=0.01, seed=1)
    found = compatible(fit("chinchilla", runs, bootstrap=100), TRUTH)
    assert any("12 runs for 5 constants" in w for w in found.warnings)


def test_the_same_constants_are_less_probable_on_runs_that_they_do_not_describe() -> None:
    near = simulated(noise=0.003, seed=1)
    far = {**near, "loss": near["loss"] * 1.1}
    theirs = log_likelihood(TRUTH, near, law=CHINCHILLA)
    assert theirs.points == 30
    assert log_likelihood(TRUTH, far, law="chinchilla").value < theirs.value - 50


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(UnfitDataError, match=r"has 0 resamples, too few for .* 5 constants"):
        compatible(replace(fitted(), draws=np.empty((0, 5))), TRUTH)
    with pytest.raises(UnfitDataError, match="do not spread in every direction of E, A, B"):
        compatible(replace(fitted(), draws=np.tile(fitted().draws[:1], (50, 1))), TRUTH)
    with pytest.raises(LawError, match="those of 'overtraining'; the fit is of 'chinchilla'"):
        compatible(fitted(), "gadre2024-c4")
    with pytest.raises(LawError, match=r"stated were E\. State every constant"):
        compatible(fitted(), {"E": 1.7})
    with pytest.raises(UnfitDataError, match="Every constant of 'chinchilla' is fixed"):
        compatible(replace(fitted(), fixed=CHINCHILLA.constant_names), TRUTH)
    with pytest.raises(RunDataError, match="The 80 residuals have no finite, positive size"):
        compatible(fitted(), {**TRUTH, "E": -99.0}, delta=1.0)
    with pytest.raises(UsageError, match="without their law"):
        log_likelihood(TRUTH, simulated())
    with pytest.raises(UsageError, match="delta=0 must be positive"):
        likelihood(RESIDUALS, delta=0.0)
    with pytest.raises(RunDataError, match="The 3 residuals have no finite, positive size"):
        likelihood(np.zeros(3))
