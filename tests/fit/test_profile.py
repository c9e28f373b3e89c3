"""Profiles: exact where they can be checked by other means, and honest about what never ends."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from scalewise.core.errors import LawError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.profile import profile
from scalewise.fit.result import FitResult, t_quantile
from scalewise.fit.storage import read_fit
from scalewise.laws.catalogue import published_named
from tests.fit.simulated_runs import simulated, take
from tests.shared_data import shared_table


@cache
def fitted(objective: str = "huber-log") -> FitResult:
    return fit("chinchilla", simulated(), objective=objective, bootstrap=0)


def held_by_other_means(result: FitResult, place: dict[str, float], value: float) -> float:
    """The least objective with the prediction at ``place`` equal to ``value``, by SLSQP."""
    law, inputs = result.law, result.inputs
    start = np.array([result.theta[n] for n in law.constant_names])
    scale = np.where(np.isin(law.constant_names, ["A", "B"]), np.log(start), start)

    def theta(x: np.ndarray) -> dict[str, float]:
        v = np.where(np.isin(law.constant_names, ["A", "B"]), np.exp(x), x)
        return dict(zip(law.constant_names, v, strict=True))

    def objective(x: np.ndarray) -> float:
        r = np.log(law.value(theta(x), **inputs) / result.observed)
        return 1e3 * float(result.objective.total(r, result.weights))

    held = {"type": "eq", "fun": lambda x: float(law.value(theta(x), **place)) - value}
    found = minimize(objective, scale, method="SLSQP", constraints=[held],
                     options={"maxiter": 500, "ftol": 1e-13})  # fmt: skip
    return float(found.fun) / 1e3


@pytest.mark.parametrize("objective", ["ls-log", "huber-log"])
def test_the_objective_of_a_prediction_held_is_what_another_optimiser_finds(objective: str) -> None:
    result = fitted(objective)
    found = profile(result, params=1e10, tokens=2e11)
    for i in (0, len(found.values) - 1):
        other = held_by_other_means(result, {"N": 1e10, "D": 2e11}, float(found.values[i]))
        assert found.objective[i] <= other * (1 + 1e-5)
        assert found.objective[i] == pytest.approx(other, rel=0.02)


def test_where_the_objective_is_a_parabola_the_profile_is_the_normal_interval() -> None:
    rng = np.random.default_rng(3)
    N = np.repeat(np.geomspace(1e6, 1e9, 8), 4)
    runs = {"params": N, "loss": 2.0 + 80.0 / N**0.3 + 0.01 * rng.standard_normal(len(N))}
    result = fit("power", runs, objective="ls", fixed={"alpha": 0.3}, bootstrap=0)
    columns = np.stack([np.ones(len(N)), N**-0.3], axis=1)
    residual = runs["loss"] - columns @ np.linalg.lstsq(columns, runs["loss"], rcond=None)[0]
    bread = np.linalg.inv(columns.T @ columns)
    meat = (columns * residual[:, None] ** 2).T @ columns * len(N) / (len(N) - 2)
    robust = np.sqrt(np.diag(bread @ meat @ bread))
    found = profile(result, "E", level=0.95)
    # Student's t with 29 degrees of freedom, as result.predict counts them.
    assert found.high - found.best == pytest.approx(2.045 * robust[0], rel=0.01)
    assert found.best - found.low == pytest.approx(2.045 * robust[0], rel=0.01)
    assert (found.low_end, found.high_end) == ("closed", "closed")


def test_an_interval_of_a_higher_level_is_wider_and_holds_the_estimate() -> None:
    narrow, wide = (profile(fitted(), "alpha", level=level) for level in (0.5, 0.95))
    assert wide.low < narrow.low < narrow.best < narrow.high < wide.high
    assert narrow.best == fitted().theta["alpha"]


def test_few_points_end_an_interval_by_the_quantile_of_what_their_constants_leave() -> None:
    result = fit("chinchilla", take(simulated(), np.arange(0, 30, 4)), bootstrap=0)
    assert (result.points, result.runs, result.degrees) == (8, 8, 3)
    assert replace(result, runs=3).degrees == 2
    assert replace(result, points=5).degrees == 1
    wide, narrow = (profile(result, "E", level=level) for level in (0.9, 0.5))
    rises = (wide.threshold - wide.least) / (narrow.threshold - narrow.least)
    assert rises == pytest.approx((t_quantile(0.95, 3) / t_quantile(0.75, 3)) ** 2)


def test_constants_that_two_sizes_leave_open_have_open_profiles() -> None:
    runs = simulated()
    result = fit("chinchilla", take(runs, runs["params"] < 3e7), bootstrap=0)
    found = profile(result, "A")
    assert found.high_end == "open"
    assert found.high == np.inf
    assert "no upper limit" in found.verdict


def test_checkpoints_copied_from_one_run_do_not_narrow_a_profile() -> None:
    runs = {**simulated(), "run_id": np.arange(30)}
    copied = {name: np.tile(values, 5) for name, values in runs.items()}
    once = profile(fit("chinchilla", runs, bootstrap=0), "alpha")
    often = profile(fit("chinchilla", copied, rows="all", bootstrap=0), "alpha")
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.1)


@cache
def muennighoff() -> FitResult:
    frame = pl.read_parquet(shared_table("datablations/final_points.parquet"))
    frame = frame.filter(pl.col("set") == "paper182").rename({"unique_tokens": "tokens_unique"})
    law, published = published_named("muennighoff2023")
    frozen = {name: published.theta[name] for name in ("E", "A", "B", "alpha")}
    runs = frame.select("params", "tokens", "tokens_unique", "loss")
    return fit(law, runs, fixed=frozen, bootstrap=0)


@pytest.mark.parametrize(
    ("repeats", "ratio"), [(10, 1.0067), (15.4, 1.0014), (30, 1.0010), (60, 1.0004), (300, 1.0020)]
)
def test_the_worth_of_repeats_has_the_nearly_flat_profile_that_was_computed(
    repeats: float, ratio: float
) -> None:
    law, fixed = muennighoff().law, {n: muennighoff().theta[n] for n in muennighoff().fixed}
    runs = dict(
        zip(("params", "tokens", "tokens_unique"), muennighoff().inputs.values(), strict=True)
    )
    held = fit(law, {**runs, "loss": muennighoff().observed}, fixed={**fixed, "R_D": repeats},
               bootstrap=0)  # fmt: skip
    assert held.objective_value / muennighoff().objective_value == pytest.approx(ratio, abs=1e-4)


def test_a_profile_of_several_valleys_is_nowhere_above_a_search_of_its_own() -> None:
    law, result = muennighoff().law, muennighoff()
    columns = zip(("params", "tokens", "tokens_unique"), result.inputs.values(), strict=True)
    runs = {**dict(columns), "loss": result.observed}
    found = profile(result, "R_D")
    for i in range(0, len(found.values), 4):
        given = {n: result.theta[n] for n in result.fixed} | {"R_D": float(found.values[i])}
        held = fit(law, runs, fixed=given, bootstrap=0)
        assert found.objective[i] <= held.objective_value * (1 + 1e-6)


def test_the_data_set_no_upper_limit_to_the_worth_of_repeats() -> None:
    found = profile(muennighoff(), "R_D", level=0.95)
    assert found.high_end == "bound"
    assert "where the law stops, not the data" in found.verdict
    assert 3 < found.low < 15
    assert found.best in found.minima


def test_a_prediction_that_no_constants_reach_ends_where_the_law_does() -> None:
    found = profile(muennighoff(), params=8.67e9, tokens=178e9, tokens_unique=25e9)
    assert found.low_end == "bound"
    assert found.high_end == "closed"


def test_what_cannot_be_profiled_is_refused_with_the_mend() -> None:
    with pytest.raises(UsageError, match="What to profile is not clear"):
        profile(fitted())
    with pytest.raises(UsageError, match=r"level=1\.5"):
        profile(fitted(), "alpha", level=1.5)
    with pytest.raises(LawError, match=r"'gamma' is no constant of law 'chinchilla'.*Free: E, A"):
        profile(fitted(), "gamma")
    with pytest.raises(LawError, match="'E' is fixed in this fit"):
        profile(fit("chinchilla", simulated(), fixed={"E": 1.7}, bootstrap=0), "E")
    with pytest.raises(UnfitDataError, match="was not fitted here"):
        profile(read_fit("besiroglu2024"), "alpha")
    with pytest.raises(UsageError, match="More than one place"):
        profile(fitted(), params=[1e9, 2e9], tokens=1e10)


@pytest.mark.parametrize(("seed", "name"), [(3, "beta"), (4, "alpha")])
def test_a_valley_found_only_far_out_counts_all_the_way_back(seed: int, name: str) -> None:
    runs = simulated(sizes=4, budgets=3, noise=0.1, seed=seed)
    found = profile(fit("chinchilla", runs, bootstrap=0), name)
    for value, objective in zip(found.values, found.objective, strict=True):
        held = fit("chinchilla", runs, fixed={name: float(value)}, bootstrap=0)
        assert objective <= held.objective_value * (1 + 1e-3)
