"""Muennighoff et al. 2023 refitted on the paper's 182 runs: several minima, a nearly flat profile.

Reference minima were computed by other means; the published decay constants are one of them and
not the lowest.
"""

from __future__ import annotations

from functools import cache

import polars as pl
import pytest

from scalewise.fit.engine import fit
from scalewise.fit.profile import profile
from scalewise.fit.result import FitResult, FitStatus
from scalewise.laws.catalogue import published_named
from tests.shared_data import shared_table

LAW, PUBLISHED = published_named("muennighoff2023")
FROZEN = {name: PUBLISHED.theta[name] for name in ("E", "A", "B", "alpha")}
BEST = 0.015804662


@cache
def runs() -> pl.DataFrame:
    frame = pl.read_parquet(shared_table("datablations/final_points.parquet"))
    frame = frame.filter(pl.col("set") == "paper182")
    return frame.select("params", "tokens", pl.col("unique_tokens").alias("tokens_unique"), "loss")


@cache
def refit() -> FitResult:
    """The decay constants as the authors fitted them: all other constants frozen."""
    return fit(LAW, runs(), fixed=FROZEN, bootstrap=0)


def test_the_global_optimum_is_lower_than_the_published_constants() -> None:
    result = refit()
    assert result.points == 182
    assert result.status is FitStatus.CONVERGED
    assert result.objective_value <= 0.0158047
    assert result.objective_value == pytest.approx(BEST, abs=1e-9)
    assert result.theta["R_D"] == pytest.approx(95.37, abs=0.01)
    assert result.theta["R_N"] == pytest.approx(1.706, abs=1e-3)


@pytest.mark.parametrize(
    ("R_D", "R_N", "objective"),
    [(46.99, 2.33, 0.015807379), (160.7, 1.45, 0.015811289), (15.37, 5.32, 0.015825932)],
)
def test_the_other_minima_are_reported_beside_the_best(
    R_D: float, R_N: float, objective: float
) -> None:
    found = [
        basin for basin in refit().certificate.basins
        if basin.objective == pytest.approx(objective, abs=1e-9)
    ]  # fmt: skip
    assert len(found) == 1
    assert found[0].theta["R_D"] == pytest.approx(R_D, rel=1e-3)
    assert found[0].theta["R_N"] == pytest.approx(R_N, rel=5e-3)


def test_at_least_four_minima_are_told() -> None:
    assert 1 + len(refit().certificate.basins) >= 4


@pytest.mark.parametrize(
    ("R_D", "share"),
    [(5, 1.0225), (10, 1.0067), (15.4, 1.0014), (30, 1.0010), (60, 1.0004), (150, 1.0004),
     (300, 1.0020), (1e4, 1.0071)],
)  # fmt: skip
def test_the_profile_of_the_worth_of_repeats_is_as_flat_as_computed(
    R_D: float, share: float
) -> None:
    pinned = fit(LAW, runs(), fixed={**FROZEN, "R_D": R_D}, bootstrap=0)
    assert pinned.objective_value / BEST == pytest.approx(share, abs=1e-4)


def test_the_profile_interval_has_no_upper_end_of_its_own() -> None:
    found = profile(refit(), "R_D", level=0.9)
    assert found.low_end == "closed"
    assert 4 < found.low < 10
    assert found.high_end == "bound"
    assert found.high == pytest.approx(1e6)
    assert "the high end is where the law stops, not the data" in found.verdict


def test_resampled_runs_set_no_upper_limit_to_the_worth_of_repeats() -> None:
    result = fit(LAW, runs(), fixed=FROZEN, bootstrap=200, seed=0)
    low, high = result.intervals(0.95)["R_D"]
    assert 4 < low < 10
    assert high > 1e5


def test_minima_that_noise_cannot_tell_from_the_best_are_told() -> None:
    (told,) = [text for text in refit().warnings if "other minima" in text]
    assert "fit the runs as well, within noise: R_D from 15.4 to 161, R_N from 1.45 to 5.3" in told
