"""Optima of published constants against their closed forms, printed tables and brute force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from scalewise.fit.result import FitResult
from scalewise.fit.storage import published_fit
from scalewise.laws.catalogue import published_named
from scalewise.plan.allocate import allocate, frontier
from scalewise.plan.data_constrained import allocate_repeated, worth_of_epochs
from scalewise.plan.inference import inference_optimum
from scalewise.plan.isoflop import isoflop
from scalewise.runs.read import read_runs
from tests.shared_data import shared_table

GOPHER = 5.76e23


def additive(E: float, A: float, B: float, alpha: float, beta: float) -> FitResult:
    theta = {"E": E, "A": A, "B": B, "alpha": alpha, "beta": beta}
    return replace(published_fit("hoffmann2022"), theta=theta)


def split(theta: Mapping[str, float], flops: float) -> tuple[float, float]:
    """N_opt and D_opt in closed form, Hoffmann et al. 2022, eq. 4."""
    alpha, beta = theta["alpha"], theta["beta"]
    G = (alpha * theta["A"] / (beta * theta["B"])) ** (1 / (alpha + beta))
    product = flops / 6
    return G * product ** (beta / (alpha + beta)), product ** (alpha / (alpha + beta)) / G


# Hoffmann et al. 2022 as printed, from the TeX source and with the exponents to three digits;
# Besiroglu et al. 2024 as printed, their least-absolute-deviation fit unrounded, and the Huber fit.
SETS = {
    "hoffmann-printed": published_fit("hoffmann2022"),
    "hoffmann-tex": published_fit("hoffmann2022-tex"),
    "hoffmann-3-digits": additive(1.69, 406.4, 410.7, 0.336, 0.283),
    "besiroglu-printed": published_fit("besiroglu2024"),
    "lad-240": additive(1.81686, 482.006, 2085.436, 0.347813, 0.365854),
    "huber-240": additive(1.81722, 477.826, 2143.417, 0.347310, 0.367172),
}
AT_GOPHER = {
    "hoffmann-printed": (32.19e9, 2.982e12, 92.6),
    "hoffmann-tex": (40.36e9, 2.379e12, 58.9),
    "hoffmann-3-digits": (41.72e9, 2.301e12, None),
    "besiroglu-printed": (72.25e9, 1.329e12, 18.39),
    "lad-240": (72.356e9, 1.3268e12, 18.34),
    "huber-240": (73.190e9, 1.3116e12, 17.92),
}


@pytest.mark.parametrize("name", SETS)
def test_the_optimum_at_the_gopher_budget_has_the_printed_digits(name: str) -> None:
    params, tokens, ratio = AT_GOPHER[name]
    best = allocate(SETS[name], GOPHER)
    assert best.params.value == pytest.approx(params, rel=2e-4)
    assert best.tokens.value == pytest.approx(tokens, rel=2e-4)
    if ratio is not None:
        assert best.tokens_per_param.value == pytest.approx(ratio, abs=0.06 if ratio > 50 else 6e-3)


@pytest.mark.parametrize("flops", [1e18, GOPHER, 1e28])
@pytest.mark.parametrize("name", SETS)
def test_the_frontier_keeps_its_identities(name: str, flops: float) -> None:
    result = SETS[name]
    t, best = result.theta, allocate(result, flops)
    N, D = best.params.value, best.tokens.value
    size, tokens = split(t, flops)
    assert best.params.value == pytest.approx(size, rel=1e-12)
    assert best.tokens.value == pytest.approx(tokens, rel=1e-12)
    spent = 6 * N * D
    assert spent == pytest.approx(flops, rel=1e-13)
    assert t["alpha"] * t["A"] * N ** -t["alpha"] == pytest.approx(
        t["beta"] * t["B"] * D ** -t["beta"], rel=1e-12
    )
    # Optimal loss: E + (A G**-alpha + B G**beta) (C/6)**(-alpha beta / (alpha + beta)).
    alpha, beta = t["alpha"], t["beta"]
    G = (alpha * t["A"] / (beta * t["B"])) ** (1 / (alpha + beta))
    price = t["A"] * G**-alpha + t["B"] * G**beta
    least = t["E"] + price * (flops / 6) ** (-alpha * beta / (alpha + beta))
    assert best.loss.value == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "loss"),
    [("hoffmann-printed", 1.9366), ("hoffmann-tex", 1.9208), ("hoffmann-3-digits", 1.9323),
     ("besiroglu-printed", 1.9739)],
)  # fmt: skip
def test_the_loss_of_chinchilla_itself_differs_by_set(name: str, loss: float) -> None:
    assert SETS[name].predict(params=70e9, tokens=1.4e12).loss == pytest.approx(loss, abs=5e-5)


@pytest.mark.parametrize(
    ("flops", "params", "tokens"),
    [(2.21e19, 400e6, 9.2e9), (2.46e22, 10e9, 410.1e9), (8.55e28, 10e12, 1425.5e12)],
)
def test_table_a3_follows_within_a_tenth(flops: float, params: float, tokens: float) -> None:
    # No published constant set gives the table's own digits.
    best = allocate(SETS["hoffmann-3-digits"], flops)
    assert best.params.value == pytest.approx(params, rel=0.1)
    assert best.tokens.value == pytest.approx(tokens, rel=0.1)


def test_tokens_per_param_is_a_curve_that_bends_with_the_constants() -> None:
    flops = np.array([1e18, 1e20, 1e22, 5.88e23, 1e26])
    ratio = frontier(SETS["lad-240"], flops).tokens_per_param[1]
    # At 1e18 the closed form gives 25.64; that number is often quoted as Chinchilla's ratio.
    assert ratio[0] == pytest.approx(25.64, abs=0.005)
    assert ratio[3] == pytest.approx(18.3, abs=0.1)
    assert np.all(np.diff(ratio) < 0)
    rising = frontier(SETS["hoffmann-printed"], flops).tokens_per_param[1]
    assert np.all(np.diff(rising) > 0)


# Sardana et al. 2024: quality of a compute-optimal N0, tokens served -> N, D, saving in percent.
SARDANA = "hoffmann-3-digits"
SERVED = [
    (SARDANA, 13e9, 2e12, 6.969e9, 1.2478e12, 17.45),
    (SARDANA, 30e9, 1e13, 13.613e9, 4.4262e12, 27.98),
    (SARDANA, 7e9, 1e11, 6.000e9, 0.3250e12, 0.85),
    (SARDANA, 70e9, 1e12, 62.851e9, 4.7563e12, 0.40),
    ("besiroglu-printed", 13e9, 2e12, 6.098e9, 0.7370e12, 28.96),
    ("besiroglu-printed", 30e9, 1e13, 11.621e9, 2.4488e12, 42.71),
]


@pytest.mark.parametrize(("name", "quality", "served", "params", "tokens", "saving"), SERVED)
def test_the_cheapest_model_to_serve_is_the_printed_one_and_that_of_brute_force(
    name: str, quality: float, served: float, params: float, tokens: float, saving: float
) -> None:
    result = SETS[name]
    best = inference_optimum(result, params=quality, inference_tokens=served)
    own = best.cheapest
    assert own.params.value == pytest.approx(params, rel=1e-4)
    assert own.tokens.value == pytest.approx(tokens, rel=1e-4)
    assert 100 * best.saving.value == pytest.approx(saving, abs=6e-3)
    # Every size on the line of equal loss, its tokens in closed form.
    t = result.theta
    N = own.params.value * np.exp(np.linspace(-0.05, 0.05, 20_001))
    room = best.quality - t["E"] - t["A"] * N ** -t["alpha"]
    D = (t["B"] / room) ** (1 / t["beta"])
    cost = 6 * N * D + 2 * N * served
    assert N[cost.argmin()] == pytest.approx(own.params.value, rel=1e-5)
    assert own.cost.value <= cost.min() * (1 + 1e-12)


def test_the_totals_of_the_printed_example() -> None:
    best = inference_optimum(SETS[SARDANA], params=13e9, inference_tokens=2e12)
    assert best.cheapest.cost.value == pytest.approx(8.0049e22, rel=1e-4)
    assert best.compute_optimal.cost.value == pytest.approx(9.6966e22, rel=1e-4)
    larger = inference_optimum(SETS[SARDANA], params=30e9, inference_tokens=1e13)
    more = larger.cheapest.tokens.value / larger.compute_optimal.tokens.value
    assert more == pytest.approx(2.845, abs=1e-3)


# Muennighoff et al. 2023 -------------------------------------------------------------------------


def test_the_optimum_over_25_billion_unique_tokens() -> None:
    best = allocate_repeated(published_fit("muennighoff2023"), 1e22, tokens_unique=25e9)
    assert best.allocation.params.value == pytest.approx(7.02616e9, rel=2e-6)
    assert best.allocation.tokens.value == pytest.approx(2.37209e11, rel=2e-6)
    assert best.epochs.value == pytest.approx(9.4884, abs=1e-4)
    assert best.allocation.loss.value == pytest.approx(2.2221292749, abs=1e-10)
    assert best.unlimited.params.value == pytest.approx(9.2183e9, rel=1e-5)
    assert best.unlimited.tokens.value == pytest.approx(1.8080e11, rel=1e-5)


def test_no_size_of_a_fine_grid_is_better_over_scarce_tokens() -> None:
    law, published = published_named("muennighoff2023")
    for unique, flops in ((25e9, 1e22), (1e9, 1e21), (1e12, 1e21)):
        best = allocate_repeated(published_fit("muennighoff2023"), flops, tokens_unique=unique)
        N = np.geomspace(1e6, 1e13, 200_001)
        loss = law.value(published.theta, N=N, D=flops / 6 / N, U=unique)
        assert best.allocation.loss.value <= loss.min() + 1e-14
        assert best.allocation.params.value == pytest.approx(N[loss.argmin()], rel=2e-4)


def test_the_gopher_budget_without_shortage() -> None:
    best = allocate_repeated(published_fit("muennighoff2023"), GOPHER, tokens_unique=1e14)
    assert best.allocation.params.value == pytest.approx(69962173313.5, rel=1e-6)
    assert best.allocation.tokens.value == pytest.approx(1372170066384.2, rel=1e-6)
    assert best.epochs.value < 1


@pytest.mark.parametrize(
    ("epochs", "worth"),
    [(1, 1.0), (2, 1.96820), (4, 3.72567), (8, 6.62412), (16, 10.58246), (40, 15.16746),
     (1e6, 16.387756)],
)  # fmt: skip
def test_the_worth_of_epochs_is_the_printed_one(epochs: float, worth: float) -> None:
    decay = published_fit("muennighoff2023").theta["R_D"]
    assert worth_of_epochs(epochs, decay) == pytest.approx(worth, abs=5e-6)


def test_the_worked_example_of_the_geometric_series() -> None:
    # Each epoch is worth a quarter less than the one before: R_D = (1 - delta) / delta = 3.
    exact = sum(0.75**k for k in range(5))
    assert exact == pytest.approx(3.05078, abs=5e-6)
    assert worth_of_epochs(5, 3.0) == pytest.approx(3.20921, abs=5e-6)


# Approach 2 on the digitised runs ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "exponent"),
    [({"tolerance": 0.02}, 0.43), ({"tolerance": 0.06}, 0.503), ({"window": 4.0}, 0.5135)],
)
def test_approach_2_moves_with_its_choices_as_printed(
    settings: dict[str, float], exponent: float
) -> None:
    runs = read_runs(shared_table("chinchilla_epoch/points.parquet"))
    budgets = [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]
    found = isoflop(runs, budgets=budgets, bootstrap=0, **settings)  # type: ignore[arg-type]
    assert found.params.exponent.value == pytest.approx(exponent, abs=1e-3)
