from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.fit.result import FitResult, Rival
from scalewise.fit.storage import published_fit
from scalewise.plan.allocate import allocate
from scalewise.plan.inference import inference_optimum
from scalewise.plan.serving import ServingCost

# Sardana et al. 2024 work with these; the rounded 0.34 and 0.28 give 10 % for 17 %.
THETA = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.336, "beta": 0.283}


def sardana() -> FitResult:
    return replace(published_fit("hoffmann2022"), theta=THETA)


@pytest.mark.parametrize(
    ("quality", "served", "params", "tokens", "saving"),
    [
        (13e9, 2e12, 6.969e9, 1.2478e12, 17.45),
        (30e9, 1e13, 13.613e9, 4.4262e12, 27.98),
        (7e9, 1e11, 6.000e9, 0.3250e12, 0.85),
        (70e9, 1e12, 62.851e9, 4.7563e12, 0.40),
    ],
)
def test_serving_moves_the_optimum_to_smaller_models(
    quality: float, served: float, params: float, tokens: float, saving: float
) -> None:
    best = inference_optimum(sardana(), params=quality, inference_tokens=served)
    assert best.cheapest.params.value == pytest.approx(params, rel=1e-4)
    assert best.cheapest.tokens.value == pytest.approx(tokens, rel=2e-4)
    assert 100 * best.saving.value == pytest.approx(saving, abs=0.005)
    assert best.compute_optimal.params.value == pytest.approx(quality, rel=1e-6)


@pytest.mark.parametrize(
    ("quality", "served", "params", "tokens", "saving"),
    [
        (13e9, 2e12, 6.098e9, 0.7370e12, 28.96),
        (30e9, 1e13, 11.621e9, 2.4488e12, 42.71),
    ],
)
def test_the_constants_of_besiroglu_save_more(
    quality: float, served: float, params: float, tokens: float, saving: float
) -> None:
    best = inference_optimum(
        published_fit("besiroglu2024"), params=quality, inference_tokens=served
    )
    assert best.cheapest.params.value == pytest.approx(params, rel=1e-4)
    assert best.cheapest.tokens.value == pytest.approx(tokens, rel=1e-4)
    assert 100 * best.saving.value == pytest.approx(saving, abs=0.005)


def test_costs_add_up_to_the_printed_totals() -> None:
    best = inference_optimum(sardana(), params=13e9, inference_tokens=2e12)
    own = best.cheapest
    assert own.cost.value == pytest.approx(8.0049e22, rel=1e-4)
    assert best.compute_optimal.cost.value == pytest.approx(9.6966e22, rel=1e-4)
    assert own.training_flops.value + own.serving_flops.value == pytest.approx(own.cost.value)


def test_the_first_order_condition_holds_at_the_optimum() -> None:
    best = inference_optimum(sardana(), params=13e9, inference_tokens=2e12)
    size, tokens, t = best.cheapest.params.value, best.cheapest.tokens.value, THETA
    data = t["beta"] * t["B"] * tokens ** -t["beta"] * (1 + 2e12 / (3 * tokens))
    assert data == pytest.approx(t["alpha"] * t["A"] * size ** -t["alpha"], rel=1e-5)


def test_serving_nothing_gives_the_compute_optimal_model() -> None:
    best = inference_optimum(sardana(), params=13e9, inference_tokens=0)
    assert best.cheapest.params.value == pytest.approx(13e9, rel=1e-5)
    assert best.saving.value == 0


def test_a_quality_given_as_loss_is_the_same_question() -> None:
    by_size = inference_optimum(sardana(), params=13e9, inference_tokens=2e12)
    by_loss = inference_optimum(sardana(), loss=by_size.quality, inference_tokens=2e12)
    assert by_loss.cheapest.params.value == pytest.approx(by_size.cheapest.params.value, rel=1e-5)


def test_a_quality_given_as_a_budget_is_what_it_would_reach_compute_optimally() -> None:
    best = allocate(sardana(), 1e23)
    by_budget = inference_optimum(sardana(), flops=1e23, inference_tokens=2e12)
    assert by_budget.quality == pytest.approx(best.loss.value, rel=1e-12)
    assert by_budget.compute_optimal.params.value == pytest.approx(best.params.value, rel=1e-6)
    by_size = inference_optimum(sardana(), params=best.params.value, inference_tokens=2e12)
    assert by_budget.cheapest.params.value == pytest.approx(by_size.cheapest.params.value, rel=1e-6)


def test_the_line_holds_models_of_the_quality_around_both_optima() -> None:
    best = inference_optimum(sardana(), params=13e9, inference_tokens=2e12)
    sizes, tokens = best.line
    reached = sardana().predict(params=sizes, tokens=tokens).loss
    np.testing.assert_allclose(reached, best.quality, rtol=1e-9)
    assert sizes.min() < best.cheapest.params.value < best.compute_optimal.params.value
    assert best.compute_optimal.params.value < sizes.max()


def test_the_loss_has_the_interval_of_one_new_model() -> None:
    noisy = replace(sardana(), noise=0.01, points=40, runs=40)
    best = inference_optimum(noisy, loss=2.1, inference_tokens=2e12)
    assert best.loss.value == pytest.approx(2.1, rel=1e-9)
    assert best.loss.low < 2.1 < best.loss.high


def test_how_far_the_model_leaves_the_runs_is_told() -> None:
    fitted = replace(sardana(), ranges={"params": (1e8, 1e9), "flops": (1e18, 1e21)})
    best = inference_optimum(fitted, params=13e9, inference_tokens=2e12)
    assert best.extrapolation["params"] == pytest.approx(best.cheapest.params.value / 1e9)
    flops = best.cheapest.training_flops.value
    assert best.extrapolation["flops"] == pytest.approx(flops / 1e21)


def test_poor_utilisation_in_serving_counts_as_more_tokens() -> None:
    cost = ServingCost(training_mfu=0.5, input_mfu=0.5, output_mfu=0.125, input_share=0.0)
    dear = inference_optimum(sardana(), params=13e9, inference_tokens=1e12, cost=cost)
    more = inference_optimum(sardana(), params=13e9, inference_tokens=4e12)
    assert cost.per_flop == 4.0
    assert dear.cheapest.params.value == pytest.approx(more.cheapest.params.value, rel=1e-6)


def test_resamples_give_the_interval() -> None:
    fitted = sardana()
    theta = np.array([THETA[name] for name in fitted.law.constant_names])
    rng = np.random.default_rng(0)
    draws = theta * np.exp(0.01 * rng.normal(size=(40, 5)))
    best = inference_optimum(
        replace(fitted, draws=draws), params=13e9, inference_tokens=2e12, level=0.8
    )
    assert best.cheapest.params.low < best.cheapest.params.value < best.cheapest.params.high
    assert 0 < best.saving.low < best.saving.high < 1


def test_a_loss_below_the_irreducible_part_is_refused() -> None:
    with pytest.raises(UnfitDataError, match=r"No model reaches a loss of 1\.6"):
        inference_optimum(sardana(), loss=1.6, inference_tokens=1e12)


def test_two_qualities_or_none_are_refused() -> None:
    with pytest.raises(UsageError, match="The quality is not clear: nothing is given"):
        inference_optimum(sardana(), inference_tokens=1e12)
    with pytest.raises(UsageError, match=r"not clear: params=1e\+09, loss=2 is given"):
        inference_optimum(sardana(), params=1e9, loss=2.0, inference_tokens=1e12)


@pytest.mark.parametrize("quality", [{"loss": -1.0}, {"params": 0.0}, {"flops": float("nan")}])
def test_a_quality_that_is_none_is_refused(quality: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="is no quality"):
        inference_optimum(sardana(), inference_tokens=1e12, **quality)  # type: ignore[arg-type]


def test_a_loss_that_any_model_reaches_is_refused() -> None:
    with pytest.raises(UnfitDataError, match="Models of fewer than 1000 params reach a loss of 50"):
        inference_optimum(sardana(), loss=50.0, inference_tokens=1e12)


def test_a_utilisation_above_one_is_refused() -> None:
    with pytest.raises(UsageError, match=r"output_mfu=1\.5 is no share"):
        ServingCost(output_mfu=1.5)


def test_combined_laws_meet_at_their_weighted_geometric_mean_and_are_named() -> None:
    first = sardana()
    other = published_fit("besiroglu2024")
    both = first.combined_with((Rival(weight=0.4, result=other),), weight=0.6, spread=1.0)
    asked: dict[str, Any] = {"loss": 2.1, "inference_tokens": 2e12}
    one, two = (inference_optimum(r, **asked).cheapest.params.value for r in (first, other))
    best = inference_optimum(both, **asked)
    assert best.cheapest.params.value == pytest.approx(one**0.6 * two**0.4, rel=1e-9)
    assert best.rests_on == ("chinchilla (60%)", "chinchilla (40%)")
