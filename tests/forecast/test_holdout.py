"""Forecasting the largest runs of a table from the rest."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.forecast.holdout import forecast_held_out
from scalewise.forecast.repeats import seed_noise
from scalewise.runs.read import read_runs
from tests.forecast.ladders import ladder

SIZES = np.geomspace(1e7, 1e9, 7)


def test_the_largest_sizes_are_set_aside_and_forecast_from_the_rest() -> None:
    forecast = forecast_held_out(ladder(), sizes=2, bootstrap=40)
    assert forecast.held_out_sizes == pytest.approx(tuple(SIZES[-2:]))
    assert forecast.fitted_sizes == pytest.approx(tuple(SIZES[:-2]))
    assert forecast.result.points == 20
    assert forecast.result.ranges["params"][1] == pytest.approx(SIZES[-3])
    assert len(forecast.auto.points) == 8
    assert {p.params for p in forecast.auto.points} == set(forecast.held_out_sizes)
    assert forecast.auto.mean_abs_error < 0.01
    assert forecast.auto in forecast.scores
    laws = [s.law for s in forecast.scores]
    assert {"auto", "chinchilla", "best seen", "most compute"} <= set(laws)
    errors = [s.mean_abs_error for s in forecast.scores]
    assert errors == sorted(errors)
    assert forecast.seed_noise is None


def test_the_held_out_losses_have_no_say_in_the_forecast() -> None:
    honest, spoiled = ladder(), ladder()
    loss = np.where(spoiled.column("params") > 4e8, 9.0, spoiled.column("loss"))
    spoiled = read_runs(
        {"params": spoiled.column("params"), "tokens": spoiled.column("tokens"), "loss": loss}
    )
    one, other = (forecast_held_out(t, sizes=2, bootstrap=20) for t in (honest, spoiled))
    assert one.result.theta == other.result.theta
    assert [p.predicted for p in one.auto.points] == [p.predicted for p in other.auto.points]


@pytest.mark.parametrize("sizes", [0, 2, 9])
def test_three_sizes_must_remain(sizes: int) -> None:
    text = rf"Holding out {sizes} of 4 sizes leaves fewer than three to fit\. Hold out fewer"
    with pytest.raises(UnfitDataError, match=text):
        forecast_held_out(ladder(sizes=4), sizes=sizes)


def test_seed_noise_is_the_pooled_deviation_of_log_loss_between_seeds() -> None:
    table = read_runs(
        {
            "params": [1e6, 1e6, 1e6, 2e6, 2e6, 4e6],
            "tokens": [1e8, 1e8, 1e8, 1e8, 1e8, 1e8],
            "seed": [0, 1, 2, 0, 1, 0],
            "loss": np.exp([1.00, 1.01, 1.02, 0.90, 0.94, 0.8]),
        }
    )
    # Squares about the means: 2 * 0.01**2 and 2 * 0.02**2, on 2 + 1 degrees of freedom.
    assert seed_noise(table) == pytest.approx(np.sqrt(0.001 / 3), rel=1e-12)


def test_one_seed_each_tells_nothing_of_seed_noise() -> None:
    assert seed_noise(ladder(sizes=4)) is None
    assert seed_noise(ladder(sizes=4, seed=0, budgets=1)) is None
