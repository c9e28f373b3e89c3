"""Noise, correlations and resampled constants against simulations with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.fit.uncertainty import FEW_RUNS, Resampling, _deleted
from scalewise.laws.catalogue import LAWS
from tests.fit.simulated_runs import CHINCHILLA, TRUTH, Array, simulated

POWER = LAWS["power"]
POWER_TRUTH = {"E": 1.5, "A": 60.0, "alpha": 0.25}


def checkpoints(copies: int, *, seed: int = 0) -> dict[str, Array | list[str]]:
    """Ten runs that are off the law together, each written down ``copies`` times."""
    sizes = np.geomspace(1e6, 1e9, 10)
    off = np.exp(0.01 * np.random.default_rng(seed).standard_normal(10))
    loss = POWER.value(POWER_TRUTH, N=sizes) * off
    return {
        "run_id": [f"run-{i}" for i in range(10) for _ in range(copies)],
        "params": np.repeat(sizes, copies),
        "tokens": np.tile(np.arange(1, copies + 1) * 1e9, 10),
        "loss": np.repeat(loss, copies),
    }


def width(result: FitResult, name: str) -> float:
    low, high = result.intervals(0.9)[name]
    return high - low


@pytest.mark.parametrize("objective", ["huber-log", "ls-log", "lad-log"])
@pytest.mark.parametrize(("sizes", "tolerance"), [(3, 0.25), (8, 0.15)])
def test_noise_is_the_standard_deviation_that_the_runs_were_made_with(
    objective: str, sizes: int, tolerance: float
) -> None:
    found = []
    for seed in range(9):
        runs = simulated(sizes=sizes, budgets=4, noise=0.01, seed=seed)
        found.append(fit("chinchilla", runs, objective=objective, bootstrap=0).noise)
    assert float(np.sqrt(np.mean(np.square(found)))) == pytest.approx(0.01, rel=tolerance)


def test_noise_is_hardly_moved_by_one_far_outlier() -> None:
    runs = simulated(noise=0.003)
    clean = fit("chinchilla", runs, bootstrap=0).noise
    runs["loss"][4] *= 2
    assert fit("chinchilla", runs, bootstrap=0).noise < 1.6 * clean


def test_correlations_are_those_of_the_inverse_information() -> None:
    result = fit("chinchilla", simulated(), objective="ls-log", bootstrap=0)
    theta, inputs = result.theta, result.inputs
    logged = {"A", "B"}
    columns = []
    for name in CHINCHILLA.constant_names:
        h = 1e-20  # complex step
        moved = {
            **theta,
            name: theta[name] * np.exp(1j * h) if name in logged else theta[name] + 1j * h,
        }
        columns.append(np.log(CHINCHILLA.value(moved, **inputs)).imag / h)
    covariance = np.linalg.inv(np.array(columns) @ np.array(columns).T)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(result.correlation, covariance / np.outer(sd, sd), atol=1e-5)
    assert result.correlation[1, 3] > 0.99  # the price of size and its exponent move together


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_correlations_are_stated_in_the_units_of_the_user(unit: float) -> None:
    runs = simulated(noise=0.003)
    runs["params"] = runs["params"] / unit
    result = fit("chinchilla", runs, objective="ls-log", bootstrap=500, seed=3)
    draws = result.draws.copy()
    draws[:, [1, 2]] = np.log(draws[:, [1, 2]])
    # The resamples are not quite normal, so they agree with the matrix only roughly.
    np.testing.assert_allclose(np.corrcoef(draws.T), result.correlation, atol=0.15)


def test_checkpoints_of_one_run_add_no_certainty() -> None:
    one, many = (fit("power", checkpoints(n), rows="all", bootstrap=300) for n in (1, 20))
    assert (many.points, many.runs) == (200, 10)
    for name in POWER.constant_names:
        assert width(many, name) == pytest.approx(width(one, name), rel=0.35)
    alone = {k: v for k, v in checkpoints(20).items() if k != "run_id"}
    wrong = fit("power", alone, rows="all", bootstrap=300)
    assert width(wrong, "alpha") < 0.5 * width(one, "alpha")


def test_finals_take_one_row_of_each_run_and_all_take_every_checkpoint() -> None:
    assert fit("power", checkpoints(20), bootstrap=0).points == 10
    assert fit("power", checkpoints(20), rows="all", bootstrap=0).points == 200


@pytest.mark.parametrize(("runs", "method"), [(FEW_RUNS - 4, "wild cluster"), (FEW_RUNS, "pairs")])
def test_few_runs_keep_their_design_and_many_are_redrawn(runs: int, method: str) -> None:
    result = fit("chinchilla", simulated(sizes=runs // 4, budgets=4), bootstrap=60)
    assert result.runs == runs
    assert result.resampling == f"{method} bootstrap by run"
    assert result.draws.shape == (60, 5)


@pytest.mark.parametrize("budgets", [5, 12])
def test_every_way_of_resampling_tells_the_same_width(budgets: int) -> None:
    ways: tuple[Resampling, ...] = ("refit", "asymptotic")
    runs = simulated(budgets=budgets, noise=0.002)
    redone, normal = (
        fit("chinchilla", runs, objective="ls-log", bootstrap=500, resampling=way) for way in ways
    )
    assert redone.theta == normal.theta
    assert normal.resampling == "normal approximation, clustered by run"
    for name in ("E", "alpha", "beta"):
        assert width(normal, name) == pytest.approx(width(redone, name), rel=0.3)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = []
    for seed in range(60):
        runs = simulated(sizes=4, budgets=4, seed=seed)
        result = fit("chinchilla", runs, objective="ls-log", bootstrap=60, seed=seed)
        held.append([low <= TRUTH[c] <= high for c, (low, high) in result.intervals(0.9).items()])
    share = np.mean(held, axis=0)
    assert np.all(share >= 0.75)
    assert np.mean(share) <= 0.98


# Near least absolute deviations, as by default, resamples of few runs vary less than the fit does.
@pytest.mark.parametrize(("objective", "least"), [("ls-log", 0.75), ("huber-log", 0.65)])
def test_predictive_intervals_hold_a_new_larger_run_about_as_often_as_they_say(
    objective: str, least: float
) -> None:
    held, rng = [], np.random.default_rng(1)
    for seed in range(60):
        runs = simulated(sizes=4, budgets=4, seed=seed)
        result = fit("chinchilla", runs, objective=objective, bootstrap=50)
        new = float(CHINCHILLA.value(TRUTH, N=1e10, D=2e11)) * np.exp(0.003 * rng.standard_normal())
        prediction = result.predict(params=1e10, tokens=2e11)
        held.append(prediction.low <= new <= prediction.high)
    assert least <= np.mean(held) <= 0.99


def test_intervals_widen_with_their_level_and_with_the_noise() -> None:
    calm, rough = (fit("chinchilla", simulated(noise=sd), bootstrap=200) for sd in (0.001, 0.01))
    for name in ("alpha", "beta"):
        assert width(rough, name) > 3 * width(calm, name)
        narrow, wide = (np.ptp(calm.intervals(level)[name]) for level in (0.5, 0.95))
        assert narrow < 0.6 * wide
        assert calm.intervals(0.9)[name][0] < calm.theta[name] < calm.intervals(0.9)[name][1]


def test_without_resamples_there_are_no_intervals() -> None:
    result = fit("chinchilla", simulated(), bootstrap=0)
    assert result.intervals() == {}
    assert result.resampling == "none"


def test_residuals_to_resample_are_those_of_each_run_left_out_of_the_fit() -> None:
    """For a linear law the leverage correction is exactly the refit without the run."""
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(12), 3)
    columns = np.stack([np.ones(36), rng.standard_normal(36)])
    weights = rng.uniform(0.5, 2.0, 36)
    y = columns.T @ [2.0, 0.5] + rng.standard_normal(36)

    def fitted(used: Array) -> Array:
        w = weights * used
        return columns.T @ np.linalg.solve((columns * w) @ columns.T, columns @ (w * y))

    deleted = _deleted(y - fitted(np.ones(36)), columns, weights, cluster)
    for run in range(12):
        own = cluster == run
        np.testing.assert_allclose(deleted[own], (y - fitted(~own))[own], rtol=1e-9)
