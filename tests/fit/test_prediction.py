"""Predictions: their values, their intervals, and how far they say they reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.prediction import mixed_quantile
from scalewise.fit.result import FitResult, Rival, t_quantile
from scalewise.fit.storage import read_fit
from tests.fit.simulated_runs import CHINCHILLA, TRUTH, simulated


@pytest.fixture(scope="module")
def result() -> FitResult:
    return fit("chinchilla", simulated(), bootstrap=100)


def test_a_prediction_is_the_law_at_the_constants(result: FitResult) -> None:
    prediction = result.predict(params=7e9, tokens=2e12)
    assert prediction.loss == prediction.value
    assert prediction.loss == pytest.approx(
        float(CHINCHILLA.value(result.theta, N=7e9, D=2e12)), rel=1e-14
    )
    assert prediction.low < prediction.value < prediction.high
    assert (prediction.level, prediction.runs) == (0.9, 30)
    assert prediction.rests_on == ("chinchilla (100%)",)


def test_arrays_broadcast_and_agree_with_scalars_one_by_one(result: FitResult) -> None:
    params, tokens = np.array([[1e8], [1e10]]), np.array([1e10, 1e11, 1e12])
    many = result.predict(params=params, tokens=tokens)
    assert np.shape(many.loss) == np.shape(many.low) == np.shape(many.high) == (2, 3)
    for i in range(2):
        for j in range(3):
            one = result.predict(params=params[i, 0], tokens=tokens[j])
            for name in ("value", "low", "high"):
                assert getattr(many, name)[i, j] == pytest.approx(getattr(one, name), rel=1e-13)


def test_the_interval_grows_with_the_distance_from_the_runs(result: FitResult) -> None:
    factors = np.array([1.0, 10.0, 100.0, 1000.0])
    prediction = result.predict(params=1e9 * factors, tokens=5e10 * factors)
    width = np.log(np.divide(prediction.high, prediction.low))
    assert np.all(np.diff(width) > 0)
    assert width[-1] > 1.5 * width[0]


def test_the_interval_of_a_new_run_is_never_narrower_than_the_noise(result: FitResult) -> None:
    prediction = result.predict(params=1e8, tokens=5e9)
    t = scipy.stats.t.ppf(0.95, 25)
    assert np.log(np.divide(prediction.high, prediction.low)) >= 2 * t * result.noise * 0.995


def test_a_higher_level_gives_a_wider_interval(result: FitResult) -> None:
    narrow, wide = (result.predict(level=p, params=1e10, tokens=1e11) for p in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.value == wide.value < narrow.high < wide.high


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 25, 235])
@pytest.mark.parametrize("probability", [0.01, 0.05, 0.25, 0.5, 0.9, 0.95, 0.99])
def test_quantiles_of_students_t_are_those_of_scipy(probability: float, degrees: int) -> None:
    exact = scipy.stats.t.ppf(probability, degrees)
    tolerance = 1e-12 if degrees < 3 else 5e-3
    assert t_quantile(probability, degrees) == pytest.approx(exact, rel=tolerance, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"params": 1e8, "tokens": 1e10}, {"params": 1, "tokens": 1, "flops": 1}),
        ({"params": 7e10, "tokens": 5e10}, {"params": 70, "tokens": 1, "flops": 70}),
        ({"params": 1e6, "tokens": 5e8}, {"params": 10, "tokens": 1, "flops": 10}),
        ({"params": 1e9, "tokens": 5e12}, {"params": 1, "tokens": 100, "flops": 100}),
    ],
)
def test_extrapolation_is_the_factor_outside_the_fitted_range(
    result: FitResult, given: dict[str, float], expected: dict[str, float]
) -> None:
    prediction = result.predict(params=given["params"], tokens=given["tokens"])
    assert prediction.extrapolation == pytest.approx(expected)


def test_tokens_follow_from_flops_by_six_n_d(result: FitResult) -> None:
    by_flops = result.predict(params=1e9, flops=6e20)
    by_tokens = result.predict(params=1e9, tokens=1e11)
    assert by_flops.value == pytest.approx(by_tokens.value, rel=1e-15)


def test_flops_follow_from_params_and_tokens_by_six_n_d() -> None:
    runs = simulated()
    runs["flops"] = 6 * runs["params"] * runs["tokens"]
    law = fit("power-flops", runs, bootstrap=0)
    both, direct = law.predict(params=1e9, tokens=1e11), law.predict(flops=6e20)
    assert both.value == pytest.approx(direct.value, rel=1e-15)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"params": 1e9}, r"'chinchilla' needs tokens; given: params\. Give all of params, tokens"),
        ({}, r"needs params, tokens; given: nothing"),
        ({"params": -1e9, "tokens": 1e9}, r"params=-1000000000\.0 must be positive and finite"),
        ({"params": 1e9, "tokens": 0}, r"tokens=0 must be positive"),
        ({"params": 1e9, "tokens": float("inf")}, r"tokens=inf must be positive and finite"),
        ({"params": 1e9, "tokens": 1e9, "parms": 2}, r"No law takes parms.*Give params, tokens"),
    ],
)
def test_inputs_that_make_no_sense_are_refused(
    result: FitResult, columns: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        result.predict(**columns)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 90])
def test_a_level_that_is_no_probability_is_refused(result: FitResult, level: float) -> None:
    with pytest.raises(UsageError, match=rf"level={level:g} is not a probability\. Use 0\.9"):
        result.predict(level=level, params=1e9, tokens=1e10)
    with pytest.raises(UsageError, match="is not a probability"):
        result.intervals(level)


def test_a_prediction_of_loss_is_not_one_of_error(result: FitResult) -> None:
    with pytest.raises(LawError, match=r"prediction of loss, not of error\. Read \.loss instead"):
        _ = result.predict(params=1e9, tokens=1e10).error


def test_error_is_predicted_from_loss_on_its_own_scale() -> None:
    loss = np.linspace(2.2, 5.0, 9)
    result = fit("error-exponential", {"loss": loss, "error": 0.85 - 2.0 * np.exp(-0.75 * loss)})
    prediction = result.predict(loss=2.0)
    assert result.objective.name == "ls"
    assert prediction.error == pytest.approx(0.85 - 2.0 * np.exp(-1.5), rel=1e-6)
    assert "error 0.4037, 90% interval" in str(prediction)


def test_the_sentence_of_a_prediction_gives_interval_reach_and_runs(result: FitResult) -> None:
    prediction = result.predict(params=7e10, tokens=1.4e12)
    assert str(prediction) == (
        f"loss {prediction.value:.4f} nats/token, 90% interval [{prediction.low:.4f}, "
        f"{prediction.high:.4f}], extrapolation x1.96e+03, from 30 runs"
    )
    assert str(result.predict(params=np.array([1e9, 1e10]), tokens=1e11)) == (
        "Prediction of loss at 2 points"
    )


def test_published_constants_predict_with_a_warning_and_no_width() -> None:
    published = read_fit("besiroglu2024")
    prediction = published.predict(params=70e9, tokens=1.4e12)
    assert prediction.low == prediction.value == prediction.high
    assert prediction.value == pytest.approx(1.9739, abs=5e-5)
    assert (prediction.runs, dict(prediction.extrapolation)) == (0, {})
    assert "no runs behind them here, so the interval has no width" in prediction.warnings[0]


def test_combined_laws_predict_their_weighted_geometric_mean(result: FitResult) -> None:
    other = fit("overtraining", simulated(), bootstrap=100)
    both = result.combined_with((Rival(weight=0.25, result=other),), weight=0.75, spread=1.0)
    at = {"params": 1e11, "tokens": 1e12}
    alone = [float(r.predict(params=1e11, tokens=1e12).value) for r in (result, other)]
    mixed = both.predict(params=at["params"], tokens=at["tokens"])
    assert mixed.value == pytest.approx(alone[0] ** 0.75 * alone[1] ** 0.25, rel=1e-12)
    assert mixed.rests_on == ("chinchilla (75%)", "overtraining (25%)")
    # Disagreement between the laws is part of the uncertainty: both estimates lie inside.
    assert all(mixed.low < value < mixed.high for value in alone)


def test_spread_widens_the_interval_in_logs_by_its_factor(result: FitResult) -> None:
    wide = result.combined_with((), weight=1.0, spread=2.0)
    before, after = (r.predict(params=1e11, tokens=1e12) for r in (result, wide))
    for edge in ("low", "high"):
        distance = [np.log(getattr(p, edge) / p.value) for p in (before, after)]
        assert distance[1] == pytest.approx(2 * distance[0], rel=1e-9)


def test_quantiles_over_members_count_each_sample_by_its_share() -> None:
    few, many = np.array([0.0]), np.arange(1.0, 101.0)
    samples = [few, many]
    assert mixed_quantile(samples, [0.6, 0.4], 0.5) == 0.0
    assert mixed_quantile(samples, [0.0, 1.0], 0.5) == 50.0
    assert mixed_quantile(samples, [0.2, 0.8], 0.6) == 50.0


def test_residuals_are_what_the_law_leaves_over(result: FitResult) -> None:
    runs = simulated()
    predicted = CHINCHILLA.value(result.theta, N=runs["params"], D=runs["tokens"])
    np.testing.assert_allclose(result.residuals, np.log(runs["loss"] / predicted), atol=1e-14)
    squares = fit("chinchilla", runs, objective="ls", bootstrap=0)
    fitted = CHINCHILLA.value(squares.theta, N=runs["params"], D=runs["tokens"])
    np.testing.assert_allclose(squares.residuals, runs["loss"] - fitted, atol=1e-14)


def test_noise_free_runs_are_extrapolated_exactly() -> None:
    exact = fit("chinchilla", simulated(noise=0.0), bootstrap=20)
    truth = float(CHINCHILLA.value(TRUTH, N=1e12, D=1e14))
    assert exact.predict(params=1e12, tokens=1e14).value == pytest.approx(truth, rel=1e-6)


def test_a_choice_is_read_by_its_value_and_written_to_four_digits() -> None:
    prediction = read_fit("deepseek2024-lr").predict(flops=1e20)
    assert str(prediction).startswith("lr_peak 0.000986, 90% interval")
    with pytest.raises(LawError, match=r"prediction of lr_peak, not of loss.\n?.*Read \.value"):
        _ = prediction.loss
    with pytest.raises(LawError, match="gives lr_peak = "):
        read_fit("kaplan2020-lr").predict(params_nonembed=np.array([1e9, 1e11]))


@pytest.mark.parametrize(
    ("bootstrap", "doubt"), [(0, "No resamples were drawn"), (1, "1 resample cannot"), (20, None)]
)
def test_an_interval_on_few_resamples_says_so(bootstrap: int, doubt: str | None) -> None:
    result = fit("chinchilla", simulated(), bootstrap=bootstrap)
    told = result.predict(params=1e9, tokens=1e11).warnings
    assert [text for text in told if "resample" in text] == [
        text for text in result.interval_doubts if doubt and doubt in text
    ]
    assert bool(result.interval_doubts) is (doubt is not None)


@pytest.mark.filterwarnings("error")
def test_counts_beyond_all_measure_are_predicted_without_a_word() -> None:
    result = fit("chinchilla", simulated(), bootstrap=0)
    assert np.isfinite(result.predict(params=1e300, tokens=1e300).loss)


def simulated_at(ratios: tuple[float, ...], *, sizes: int = 6) -> dict[str, Any]:
    params = np.repeat(np.geomspace(3e7, 1e9, sizes), len(ratios))
    tokens = params * np.tile(ratios, sizes)
    return {
        "params": params,
        "tokens": tokens,
        "loss": 1.8 + 482 / params**0.35 + 2085 / tokens**0.37,
    }


def test_a_law_of_compute_alone_doubts_another_split_than_its_runs_had() -> None:
    result = fit("power-flops", simulated_at((20.0,)), bootstrap=30)
    near = result.predict(params=7e9, tokens=1.4e11)
    far = result.predict(params=7e9, tokens=3.5e12)
    assert not [w for w in near.warnings if "does not know" in w]
    assert (
        "power-flops does not know tokens_per_param: its runs had 20, and asked at 500"
        in " ".join(far.warnings)
    )
    assert far.extrapolation["tokens_per_param"] == pytest.approx(25.0)
    by_flops = result.predict(params=7e9, flops=6 * 7e9 * 3.5e12)
    assert far.warnings == by_flops.warnings


def test_a_law_of_size_alone_doubts_other_tokens_than_its_runs_saw() -> None:
    runs = {**simulated_at((20.0,)), "tokens": np.full(6, 3e10)}
    result = fit("power", runs, bootstrap=30)
    told = result.predict(params=7e9, tokens=2e12).warnings
    assert "power does not know tokens: its runs had 30B, and asked at 2T" in " ".join(told)
    assert not [w for w in result.predict(params=7e9, tokens=3e10).warnings if "not know" in w]


def test_a_rival_that_leaves_out_the_split_is_doubted_too(result: FitResult) -> None:
    alone = fit("power-flops", simulated_at((20.0,)), bootstrap=30)
    both = result.combined_with((Rival(weight=0.3, result=alone),), weight=0.7, spread=1.0)
    assert "power-flops does not know" in " ".join(both.predict(params=1e9, tokens=1e12).warnings)


def test_what_no_run_had_beside_it_is_no_range() -> None:
    runs = {**simulated_at((20.0,)), "flops": 6 * 20 * np.geomspace(3e7, 1e9, 6) ** 2}
    runs["params"] = np.array([*runs["params"][:-1], np.nan])
    assert set(fit("power-flops", runs, bootstrap=0).ranges) == {"flops"}


def test_a_loss_above_a_uniform_guess_is_doubted(result: FitResult) -> None:
    absurd = result.predict(params=1.0, tokens=1.0)
    assert "more than a uniform guess" in absurd.warnings[-1]
    assert not [w for w in result.predict(params=7e9, tokens=2e12).warnings if "guess" in w]
