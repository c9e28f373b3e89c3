"""Which laws auto trusts, with what weight, and whether its intervals keep their word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.fit.engine import fit as fit_law
from scalewise.fit.result import FitStatus
from scalewise.forecast.backtest import HeldOutPoint, LawScore, Policy, score
from scalewise.forecast.choose import backtest, choose, combine, law_weights
from scalewise.forecast.fitting import fit
from scalewise.forecast.splits import splits_by_size
from scalewise.laws.catalogue import LAWS
from tests.forecast.ladders import TRUTH, ladder

LAW = LAWS["chinchilla"]


def scored(law: str, *errors: float) -> LawScore:
    points = [
        HeldOutPoint(
            run_id="r", params=1e9, tokens=1e10, flops=6e19,
            measured=2.0, predicted=2.0 * np.exp(error), low=1.9, high=2.1,
        )
        for error in errors
    ]  # fmt: skip
    return score(law, law, points, level=0.9, splits=1)


def test_weights_are_inverse_mean_squares_of_the_held_out_log_errors() -> None:
    weights = law_weights([scored("a", 0.01, -0.01), scored("b", 0.02, 0.02)])
    assert weights == pytest.approx({"a": 0.8, "b": 0.2})


def test_a_law_far_behind_the_best_has_no_weight() -> None:
    weights = law_weights([scored("a", 0.01), scored("far", 0.1), scored("none")])
    assert weights == pytest.approx({"a": 1.0})


def test_a_lucky_hit_does_not_take_all_the_weight() -> None:
    weights = law_weights([scored("lucky", 1e-9), scored("good", 4e-4)])
    assert weights == pytest.approx({"lucky": 0.5, "good": 0.5})


def test_no_scores_give_no_weights() -> None:
    assert law_weights([scored("none")]) == {}


def test_auto_picks_the_law_that_made_the_runs() -> None:
    unequal = {"E": 1.7, "A": 8000.0, "B": 150.0, "alpha": 0.5, "beta": 0.25}
    result = choose(ladder(theta=unequal), bootstrap=40)
    assert result.law.key == "chinchilla"
    assert result.weight >= 0.5
    shares = [share for share, _ in result.members]
    assert sum(shares) == pytest.approx(1.0)
    assert shares == sorted(shares, reverse=True)
    assert result.spread >= 1.0
    assert "Backtested up to" in result.warnings[-1]
    assert "times the fitted compute" in result.warnings[-1]


def test_auto_follows_the_runs_when_another_law_made_them() -> None:
    theta = {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}
    made = ladder(law=LAWS["kaplan-overfit"], theta=theta, noise=0.001)
    leader = choose(made, bootstrap=20).law.key
    assert leader.startswith("kaplan-overfit")


def test_auto_holds_a_larger_run_about_as_often_as_it_says() -> None:
    held, errors, rng = [], [], np.random.default_rng(5)
    for seed in range(8):
        result = choose(ladder(sizes=5, budgets=3, noise=0.004, seed=seed), bootstrap=60)
        new = float(LAW.value(TRUTH, N=1e10, D=2e11)) * np.exp(0.004 * rng.standard_normal())
        prediction = result.predict(params=1e10, tokens=2e11)
        held.append(prediction.low <= new <= prediction.high)
        errors.append(abs(float(prediction.value) / new - 1))
    assert np.mean(held) >= 0.75
    assert np.mean(errors) < 0.02


def test_a_split_with_a_point_per_constant_does_not_blow_up_the_interval() -> None:
    # Three sizes and three constants: the fit passes through its points and states no width.
    result = choose(ladder(sizes=6, budgets=1, noise=0.01), ["power"], bootstrap=40)
    assert 1.0 <= result.spread < 20
    prediction = result.predict(params=1e10)
    assert float(prediction.high) < 2 * float(prediction.value)


def test_fewer_than_four_sizes_are_fitted_but_called_untested() -> None:
    result = choose(ladder(sizes=3))
    assert result.status in (FitStatus.CONVERGED, FitStatus.AT_BOUND)
    assert any(text.startswith("Untested: The runs have 3 sizes") for text in result.warnings)


def test_with_fewer_than_four_sizes_nothing_can_be_backtested() -> None:
    with pytest.raises(UnfitDataError, match="The runs have 3 sizes"):
        backtest(ladder(sizes=3))


def test_laws_that_the_runs_cannot_carry_are_named_with_their_reasons() -> None:
    with pytest.raises(UnfitDataError, match=r"chinchilla"):
        choose(ladder(sizes=4, budgets=1), ["chinchilla"])


def test_where_no_law_can_be_fitted_the_common_cause_is_told_once() -> None:
    N = np.geomspace(1e7, 1e9, 5)
    with pytest.raises(UnfitDataError) as caught:
        choose({"params": N, "tokens": 20 * N, "loss": np.full(5, 3.0)})
    told = str(caught.value)
    assert told.startswith("No law is determined by these 5 points. power-flops, kaplan-overfit")
    assert told.count(FitStatus.NOT_IDENTIFIED.value) == 1
    with pytest.raises(UnfitDataError, match=r"chinchilla: has 5 free constants and there are 3 p"):
        choose({"params": N[:3], "tokens": 20 * N[:3], "loss": [3.0, 2.9, 2.85]}, ["chinchilla"])


def test_a_law_that_parts_of_the_runs_cannot_carry_is_untested_for_the_least_of_them() -> None:
    N, D = np.geomspace(1e7, 1e9, 6), np.array([1e9, 8e9, 2e9, 3e10, 5e9, 6e10])
    loss = LAWS["overtraining"].value({"E": 1.7, "A": 400.0, "B": 900.0, "eta": 0.16}, N=N, D=D)
    told = choose({"params": N, "tokens": D, "loss": loss}, ["overtraining"], bootstrap=0).warnings
    assert "of which the least, params up to 63.1M, has 3 points." in told[-1]
    assert told[-1].count("overtraining") == 0


def test_a_named_law_is_fitted_alone() -> None:
    runs = ladder(sizes=4)
    alone, direct = fit("chinchilla", runs, bootstrap=20), fit_law("chinchilla", runs, bootstrap=20)
    assert alone.theta == direct.theta
    assert alone.rivals == ()
    np.testing.assert_array_equal(alone.draws, direct.draws)


def test_auto_is_what_choose_answers() -> None:
    runs = ladder(sizes=4)
    assert fit("auto", runs, bootstrap=20).theta == choose(runs, bootstrap=20).theta


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"bounds": {"E": (0, 1)}}, r"bounds cannot be used with law 'auto'\. Name one law"),
        ({"fixed": {"E": 1.0}, "rows": "all"}, r"fixed, rows='all' cannot be used with law 'auto'"),
        ({"weights": np.ones(28)}, r"weights cannot be used"),
    ],
)
def test_what_belongs_to_one_law_is_refused_with_auto(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        fit("auto", ladder(), **options)


def test_the_policy_reaches_every_fit() -> None:
    result = choose(ladder(sizes=4), policy=Policy(objective="ls-log", seed=5), bootstrap=20)
    for _, member in result.members:
        assert (member.objective.name, member.seed) == ("ls-log", 5)


def test_the_same_runs_give_the_same_choice_to_the_last_bit() -> None:
    one, again = (choose(ladder(sizes=5), bootstrap=20) for _ in range(2))
    assert one.predict(params=1e10, tokens=1e11) == again.predict(params=1e10, tokens=1e11)
    assert one.spread == again.spread


def test_the_spread_does_not_depend_on_the_level_that_was_asked_for() -> None:
    runs = ladder(noise=0.002, seed=3)
    laws = ("power-flops",)  # wrong for runs off one line in compute, so its errors widen it
    spreads = [choose(runs, laws, policy=Policy(level=v), bootstrap=0).spread for v in (0.5, 0.9)]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.2)
    assert spreads[1] > 1.0


def test_a_law_through_every_point_does_not_silence_the_others_untested() -> None:
    result = choose(ladder(sizes=3, budgets=2, noise=0.004), ("chinchilla", "overtraining"))
    assert any("Untested" in text for text in result.warnings)
    assert {member.law.key for _, member in result.members} == {"chinchilla", "overtraining"}


def test_an_interval_spreads_by_what_held_out_errors_are_in_its_standard_deviations() -> None:
    table = ladder(sizes=5)
    splits = splits_by_size(table)
    points = [
        HeldOutPoint(
            run_id="r", params=1e9, tokens=1e10, flops=6e19, measured=2.0 * np.exp(0.04),
            predicted=2.0, low=2.0 * np.exp(-0.02), high=2.0 * np.exp(0.02),
        )
        for split in splits
        for _ in range(len(split.held_out))
    ]  # fmt: skip
    told = score(LAW.key, LAW.title, points, level=0.9, splits=len(splits), noise=0.01)
    found = combine(table, [LAW], [told], splits, Policy(), bootstrap=0)
    off = 0.04 / (0.02 / 1.644854)  # errors over standard deviations
    assert found.spread == pytest.approx(
        np.sqrt((2 * 1.5 + len(splits) * off**2) / (2 + len(splits))), rel=1e-6
    )
