"""The contract that each law is held to by being in the catalogue, with nothing to register."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

from scalewise.laws.catalogue import LAWS
from scalewise.laws.dimensions import rescaled
from scalewise.laws.formula import INPUT_COLUMNS, law_from_formula
from scalewise.laws.identifiability import inseparable_constants
from scalewise.laws.latex import latex, symbol_latex
from scalewise.laws.law import Law
from tests.laws.examples import (
    every_law,
    every_theta,
    every_theta_with_a_floor,
    floor,
    grid,
)

Theta = Mapping[str, float]


@every_theta
def test_its_gradient_matches_a_complex_step(law: Law, theta: Theta) -> None:
    inputs, h = grid(law), 1e-20
    gradient = law.gradient(theta, **inputs)
    assert tuple(gradient) == law.constant_names
    for name in law.constant_names:
        # The step is relative: constants lie between 0.05 and 1e28.
        stepped = law.value({**theta, name: theta[name] * (1 + 1j * h)}, **inputs)
        rounding = 1e-15 * np.max(stepped.real)
        np.testing.assert_allclose(
            gradient[name] * theta[name], stepped.imag / h, rtol=1e-10, atol=rounding
        )


@every_theta
@pytest.mark.parametrize("factor", [1e-6, 7.3, 1e9])
def test_its_derived_units_absorb_a_change_of_the_unit_of_any_input(
    law: Law, theta: Theta, factor: float
) -> None:
    inputs = grid(law)
    movable = [group for group in law.unit_groups if not group & law.rigid]
    assert law.is_unit_free == (len(movable) == len(law.variables))
    for group in movable:
        moved = rescaled(theta, law.dimensions, dict.fromkeys(group, factor))
        value = law.value(moved, **{**inputs, **{s: inputs[s] * factor for s in group}})
        np.testing.assert_allclose(value, law.value(theta, **inputs), rtol=1e-10)


@every_theta
def test_it_is_finite_and_positive_and_more_of_anything_never_hurts(law: Law, theta: Theta) -> None:
    inputs = grid(law)
    value = law.value(theta, **inputs)
    assert np.isfinite(value).all()
    assert (value > 0).all()
    for symbol, column in law.variables.items():
        more = law.value(theta, **{**inputs, symbol: inputs[symbol] * 1.5})
        # Error rises with the loss it depends on; a choice may rise or fall, but never turns.
        expected = {"loss": -1.0, "error": 1.0 if column == "loss" else -1.0}
        sign = expected.get(law.quantity, np.sign(more[0] - value[0]))
        # Rounding: what is worth nothing more, such as a hundredth epoch, leaves equal values.
        assert (sign * (more - value) >= -1e-14 * value).all()
        assert (sign * (more - value) > 0).any()


@every_theta_with_a_floor
def test_it_approaches_its_floor_as_every_input_grows(law: Law, theta: Theta) -> None:
    with np.errstate(over="ignore"):
        endless = law.value(theta, **dict.fromkeys(law.variables, 1e300))
    assert endless == pytest.approx(floor(law, theta), rel=1e-9, abs=1e-9)


@every_theta
def test_written_as_a_users_formula_it_gives_the_same_values_and_roles(
    law: Law, theta: Theta
) -> None:
    inputs = grid(law)
    own = {law.implicit: law.quantity} if law.implicit else {}
    again = law_from_formula(law.formula, {**law.variables, **own}, law.quantity)
    assert again.implicit == law.implicit
    assert again.variables == law.variables
    assert again.quantity == law.quantity
    assert {c.name: c.role for c in again.constants} == {c.name: c.role for c in law.constants}
    np.testing.assert_array_equal(again.value(theta, **inputs), law.value(theta, **inputs))


@every_law
def test_its_constants_can_be_told_apart(law: Law) -> None:
    assert inseparable_constants(law) == ()


@every_law
def test_its_latex_mentions_every_symbol_and_can_be_drawn(law: Law) -> None:
    shown = latex(law)
    for name in (*law.variables, *law.constant_names):
        assert symbol_latex(name) in shown
    MathTextParser("path").parse(f"${shown}$")


@every_law
def test_it_says_when_to_use_it_and_what_each_constant_means(law: Law) -> None:
    assert law.use_when.endswith(".")
    assert law.use_when.count(". ") == 0, "one sentence"
    assert law.title
    for constant in law.constants:
        assert constant.meaning, constant.name
        assert law.unit(constant.name)
    assert set(law.columns) <= set(INPUT_COLUMNS)


@every_law
def test_its_published_constants_name_their_source_and_lie_inside_the_bounds(law: Law) -> None:
    if law.published:
        assert law.source is not None
    for published in law.published:
        assert published.source.arxiv or published.source.where.startswith("github.com/")
        assert published.source.where
        assert set(published.theta) == set(law.constant_names)
        for constant in law.constants:
            low, high = constant.bounds
            assert low < published.theta[constant.name] < high


@every_law
def test_it_survives_the_way_to_another_process(law: Law) -> None:
    again = pickle.loads(pickle.dumps(law))  # noqa: S301
    assert again == law
    assert hash(again) == hash(law)


def test_titles_are_as_unique_as_keys() -> None:
    assert len({law.title for law in LAWS.values()}) == len(LAWS)


def test_the_catalogue_holds_the_laws_that_the_design_names() -> None:
    assert {
        "power", "kaplan-params", "kaplan-tokens", "kaplan-compute", "kaplan-overfit",
        "kaplan-steps", "kaplan-critical-batch", "chinchilla", "overtraining", "coupled",
        "farseer", "data-constrained", "broken-flops", "saturating-tokens", "sigmoid-tokens",
        "error-exponential", "error-sigmoid", "error-by-flops",
    } <= set(LAWS)  # fmt: skip
