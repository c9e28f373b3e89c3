"""Priors are observations of constants; pinned constants say where they come from."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.priors import Prior, rise_per_chi_squared
from scalewise.fit.profile import profile, space_behind
from scalewise.fit.result import FitStatus
from scalewise.fit.storage import read_fit, write_fit
from tests.fit.simulated_runs import simulated, take

LOGS = ["huber-log", "lad-log", "ls-log"]


def test_a_prior_in_least_squares_is_one_more_observation() -> None:
    """The exact answer of a normal prior on a linear law: precision-weighted means."""
    rng = np.random.default_rng(5)
    N = np.repeat(np.geomspace(1e6, 1e9, 8), 4)
    runs = {"params": N, "loss": 2.0 + 80.0 / N**0.3 + 0.01 * rng.standard_normal(len(N))}
    alone = fit("power", runs, objective="ls", fixed={"alpha": 0.3}, bootstrap=0)
    found = fit("power", runs, objective="ls", fixed={"alpha": 0.3}, bootstrap=0,
                priors={"E": Prior(2.01, 0.004)})  # fmt: skip
    assert found.penalty is not None
    columns = np.stack([np.ones(len(N)), N**-0.3], axis=1)
    precision = columns.T @ columns / found.penalty.sigma**2
    right = columns.T @ runs["loss"] / found.penalty.sigma**2
    precision[0, 0] += 1 / 0.004**2
    right[0] += 2.01 / 0.004**2
    E, A = np.linalg.solve(precision, right)
    assert found.theta["E"] == pytest.approx(E, rel=1e-9)
    assert found.theta["A"] == pytest.approx(A, rel=1e-7)
    assert alone.theta["E"] < E < 2.01


@pytest.mark.parametrize("objective", LOGS)
def test_a_vague_prior_changes_nothing_and_a_sharp_one_fixes(objective: str) -> None:
    runs = simulated()
    alone = fit("chinchilla", runs, objective=objective, bootstrap=0)
    vague = fit("chinchilla", runs, objective=objective, bootstrap=0, priors={"E": Prior(1.8, 50)})
    sharp = fit(
        "chinchilla", runs, objective=objective, bootstrap=0, priors={"E": Prior(1.8, 1e-6)}
    )
    fixed = fit("chinchilla", runs, objective=objective, bootstrap=0, fixed={"E": 1.8})
    assert vague.theta == pytest.approx(alone.theta, rel=2e-3)
    assert sharp.theta == pytest.approx(fixed.theta, rel=2e-3)
    assert sharp.objective_value == pytest.approx(fixed.objective_value, rel=1e-4)


def test_a_prior_on_an_exponent_does_not_care_for_the_unit_of_the_inputs() -> None:
    runs, prior = simulated(), {"alpha": Prior(0.36, 0.003)}
    millions = {**runs, "params": runs["params"] / 1e6, "tokens": runs["tokens"] / 1e6}
    plain, scaled = (fit("chinchilla", r, bootstrap=0, priors=prior) for r in (runs, millions))
    assert scaled.theta["alpha"] == pytest.approx(plain.theta["alpha"], rel=1e-6)
    assert plain.theta["alpha"] > fit("chinchilla", runs, bootstrap=0).theta["alpha"] + 0.005


def test_a_prior_on_an_amplitude_counts_it_in_the_unit_of_the_law() -> None:
    result = fit("chinchilla", simulated(), bootstrap=0, priors={"A": Prior(600.0, 12.0)})
    space = space_behind(result)
    q = space.q_of(result.theta)
    surprise, slope = space.surprise(q[None])
    assert surprise[0, 0] == pytest.approx(np.log(result.theta["A"] / 600.0) / (12.0 / 600.0))
    for i in range(len(q)):
        moved = np.repeat(q[None], 2, axis=0)
        moved[:, i] += [-1e-6, 1e-6]
        ends, _ = space.surprise(moved)
        assert slope[0, 0, i] == pytest.approx((ends[1, 0] - ends[0, 0]) / 2e-6, rel=1e-5, abs=1e-5)


def test_a_prior_identifies_what_the_runs_leave_open_and_its_width_is_in_the_interval() -> None:
    two_sizes = take(simulated(), simulated()["params"] < 3e7)
    assert fit("chinchilla", two_sizes, bootstrap=0).status is FitStatus.NOT_IDENTIFIED
    result = fit("chinchilla", two_sizes, bootstrap=300, priors={"E": Prior(1.7, 0.1, "a guess")})
    assert result.status is FitStatus.CONVERGED
    assert result.theta["E"] == pytest.approx(1.7, abs=1e-4)
    low, high = result.intervals(0.9)["E"]
    assert high - low == pytest.approx(2 * 1.645 * 0.1, rel=0.2)
    held = profile(result, "E")
    assert (held.low_end, held.high_end) == ("closed", "closed")
    assert held.high - held.low == pytest.approx(2 * 1.833 * 0.1, rel=0.1)  # t of 9 degrees
    assert result.provenance == {"E": "prior 1.7 ± 0.1 (a guess)"}


def test_a_prior_that_the_data_contradict_is_told() -> None:
    result = fit("chinchilla", simulated(), bootstrap=0, priors={"E": Prior(2.2, 0.01)})
    assert any("standard deviations from its prior, 2.2 ± 0.01" in w for w in result.warnings)
    agreed = fit("chinchilla", simulated(), bootstrap=0, priors={"E": Prior(1.71, 0.05)})
    assert not any("prior" in warning for warning in agreed.warnings)


def test_a_constant_is_pinned_to_a_published_value_by_its_name(tmp_path: object) -> None:
    result = fit("chinchilla", simulated(), fixed={"alpha": "besiroglu2024"}, bootstrap=0)
    assert result.theta["alpha"] == 0.3478
    assert "2404.10102" in result.provenance["alpha"]
    write_fit(result, f"{tmp_path}/fit.json")
    assert read_fit(f"{tmp_path}/fit.json").provenance == result.provenance


def test_a_fit_with_priors_comes_back_from_its_file(tmp_path: object) -> None:
    result = fit("chinchilla", simulated(), bootstrap=20, priors={"E": Prior(1.75, 0.02)})
    write_fit(result, f"{tmp_path}/fit.json")
    again = read_fit(f"{tmp_path}/fit.json")
    assert again.penalty is not None
    assert again.penalty.mean.tolist() == [1.75]
    assert str(profile(again, "E")) == str(profile(result, "E"))


def test_noise_sets_the_rate_of_exchange_between_objective_and_chi_squared() -> None:
    draws = 0.3 * np.random.default_rng(0).standard_normal(400_000)
    for delta in (1e-3, 0.1, 0.3, 1.0):
        pull = np.clip(draws, -delta, delta)
        expected = np.mean(pull**2) / (2 * np.mean(np.abs(draws) < delta))
        assert rise_per_chi_squared(0.3, delta) == pytest.approx(
            expected, rel=0.1 if delta < 0.01 else 0.01
        )
    assert rise_per_chi_squared(0.3, 1e-9) == pytest.approx(1e-9 * rise_per_chi_squared(0.3, 0.0))
    assert rise_per_chi_squared(0.3, float("inf")) == pytest.approx(0.09)


def test_what_makes_no_sense_is_refused_with_the_mend() -> None:
    runs = simulated()
    with pytest.raises(UsageError, match=r"standard deviation 0 says nothing.*above 0"):
        Prior(1.0, 0.0)
    with pytest.raises(LawError, match="no constant 'gamma' to put a prior on"):
        fit("chinchilla", runs, priors={"gamma": Prior(1, 1)}, bootstrap=0)
    with pytest.raises(UsageError, match="E is fixed and has a prior"):
        fit("chinchilla", runs, fixed={"E": 1.7}, priors={"E": Prior(1.7, 0.1)}, bootstrap=0)
    with pytest.raises(UsageError, match="amplitude A has mean -3"):
        fit("chinchilla", runs, priors={"A": Prior(-3, 1)}, bootstrap=0)
    with pytest.raises(LawError, match="'kaplan2020-params-table-2' has no constant 'alpha'"):
        fit("chinchilla", runs, fixed={"alpha": "kaplan2020-params-table-2"}, bootstrap=0)
    with pytest.raises(LawError, match="No published constants are named 'hofmann'"):
        fit("chinchilla", runs, fixed={"alpha": "hofmann"}, bootstrap=0)
