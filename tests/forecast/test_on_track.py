"""Judging a live run: the band, departures for good, and the updated forecast of its end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import LawError, RunDataError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.fit.search import QUICK
from scalewise.fit.storage import read_fit
from scalewise.forecast.on_track import OnTrack, on_track
from scalewise.runs.read import read_runs
from scalewise.runs.write import write_runs
from tests.forecast.simulated_curves import TRUTH, curves

SIZE, BATCH, END = 1e9, 2.0**20, 2.5e5
GIVEN = {"params_nonembed": SIZE, "batch_tokens": BATCH}


@pytest.fixture(scope="module")
def fitted() -> FitResult:
    table = curves(point=0.002, run=0.001, points=20)
    return fit("trajectory", table, rows="all", delta=3e-3, bootstrap=100, effort=QUICK)


def live(
    *, last: float = 4e4, points: int = 40, off: Any = 0.0, point: float = 0.0, seed: int = 0
) -> dict[str, Any]:
    """A log of step and loss, off the truth by ``off`` in log loss."""
    step = np.geomspace(3e3, last, points)
    chance = point * np.random.default_rng(seed).standard_normal(points)
    return {"step": step, "loss": TRUTH.loss(SIZE, step, BATCH) * np.exp(off + chance)}


def judged(fitted: FitResult, log: object, **settings: Any) -> OnTrack:
    return on_track(fitted, log, **{**GIVEN, "until": END, **settings})


def test_a_run_of_the_law_stays_on_track_and_its_end_is_forecast(fitted: FitResult) -> None:
    found = judged(fitted, live(point=0.002))
    assert not found.has_left
    assert (found.left_at, found.side) == (None, "")
    assert found.outside.mean() < 0.2
    truth = TRUTH.loss(SIZE, END, BATCH)
    assert found.projected.low < truth < found.projected.high
    assert found.projected.extrapolation["params_nonembed"] == pytest.approx(SIZE / 6e7)
    assert found.false_alarm <= 0.05


def test_a_log_without_run_id_is_one_run_also_after_it_was_written_as_a_table(
    fitted: FitResult, tmp_path: Path
) -> None:
    write_runs(read_runs(live()), tmp_path / "log.csv")
    again = judged(fitted, str(tmp_path / "log.csv"))
    assert again.projected.loss == pytest.approx(judged(fitted, live()).projected.loss)


def test_the_band_is_that_of_the_fit_for_a_new_run(fitted: FitResult) -> None:
    found = judged(fitted, live())
    same = fitted.predict(step=found.step, **GIVEN)
    np.testing.assert_allclose(found.predicted, same.loss, rtol=1e-10)
    np.testing.assert_allclose(found.low, same.low, rtol=2e-4)
    np.testing.assert_allclose(found.high, same.high, rtol=2e-4)
    narrow = judged(fitted, live(), level=0.5)
    assert np.all(narrow.high < found.high)


@pytest.mark.parametrize(("off", "side"), [(0.03, "above"), (-0.03, "below")])
def test_a_run_that_breaks_away_is_caught_where_it_does(
    fitted: FitResult, off: float, side: str
) -> None:
    log = live(off=np.where(np.arange(40) >= 30, off, 0.0))
    found = judged(fitted, log)
    assert found.has_left
    assert found.side == side
    assert found.left_at == found.first_departure == pytest.approx(log["step"][30])
    assert "does not follow the fitted law" in found.warnings[0]
    # The end follows the run's own deviation: one that keeps it lies inside the interval.
    assert np.log(found.projected.loss / found.planned.loss) / off > 0.2
    assert found.projected.low < found.planned.loss * np.exp(off) < found.projected.high


def test_one_wild_point_is_a_departure_and_not_for_good(fitted: FitResult) -> None:
    found = judged(fitted, live(off=np.where(np.arange(40) == 20, 0.05, 0.0)))
    assert found.outside.sum() == 1
    assert found.first_departure == found.step[20]
    assert not found.has_left


@pytest.mark.parametrize(("count", "gone"), [(4, False), (5, False), (12, True)])
def test_leaving_for_good_takes_five_points_and_a_fifth_more_steps(
    fitted: FitResult, count: int, gone: bool
) -> None:
    # Points lie 3.4 % apart in step: it takes seven of them.
    log = live(last=1.2e4, off=np.where(np.arange(40) >= 40 - count, 0.05, 0.0))
    assert judged(fitted, log).has_left == gone


def test_a_run_that_came_back_is_on_track(fitted: FitResult) -> None:
    found = judged(fitted, live(off=np.where(np.arange(40) < 30, 0.05, 0.0)))
    assert found.outside[:30].all()
    assert not found.has_left


def test_what_was_seen_moves_and_narrows_the_forecast_of_the_end(fitted: FitResult) -> None:
    late = judged(fitted, live(last=2.4e5, points=60, off=0.004))
    assert late.projected.loss > late.planned.loss
    before = late.planned.high - late.planned.low
    assert late.projected.high - late.projected.low < before


def test_false_alarms_are_as_rare_as_simulated_runs_say(fitted: FitResult) -> None:
    """Where the whole noise is shared along a curve, a run is outside for good or not at all."""
    shared = replace(fitted, observed=fitted.observed * np.exp(_shared(fitted)))
    told = judged(shared, live()).false_alarm
    assert 0.005 < told <= 0.11
    assert judged(shared, live(), level=0.99).false_alarm < told


def _shared(fitted: FitResult) -> np.ndarray[Any, Any]:
    off = np.random.default_rng(3).standard_normal(fitted.runs) * 0.01
    return np.asarray(off[fitted.cluster])


def test_a_batch_schedule_in_the_log_is_followed(fitted: FitResult) -> None:
    step = np.arange(500.0, 4.05e4, 500.0)
    batch = np.where(step <= 2e4, 2.0**18, 2.0**21)
    stages = [(b, 500.0) for b in batch]
    log = {"run_id": ["a"] * 80, "params_nonembed": [SIZE] * 80, "batch_tokens": batch,
           "step": step, "loss": TRUTH.loss_through(SIZE, stages)}  # fmt: skip
    found = on_track(fitted, log, until=END)
    assert not found.outside.any()
    wrong = TRUTH.loss(SIZE, found.step, 2.0**21)
    assert np.max(np.abs(found.predicted / found.loss - 1)) < 0.01
    assert np.max(np.abs(wrong / found.loss - 1)) > 0.1


def test_points_of_the_transient_are_not_judged(fitted: FitResult) -> None:
    log = live()
    early = {"step": np.append([20.0, 100.0], log["step"]), "loss": np.append([9, 8], log["loss"])}
    found = judged(fitted, early)
    assert found.step[0] == log["step"][0]
    assert found.left_out == ("2 points 1.5 nats/token or more above the floor",)
    with pytest.raises(
        RunDataError, match=r"log ends at step 100, where the forecast is still 1\.5"
    ):
        judged(fitted, {"step": [20.0, 100.0], "loss": [9.0, 8.0]})


def test_few_points_and_fits_without_resamples_are_told(fitted: FitResult) -> None:
    bare = replace(fitted, draws=fitted.draws[:0])
    found = judged(bare, live(points=3))
    assert "3 points are too few to tell" in found.warnings[0]
    assert "The fit was not resampled" in found.warnings[1]


def test_the_end_is_that_of_the_log_where_no_other_is_known(fitted: FitResult) -> None:
    assert judged(fitted, live(), until=None).until == pytest.approx(4e4)
    planned = live() | {"steps": [1e5] * 40}
    assert judged(fitted, planned, until=None).until == 1e5
    with pytest.raises(UsageError, match="until=100 lies before the last step of the log, 40000"):
        judged(fitted, live(), until=100)


def test_logs_that_cannot_be_judged_are_refused(fitted: FitResult) -> None:
    with pytest.raises(RunDataError, match="Loss curves need batch_tokens"):
        on_track(fitted, live(), params_nonembed=SIZE)
    with pytest.raises(RunDataError, match="The log holds 9 runs of 5 sizes"):
        on_track(fitted, curves())
    sized = live() | {"params_nonembed": [2e9] * 40}
    with pytest.raises(UsageError, match=r"of a run of 2B params_nonembed, the forecast of 1B"):
        judged(fitted, sized)
    with pytest.raises(UsageError, match="level=90 is not a probability"):
        judged(fitted, live(), level=90)
    with pytest.raises(RunDataError, match="None of 40 rows is usable"):
        judged(fitted, live() | {"loss": [float("nan")] * 40})


def test_constants_without_runs_have_no_band() -> None:
    with pytest.raises(UnfitDataError, match="come without runs"):
        judged(read_fit("kaplan2020-trajectory"), live())
    with pytest.raises(LawError, match="this is one of 'chinchilla'"):
        judged(read_fit("besiroglu2024"), live())
