"""Approaches 1 and 2 on the digitised Chinchilla runs, and the exponents of Porian et al. 2024."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest

from scalewise.plan.conventions import conventions
from scalewise.plan.envelope import pareto
from scalewise.plan.isoflop import isoflop
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.shared_data import shared_table

BUDGETS = [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]
GOPHER = 5.76e23


@cache
def points() -> RunTable:
    """All 245 points: the published recipe for approaches 1 and 2 keeps the five outliers."""
    return read_runs(shared_table("chinchilla_epoch/points.parquet"))


def test_isoflop_profiles_give_the_exponents_of_the_recipe() -> None:
    found = isoflop(points(), budgets=BUDGETS, bootstrap=0)
    assert found.params.exponent.value == pytest.approx(0.4923, abs=5e-4)
    assert found.tokens.exponent.value == pytest.approx(0.5077, abs=5e-4)
    assert found.params.at(GOPHER).value == pytest.approx(63.4e9, rel=1e-3)
    assert found.tokens.at(GOPHER).value == pytest.approx(1.51e12, rel=5e-3)
    sizes = [1.672e8, 3.335e8, 4.913e8, 7.394e8, 1.700e9, 2.162e9, 2.833e9, 4.045e9]
    assert [v.params.value for v in found.vertices] == pytest.approx(sizes, rel=5e-4)
    assert [v.points for v in found.vertices] == [7, 21, 16, 12, 14, 13, 16, 9]


def test_the_budget_without_a_bracketed_minimum_is_named() -> None:
    (gone,) = isoflop(points(), budgets=BUDGETS, bootstrap=0).left_out
    assert gone.flops == pytest.approx(1e20, rel=0.03)
    assert gone.points == 13
    assert "no smaller size brackets the minimum" in gone.reason


def test_without_the_five_outliers_the_parabola_moves_by_two_hundredths() -> None:
    losses = np.sort(points().column("loss"))
    kept = read_runs(points().frame.filter(pl.col("loss") < losses[-5]))
    found = isoflop(kept, budgets=BUDGETS, bootstrap=0)
    assert len(kept) == 240
    assert found.params.exponent.value == pytest.approx(0.5138, abs=5e-4)


def test_the_pareto_proxy_gives_its_published_exponent() -> None:
    found = pareto(points(), bootstrap=0)
    assert len(found.flops) == 68
    assert found.params.exponent.value == pytest.approx(0.5070, abs=5e-5)
    assert found.params.at(GOPHER).value == pytest.approx(66.6e9, rel=1e-3)
    assert found.tokens.at(GOPHER).value == pytest.approx(1.44e12, rel=2e-3)


@cache
def porian() -> pl.DataFrame:
    frame = pl.read_parquet(shared_table("porian_isoflop/isoflop_points.parquet"))
    return frame.filter(pl.col("params").is_not_null() & pl.col("loss").is_not_null())


# The exponents that the authors print, from Kaplan's set-up step by step to a tuned one, with the
# distance that their own points leave: their vertices come from bootstrapped losses, ours from the
# points as they stand, with the same interpolation.
STEPS = {
    "rw/base/long/kaplan/kaplan/train": (0.834, 0.007),
    "rw/base/long/kaplan/standard/val": (0.701, 0.002),
    "rw/base/short/kaplan/standard/val": (0.604, 0.003),
    "rw/base/short/chinchilla/standard/val": (0.571, 0.002),
    "rw/tuned/short/const/standard/val": (0.497, 0.001),
}


@pytest.mark.parametrize("config", STEPS)
def test_the_exponents_of_porian_follow_from_their_points(config: str) -> None:
    printed, tolerance = STEPS[config]
    own = porian().filter(pl.col("config") == config)
    columns = ("run_id", "params", "tokens", "loss", "flops", "eval_set", "is_final")
    found = isoflop(read_runs(own.select(columns)), rows="all", method="interpolated", bootstrap=0)
    assert found.params.exponent.value == pytest.approx(printed, abs=tolerance)


VOCABULARY, CONTEXT = 50_432, 2048


def with_every_count(config: str) -> RunTable:
    """One configuration with the columns that all conventions need.

    The authors give each size by three counts: without embeddings, with the head, and with the
    attention work in it too; width and depth follow from the differences.
    """
    sizes = {
        count: np.sort(
            porian().filter(pl.col("param_count") == count)["params"].unique().to_numpy()
        )
        for count in ("kaplan", "standard", "attention")
    }
    width = (sizes["standard"] - sizes["kaplan"]) / VOCABULARY
    depth = (sizes["attention"] - sizes["standard"]) / (CONTEXT * width)
    own = porian().filter(pl.col("config") == config)
    i = np.searchsorted(sizes["standard"], own["params"].to_numpy() - 1)
    frame = own.select("run_id", "params", "tokens", "loss").with_columns(
        params_nonembed=sizes["kaplan"][i], d_model=width[i], n_layer=depth[i],
        vocab_size=pl.lit(VOCABULARY), context_length=pl.lit(CONTEXT),
    )  # fmt: skip
    return read_runs(frame)


def test_one_table_gives_three_of_their_exponents_by_counting_alone() -> None:
    found = conventions(
        with_every_count("rw/base/long/kaplan/standard/val"), rows="all", bootstrap=0
    )
    a = {row.key: row.a.value for row in found.rows}
    assert a["nonembed"] == pytest.approx(0.834, abs=0.005)
    assert a["head"] == pytest.approx(0.701, abs=0.005)
    assert a["head-attention"] == pytest.approx(0.716, abs=0.005)


def test_the_same_holds_on_their_other_corpus() -> None:
    found = conventions(
        with_every_count("owt2/base/long/kaplan/standard/val"), rows="all", bootstrap=0
    )
    a = {row.key: row.a.value for row in found.rows}
    assert a["nonembed"] == pytest.approx(0.870, abs=0.005)
    assert a["head"] == pytest.approx(0.700, abs=0.005)
