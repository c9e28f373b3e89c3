from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.forecast.repeats import components, run_noise, seed_noise, spread
from scalewise.runs.read import read_runs
from tests.forecast.repeated_runs import repeated
from tests.shared_data import shared_table


def test_the_noise_between_seeds_is_found_whatever_the_losses_are() -> None:
    found = run_noise(repeated(noise=0.004, seeds=5, bend=0.1))
    assert found.spread.sd == pytest.approx(0.004, rel=0.15)
    assert found.spread.low < 0.004 < found.spread.high
    assert found.spread.degrees == 24 * 4
    assert len(found.repeats) == 24
    assert {repeat.runs for repeat in found.repeats} == {5}


def test_noise_in_nats_is_that_of_the_losses_themselves() -> None:
    losses = np.array([3.0, 3.1, 2.8, 3.3])
    runs = read_runs({"params": [1e6] * 4, "tokens": [1e8] * 4, "loss": losses})
    assert run_noise(runs, in_logs=False).spread.sd == pytest.approx(losses.std(ddof=1))
    assert run_noise(runs).spread.sd == pytest.approx(np.log(losses).std(ddof=1))


def test_the_chi_squared_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        made = spread(float(rng.normal(size=5).std(ddof=1)), 4, 0.9)
        inside += made.low < 1.0 < made.high
    assert 0.86 < inside / 400 < 0.94


def test_branches_of_one_trunk_count_as_one_run() -> None:
    rows = [
        {"run_id": f"s{k}", "params": 1e6, "tokens": tokens, "loss": 3 + 0.1 * k - 0.01 * j,
         "is_final": True, "seed": k}
        for k in range(3) for j, tokens in enumerate((1e7, 2e7, 4e7, 8e7))
    ]  # fmt: skip
    found = run_noise(read_runs(rows))
    assert len(found.repeats) == 4
    assert found.spread.degrees == 2


def test_runs_that_differ_in_more_than_their_seed_are_no_repeats() -> None:
    with pytest.raises(UnfitDataError, match=r"No two of 2 runs agree in .*lr_peak") as caught:
        run_noise(read_runs({
            "params": [1e6] * 2, "tokens": [1e8] * 2, "loss": [3.0, 3.1], "lr_peak": [1e-3, 2e-3],
        }))  # fmt: skip
    assert "Train one size twice" in caught.value.hint


def test_a_row_written_twice_is_no_repeat() -> None:
    table = repeated(seeds=2)
    doubled = replace(table, frame=pl.concat([table.frame, table.frame]))
    assert run_noise(doubled).spread == run_noise(table).spread


def test_copies_under_other_names_are_refused() -> None:
    with pytest.raises(UnfitDataError, match="equal losses to the last digit: copies"):
        run_noise(read_runs({"params": [1e6] * 2, "tokens": [1e8] * 2, "loss": [3.0, 3.0]}))


def test_the_columns_that_make_an_experiment_can_be_named() -> None:
    table = repeated(seeds=2)
    assert len(run_noise(table, by=("params",), in_logs=False).repeats) == 6
    with pytest.raises(UsageError, match="The table has no column recipe"):
        run_noise(table, by=("recipe",))


def test_a_table_without_sizes_cannot_tell_equal_runs() -> None:
    with pytest.raises(UnfitDataError, match="none of params, params_nonembed, d_model"):
        run_noise(read_runs({"tokens": [1e8] * 2, "loss": [3.0, 3.1]}))


def test_noise_that_grows_with_the_loss_is_told() -> None:
    rng = np.random.default_rng(1)
    rows = [
        {"params": 1e6, "tokens": tokens, "loss": loss * np.exp(noise * rng.normal())}
        for tokens, loss, noise in ((1e7, 5.0, 0.02), (2e7, 4.5, 0.02), (4e7, 3.0, 0.004),
                                    (8e7, 2.5, 0.004))
        for _ in range(20)
    ]  # fmt: skip
    found = run_noise(read_runs(rows))
    assert found.trend == pytest.approx(5.0, rel=0.4)
    assert found.trend_p is not None
    assert found.trend_p < 1e-6


def test_seed_noise_is_none_without_seeds_or_repeats() -> None:
    table = repeated(seeds=2)
    assert seed_noise(table) == run_noise(table).spread.sd
    assert seed_noise(repeated(seeds=1)) is None
    assert seed_noise(read_runs(table.frame.drop("seed"))) is None


def test_runs_are_joined_by_the_experiments_that_they_share() -> None:
    chain = np.array([0, 0, 1, 1, 2, 2, 3]), np.array([0, 1, 1, 2, 2, 3, 4])
    assert components(*chain) == 2


def test_speed_runs_scatter_as_much_as_their_record_says() -> None:
    """75 repeats of one modded-nanogpt record; its readme names 0.001 to 0.004 nats."""
    table = read_runs(shared_table("modded_nanogpt/runs.parquet"))
    found = run_noise(table, by=("record", "step"), in_logs=False)
    most = max(found.repeats, key=lambda repeat: repeat.runs)
    assert most.runs == 75
    assert most.sd == pytest.approx(0.002141, rel=1e-3)
    assert 0.001 < found.spread.low < found.spread.high < 0.004
