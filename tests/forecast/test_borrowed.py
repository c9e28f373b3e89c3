from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import scalewise
from scalewise.core.errors import LawError, RunDataError, ScalewiseError, UnfitDataError, UsageError
from scalewise.fit.points import points_of
from scalewise.forecast.borrowed import BorrowedForecast, drift_of, predict_from_one
from scalewise.forecast.families import library
from scalewise.forecast.one_run import Posterior, one_run, posterior
from scalewise.forecast.policy import DEFAULT, FINALS
from scalewise.laws.catalogue import published_named
from scalewise.laws.chinchilla import CHINCHILLA
from scalewise.runs.read import read_runs

LAW, PUBLISHED = published_named("besiroglu2024")
TARGET: dict[str, Any] = {"params": 7e9, "tokens": 2e11}


def exact(params: float, tokens: float) -> float:
    return float(LAW.value(PUBLISHED.theta, N=params, D=tokens))


def curve(
    params: float = 4e8, tokens: float = 4e10, count: int = 40, noise: float = 0.002, seed: int = 0
) -> dict[str, list[Any]]:
    """One run along published constants, its checkpoints evenly spaced."""
    random = np.random.default_rng(seed)
    at = np.linspace(tokens / count, tokens, count)
    loss = [exact(params, d) * np.exp(noise * random.standard_normal()) for d in at]
    return {"run_id": ["a"] * count, "params": [params] * count, "tokens": [*at], "loss": loss}


def test_the_interval_of_a_forecast_holds_what_published_constants_say() -> None:
    found = predict_from_one(curve(), **TARGET)
    assert found.low < exact(7e9, 2e11) < found.high
    assert found.loss == pytest.approx(exact(7e9, 2e11), rel=0.06)
    assert found.runs == 1
    assert found.extrapolation == pytest.approx({"params": 17.5, "tokens": 5.0})


def test_what_is_borrowed_makes_more_of_the_interval_the_further_the_size() -> None:
    near = predict_from_one(curve(), params=5e8, tokens=4e10)
    far = predict_from_one(curve(), params=5e10, tokens=4e10)
    assert near.borrowed_share is not None
    assert far.borrowed_share is not None
    assert near.borrowed_share < 0.2 < 0.6 < far.borrowed_share < 1
    width = np.log(near.high / near.low), np.log(far.high / far.low)
    assert width[1] > 2 * width[0]


def test_one_finished_model_is_enough_and_leaves_more_open_than_a_curve() -> None:
    row = {"params": [4e8], "tokens": [4e10], "loss": [exact(4e8, 4e10)]}
    one, many = predict_from_one(row, **TARGET), predict_from_one(curve(), **TARGET)
    assert one.points == 1
    assert one.low < exact(7e9, 2e11) < one.high
    assert one.high - one.low > many.high - many.low
    assert "hardly told by the run" in one.provenance["beta"]


def test_the_same_seed_gives_the_same_forecast_and_the_order_of_rows_none_other() -> None:
    runs = curve()
    turned = {name: values[::-1] for name, values in runs.items()}
    once = predict_from_one(runs, **TARGET)
    assert predict_from_one(runs, **TARGET) == once
    assert predict_from_one(turned, **TARGET).loss == pytest.approx(once.loss, rel=1e-9)
    assert predict_from_one(runs, **TARGET, seed=1).loss == pytest.approx(once.loss, rel=0.02)


def test_a_curve_counts_by_its_length_and_not_by_how_often_it_was_logged() -> None:
    rare, often = (predict_from_one(curve(count=n, noise=0), **TARGET) for n in (200, 2000))
    assert often.loss == pytest.approx(rare.loss, rel=0.003)
    assert often.high - often.low == pytest.approx(rare.high - rare.low, rel=0.1)


def test_families_that_are_left_out_do_not_teach() -> None:
    every = predict_from_one(curve(), **TARGET)
    left = predict_from_one(curve(), **TARGET, without=("chinchilla", "llama3"))
    assert left.loss != every.loss
    assert "13 groups" in left.provenance["alpha"]
    with pytest.raises(UsageError, match="leaves out what 'gadre-c4' does not use"):
        predict_from_one(curve(), **TARGET, borrow="gadre-c4", without=("gpt3",))


@pytest.mark.parametrize("borrow", ["besiroglu2024", "chinchilla", "choshen2024"])
def test_a_held_size_term_is_told_as_certain(borrow: str) -> None:
    found = predict_from_one(curve(tokens=4e11), **TARGET, borrow=borrow)
    assert found.borrowed_share is None
    assert any("held as if certain" in text for text in found.warnings)
    assert found.low < found.loss < found.high
    if borrow == "besiroglu2024":
        assert found.constants["alpha"] == 0.3478
        assert "arXiv:2404.10102" in found.provenance["alpha"]
        assert found.loss == pytest.approx(exact(7e9, 2e11), rel=0.01)


def test_a_family_apart_may_be_named_and_says_what_its_numbers_are() -> None:
    found = predict_from_one(curve(params=4e9), **TARGET, borrow="t5-pile")
    assert "not a loss of next tokens" in found.provenance["A"]


def test_without_borrowing_only_the_rest_of_the_run_itself_can_be_told() -> None:
    begin = curve(tokens=1e10)
    found = predict_from_one(begin, params=4e8, tokens=4e10, borrow="none")
    assert set(found.constants) == {"E", "B", "beta"}
    assert "size term" in found.provenance["E"]
    assert found.loss == pytest.approx(exact(4e8, 4e10), rel=0.03)
    assert found.borrowed_share == 0.0
    with pytest.raises(UsageError, match="a run of 400M params says nothing of 7B"):
        predict_from_one(begin, **TARGET, borrow="none")


def test_the_rest_of_a_run_is_forecast_from_its_own_start() -> None:
    found = predict_from_one(curve(tokens=1e10), params=4e8, tokens=3e10)
    assert found.borrowed_share is not None
    assert found.borrowed_share < 0.1
    # Public curves end below what their start foretells, for the decay is still to come.
    assert found.low < exact(4e8, 3e10) < found.high
    assert found.loss < exact(4e8, 3e10)


def test_a_size_term_above_the_loss_is_refused_with_both_numbers() -> None:
    masked = {
        "params": [2.5e8] * 4,
        "tokens": [1e10, 2e10, 4e10, 8e10],
        "loss": [0.11, 0.1, 0.09, 0.08],
    }
    told = r"at 250M params it is 0\.\d+ nats/token .* and the loss 0\.08; 0\.0% of 400 draws"
    with pytest.raises(UnfitDataError, match=told):
        predict_from_one(masked, **TARGET)
    with pytest.raises(UnfitDataError, match=r"borrowed from 'besiroglu2024' alone, 0\.578"):
        predict_from_one(masked, **TARGET, borrow="besiroglu2024")


def test_draws_that_leave_no_room_are_left_out_and_counted() -> None:
    low = {"params": [1e8] * 3, "tokens": [1e10, 2e10, 4e10], "loss": [1.1, 1.05, 1.0]}
    found = predict_from_one(low, **TARGET)
    assert 0 < found.impossible < 0.95
    assert any("draws of the size term exceed the observed loss" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("changed", "error", "told"),
    [
        ({"loss": [40.0, 30.0, 20.0]}, UnfitDataError, "more than a uniform guess"),
        ({"loss": [float("nan")] * 3}, RunDataError, "finite number above 0 in loss and tokens"),
        ({"tokens": [0.0] * 3}, RunDataError, "finite number above 0 in loss and tokens"),
        ({"params": [1e8, 1e8, 2e8]}, UnfitDataError, "There are 2 sizes: 100M, 200M"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(
    changed: dict[str, list[float]], error: type[ScalewiseError], told: str
) -> None:
    runs = {"params": [1e8] * 3, "tokens": [1e9, 2e9, 4e9], "loss": [3.6, 3.5, 3.4], **changed}
    with pytest.raises(error, match=told):
        predict_from_one(runs, **TARGET)


def test_a_row_without_a_number_leaves_the_others_as_they_are() -> None:
    runs = {"params": [1e8] * 4, "tokens": [1e9, 2e9, 4e9, 0], "loss": [3.6, 3.5, 3.4, 9.0]}
    whole = {name: values[:3] for name, values in runs.items()}
    assert predict_from_one(runs, **TARGET).loss == predict_from_one(whole, **TARGET).loss


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"params": 0.0}, "params=0 is not a count"),
        ({"tokens": float("nan")}, "tokens=nan is not a count"),
        ({"level": 1.0}, "level=1 is not a probability"),
        ({"borrow": "nonsense"}, "nothing to borrow under the name 'nonsense'"),
        ({"policy": "nonsense"}, "no estimation policy 'nonsense'"),
    ],
)
def test_questions_that_mean_nothing_are_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        predict_from_one(curve(), **{**TARGET, **asked})


def test_constants_of_a_law_without_a_size_term_cannot_be_borrowed() -> None:
    with pytest.raises(LawError, match="which has no size term to borrow"):
        predict_from_one(curve(), **TARGET, borrow="deepseek2024-lr")


def test_two_points_cannot_carry_a_held_size_term_and_are_told_what_can() -> None:
    two = {"params": [1e8] * 2, "tokens": [1e9, 4e9], "loss": [3.6, 3.3]}
    with pytest.raises(UnfitDataError, match=r"cannot be fitted to 2 points.*Borrow 'families'"):
        predict_from_one(two, **TARGET, borrow="besiroglu2024")


def test_the_interval_of_a_curve_that_is_followed_exactly_still_has_the_noise_of_a_run() -> None:
    three = {"params": [4e8] * 3, "tokens": [1e10, 2e10, 4e10]}
    runs = {**three, "loss": [exact(4e8, d) for d in three["tokens"]]}
    found = predict_from_one(runs, **TARGET, borrow="besiroglu2024")
    assert found.high - found.low > 0.01 * found.loss


def test_runs_of_several_token_budgets_count_as_finished_models() -> None:
    budgets = [1e10, 2e10, 4e10, 8e10]
    runs = {"run_id": list("abcd"), "params": [4e8] * 4, "tokens": budgets,
            "loss": [exact(4e8, d) for d in budgets]}  # fmt: skip
    found = predict_from_one(runs, **TARGET, policy=FINALS)
    assert found.runs == found.points == 4
    assert found.policy.startswith("finals")
    assert found.low < exact(7e9, 2e11) < found.high


def test_intervals_hold_nine_in_ten_of_families_drawn_from_the_prior() -> None:
    """Simulated: the public families themselves are scored in benchmarks/borrowed.py."""
    between = library().between()
    random = np.random.default_rng(5)
    root, inside = np.linalg.cholesky(between.predictive), 0
    trials = 120
    for _ in range(trials):
        log = between.mean + root @ random.standard_normal(5)
        floor, size, alpha, token, beta = np.exp(log)
        noise = np.exp(between.noise[0] + between.noise[1] * random.standard_normal())

        def loss(
            params: float, tokens: float, by: tuple[float, ...] = (floor, size, alpha, token, beta)
        ) -> float:
            e, a, x, b, y = by
            return float(e + a * (params / 1e9) ** -x + b * (tokens / 1e10) ** -y)

        common = noise * random.standard_normal()
        at = np.geomspace(5e9, 4e10, 8)
        seen = np.array([loss(3e8, d) for d in at])
        seen = seen * np.exp(common + noise * random.standard_normal(8))
        drawn = posterior(one_run(3e8, at, seen, is_curve=False), between, count=200)
        full, _ = drawn.log_losses(5e9, 1e11, count=1000, seed=0)
        truth = np.log(loss(5e9, 1e11)) + common + noise * random.standard_normal()
        low, high = np.quantile(full, [0.05, 0.95])
        inside += bool(low <= truth <= high)
    assert 0.83 <= inside / trials <= 0.97


def test_the_drift_of_a_run_along_a_law_is_small_and_one_that_drops_at_the_end_is_negative() -> (
    None
):
    table = read_runs(curve(noise=0.0))
    between = library().between()
    plain = drift_of(table, between, share=0.4, policy=DEFAULT)
    assert abs(plain) < 0.015
    runs = curve(noise=0.0)
    runs["loss"][-4:] = [loss * 0.95 for loss in runs["loss"][-4:]]
    dropped = drift_of(read_runs(runs), between, share=0.4, policy=DEFAULT)
    assert dropped == pytest.approx(plain + np.log(0.95) / np.log(1 / 0.4), abs=0.005)


def test_the_forecast_is_printed_with_its_interval_and_its_source() -> None:
    found = scalewise.predict_from_one(curve(), **TARGET)
    assert isinstance(found, BorrowedForecast)
    text = str(found)
    assert "90% interval" in text
    assert "borrowed from families, 1 run of one size" in text
    assert found.prediction.loss == found.loss
    assert len(points_of(CHINCHILLA, read_runs(curve()), rows="all")) == 40


@pytest.mark.parametrize("borrow", ["families", "none", "besiroglu2024"])
def test_perplexities_are_refused_whatever_is_borrowed(borrow: str) -> None:
    runs = curve() | {"loss": [np.exp(loss) for loss in curve()["loss"]]}
    with pytest.raises(UnfitDataError, match="more than a uniform guess costs in nats/token"):
        predict_from_one(runs, params=4e8, tokens=4e11, borrow=borrow)


def test_runs_of_one_size_share_a_deviation_that_a_new_one_shares_too() -> None:
    size, token, beta = 0.3, 0.4, 0.35
    tokens = np.array([5e9, 1e10, 2e10])
    law = 1.8 + size + token * (tokens / 1e10) ** -beta
    run = one_run(1e9, tokens, law * np.exp(0.03), is_curve=False)
    held = Posterior(
        run=run,
        between=library().between(),
        size_term=np.array([size]),
        alpha=np.array([0.4]),
        noise=np.array([0.01]),
        fitted=np.log([[1.8, token, beta]]),
        root=np.zeros((1, 3, 3)),
        weight=np.ones(1),
        impossible=0.0,
    )
    _, central = held.log_losses(1e9, 1e10, count=2, seed=0)
    # Three observations with noise of their own tell 3/4 of what they share.
    assert central == pytest.approx(np.log(law[1]) + 0.75 * 0.03)


def test_a_borrowed_forecast_doubts_a_loss_above_a_uniform_guess_and_says_what_it_left_out() -> (
    None
):
    tokens = np.geomspace(1e8, 6e9, 30)
    runs = {"run_id": ["r"] * 30, "params": [1e9] * 30, "tokens": tokens,
            "loss": 2.1 + 2085 / tokens**0.37}  # fmt: skip
    absurd = predict_from_one(runs, params=1.0, tokens=10.0)
    assert "more than a uniform guess" in absurd.warnings[-1]
    sane = predict_from_one(runs, params=1e9, tokens=2e10)
    assert sane.warnings == ("13 checkpoints before the cut of policy 'default'; left out.",)
