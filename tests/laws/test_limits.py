"""Each law becomes the simpler one that it contains, and turns where it says."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.fit.engine import fit
from scalewise.fit.result import FitStatus
from scalewise.laws.broken import BROKEN_COMPUTE
from scalewise.laws.catalogue import law_named
from scalewise.laws.chinchilla import CHINCHILLA
from scalewise.laws.coupled import COUPLED
from scalewise.laws.downstream import ERROR_SIGMOID
from scalewise.laws.farseer import FARSEER
from scalewise.laws.muennighoff import DATA_CONSTRAINED
from scalewise.laws.saturating import SATURATING, SIGMOID

C = np.geomspace(1e16, 1e26, 11)
D = np.geomspace(1e6, 1e14, 9)


def test_coupled_with_a_joining_power_of_one_is_chinchilla() -> None:
    theta = {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}
    inputs = {"N": np.array([1e7, 1e11]), "D": np.array([1e9, 1e12])}
    np.testing.assert_allclose(
        COUPLED.value({**theta, "gamma": 1.0}, **inputs),
        CHINCHILLA.value(theta, **inputs),
        rtol=1e-12,
    )


def test_farseer_without_drift_is_a_power_law_in_each_input() -> None:
    theta = {"A": 0.5, "alpha": 0.1, "B": 100.0, "delta": 0.0, "beta": 0.3, "gamma": 0.0}
    N, grown = np.array([1e7, 1e9, 1e11]), np.array([1e9, 1e10, 1e13])
    np.testing.assert_allclose(
        FARSEER.value({**theta, "a": 1e-7, "b": 0.2, "c": 0.2}, N=N, D=grown),
        0.5 * (1e9 / N) ** 0.1 + 100.0 / grown**0.3,
        rtol=1e-6,
    )


def test_farseer_levels_off_in_size_where_its_slope_flattens() -> None:
    theta = {"A": 2.0, "alpha": 0.1, "a": -0.2, "B": 100.0, "delta": 1.0, "b": 0.2, "beta": 0.3,
             "gamma": 0.0, "c": 0.2}  # fmt: skip
    assert FARSEER.value(theta, N=1e60, D=1e60) == pytest.approx(2.0 * np.exp(-0.5))


def test_the_broken_law_has_its_two_slopes_far_from_the_break_and_none_if_they_agree() -> None:
    theta = {"E": 0.0, "A": 2.0, "alpha": 0.05, "beta": 0.2, "C_b": 1e21, "w": 0.3}
    loss = BROKEN_COMPUTE.value(theta, C=C)
    slope = -np.diff(np.log(loss)) / np.diff(np.log(C))
    np.testing.assert_allclose(slope[:4], 0.05, rtol=1e-3)
    np.testing.assert_allclose(slope[-4:], 0.2, rtol=1e-3)
    at_break = BROKEN_COMPUTE.value(theta, C=1e21) / (2.0 * 1e21**-0.05)
    assert at_break == pytest.approx(2 ** (0.3 * (0.05 - 0.2)))
    straight = BROKEN_COMPUTE.value({**theta, "beta": 0.05}, C=C)
    np.testing.assert_allclose(straight, 2.0 * C**-0.05, rtol=1e-12)


def test_the_law_that_levels_off_is_the_papers_form_m3() -> None:
    b, g, c = 700.0, 1e-11, 0.3
    theta = {"E": b * g**c, "D_s": 1 / g, "alpha": c}
    np.testing.assert_allclose(SATURATING.value(theta, D=D), b * (1 / D + g) ** c, rtol=1e-12)
    pure = law_named("power-tokens-pure").value({"A": b, "alpha": c}, D=D[:3])
    np.testing.assert_allclose(SATURATING.value(theta, D=D[:3]), pure, rtol=1e-3)


def test_the_sigmoid_in_tokens_solves_the_papers_form_m4_at_alpha_one() -> None:
    theta = {"E": 1.8, "A": 9.0, "D_s": 1e9, "alpha": 0.4}
    loss = SIGMOID.value(theta, D=D)
    np.testing.assert_allclose((loss - 1.8) / (10.8 - loss), (1e9 / D) ** 0.4, rtol=1e-9)
    assert SIGMOID.value(theta, D=1e-30) == pytest.approx(10.8)


def test_the_error_sigmoid_is_one_minus_the_papers_accuracy_and_starts_at_guessing() -> None:
    theta = {"eps": 0.75, "a": 0.6, "k": 4.0, "L0": 3.0}
    L = np.linspace(1.0, 6.0, 11)
    error = ERROR_SIGMOID.value(theta, L=L)
    # a / (1 + exp(-k (L - L0))) + b of the paper, with its negative a, at b = 0.85
    accuracy = -0.6 / (1 + np.exp(-4.0 * (L - 3.0))) + 0.85
    np.testing.assert_allclose(error, 1 - accuracy, rtol=1e-12)
    assert ERROR_SIGMOID.value(theta, L=12.0) == pytest.approx(0.75)
    assert ERROR_SIGMOID.value(theta, L=3.0) == pytest.approx(0.45)


def test_the_error_of_guessing_can_be_held() -> None:
    L = np.linspace(2.0, 5.0, 12)
    error = ERROR_SIGMOID.value({"eps": 0.75, "a": 0.6, "k": 4.0, "L0": 3.0}, L=L)
    result = fit(ERROR_SIGMOID, {"loss": L, "error": error}, fixed={"eps": 0.75}, bootstrap=0)
    assert result.fixed == ("eps",)
    assert result.theta["L0"] == pytest.approx(3.0, rel=1e-4)


def repeated(law_repeats: float, epochs: tuple[float, float]) -> dict[str, np.ndarray]:
    """Runs of the data-constrained law with R_D = ``law_repeats``, at 0.2 % noise."""
    rng = np.random.default_rng(1)
    U = 10.0 ** rng.uniform(8, 11, 60)
    inputs = {"N": 10.0 ** rng.uniform(7, 10, 60), "D": U * rng.uniform(*epochs, 60), "U": U}
    theta = {**DATA_CONSTRAINED.published[0].theta, "R_D": law_repeats}
    noise = np.exp(0.002 * rng.standard_normal(60))
    table = {DATA_CONSTRAINED.variables[symbol]: x for symbol, x in inputs.items()}
    return {**table, "loss": DATA_CONSTRAINED.value(theta, **inputs) * noise}


def test_repeats_that_seem_worth_more_than_fresh_data_put_their_constant_at_its_bound() -> None:
    runs = repeated(1e6, (1.0, 30.0))
    runs["loss"] = runs["loss"] * (runs["tokens"] / runs["tokens_unique"]) ** -0.005
    result = fit(DATA_CONSTRAINED, runs, bootstrap=0)
    assert result.status is FitStatus.AT_BOUND
    assert result.at_bound == ("R_D",)


def test_without_repeats_their_constant_is_not_identified_and_the_others_are() -> None:
    result = fit(DATA_CONSTRAINED, repeated(15.0, (0.1, 0.9)), bootstrap=0)
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert result.not_identified == ("R_D",)
    assert result.theta["alpha"] == pytest.approx(0.3526596, rel=0.02)
