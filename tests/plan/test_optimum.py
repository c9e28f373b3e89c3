"""The optimal size, by formula, by search and by trying every size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalewise.core.errors import LawError
from scalewise.laws.catalogue import LAWS, law_from
from scalewise.laws.formula import law_from_formula
from scalewise.laws.law import Law
from scalewise.plan.optimum import optimal_size, size_of

BUDGETS = np.geomspace(1e18, 1e26, 5)
CHINCHILLA = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
KAPLAN = {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}

# The same functions in other words, for which no closed form is on record.
PAIRS = {
    "chinchilla": (LAWS["chinchilla"], "B / D**beta + A * N**-alpha + E", CHINCHILLA),
    "overtraining": (
        LAWS["overtraining"],
        "E + A * N**(-2 * eta) + B * D**(-2 * eta)",
        {"E": 1.5, "A": 113.7, "B": 152.5, "eta": 0.1212},
    ),
    "coupled": (
        LAWS["coupled"],
        "(B / D**beta + A * N**-alpha)**gamma + E",
        {"E": 1.7, "A": 40.0, "B": 60.0, "alpha": 0.4, "beta": 0.3, "gamma": 0.8},
    ),
    "kaplan-overfit": (
        LAWS["kaplan-overfit"],
        "(D_c / D + (N_c / N)**(alpha_N / alpha_D))**alpha_D",
        KAPLAN,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_closed_form_is_what_a_search_finds(name: str) -> None:
    law, words, theta = PAIRS[name]
    other = law_from_formula(words, law.variables)
    assert other.formula != law.formula
    exact, searched = (optimal_size(each, theta, BUDGETS) for each in (law, other))
    np.testing.assert_allclose(searched, exact, rtol=1e-5)


def brute_force(law: Law, theta: Mapping[str, float], flops: float) -> float:
    """The best of a fine grid of sizes, refined by the parabola through its neighbours."""
    log_n = np.linspace(0, np.log(flops / 6), 200_001)
    loss = law.value(theta, N=np.exp(log_n), D=flops / 6 / np.exp(log_n))
    i = int(np.argmin(loss))
    a, b, c = loss[i - 1 : i + 2]
    return float(np.exp(log_n[i] + (log_n[1] - log_n[0]) * 0.5 * (a - c) / (a - 2 * b + c)))


@pytest.mark.parametrize("name", PAIRS)
def test_no_size_of_a_fine_grid_is_better(name: str) -> None:
    law, _, theta = PAIRS[name]
    for flops in (1e20, 1e24):
        best = float(optimal_size(law, theta, np.asarray(flops)))
        assert best == pytest.approx(brute_force(law, theta, flops), rel=1e-3)


def test_a_law_without_a_closed_form_is_searched() -> None:
    law = law_from("E + A / N**a + B / D**b + k / (N * D)**c")
    theta = {"E": 1.7, "A": 400.0, "B": 1500.0, "a": 0.34, "b": 0.36, "k": 1e4, "c": 0.2}
    # On a budget the last term is a constant, so the optimum is that of the others.
    sum_of_two = {"E": 1.7, "A": 400.0, "B": 1500.0, "alpha": 0.34, "beta": 0.36}
    expected = optimal_size(LAWS["chinchilla"], sum_of_two, BUDGETS)
    np.testing.assert_allclose(optimal_size(law, theta, BUDGETS), expected, rtol=1e-5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    alpha=st.floats(0.1, 0.8),
    beta=st.floats(0.1, 0.8),
    A=st.floats(1, 1e5),
    B=st.floats(1, 1e5),
    power=st.floats(17, 27),
)
def test_the_slopes_of_both_prices_balance_and_neighbours_are_worse(
    alpha: float, beta: float, A: float, B: float, power: float
) -> None:
    theta, C = {"E": 1.0, "A": A, "B": B, "alpha": alpha, "beta": beta}, 10.0**power
    N = float(optimal_size(LAWS["chinchilla"], theta, np.asarray(C)))
    D = C / 6 / N
    assert alpha * A * N**-alpha == pytest.approx(beta * B * D**-beta, rel=1e-9)
    shift = np.array([0.9, 1.0, 1.1])
    assert LAWS["chinchilla"].value(theta, N=N * shift, D=D / shift).argmin() == 1


def test_constants_and_budgets_broadcast() -> None:
    theta = {name: np.full((3, 1), value) for name, value in CHINCHILLA.items()}
    theta["A"] = np.array([[200.0], [406.4], [800.0]])
    sizes = optimal_size(LAWS["chinchilla"], theta, BUDGETS[None])
    assert sizes.shape == (3, 5)
    alone = optimal_size(LAWS["chinchilla"], CHINCHILLA, BUDGETS)
    np.testing.assert_allclose(sizes[1], alone, rtol=1e-13)
    assert np.all(np.diff(sizes, axis=0) > 0)  # dearer size asks for more of it


@pytest.mark.parametrize(
    ("key", "size"),
    [("chinchilla", "params"), ("kaplan-overfit", "params_nonembed"), ("power", None),
     ("power-flops", None), ("kaplan-tokens", None)],
)  # fmt: skip
def test_only_laws_of_size_and_tokens_trade_one_for_the_other(key: str, size: str | None) -> None:
    assert size_of(LAWS[key]) == size


def test_of_two_valleys_the_lower_is_found() -> None:
    # Dips of a hundredth at 1e7 and of a tenth at 1e11 in a loss that is flat otherwise.
    law = law_from_formula(
        "E + k / D**d - a * exp(-((N / 1e7)**p + (1e7 / N)**p)) "
        "- b * exp(-((N / 1e11)**p + (1e11 / N)**p))",
        {"N": "params", "D": "tokens"},
    )
    theta = {"E": 3.0, "k": 1e-3, "d": 0.01, "a": 0.1, "b": 1.0, "p": 2.0}
    for lower in ("a", "b"):
        deep = {**theta, lower: 10.0}
        best = optimal_size(law, deep, np.array([1e22]))
        assert best[0] == pytest.approx({"a": 1e7, "b": 1e11}[lower], rel=0.01)


def test_a_law_in_which_tokens_cost_nothing_has_no_optimum() -> None:
    law = law_from("E + A / N**a + B * D**b")
    theta = {"E": 1.0, "A": 400.0, "B": 1e-3, "a": 0.3, "b": 0.1}
    with pytest.raises(LawError, match=r"least at the end of the range.*does not trade size"):
        optimal_size(law, theta, BUDGETS)
