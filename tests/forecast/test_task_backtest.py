from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import RunDataError, UnfitDataError, UsageError
from scalewise.forecast.task_backtest import TaskBacktest, backtest_tasks
from scalewise.forecast.task_forecasts import (
    Asked,
    Forecasts,
    Settings,
    forecasts,
    keys_of,
    widened,
)
from scalewise.forecast.task_methods import DIRECT, TWO_STEP, Bands
from scalewise.forecast.task_splits import splits_by_compute
from scalewise.forecast.task_verdict import Measured, Verdict, at_chance, judged, too_narrow
from scalewise.forecast.tasks import Task
from scalewise.laws.catalogue import LAWS
from scalewise.runs.read import read_runs

LOSS = {"E": 1.7, "A": 400.0, "B": 1500.0, "alpha": 0.34, "beta": 0.36}
ERROR = {"eps": 0.75, "a": 0.6, "k": 2.5, "L0": 2.6}
CHANCE = {"acc_quiz": 0.25, "acc_guess": 0.25, "acc_few": 0.25, "acc_turn": 0.25}
ITEMS = {"acc_quiz": 2000, "acc_guess": 500, "acc_few": 20, "acc_turn": 2000}


def ladder(*, scatter: float = 0.006, seed: int = 0) -> dict[str, Any]:
    """Six sizes at four budgets; a task that falls with loss, one of luck, one of few items."""
    rng = np.random.default_rng(seed)
    N = np.repeat(np.geomspace(2e7, 3e9, 6), 4)
    D = N * np.tile([10.0, 20.0, 40.0, 100.0], 6)
    loss = LAWS["chinchilla"].value(LOSS, N=N, D=D) * np.exp(0.003 * rng.standard_normal(24))
    quiz = LAWS["error-sigmoid"].value(ERROR, L=loss) + scatter * rng.standard_normal(24)
    return {
        "run_id": [f"r{i:02d}" for i in range(24)], "params": N, "tokens": D, "loss": loss,
        "acc_quiz": 1 - quiz,
        "acc_guess": 0.25 + 0.01 * rng.standard_normal(24),
        "acc_few": 0.6 + 0.03 * rng.standard_normal(24),
        # Rises to the middle of the ladder and falls again.
        "acc_turn": 0.45 - 0.15 * (np.log10(N * D) - 18.5) ** 2 / 4 + 0.003 * rng.random(24),
    }  # fmt: skip


RUNS = ladder()
FOUND = backtest_tasks(RUNS, chance=CHANCE, items=ITEMS, bootstrap=30)


def verdict(found: TaskBacktest, task: str) -> Verdict:
    return next(o.verdict for o in found.outcomes if o.task.name == task)


def test_each_task_gets_its_verdict_with_the_number_that_it_rests_on() -> None:
    told = {o.task.name: (o.verdict, o.why) for o in FOUND.outcomes}
    assert told["acc_quiz"][0] is Verdict.FORECASTABLE
    assert "two-step is off by" in told["acc_quiz"][1]
    assert told["acc_guess"][0] is Verdict.AT_CHANCE
    assert "that guess at 0.25 on 500 items reach 0.3" in told["acc_guess"][1]
    assert told["acc_few"][0] is Verdict.NOISE_LIMITED
    assert "(20 items)" in told["acc_few"][1]
    assert told["acc_turn"][0] is Verdict.NON_MONOTONE
    assert "With more compute the error rises by" in told["acc_turn"][1]


def test_a_task_that_follows_from_loss_is_forecast_closely_and_inside_its_intervals() -> None:
    outcome = next(o for o in FOUND.outcomes if o.task.name == "acc_quiz")
    two_step, naive = outcome.score_of(TWO_STEP), outcome.score_of("best seen")
    assert two_step.mean_abs_error < 0.02
    assert naive.mean_abs_error > 0.03
    assert two_step.coverage is not None
    assert two_step.coverage >= 0.7
    assert two_step.naive_error == pytest.approx(naive.mean_abs_error)
    assert naive.coverage is None
    assert two_step.interval_score is not None
    assert two_step.mean_width is not None
    assert two_step.interval_score >= two_step.mean_width


def test_a_task_at_chance_is_not_forecast_and_says_so() -> None:
    outcome = next(o for o in FOUND.outcomes if o.task.name == "acc_guess")
    assert not any(score.points for score in outcome.methods)
    assert "by luck" in outcome.score_of(TWO_STEP).status
    assert outcome.score_of("best seen").points


def test_the_table_has_a_row_per_task_and_method() -> None:
    frame = FOUND.frame
    assert len(frame) == 4 * len(FOUND.outcomes)
    row = frame.filter((frame["task"] == "acc_quiz") & (frame["method"] == DIRECT))
    assert row["verdict"][0] == "forecastable"
    assert row["points"][0] == 15


def test_targets_take_more_compute_than_any_fitted_model() -> None:
    assert [len(split.held_out) for split in FOUND.splits] == [2, 5, 8]
    for outcome in FOUND.outcomes:
        for score in outcome.scores:
            assert all(point.reach > 1 for point in score.points)


def test_what_the_held_out_models_measured_changes_no_forecast() -> None:
    moved = {**RUNS, "acc_quiz": RUNS["acc_quiz"].copy(), "loss": RUNS["loss"].copy()}
    flops = 6 * RUNS["params"] * RUNS["tokens"]
    largest = np.argmax(flops)
    moved["acc_quiz"][largest] = 0.3
    moved["loss"][largest] = 4.0
    before, after = (
        backtest_tasks(runs, ["acc_quiz"], chance={"acc_quiz": 0.25}, bootstrap=20)
        .outcomes[0].score_of(TWO_STEP).points
        for runs in (RUNS, moved)
    )  # fmt: skip
    name = RUNS["run_id"][largest]
    for one, other in zip(before, after, strict=True):
        assert (one.predicted, one.low, one.high) == (other.predicted, other.low, other.high)
        assert (one.measured == other.measured) is (one.run_id != name)


def test_compute_alone_serves_where_there_is_no_loss() -> None:
    runs = {k: v for k, v in RUNS.items() if k != "loss"}
    found = backtest_tasks(runs, ["quiz"], chance={"quiz": 0.25}, bootstrap=20)
    (outcome,) = found.outcomes
    assert "no loss" in outcome.score_of(TWO_STEP).status
    assert len(outcome.score_of(DIRECT).points) == 15
    assert outcome.verdict is Verdict.FORECASTABLE


def test_a_task_may_have_a_loss_of_its_own() -> None:
    runs = {**RUNS, "bpb_quiz": RUNS["loss"] / 3.0, "loss": np.full(24, np.nan)}
    found = backtest_tasks(
        runs, ["acc_quiz"], chance={"acc_quiz": 0.25}, losses={"quiz": "bpb_quiz"}, bootstrap=20
    )
    assert found.outcomes[0].score_of(TWO_STEP).mean_abs_error < 0.02


def test_the_models_to_forecast_may_be_named() -> None:
    found = backtest_tasks(RUNS, ["acc_quiz"], held_out="params > 2B", bootstrap=20)
    (split,) = found.splits
    assert split.label == "all but params > 2B"
    points = found.outcomes[0].score_of(TWO_STEP).points
    assert [p.run_id for p in points] == ["r20", "r21", "r22", "r23"]
    assert all(len(spreads) == 1 for spreads in found.spreads.values())


def test_checkpoints_stay_with_the_runs_that_are_fitted() -> None:
    runs = read_runs(RUNS)
    import polars as pl

    early = runs.frame.with_columns(
        pl.col("tokens") * 0.5, pl.col("flops") * 0.5, is_final=pl.lit(value=False)
    )
    split = splits_by_compute(replace(runs, frame=pl.concat([runs.frame, early])))[0]
    assert set(split.fitted.text("run_id")) == set(split.fitted.finals().text("run_id"))
    assert len(split.fitted) == 2 * len(split.fitted.finals())
    assert len(split.held_out) == 2


def test_intervals_are_widened_by_what_forecasts_from_further_down_missed() -> None:
    table = read_runs(RUNS)
    splits = splits_by_compute(table)
    asked = [Asked(task=Task(name="q", columns=("acc_quiz",)), items=None, loss="loss")]
    made = forecasts(splits, asked, Settings(level=0.9, bootstrap=0, seed=0))
    sure = {key: _narrow(bands, 0.2) for key, bands in made.bands.items()}
    narrow = Forecasts(bands=sure, reasons={})
    stated, wider = (
        widened(each, asked, splits, TWO_STEP, 0, level=0.9) for each in (made, narrow)
    )
    assert wider > 1.5 * stated
    assert widened(made, asked, splits, TWO_STEP, len(splits) - 1, level=0.9) == 1.0
    assert not set(keys_of(splits[0].held_out)) & set(keys_of(splits[0].fitted))


def _narrow(bands: Bands, factor: float) -> Bands:
    return bands.widened(factor)


def test_few_items_widen_an_interval_and_many_do_not() -> None:
    bands = Bands(
        predicted=np.array([0.5]), low=np.array([0.48]), high=np.array([0.52]), noise=0.01
    )
    few, many = bands.with_items(100, 0.9), bands.with_items(1e6, 0.9)
    # sqrt(0.02**2 + 1.645**2 * (0.05**2 - 0.01**2))
    assert few.high[0] - 0.5 == pytest.approx(0.083, abs=5e-4)
    assert many.high[0] == 0.52


def test_models_worse_than_guessing_start_from_their_own_error() -> None:
    """A ceiling below what all small models measured would bend the law to reach them."""
    runs = {**RUNS, "err_trap": 1.08 * (1 - RUNS["acc_quiz"])}
    found = backtest_tasks(runs, ["err_trap"], chance={"err_trap": 0.25}, bootstrap=20)
    assert found.outcomes[0].score_of(TWO_STEP).mean_abs_error < 0.03


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"items": {"acc_quizz": 5}}, UsageError, "A number of items is given for 'acc_quizz'"),
        ({"items": {"acc_quiz": 0}}, UsageError, "Task acc_quiz has 0 items"),
        ({"losses": {"acc_quiz": "bpb"}}, RunDataError, "There is no column 'bpb' of loss"),
        ({"held_out": "params > 30M"}, UnfitDataError, "too few to forecast a task"),
        ({"chance": {"acc_other": 0.2}}, UsageError, "'acc_other', which is no task here"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    given: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        backtest_tasks(RUNS, ["acc_quiz"], bootstrap=0, **given)


def test_runs_without_compute_are_refused() -> None:
    with pytest.raises(UnfitDataError, match="no compute to order them by"):
        backtest_tasks({"loss": RUNS["loss"], "acc_quiz": RUNS["acc_quiz"]}, bootstrap=0)


def test_a_task_that_few_models_measured_is_untested() -> None:
    part = np.where(np.arange(24) % 6 == 0, RUNS["acc_quiz"], np.nan)
    found = backtest_tasks({**RUNS, "acc_part": part}, ["acc_part"], bootstrap=0)
    assert verdict(found, "acc_part") is Verdict.UNTESTED
    assert "it takes 6" in found.outcomes[0].score_of(DIRECT).status


def test_the_best_of_many_guesses_is_still_a_guess() -> None:
    task = Task(name="t", columns=("acc_t",), chance=0.5)
    error = np.full(30, 0.5)
    error[7] = 0.38  # nearly two standard errors of 60 items
    # 0.95**(1/30) is the normal quantile 2.93; a standard error of 60 items is 0.0645.
    assert "reach 0.689 by luck" in at_chance(task, error, 60)
    assert at_chance(task, error, 6000) == ""
    assert at_chance(replace(task, chance=None), error, 60) == ""


def test_intervals_that_chance_cannot_excuse_are_too_narrow() -> None:
    assert too_narrow(0, 1, 0.9) == ""  # in 10 % of cases by chance
    assert too_narrow(11, 15, 0.9) == ""  # in 5.6 %
    assert "held 10 of 15 measured" in too_narrow(10, 15, 0.9)  # in 1.3 %
    assert too_narrow(10, 15, 0.7) == ""


def test_a_task_whose_intervals_missed_is_forecastable_with_a_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not FOUND.warnings
    monkeypatch.setattr("scalewise.forecast.task_backtest.widened", lambda *_, **__: 0.02)
    found = backtest_tasks(
        RUNS, ["acc_quiz"], chance={"acc_quiz": 0.25}, items={"acc_quiz": 2000}, bootstrap=30
    )
    (outcome,) = found.outcomes
    assert outcome.verdict is Verdict.FORECASTABLE
    assert "; its 90% intervals held" in outcome.why
    assert "of 15 measured errors: they are too narrow to defend it." in outcome.why
    assert found.warnings == ("Forecastable, but with intervals too narrow to defend: 'acc_quiz'.",)


def test_a_real_effect_that_no_method_forecasts_is_called_that() -> None:
    flops = np.geomspace(1e18, 1e20, 9)
    measured = Measured(
        task=Task(name="t", columns=("err_t",), chance=0.25), flops=flops,
        error=np.linspace(0.7, 0.5, 9), held_out=np.array([0.4]), items=5000, scatter=0.01,
    )  # fmt: skip
    assert judged(measured, DIRECT, 0.09, 0.05)[0] is Verdict.NOT_BETTER
    assert judged(measured, DIRECT, 0.02, 0.05)[0] is Verdict.FORECASTABLE
    assert judged(measured, DIRECT, "why not", None) == (Verdict.UNTESTED, "why not")
    risen = replace(measured, held_out=np.array([0.9]))
    assert judged(risen, DIRECT, 0.02, 0.05)[0] is Verdict.NON_MONOTONE
    flat = replace(measured, error=np.linspace(0.6, 0.61, 9))
    assert "does not fall with compute" in judged(flat, DIRECT, 0.02, 0.05)[1]
