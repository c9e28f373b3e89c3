from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scalewise.core.errors import FormulaError
from scalewise.core.expression import (
    Expression,
    evaluate,
    parse,
    program,
    render,
    walk,
)

X = {"a": 1.3, "b": 0.7, "c": 2.1, "N": 3.7}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("N.real", "'N.real' is not allowed"),
        ("N.__class__.__mro__", "is not allowed"),
        ("__import__('os')", "is not allowed"),
        ("__name__", "A name starts with a letter"),
        ("_N", "A name starts with a letter"),
        ("sin(N)", r"'sin\(N\)' is not allowed"),
        ("open(N)", "is not allowed"),
        ("exp(N)(N)", "is not allowed"),
        ("exp", "exp is a function: write exp"),
        ("log + N", "log is a function"),
        ("N[0]", r"'N\[0\]' is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
        ("lambda N: N", "is not allowed"),
        ("N < 3", "'N < 3' is not allowed"),
        ("N == 3", "is not allowed"),
        ("N = 3", "cannot be read.*right of the equals sign"),
        ("(N := 3)", "is not allowed"),
        ("f'{N}'", "is not allowed"),
        ("'N'", "is not allowed"),
        ("b'N'", "is not allowed"),
        ("True", "'True' is not allowed"),
        ("N + False", "'False' is not allowed"),
        ("None", "'None' is not allowed"),
        ("...", "is not allowed"),
        ("1j", "'1j' is not allowed"),
        ("N if 1 else 2", "is not allowed"),
        ("N and b", "is not allowed"),
        ("not N", "'not N' is not allowed"),
        ("~N", "'~N' is not allowed"),
        ("N ^ 2", r"'N \^ 2' is not allowed.*Write \*\* for powers"),
        ("N // 2", "'N // 2' is not allowed"),
        ("N % 2", "is not allowed"),
        ("N @ b", "is not allowed"),
        ("N << 2", "is not allowed"),
        ("(N, b)", "is not allowed"),
        ("[N]", "is not allowed"),
        ("{N}", "is not allowed"),
        ("[N for N in b]", "is not allowed"),
        ("await N", "is not allowed|cannot be read"),
        ("yield", "is not allowed|cannot be read"),
        ("exp(*N)", r"'exp\(\*N\)' is not allowed"),
        ("max(*N, b)", "is not allowed"),
        ("exp(x=N)", "is not allowed"),
        ("exp(N, **b)", "is not allowed"),
        ("exp()", "is not allowed"),
        ("exp(N, b)", "is not allowed"),
        ("min(N)", "is not allowed"),
        ("max(N, b, c)", "is not allowed"),
        ("N; b", "cannot be read"),
        ("import os", "cannot be read"),
        ("N +", "cannot be read"),
        ("N\n+ b", "cannot be read"),
        ("N\x00", "cannot be read"),
        ("", "The formula is empty"),
        ("  \t ", "The formula is empty"),
    ],
)
def test_what_is_not_arithmetic_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse(text)


@pytest.mark.parametrize("text", ["α * N", "\uff2e + 1", "N – 1", "N · b"])
def test_letters_that_python_would_silently_translate_are_refused(text: str) -> None:
    with pytest.raises(FormulaError, match=r"contains .* plain letters"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1e999", "number in .* is too large"),
        ("9" * 400, "number in .* is too large"),
        ("N**17", "larger than 16"),
        ("N**-17", "larger than 16"),
        ("N**(5 * 5)", "larger than 16"),
        ("N**(1 / 0.01)", "larger than 16"),
        ("N**(a * 100)", "larger than 16"),
        ("N**(a / 1e-9)", "larger than 16"),
        ("N**(a + 9 + 9)", "larger than 16"),
        ("N**(a / 0)", "larger than 16"),
        ("(N**5)**5", "larger than 16"),
        ("(1 + (2 * N**4)**3 / b)**2", "larger than 16"),
        ("N**N**N", "power stands in the exponent"),
        ("9**9**9", "power stands in the exponent"),
        ("N**exp(b**2)", "power stands in the exponent"),
        ("1 / 0", "1 / 0 in .* is not a finite number"),
        ("N + log(0)", r"log\(0\) in .* not a finite number"),
        ("N * sqrt(-1)", r"sqrt\(-1\) in .* not a finite number"),
        ("1e300 * 1e300 - N", "not a finite number"),
        ("exp(1e3) * N", "not a finite number"),
        ("0**-1 + N", "not a finite number"),
        ("(-2)**0.5 + N", "not a finite number"),
    ],
)
def test_huge_powers_and_numbers_that_are_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * 240 + "N" + ")" * 240, "cannot be read|nested"),
        ("-" * 400 + "N", "nested more than 24 deep"),
        ("+" * 400 + "N", "nested more than 24 deep"),
        ("exp(" * 40 + "N" + ")" * 40, "nested more than 24 deep"),
        ("+".join(["N"] * 60), "nested more than 24 deep"),
        ("N + " * 200 + "N", "801 characters; at most 500"),
    ],
)
def test_deep_nesting_and_long_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse(text)


def test_reading_a_strange_text_leaks_no_warning_of_the_parser() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ("1 is 1", "'\\d'", "1if N else 2", "(1)(2)", "N[1](2)", "0x1for N in b"):
            with pytest.raises(FormulaError):
                parse(text)


def test_refusals_quote_at_most_a_line_of_the_formula() -> None:
    with pytest.raises(FormulaError) as refusal:
        parse("sin(" + "N + " * 100 + "N)")
    assert len(refusal.value.message) < 120


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("-2**2", -4.0),
        ("(-2)**2", 4.0),
        ("2**-1", 0.5),
        ("8 / 4 / 2", 1.0),
        ("5 - 3 - 1", 1.0),
        ("5 - (3 - 1)", 3.0),
        ("min(2, 3) * max(2, 3)", 6.0),
        ("log(exp(2)) + sqrt(9)", 5.0),
        ("1_000 + 0x10 + .5", 1016.5),
        ("+3", 3.0),
        ("(\n 1 +\n 1)", 2.0),
    ],
)
def test_arithmetic_means_what_it_means_in_python(text: str, value: float) -> None:
    assert evaluate(parse(text), {}) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    ["a + b * N**-c", "a * b / c / N", "-a**2 - -b", "a - (b - c)", "(a / N)**(b / c) / (2 * N)",
     "sqrt(a) * exp(-b * N) + log(N / c)", "min(a, N) - max(b, N * c)", "(a + b / N)**c"],
)  # fmt: skip
def test_formulas_in_names_mean_what_they_mean_in_python(text: str) -> None:
    functions = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "min": min, "max": max}
    expected = eval(text, {"__builtins__": {}}, {**X, **functions})  # noqa: S307
    assert evaluate(parse(text), X) == pytest.approx(expected, rel=1e-14)


def test_values_broadcast_and_integers_do_not_overflow() -> None:
    counts = np.array([10**12, 10**13])
    value = evaluate(parse("6 * N * D"), {"N": counts, "D": counts[:, None]})
    assert value.shape == (2, 2)
    assert value[1, 1] == pytest.approx(6e26)


def test_division_by_zero_is_infinite_with_a_warning_as_in_arrays() -> None:
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert evaluate(parse("1 / N"), {"N": 0.0}) == np.inf


def test_inputs_are_left_untouched() -> None:
    N = np.array([1.0, 2.0])
    program(parse("-N * 2 + a"), frozenset({"a"})).run({"N": N, "a": 1.0})
    np.testing.assert_array_equal(N, [1.0, 2.0])


def test_what_depends_on_the_data_alone_is_computed_once() -> None:
    compiled = program(parse("a * log(N) + log(N)"), frozenset({"a"}))
    kept: dict[int, Any] = {}
    first, _ = compiled.run({"N": np.array([2.0, 3.0]), "a": 1.0}, kept)
    assert any(np.allclose(v, np.log([2.0, 3.0])) for v in kept.values())
    again, gradient = compiled.run({"N": np.array([np.nan, np.nan]), "a": 1.0}, kept)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_allclose(gradient["a"], np.log([2.0, 3.0]))


_NAMES = st.sampled_from(["a", "b", "c", "N"]).map(lambda name: Expression("name", name=name))
_NUMBERS = st.floats(-3.0, 3.0).map(lambda x: Expression("number", number=x))


def _grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    binary = st.builds(
        lambda kind, a, b: Expression(kind, (a, b)),
        st.sampled_from(["+", "-", "*", "/", "min", "max"]), inner, inner,
    )  # fmt: skip
    power = st.builds(lambda a, b: Expression("**", (a, b)), inner, _NAMES | _NUMBERS)
    unary = st.builds(
        lambda kind, a: Expression(kind, (a,)), st.sampled_from(["exp", "log", "sqrt"]), inner
    )
    # The parser folds the sign of a number into it.
    negative = inner.filter(lambda n: n.kind != "number").map(lambda n: Expression("neg", (n,)))
    return binary | power | unary | negative


expressions = st.recursive(_NAMES | _NUMBERS, _grown, max_leaves=8)
repeatable = settings(derandomize=True, deadline=None, max_examples=300)


@given(expressions)
@repeatable
def test_the_text_of_a_formula_parses_to_the_same_formula(node: Expression) -> None:
    try:
        again = parse(render(node))
    except FormulaError as refusal:
        reason = refusal.message
    else:
        assert again == node
        return
    assert re.search("not a finite number|larger than 16", reason)


@given(st.text("Nab.*/+-()[]{}<>=,:;'#!@&|^~ \n\t0123456789eE_jx\\", max_size=30) | st.text())
@repeatable
def test_any_text_is_read_or_refused_and_nothing_else_happens(text: str) -> None:
    try:
        node = parse(text)
    except FormulaError as refusal:
        hint = refusal.hint
    else:
        assert isinstance(node, Expression)
        return
    assert hint


@given(expressions)
@repeatable
def test_derivatives_match_a_complex_step(node: Expression) -> None:
    assume(node.names)
    with np.errstate(all="ignore"):
        value, gradient = program(node, node.names).run({k: np.float64(v) for k, v in X.items()})
        parts = [evaluate(part, X) for part in walk(node)]
    # Beyond these magnitudes the two ways to the derivative round differently.
    assume(all(1e-6 < abs(part) < 1e6 for part in parts))
    assert value == pytest.approx(float(evaluate(node, X)), rel=1e-13)
    for name in node.names:
        stepped = evaluate(node, {**X, name: X[name] + 1e-30j})
        scale = max(abs(float(part)) for part in parts)
        assert float(gradient[name]) == pytest.approx(
            float(stepped.imag / 1e-30), rel=1e-10, abs=1e-12 * scale
        )


@pytest.mark.parametrize(
    ("text", "by", "expected"),
    [
        ("a**3", "a", 3 * 1.3**2),
        ("a**b", "b", 1.3**0.7 * np.log(1.3)),
        ("a**a", "a", 1.3**1.3 * (np.log(1.3) + 1)),
        ("a / (a + b)", "a", 0.7 / 4.0),
        ("max(a, b) * min(a, b)", "a", 0.7),
        ("-exp(-a)", "a", np.exp(-1.3)),
        ("sqrt(log(c))", "c", 0.5 / (2.1 * np.sqrt(np.log(2.1)))),
    ],
)
def test_derivatives_of_known_formulas(text: str, by: str, expected: float) -> None:
    _, gradient = program(parse(text), frozenset({by})).run(X)
    assert gradient[by] == pytest.approx(expected, rel=1e-14)
