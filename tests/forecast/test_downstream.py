from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import LawError, RunDataError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult, FitStatus, Rival
from scalewise.fit.storage import published_fit, read_fit, write_fit
from scalewise.forecast.downstream import fit_tasks, predict_error
from scalewise.forecast.tasks import gains_over_chance, tasks_above_chance
from scalewise.laws.catalogue import LAWS

LOSS = {"E": 1.7, "A": 400.0, "B": 1500.0, "alpha": 0.34, "beta": 0.36}
ERROR = {"eps": 0.75, "k": 5.0, "gamma": 1.2}
TARGET = {"params": 7e9, "tokens": 1.4e11}


def loss_at(params: Any, tokens: Any) -> Any:
    return LAWS["chinchilla"].value(LOSS, N=params, D=tokens)


def error_of(loss: Any) -> Any:
    return LAWS["error-exponential"].value(ERROR, L=loss)


def pilots(
    *, noise: float = 0.0, scatter: float = 0.0, seed: int = 0, sizes: int = 5, **more: Any
) -> dict[str, Any]:
    """Sizes from 10M to 1B at three token budgets; ``scatter`` is that of the error."""
    rng = np.random.default_rng(seed)
    N = np.repeat(np.geomspace(1e7, 1e9, sizes), 3)
    D = N * np.tile([5.0, 30.0, 200.0], sizes)
    loss = loss_at(N, D) * np.exp(noise * rng.standard_normal(len(N)))
    error = error_of(loss) + scatter * rng.standard_normal(len(N))
    return {"params": N, "tokens": D, "loss": loss, "err_quiz": error, **more}


def chain(runs: Mapping[str, Any], *, bootstrap: int = 40, **settings: Any) -> FitResult:
    """Both laws fitted to the same runs."""
    loss = fit("chinchilla", runs, bootstrap=bootstrap, objective="ls")
    return fit_tasks(loss, runs, ["err_quiz"], bootstrap=bootstrap, **settings)


NOISY = chain(pilots(noise=0.005, scatter=0.006))


def test_without_noise_the_chain_gives_the_true_error() -> None:
    result = chain(pilots(), bootstrap=0)
    assert result.tasks["err_quiz"].theta == pytest.approx(ERROR, rel=1e-4)
    truth = float(error_of(loss_at(7e9, 1.4e11)))
    assert predict_error(result, "err_quiz", **TARGET).error == pytest.approx(truth, rel=1e-4)


def test_accuracy_becomes_error_and_it_is_said() -> None:
    runs = pilots()
    runs["acc/quiz"] = 1 - runs.pop("err_quiz")
    result = fit_tasks(published_fit("gadre2024-c4"), runs, ["acc/quiz"], bootstrap=0)
    law = result.tasks["acc/quiz"]
    assert law.theta == pytest.approx(ERROR, rel=1e-4)
    assert law.provenance["error"] == "1 - accuracy in acc/quiz"


def test_a_task_may_be_a_mean_and_named_without_its_prefix() -> None:
    runs = pilots()
    runs |= {"acc_other": 1 - runs["err_quiz"] - 0.1, "err_third": runs["err_quiz"] - 0.1}
    wanted = {"mean3": ["quiz", "acc_other", "third"], "other": "other", "errors": "err_*"}
    result = fit_tasks(published_fit("gadre2024-c4"), runs, wanted, bootstrap=0)
    ceilings = {name: law.theta["eps"] for name, law in result.tasks.items()}
    assert ceilings == pytest.approx({"mean3": 0.75, "other": 0.85, "errors": 0.70}, rel=1e-4)
    told = result.tasks["mean3"].provenance["error"]
    assert told == "mean of 1 - accuracy and error over 3 columns: err_quiz, acc_other, err_third"


def test_tasks_are_added_to_a_copy_beside_the_earlier_ones() -> None:
    before = fit_tasks(published_fit("gadre2024-c4"), pilots(), ["err_quiz"], bootstrap=0)
    after = fit_tasks(before, pilots(), {"again": "err_quiz"}, bootstrap=0)
    assert (list(before.tasks), list(after.tasks)) == (["err_quiz"], ["err_quiz", "again"])


@pytest.mark.parametrize(
    ("tasks", "error", "said"),
    [
        (["err_quizz"], RunDataError, "no column for task 'err_quizz'.*Did you mean 'err_quiz'"),
        (["loss"], RunDataError, "'loss' does not say whether it holds error or accuracy"),
        (["same"], RunDataError, "'same' could be 'acc_same', 'err_same'"),
        (["err_nothing*"], RunDataError, "no column for task"),
        ([], UsageError, "No task is named"),
    ],
)
def test_a_task_that_is_no_column_is_refused(
    tasks: list[str], error: type[Exception], said: str
) -> None:
    runs = pilots()
    runs |= {"acc_same": runs["err_quiz"], "err_same": runs["err_quiz"]}
    with pytest.raises(error) as raised:
        fit_tasks(published_fit("gadre2024-c4"), runs, tasks, bootstrap=0)
    assert re.search(said, f"{raised.value} {getattr(raised.value, 'hint', '')}")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (lambda error: 100 * (1 - error), "percent: divide the column by 100"),
        (lambda error: error - 0.5, "Error and accuracy are shares"),
    ],
)
def test_values_outside_0_to_1_are_refused_with_their_row(values: Any, said: str) -> None:
    runs = pilots()
    runs["acc_quiz"] = values(runs.pop("err_quiz"))
    with pytest.raises(RunDataError, match=r"acc_quiz is .* in row \d+ and outside \[0, 1\]") as e:
        fit_tasks(published_fit("gadre2024-c4"), runs, ["acc_quiz"], bootstrap=0)
    assert said in e.value.hint


def test_runs_without_a_value_are_left_out_and_counted() -> None:
    runs = pilots()
    runs["err_quiz"] = [None, None, *runs["err_quiz"][2:]]
    law = chain(runs, bootstrap=0).tasks["err_quiz"]
    assert law.points == 13
    assert "2 points lack error; left out of the fit." in law.warnings


def test_a_mean_leaves_out_runs_that_lack_one_of_its_tasks() -> None:
    runs = pilots()
    runs["err_other"] = [None, *runs["err_quiz"][1:]]
    result = fit_tasks(
        published_fit("gadre2024-c4"), runs, {"m": ["err_quiz", "err_other"]}, bootstrap=0
    )
    assert result.tasks["m"].points == 14


def test_losses_of_another_evaluation_set_are_noticed() -> None:
    runs = pilots()
    loss = fit("chinchilla", runs, bootstrap=0, objective="ls")
    other = {**runs, "loss": runs["loss"] * 1.1}
    (told,) = fit_tasks(loss, other, ["err_quiz"], bootstrap=0).tasks["err_quiz"].warnings
    assert "All 15 runs that the law of loss was fitted to have another loss here" in told
    assert told.endswith("is it another evaluation set?")
    elsewhere = {**other, "params": runs["params"] * 2}
    assert not fit_tasks(loss, elsewhere, ["err_quiz"], bootstrap=0).tasks["err_quiz"].warnings


def test_error_may_be_fitted_to_checkpoints_as_well() -> None:
    runs = pilots(is_final=[True] * 12 + [False] * 3)
    finals = fit_tasks(published_fit("gadre2024-c4"), runs, ["err_quiz"], bootstrap=0)
    both = fit_tasks(published_fit("gadre2024-c4"), runs, ["err_quiz"], rows="all", bootstrap=0)
    assert (finals.tasks["err_quiz"].points, both.tasks["err_quiz"].points) == (12, 15)


def test_a_standard_error_is_no_accuracy() -> None:
    runs = pilots()
    runs |= {"acc_quiz": 1 - runs["err_quiz"], "acc_quiz_stderr": 0.01 + 0 * runs["loss"]}
    result = fit_tasks(published_fit("gadre2024-c4"), runs, {"all": "acc_*"}, bootstrap=0)
    assert result.tasks["all"].provenance["error"] == "1 - accuracy in acc_quiz"


def test_a_task_without_any_value_is_refused() -> None:
    runs = pilots(family=["a"] * 14 + ["b"])
    runs["err_quiz"] = [None] * 14 + [0.5]
    with pytest.raises(UnfitDataError, match="'err_quiz' has no value in the 14 rows"):
        fit_tasks(
            published_fit("gadre2024-c4"), runs, ["err_quiz"], where="family == 'a'", bootstrap=0
        )


def test_a_task_at_chance_is_refused() -> None:
    runs = pilots()
    runs["err_quiz"] = 0.75 + 0.015 * np.sin(np.arange(15))
    with pytest.raises(UnfitDataError, match="All 15 runs are at chance in task 'err_quiz'"):
        chain(runs, bootstrap=0, chance={"err_quiz": 0.25})


def test_a_task_hardly_above_chance_is_doubted() -> None:
    runs = pilots()
    runs["err_quiz"] = 0.75 - 0.05 * (1 - runs["loss"] / runs["loss"].max())
    law = chain(runs, bootstrap=0, chance={"err_quiz": 0.25}).tasks["err_quiz"]
    assert "The best run beats chance by 0.032 only" in law.warnings[-1]


def test_an_error_that_does_not_fall_with_loss_is_refused() -> None:
    runs = pilots()
    runs["err_quiz"] = 0.9 - 0.1 * runs["loss"]
    with pytest.raises(UnfitDataError, match="does not fall with loss"):
        chain(runs, bootstrap=0)


def test_a_task_of_mostly_noise_is_doubted() -> None:
    law = chain(pilots(scatter=0.2, seed=3), bootstrap=0).tasks["err_quiz"]
    assert "too noisy to extrapolate" in law.warnings[-1]
    assert not any("noisy" in text for text in NOISY.tasks["err_quiz"].warnings)


def test_known_chance_holds_the_ceiling_of_the_sigmoid_and_says_why() -> None:
    runs = pilots()
    runs["err_quiz"] = 0.75 - 0.6 / (1 + np.exp(2.0 * (runs["loss"] - 2.6)))
    result = fit_tasks(
        published_fit("gadre2024-c4"), runs, ["err_quiz"], law="error-sigmoid",
        chance={"err_quiz": 0.25}, bootstrap=0,
    )  # fmt: skip
    law = result.tasks["err_quiz"]
    assert law.theta == pytest.approx({"eps": 0.75, "a": 0.6, "k": 2.0, "L0": 2.6}, rel=1e-3)
    assert law.fixed == ("eps",)
    assert law.provenance["eps"] == "held at 0.75, the error of guessing at chance accuracy 0.25"


def test_known_chance_bounds_the_ceiling_of_the_exponential() -> None:
    law = chain(pilots(), bootstrap=0, chance={"err_quiz": 0.4}).tasks["err_quiz"]
    assert law.theta["eps"] == 0.6
    assert law.provenance["eps"] == "at most 0.6, the error of guessing at chance accuracy 0.4"
    assert law.status is FitStatus.AT_BOUND
    free = chain(pilots(), bootstrap=0, chance={"err_quiz": 0.2}).tasks["err_quiz"]
    assert free.theta["eps"] == pytest.approx(0.75, rel=1e-4)


def test_chance_of_a_mean_is_the_mean_of_its_columns() -> None:
    runs = pilots()
    runs["err_other"] = runs["err_quiz"]
    result = fit_tasks(
        published_fit("gadre2024-c4"), runs, {"m": ["err_quiz", "err_other"]},
        chance={"err_quiz": 0.6, "err_other": 0.5}, law="error-sigmoid", bootstrap=0,
    )  # fmt: skip
    assert result.tasks["m"].theta["eps"] == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("chance", "said"),
    [
        ({"err_quiz": 25.0}, r"err_quiz is 25, which is not in \[0, 1\)"),
        ({"err_quiz": 1.0}, "not in"),
        ({"err_quis": 0.25}, "'err_quis', which is no task here"),
    ],
)
def test_a_chance_that_makes_no_sense_is_refused(chance: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        chain(pilots(), bootstrap=0, chance=chance)


def test_a_law_of_something_else_is_refused() -> None:
    with pytest.raises(LawError, match="a task needs a law of error by loss") as raised:
        chain(pilots(), bootstrap=0, law="chinchilla")
    assert "error-exponential, error-sigmoid" in raised.value.hint


def test_a_stated_loss_gives_the_interval_of_the_error_law_itself() -> None:
    alone = NOISY.tasks["err_quiz"].predict(loss=2.6, level=0.8)
    stated = predict_error(NOISY, "err_quiz", loss=2.6, level=0.8)
    assert (stated.error, stated.low, stated.high) == (alone.value, alone.low, alone.high)
    assert stated.loss is None
    assert stated.from_loss == (stated.error, stated.error)


def test_both_steps_are_wider_than_either_and_narrower_than_their_sum() -> None:
    both = predict_error(NOISY, "err_quiz", **TARGET)
    one, other = (float(high) - float(low) for low, high in (both.from_loss, both.from_error))
    width = float(both.high) - float(both.low)
    assert max(one, other) < width < one + other
    assert both.low < both.error < both.high


def test_with_an_exact_error_law_the_interval_is_that_of_the_loss() -> None:
    law = NOISY.tasks["err_quiz"]
    exact = replace(law, draws=np.empty((0, 3)), noise=0.0)
    forecast = predict_error(replace(NOISY, tasks={"err_quiz": exact}), "err_quiz", **TARGET)
    assert (forecast.low, forecast.high) == pytest.approx(forecast.from_loss, rel=1e-3)
    loss = NOISY.predict(**TARGET)
    ends = [float(exact.law.value(exact.theta, L=end)) for end in (loss.low, loss.high)]
    assert forecast.from_loss == pytest.approx(ends, rel=1e-12)


def test_a_loss_without_doubt_leaves_the_interval_of_the_error_law() -> None:
    sure = replace(NOISY, draws=np.empty((0, 5)), noise=0.0)
    forecast = predict_error(sure, "err_quiz", **TARGET)
    assert (forecast.low, forecast.high) == pytest.approx(forecast.from_error, abs=1e-3)


def test_rivals_of_the_loss_law_move_and_widen_the_error() -> None:
    rival = replace(NOISY, theta={**NOISY.theta, "E": NOISY.theta["E"] + 0.2}, tasks={})
    shifted = replace(rival, draws=rival.draws + np.array([0.2, 0, 0, 0, 0]))
    shared = NOISY.combined_with((Rival(weight=0.5, result=shifted),), weight=0.5, spread=1.0)
    alone = predict_error(NOISY, "err_quiz", **TARGET)
    mixed = predict_error(shared, "err_quiz", **TARGET)
    assert float(mixed.error) > float(alone.error) + 0.005
    assert mixed.high - mixed.low > 1.5 * (alone.high - alone.low)
    assert mixed.prediction.rests_on == (
        "chinchilla (50%)", "chinchilla (50%)", "error-exponential for err_quiz",
    )  # fmt: skip


def test_a_loss_below_the_fitted_ones_is_an_extrapolation_and_told_in_nats() -> None:
    forecast = predict_error(NOISY, "err_quiz", **TARGET)
    least = NOISY.tasks["err_quiz"].ranges["loss"][0]
    factor = forecast.prediction.extrapolation["loss"]
    assert factor == pytest.approx(least / float(forecast.at_loss))
    gap = least - float(forecast.at_loss)
    assert f"lies {gap:.3f} nats/token below the least" in forecast.prediction.warnings[-1]
    inside = predict_error(NOISY, "err_quiz", loss=least + 0.1)
    assert inside.prediction.extrapolation["loss"] == 1.0
    assert not inside.prediction.warnings


def test_many_targets_get_what_each_gets_alone() -> None:
    params = np.array([[2e9], [7e9]])
    tokens = np.array([4e10, 1.4e11, 1e12])
    grid = predict_error(NOISY, "err_quiz", params=params, tokens=tokens)
    assert np.shape(grid.error) == np.shape(grid.low) == (2, 3)
    one = predict_error(NOISY, "err_quiz", params=7e9, tokens=1e12)
    assert np.asarray(grid.low)[1, 2] == pytest.approx(one.low)
    assert np.asarray(grid.high)[1, 2] == pytest.approx(one.high)


def test_an_interval_never_leaves_0_to_1() -> None:
    wild = chain(pilots(noise=0.3, scatter=0.05, seed=1, sizes=4))
    forecast = predict_error(wild, "err_quiz", params=1e14, tokens=1e16, level=0.99)
    assert forecast.low == 0.0
    assert forecast.high <= 1.0


def test_wider_levels_give_wider_intervals() -> None:
    widths = [
        float(f.high) - float(f.low)
        for f in (predict_error(NOISY, "err_quiz", level=p, **TARGET) for p in (0.5, 0.9, 0.99))
    ]
    assert widths == sorted(widths)


def test_ninety_percent_intervals_hold_new_models() -> None:
    held = 0
    for seed in range(30):
        result = chain(pilots(noise=0.005, scatter=0.006, seed=seed), bootstrap=60)
        rng = np.random.default_rng(1000 + seed)
        loss = float(loss_at(7e9, 1.4e11)) * np.exp(0.005 * rng.standard_normal())
        measured = float(error_of(loss)) + 0.006 * rng.standard_normal()
        forecast = predict_error(result, "err_quiz", **TARGET)
        held += bool(forecast.low <= measured <= forecast.high)
    # 27 are expected; 22 or fewer would have a chance of 2 %.
    assert held >= 23


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        ("err_quis", TARGET, "no task 'err_quis'"),
        ("err_quiz", {"loss": 2.5, **TARGET}, "Both loss=2.5 and params, tokens are given"),
        ("err_quiz", {"params": 7e9}, "needs tokens"),
        ("err_quiz", {"loss": -1.0}, "must be positive"),
        ("err_quiz", {"level": 1.0, **TARGET}, "not a probability"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(
    task: str, given: dict[str, float], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        predict_error(NOISY, task, **given)


def test_a_fit_without_tasks_says_how_to_get_them() -> None:
    with pytest.raises(UsageError) as raised:
        predict_error(published_fit("gadre2024-c4"), "err_quiz", loss=2.5)
    assert "--task" in raised.value.hint


def test_a_doubtful_law_of_error_is_told_with_every_forecast() -> None:
    law = replace(NOISY.tasks["err_quiz"], status=FitStatus.NOT_IDENTIFIED)
    result = replace(NOISY, tasks={"err_quiz": law})
    forecast = predict_error(result, "err_quiz", loss=3.0)
    assert forecast.prediction.warnings == (f"err_quiz: {FitStatus.NOT_IDENTIFIED.value}",)


def test_a_fit_with_tasks_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    write_fit(NOISY, path)
    again = predict_error(read_fit(path), "err_quiz", **TARGET)
    assert again == predict_error(NOISY, "err_quiz", **TARGET)


def test_tasks_above_chance_are_those_that_some_run_clearly_beats() -> None:
    runs = {
        "params": [1e8, 1e8, 1e9], "acc_a": [0.30, 0.36, 0.9], "err_b": [0.5, 0.41, 0.1],
        "acc_c": [0.1, None, 0.9],
    }  # fmt: skip
    chance = {"acc_a": 0.25, "err_b": 0.5, "acc_c": 0.0}
    assert tasks_above_chance(runs, chance, at="params < 200M") == ("acc_a",)
    assert tasks_above_chance(runs, chance) == ("acc_a", "err_b", "acc_c")
    gains = gains_over_chance(runs, chance, at="params < 200M")
    assert gains == pytest.approx({"acc_a": 0.11, "err_b": 0.09, "acc_c": 0.1})
    assert tasks_above_chance(runs, chance, at="params < 200M", margin=0.05) == tuple(chance)


def test_a_task_without_values_has_no_gain() -> None:
    runs = {"params": [1e8, 1e9], "acc_a": [None, 0.5]}
    with pytest.raises(RunDataError, match="Task 'acc_a' has no values"):
        gains_over_chance(runs, {"acc_a": 0.25}, at="params < 200M")
