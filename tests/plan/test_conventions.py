from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.plan.conventions import conventions
from scalewise.plan.embedding_slope import local_exponent, observed_exponent
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.plan.isoflop_runs import EXPONENT, isoflop_runs, shaped


def test_the_same_runs_give_a_steeper_exponent_without_embeddings() -> None:
    found = conventions(shaped(), bootstrap=20)
    a = {row.key: row.a.value for row in found.rows}
    assert list(a) == ["nonembed", "nonembed-attention", "head", "head-attention"]
    assert a["head"] == pytest.approx(EXPONENT, abs=0.02)
    assert a["nonembed"] > a["head"] + 0.05


def test_the_shift_is_against_the_convention_that_counts_one_thing_less() -> None:
    found = conventions(shaped(), bootstrap=0)
    rows = {row.key: row for row in found.rows}
    assert rows["nonembed"].shift.value == 0.0
    assert rows["head-attention"].against == "head"
    assert rows["head-attention"].shift.value == pytest.approx(
        rows["head-attention"].a.value - rows["head"].a.value
    )


def test_the_shift_is_surer_than_the_exponents_because_the_runs_are_the_same() -> None:
    rows = {row.key: row for row in conventions(noisy(shaped()), bootstrap=60).rows}
    assert rows["head"].shift.high < 0
    finer = rows["head-attention"]
    assert finer.shift.low < finer.shift.value < finer.shift.high
    assert finer.shift.high - finer.shift.low < 0.7 * (finer.a.high - finer.a.low)


def noisy(runs: RunTable) -> RunTable:
    noise = np.exp(0.003 * np.random.default_rng(0).normal(size=len(runs)))
    return read_runs(runs.frame.with_columns(loss=pl.col("loss") * pl.Series(noise)))


def test_columns_that_are_missing_are_named() -> None:
    bare = shaped().frame.drop("vocab_size", "n_layer")
    found = conventions(read_runs(bare), bootstrap=0)
    assert [row.key for row in found.rows] == ["nonembed", "total"]
    assert "the output head needs vocab_size and d_model" in found.missing
    assert "the attention term needs n_layer, d_model and context_length" in found.missing


def test_one_token_count_for_each_size_is_not_enough() -> None:
    with pytest.raises(UnfitDataError, match="0 sizes have two token counts or more"):
        conventions(isoflop_runs())


def test_what_is_missing_is_named_where_no_convention_can_be_told() -> None:
    text = r"Kaplan's count needs params_nonembed\. The attention term needs n_layer"
    with pytest.raises(UnfitDataError, match=text):
        conventions(isoflop_runs())


def test_sizes_that_share_no_compute_are_refused() -> None:
    rows = [
        {"params": size, "tokens": size * ratio, "loss": 3.0 - 0.1 * i}
        for i, size in enumerate(10.0 ** np.arange(6, 12))
        for ratio in (10, 12)
    ]
    with pytest.raises(UnfitDataError, match="no compute that 4 of the 6 sizes were all"):
        conventions(read_runs(rows))


def test_checkpoints_are_used_where_finished_runs_are_too_few() -> None:
    frame = shaped().frame.with_columns(
        run_id=pl.col("params").cast(pl.Utf8),
        is_final=pl.col("tokens") == pl.col("tokens").max().over("params"),
    )
    found = conventions(read_runs(frame), bootstrap=0)
    assert "Read off checkpoints" in found.warnings[0]
    with pytest.raises(UnfitDataError, match="0 sizes have two token counts or more"):
        conventions(read_runs(frame), rows="finals", bootstrap=0)


def test_a_level_that_is_no_probability_is_refused() -> None:
    with pytest.raises(UsageError, match="level=0 is not a probability"):
        conventions(shaped(), level=0)


@pytest.mark.parametrize(
    ("size", "exponent"), [(1e5, 0.8297), (1e6, 0.9628), (1e8, 0.6128), (1e9, 0.5354)]
)
def test_the_local_exponent_of_pearce_and_song(size: float, exponent: float) -> None:
    assert local_exponent(size, alpha=0.3478, beta=0.3658) == pytest.approx(exponent, abs=5e-5)


def test_the_local_exponent_runs_between_its_two_limits() -> None:
    limits = local_exponent(np.array([1e-9, 1e30]), alpha=0.3478, beta=0.3658)
    np.testing.assert_allclose(limits, (0.7593, 0.5126), atol=5e-5)


@pytest.mark.parametrize(
    ("alpha", "beta", "exponent"), [(0.3478, 0.3658, 0.787), (0.33917084, 0.2849083, 0.750)]
)
def test_a_line_over_kaplans_sizes_shows_about_kaplans_exponent(
    alpha: float, beta: float, exponent: float
) -> None:
    assert observed_exponent(alpha=alpha, beta=beta) == pytest.approx(exponent, abs=1e-3)


def test_without_embeddings_to_leave_out_nothing_bends() -> None:
    flat = local_exponent(np.geomspace(1e3, 1e9, 5), alpha=0.3, beta=0.4, omega=0.0)
    assert flat == pytest.approx(np.full(5, 0.4 / 0.7))


def test_the_exponent_of_a_negative_size_is_refused() -> None:
    with pytest.raises(UsageError, match="not positive"):
        local_exponent(-1.0, alpha=0.3, beta=0.3)
