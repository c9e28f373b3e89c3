from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import FormulaError, LawError
from scalewise.core.expression import parse
from scalewise.laws.formula import law_from_formula
from scalewise.laws.latex import expression_latex, latex


def roles(text: str) -> dict[str, str]:
    return {c.name: c.role for c in law_from_formula(text).constants}


def test_letters_and_column_names_are_inputs_and_the_rest_are_constants() -> None:
    law = law_from_formula("E + A / params_nonembed**alpha + B / D**beta + G / C")
    assert law.variables == {
        "params_nonembed": "params_nonembed",
        "D": "tokens",
        "C": "flops",
    }
    assert law.constant_names == ("E", "A", "alpha", "B", "beta", "G")
    assert law.quantity == "loss"
    value = law.value(
        {"E": 1.0, "A": 10.0, "alpha": 0.5, "B": 20.0, "beta": 1.0, "G": 3.0},
        params_nonembed=100.0, D=40.0, C=6.0,
    )  # fmt: skip
    assert value == pytest.approx(1 + 1 + 0.5 + 0.5)


def test_its_key_is_its_canonical_text() -> None:
    law = law_from_formula("(E)+A/(N**alpha)")
    assert law.key == law.formula == "E + A / N**alpha"
    assert law_from_formula(law.key) == law


def test_a_formula_in_loss_predicts_error() -> None:
    law = law_from_formula("eps - k * exp(-gamma * loss)")
    assert (law.quantity, law.default_objective) == ("error", "ls")
    assert roles("eps - k * exp(-gamma * loss)") == {
        "eps": "offset", "k": "amplitude", "gamma": "exponent",
    }  # fmt: skip


def test_what_a_formula_predicts_can_be_stated() -> None:
    law = law_from_formula("B_star / loss**(1 / alpha_B)", quantity="critical_batch_tokens")
    assert (law.quantity, law.default_objective) == ("critical_batch_tokens", "huber-log")
    assert law.unit("B_star") == "tokens * loss**(1 / alpha_B)"
    assert latex(law).startswith(r"B_{\mathrm{crit}}(\mathrm{loss}) = \frac{B_{*}}")


def test_a_symbol_can_be_mapped_to_another_column() -> None:
    law = law_from_formula("E + A / N**alpha", {"N": "params_nonembed"})
    assert law.columns == ("params_nonembed",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A / N**alpha + E", {"E": "offset", "A": "amplitude", "alpha": "exponent"}),
        ("A / N**alpha - E", {"E": "amplitude", "A": "amplitude", "alpha": "exponent"}),
        ("E * (1 + A / N**a)", {"E": "amplitude", "A": "amplitude", "a": "exponent"}),
        ("max(E, A / N**a)", {"E": "amplitude", "A": "amplitude", "a": "exponent"}),
        ("(N_c / N)**(p / q) + (D_c / D)**q",
         {"N_c": "amplitude", "p": "exponent", "q": "exponent", "D_c": "amplitude"}),
        ("E + alpha * A / N**alpha", {"E": "offset", "A": "amplitude", "alpha": "exponent"}),
        ("E + A * exp(-D / D_c)", {"E": "offset", "A": "amplitude", "D_c": "amplitude"}),
        ("E + A * exp(-D / (R * tokens_unique))",
         {"E": "offset", "A": "amplitude", "R": "amplitude"}),
        ("A * exp(s * (1 - (N / 1e9)**q))", {"A": "amplitude", "s": "exponent", "q": "exponent"}),
        ("E + A * exp(-s * N**q)", {"E": "offset", "A": "amplitude", "s": "amplitude",
                                    "q": "exponent"}),
        ("eps - a / (1 + exp(k * (loss - L0)))",
         {"eps": "offset", "a": "amplitude", "k": "exponent", "L0": "exponent"}),
    ],
)  # fmt: skip
def test_roles_follow_from_where_a_constant_stands(text: str, expected: dict[str, str]) -> None:
    assert roles(text) == expected


@pytest.mark.parametrize(
    ("text", "unit_of", "unit"),
    [
        ("(1 / N**a + B / D**b) * A", "A", "nats/token * params**a"),
        ("(1 / N**a + B / D**b) * A", "B", "params**(-a) * tokens**b"),
        ("E * (1 + A / N**a)", "E", "nats/token"),
        ("E * (1 + A / N**a)", "A", "params**a"),
        ("E + alpha * A / N**alpha", "A", "nats/token * params**alpha"),
        ("sqrt(E**2 + A / N**a)", "A", "params**a"),
        ("E + (A / N + B / D)**g", "B", "tokens"),
        ("E + A / min(N, (A / B)**(1 / a) * D)**a + B / D**a", "A", "nats/token * params**a"),
        ("E + A / min(N, (A / B)**(1 / a) * D)**a + B / D**a", "B", "nats/token * tokens**a"),
    ],
)
def test_units_of_any_form_are_derived_and_absorb_a_change_of_unit(
    text: str, unit_of: str, unit: str
) -> None:
    law = law_from_formula(text)
    assert law.unit(unit_of) == unit
    assert law.is_unit_free


def test_inputs_that_are_compared_share_their_unit() -> None:
    law = law_from_formula("E + A / N**a + B / min(D, tokens_unique)**b")
    assert set(law.unit_groups) == {frozenset({"N"}), frozenset({"D", "tokens_unique"})}
    assert not law.is_unit_free


@pytest.mark.parametrize(
    ("text", "rigid"),
    [
        ("E - k * log(N)", "N"),
        ("E + A / (1 + N)**a", "N"),
        ("E + A / N**(a * D)", "ND"),
        ("Q * exp(-e * log(D) * exp(-A * N**a))", "D"),
        ("A * exp(s * ((1e9 / N)**q - 1)) + B / D**b", "N"),
    ],
)
def test_a_form_that_holds_in_one_unit_only_says_of_what(text: str, rigid: str) -> None:
    law = law_from_formula(text)
    assert not law.is_unit_free
    assert law.rigid == set(rigid)


@pytest.mark.parametrize(
    ("text", "quantity", "columns"),
    [
        ("lr_peak = k * D**b / params_nonembed**a", "lr_peak", ("tokens", "params_nonembed")),
        (" batch_tokens=k * C**p", "batch_tokens", ("flops",)),
        ("loss = E + A / N**alpha", "loss", ("params",)),
    ],
)
def test_what_a_law_predicts_may_stand_before_it(
    text: str, quantity: str, columns: tuple[str, ...]
) -> None:
    law = law_from_formula(text)
    assert law.quantity == quantity
    assert law.columns == columns
    assert law.formula == text.partition("=")[2].strip()


def test_a_law_does_not_predict_its_own_input() -> None:
    with pytest.raises(LawError, match="predicts tokens from itself"):
        law_from_formula("tokens = k * D**p")
    with pytest.raises(LawError, match="predicts loss from itself"):
        law_from_formula("loss = E + A * loss")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("E + F + A / N**a", "E and F"),
        ("A * B / N**a", "A and B"),
        ("A / N**(a * b)", "a and b"),
        ("A * (N_c / N)**a", "A and N_c"),
        ("E + A / N**a + B / N**a", "A and B"),
        ("E + A + B - C0 + G / N**a", "E, A, B and C0"),
        ("E + A * 0 + B / N**a", "A"),
        ("E + A * B / N**a + G / D**d", "A and B"),
    ],
)
def test_constants_that_no_data_could_tell_apart_are_refused_by_name(text: str, names: str) -> None:
    with pytest.raises(FormulaError, match=f"No data can tell {names} apart"):
        law_from_formula(text)


@pytest.mark.parametrize(
    "text",
    [
        "E + A / N**a + B / N**b",
        "E + A / (N / 1e9)**a",
        "E + A / (log(N / 1e9))**a",
        "min(E + A / N**a, B / N**b)",
        "E + A * exp(-D / 1e11)",
        "E + A / N**a + B / D**b + G / (N**p * D**q)",
        # The form of Farseer (arXiv:2506.10972), in which the exponent of D falls with N.
        "S * exp(-s * N**q) + Q * exp(B / N**b) * exp(-e * log(D) * exp(-A * N**a))",
    ],
)
def test_unusual_but_sound_formulas_are_accepted(text: str) -> None:
    assert len(law_from_formula(text).constants) >= 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("E + A / param**alpha", "has no input. Did you mean params\\?"),
        ("6 * N * D", "no constant, so nothing to fit"),
        ("A + N / params", "two symbols for one column: N for params, params for params"),
        ("E + A / N**alpha + perplexity", "perplexity in .* is a word of the run table"),
        ("seed + A / N**alpha", "seed in .* is a word of the run table"),
        ("+".join(f"A{i} / N**a{i}" for i in range(7)), "14 constants; at most 12"),
        ("E + A * log(-N)", "no finite value"),
        ("", "The formula is empty"),
        ("L = E + A / N**alpha", "'L' before the equals sign is nothing that a law predicts"),
    ],
)
def test_what_is_no_law_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        law_from_formula(text)


def test_with_stated_inputs_a_forgotten_one_is_not_taken_for_a_constant() -> None:
    with pytest.raises(FormulaError, match=r"D in .* no input of this law"):
        law_from_formula("E + A / N**a + B / D**b", {"N": "params_nonembed"})


def test_constants_are_positive_so_the_sign_is_in_the_formula() -> None:
    law = law_from_formula("E - A * N**alpha")
    assert all(c.bounds[0] == 0.0 for c in law.constants)
    value = law.value({"E": 5.0, "A": 1.0, "alpha": 0.5}, N=np.array([4.0]))
    np.testing.assert_allclose(value, 3.0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("E + A2 / N**a", r"L(N) = E + \frac{A_{2}}{N^{a}}"),
        ("E - (A - B / N**a)", r"L(N) = E - \left(A - \frac{B}{N^{a}}\right)"),
        ("A * -N + B", r"L(N) = A \, \left(-N\right) + B"),
        ("A * 2 * 10 + B / N", r"L(N) = A \cdot 2 \cdot 10 + \frac{B}{N}"),
        ("sqrt(E) + A / (N / 3e8)**b",
         r"L(N) = \sqrt{E} + \frac{A}{\left(\frac{N}{3 \times 10^{8}}\right)^{b}}"),
        ("E + max(A / N, beta_1)", r"L(N) = E + \max\left(\frac{A}{N}, \beta_{1}\right)"),
    ],
)  # fmt: skip
def test_latex_has_the_brackets_it_needs_and_no_more(text: str, shown: str) -> None:
    assert f"L(N) = {expression_latex(parse(text))}" == shown


def test_latex_of_a_users_law_writes_columns_upright() -> None:
    law = law_from_formula("E + A / tokens_per_param**b")
    assert latex(law).startswith(r"L(\mathrm{tokens\_per\_param}) = E")
