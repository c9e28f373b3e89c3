"""Splits, naive rules and scores, each against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.errors import RunDataError, UnfitDataError
from scalewise.core.quantities import format_count
from scalewise.fit.result import FitStatus
from scalewise.fit.search import QUICK
from scalewise.forecast import backtest as backtests
from scalewise.forecast.backtest import (
    NAIVE,
    HeldOutPoint,
    Policy,
    fit_by,
    forecast_split,
    held_out_points,
    naive_points,
    naive_scores,
    score,
    score_laws,
)
from scalewise.forecast.choose import AUTO, AUTO_STATED, backtest
from scalewise.forecast.policy import DEFAULT, FINALS
from scalewise.forecast.splits import ends, loss_rows, size_column, split_at, splits_by_size
from scalewise.laws.catalogue import LAWS
from scalewise.runs.read import read_runs
from tests.forecast.ladders import ladder

SIZES = np.geomspace(1e7, 1e9, 7)


def point(measured: float, predicted: float, low: float, high: float) -> HeldOutPoint:
    return HeldOutPoint(
        run_id="r", params=1e9, tokens=1e10, flops=6e19,
        measured=measured, predicted=predicted, low=low, high=high,
    )  # fmt: skip


def test_splits_hold_out_the_largest_size_then_the_next_while_three_remain() -> None:
    splits = splits_by_size(ladder(sizes=7))
    cuts = [len(np.unique(split.fitted.column("params"))) for split in splits]
    assert cuts == [3, 4, 5, 6]
    for split, cut in zip(splits, cuts, strict=True):
        fitted, held_out = split.fitted.column("params"), split.held_out.column("params")
        assert fitted.max() == pytest.approx(SIZES[cut - 1])
        assert held_out.min() == pytest.approx(SIZES[cut])
        assert len(fitted) + len(held_out) == 28
        assert split.max_fitted_flops == pytest.approx(6 * 500 * SIZES[cut - 1] ** 2)
        assert split.max_target_flops == pytest.approx(6 * 500 * 1e18)
        assert split.reach == pytest.approx((1e9 / SIZES[cut - 1]) ** 2)
        assert split.label == f"params up to {format_count(SIZES[cut - 1])}"


def test_a_law_that_the_quick_search_does_not_finish_is_searched_in_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backtests, "QUICK", replace(QUICK, max_iterations=1))
    result, reason = forecast_split(
        LAWS["chinchilla"], splits_by_size(ladder(sizes=7))[-1], Policy()
    )
    assert reason == "fitted"
    assert result is not None
    assert result.status is FitStatus.CONVERGED


def test_many_sizes_are_cut_in_their_upper_half_only() -> None:
    splits = splits_by_size(ladder(sizes=20, budgets=1))
    assert [len(split.fitted) for split in splits] == [10, 13, 16, 19]
    assert [len(s.fitted) for s in splits_by_size(ladder(sizes=20, budgets=1), most=2)] == [10, 19]


def test_four_sizes_are_the_least_that_can_be_split() -> None:
    (split,) = splits_by_size(ladder(sizes=4))
    assert (len(split.fitted), len(split.held_out)) == (12, 4)
    text = r"The runs have 3 sizes; to fit three and hold out one takes four\. Add runs"
    with pytest.raises(UnfitDataError, match=text):
        splits_by_size(ladder(sizes=3))


def test_a_larger_model_trained_on_less_compute_is_no_test_of_reaching_further() -> None:
    N = np.array([1e7, 2e7, 4e7, 8e7, 16e7])
    D = np.array([1e9, 1e9, 1e9, 1e9, 1e8])  # the largest saw the least
    loss = LAWS["chinchilla"].value(
        {"E": 1.7, "A": 400, "B": 1500, "alpha": 0.34, "beta": 0.36}, N=N, D=D
    )
    splits = splits_by_size(read_runs({"params": N, "tokens": D, "loss": loss}))
    assert [len(split.fitted) for split in splits] == [3]
    assert all(split.reach >= 1 for split in splits)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"params": [1e6], "params_nonembed": [9e5]}, "params"),
        ({"params_nonembed": [9e5], "tokens": [1e9]}, "params_nonembed"),
        ({"tokens": [1e9]}, "tokens"),
    ],
)
def test_runs_are_ordered_by_the_first_size_they_have(
    columns: dict[str, list[float]], expected: str
) -> None:
    assert size_column(read_runs({**columns, "loss": [3.0]})) == expected


def test_runs_without_any_size_cannot_be_ordered() -> None:
    with pytest.raises(UnfitDataError, match=r"no params, flops or tokens.*--map params=N"):
        size_column(read_runs({"step": [1, 2], "loss": [3.0, 2.9]}))


def test_naive_rules_guess_the_lowest_loss_and_the_loss_of_most_compute() -> None:
    table = read_runs(
        {
            "params": [1e6, 2e6, 3e6, 4e6],
            "tokens": [9e9, 1e9, 5e9, 1e9],
            "loss": [3.5, 3.9, 3.6, 3.0],
        }
    )
    split = split_at(table, 3e6)
    guesses = {rule: [p.predicted for p in naive_points(rule, split)] for rule in NAIVE}
    assert guesses == {"best seen": [3.5], "most compute": [3.6]}
    best, most = naive_scores([split], level=0.9)
    assert (best.law, most.law) == NAIVE
    assert best.mean_abs_error == pytest.approx(0.5 / 3.0)
    assert most.bias == pytest.approx(0.2)
    assert (best.coverage, best.mean_width, best.interval_score) == (None, None, None)


def test_a_score_is_what_its_points_add_up_to() -> None:
    points = [point(2.0, 2.2, 2.1, 2.4), point(4.0, 3.8, 3.6, 4.2), point(1.0, 1.0, 0.9, 1.1)]
    result = score("mine", "Mine", points, level=0.8, splits=2)
    assert result.errors == pytest.approx([0.1, -0.05, 0.0])
    assert result.mean_abs_error == pytest.approx(0.05)
    assert result.worst_error == pytest.approx(0.1)
    assert result.bias == pytest.approx(0.05 / 3)
    assert result.coverage == pytest.approx(2 / 3)
    widths = np.log([2.4 / 2.1, 4.2 / 3.6, 1.1 / 0.9])
    assert result.mean_width == pytest.approx(widths.mean())
    # Only the first misses, by log(2.1 / 2.0) below its lower end; the price is 2 / (1 - level).
    assert result.interval_score == pytest.approx(widths.mean() + 10 * np.log(2.1 / 2.0) / 3)
    assert (result.splits, result.status) == (2, "fitted")


def test_the_worst_error_keeps_its_sign() -> None:
    result = score("m", "", [point(2, 1, 1, 3), point(2, 2.5, 1, 3)], level=0.9, splits=1)
    assert result.worst_error == -0.5


def test_a_score_without_points_is_infinitely_bad_and_claims_no_coverage() -> None:
    result = score("mine", "Mine", [], level=0.9, splits=3, status="too few")
    assert result.mean_abs_error == float("inf")
    assert result.coverage is None


def test_the_ends_of_an_interval_belong_to_it() -> None:
    assert point(2.0, 2.2, 2.0, 2.4).inside
    assert point(2.4, 2.2, 2.0, 2.4).inside
    assert not point(2.41, 2.2, 2.0, 2.4).inside


def test_held_out_points_pair_each_run_with_its_own_forecast() -> None:
    split = splits_by_size(ladder(sizes=4))[0]
    result, status = forecast_split(LAWS["chinchilla"], split, Policy())
    assert result is not None
    assert status == "fitted"
    points = held_out_points(result, split.held_out, level=0.8)
    assert [p.run_id for p in points] == list(split.held_out.text("run_id"))
    for p in points:
        alone = result.predict(params=p.params, tokens=p.tokens, level=0.8)
        assert p.predicted == pytest.approx(alone.value, rel=1e-13)
        assert (p.low, p.high) == pytest.approx((alone.low, alone.high), rel=1e-13)
        assert p.flops == pytest.approx(6 * p.params * p.tokens)
        assert p.measured == pytest.approx(p.predicted, rel=0.05)


def test_a_law_that_cannot_be_fitted_to_one_split_says_which_and_why() -> None:
    splits = splits_by_size(ladder(sizes=4, budgets=1))
    (result,) = score_laws([LAWS["chinchilla"]], splits, Policy())
    assert result.points == ()
    assert result.status.startswith(splits[0].label)
    assert "has 5 free constants and there are 3 points" in result.status


def test_every_law_and_rule_meets_the_same_held_out_runs() -> None:
    result = backtest(ladder(sizes=6), laws=["chinchilla", "power-flops"])
    wanted = {"chinchilla", "power-flops", AUTO, AUTO_STATED, *NAIVE}
    assert {s.law for s in result.scores} == wanted
    seen = {tuple(sorted((p.run_id, p.measured) for p in s.points)) for s in result.scores}
    assert len(seen) == 1
    errors = [s.mean_abs_error for s in result.scores]
    assert errors == sorted(errors)
    assert result.scores[0].law in ("chinchilla", "auto")
    assert result.recommended in ("chinchilla", "auto")
    assert result.warnings == ()


def test_when_no_law_beats_the_naive_rules_the_backtest_warns_against_extrapolation() -> None:
    # Loss that stops falling after the third size: every law forecasts a fall that does not come.
    N = np.repeat(np.geomspace(1e7, 1e9, 6), 3)
    loss = np.repeat([4.0, 3.5, 3.1, 3.1, 3.1, 3.1], 3) * np.tile([1.0, 1.001, 0.999], 6)
    table = read_runs({"params": N, "tokens": N * 20, "loss": loss})
    result = backtest(table, laws=["power-pure"])
    assert result.recommended == "none"
    assert "No law beat the naive rules" in result.warnings[0]
    assert result.scores[0].law in NAIVE


def test_diverged_runs_do_not_count_as_finished_models() -> None:
    table = ladder(sizes=4)
    loss = table.column("loss").copy()
    loss[0] = np.nan
    spoiled = read_runs(
        {"params": table.column("params"), "tokens": table.column("tokens"), "loss": loss}
    )
    assert len(loss_rows(spoiled)[0]) == 15


def test_a_table_without_a_usable_loss_is_refused() -> None:
    with pytest.raises(RunDataError, match="No row has a finite number above 0 in loss"):
        loss_rows({"params": [1e6, 2e6], "tokens": [1e8, 1e8], "loss": [0.0, 0.0]})


def test_runs_without_tokens_are_backtested_by_size() -> None:
    N = np.geomspace(1e6, 1e9, 7)
    loss = 1.7 + 400 / N**0.34
    tested = backtest({"params": N, "loss": loss})
    most = next(score for score in tested.scores if score.law == "most compute")
    # The largest fitted model stands in for the one with most compute.
    assert most.points[0].predicted == pytest.approx(loss[tested.splits[0].fitted.run_count - 1])
    assert tested.recommended == "auto"


def test_a_model_that_no_law_can_be_asked_of_is_left_out() -> None:
    N = np.geomspace(1e7, 1e9, 7)
    whole = {"params": N, "tokens": 20 * N, "loss": 1.7 + 400 / N**0.34 + 400 / (20 * N) ** 0.28}
    gone = {name: list(values) for name, values in whole.items()} | {
        "tokens": [*(20 * N[:-1]), None]
    }
    found = backtest(gone, ["overtraining"])
    assert {p.params for s in found.scores for p in s.points} <= set(N[:-1])


def test_a_policy_of_finished_models_holds_for_every_law_of_a_comparison() -> None:
    table = ladder(sizes=5)
    decayed = np.arange(len(table)) % 2 == 0
    loss = np.where(decayed, table.column("loss"), 2 * table.column("loss"))
    runs = read_runs(
        {
            "params": table.column("params"),
            "tokens": table.column("tokens"),
            "loss": loss,
            "is_annealed": decayed,
            "is_final": [True] * len(table),
        }
    )
    policy = Policy(estimation=replace(FINALS, name="annealed", annealed="only"))
    found = backtest(runs, ["chinchilla"], policy=policy)
    own = next(s for s in found.scores if s.law == "chinchilla")
    assert {p.measured for p in own.points} <= set(loss[decayed])
    assert own.mean_abs_error < 0.05


def test_held_out_checkpoints_are_scored_as_they_were_measured() -> None:
    tokens = np.tile(np.linspace(1e9, 1e10, 12), 5)
    params = np.repeat(np.geomspace(1e7, 1e9, 5), 12)
    off = 1 + 0.02 * np.resize([1, -1], 60)
    loss = (1.7 + 400 / params**0.34 + 400 / tokens**0.28) * off
    names = [f"n{n:g}" for n in params]
    runs = read_runs({"run_id": names, "params": params, "tokens": tokens, "loss": loss})
    calm = replace(DEFAULT, name="calm", smoothing=1.0)
    table, _ = loss_rows(runs, calm)
    assert table.column("loss").tolist() == loss.tolist()
    split = splits_by_size(table)[-1]
    fitted = fit_by(Policy(estimation=calm), LAWS["chinchilla"], split.fitted, bootstrap=0)
    once = calm.prepared(split.fitted).column("loss")
    assert set(fitted.observed.tolist()) <= set(once.tolist())


def test_the_ends_of_curves_are_their_last_three_tenths_and_every_finished_model() -> None:
    tokens = np.tile(1e9 * np.arange(1, 11), 2)
    curves = {"run_id": ["a"] * 10 + ["b"] * 10, "tokens": tokens, "loss": [3.0] * 20}
    assert ends(read_runs(curves)).column("tokens").tolist() == [7e9, 8e9, 9e9, 1e10] * 2
    final = [i in (2, 9, 19) for i in range(20)]
    kept = ends(read_runs({**curves, "is_final": final})).column("tokens").tolist()
    assert kept == [3e9, 7e9, 8e9, 9e9, 1e10, 7e9, 8e9, 9e9, 1e10]
