from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import LawError
from scalewise.laws.catalogue import law_named
from scalewise.laws.law import Constant, Law, Published, Source

E, A, ALPHA = Constant("E", "offset"), Constant("A", "amplitude"), Constant("alpha", "exponent")


def law(**changes: object) -> Law:
    fields: dict[str, object] = {
        "key": "mine",
        "title": "",
        "formula": "E + A / N**alpha",
        "variables": {"N": "params"},
        "constants": (E, A, ALPHA),
    }
    return Law(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"constants": (E, A)},
        {"constants": (E, A, ALPHA, ALPHA)},
        {"constants": (E, A, ALPHA, Constant("beta", "exponent"))},
        {"variables": {}},
        {"variables": {"N": "params", "E": "loss"}},
    ],
)
def test_every_symbol_is_declared_exactly_once(changes: dict[str, object]) -> None:
    with pytest.raises(LawError, match="either a variable or a constant, once"):
        law(**changes)


def test_two_symbols_for_one_column_are_refused() -> None:
    with pytest.raises(LawError, match="two symbols for one column"):
        law(formula="E + A / (N * M)**alpha", variables={"N": "params", "M": "params"})


def test_bounds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(LawError, match=r"'E' has bounds \(2.0, 1.0\)"):
        Constant("E", "offset", bounds=(2.0, 1.0))


def test_published_constants_must_be_complete_and_inside_the_bounds() -> None:
    source = Source(key="someone")
    with pytest.raises(LawError, match="Give each constant one value"):
        law(published=(Published(key="p", theta={"E": 1.0}, source=source),))
    theta = {"E": 1.0, "A": 2.0, "alpha": 7.0}
    with pytest.raises(LawError, match="alpha=7, outside the bounds"):
        law(published=(Published(key="p", theta=theta, source=source),))


def test_missing_and_unknown_inputs_and_constants_are_refused() -> None:
    theta = {"E": 1.0, "A": 2.0, "alpha": 0.5}
    with pytest.raises(LawError, match=r"inputs \['D'\]. It needs N"):
        law().value(theta, D=1.0)
    with pytest.raises(LawError, match="It needs E, A, alpha"):
        law().value({"E": 1.0}, N=1.0)
    with pytest.raises(LawError, match="no constant 'B'"):
        law().unit("B")


def test_values_and_gradients_broadcast_over_inputs_and_draws() -> None:
    theta = {"E": np.array([[1.0], [2.0]]), "A": 2.0, "alpha": 0.5}
    N = np.array([4.0, 16.0, 64.0])
    np.testing.assert_allclose(law().value(theta, N=N), [[2.0, 1.5, 1.25], [3.0, 2.5, 2.25]])
    gradient = law().gradient(theta, N=N)
    assert {values.shape for values in gradient.values()} == {(2, 3)}
    np.testing.assert_allclose(gradient["E"], 1.0)
    np.testing.assert_allclose(gradient["A"][0], N**-0.5)


def test_integer_counts_do_not_overflow() -> None:
    flops = law(formula="A * N * D**alpha", variables={"N": "params", "D": "tokens"},
                constants=(A, ALPHA))  # fmt: skip
    counts = {"N": np.array([10**12]), "D": np.array([10**13])}
    assert flops.value({"A": 6.0, "alpha": 1.0}, **counts)[0] == pytest.approx(6e25)


@pytest.mark.parametrize(
    ("key", "name", "unit"),
    [
        ("chinchilla", "E", "nats/token"),
        ("chinchilla", "B", "nats/token * tokens**beta"),
        ("chinchilla", "beta", "1"),
        ("overtraining", "A", "nats/token * params**(2 * eta)"),
        ("kaplan-overfit", "N_c", "params_nonembed"),
        ("kaplan-overfit", "D_c", "tokens"),
        ("kaplan-steps", "S_c", "steps_min"),
        ("error-exponential", "k", "error"),
        ("error-exponential", "gamma", "loss**(-1)"),
        ("error-sigmoid", "L0", "loss"),
        ("coupled", "A", "params**alpha"),
        ("broken-flops", "C_b", "flops"),
        ("data-constrained", "B", "nats/token * tokens**alpha"),
        ("data-constrained", "R_D", "1"),
        ("kaplan-critical-batch", "B_star", "tokens * loss**(1 / alpha_B)"),
    ],
)
def test_units_follow_from_the_formula(key: str, name: str, unit: str) -> None:
    assert law_named(key).unit(name) == unit


def test_what_a_formula_is_linear_in_is_found_jointly() -> None:
    assert law_named("chinchilla").linear == {"E", "A", "B"}
    assert law_named("error-exponential").linear == {"eps", "k"}
    assert law_named("kaplan-steps").linear == frozenset()
