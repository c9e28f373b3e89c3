"""Laws that contain what they predict are solved for it, however steep they are."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import LawError
from scalewise.laws.catalogue import published_named
from scalewise.laws.formula import law_from_formula
from scalewise.laws.law import Constant, Law

LAW, PUBLISHED = published_named("kaplan2020-trajectory")


def right_side(loss: np.ndarray, **inputs: np.ndarray) -> np.ndarray:
    return LAW.explicit("measured").value(PUBLISHED.theta, **{**inputs, "L": loss})


@pytest.mark.parametrize(
    ("batch", "step", "loss"),
    [
        (2.0**17, 1e3, 4.981984), (2.0**19, 1e5, 2.488136), (2.0**22, 1e6, 2.290706),
        (2.0**13, 1e3, 6.908632),
    ],
)  # fmt: skip
def test_the_certified_losses_of_the_trajectory_are_met(
    batch: float, step: float, loss: float
) -> None:
    value = LAW.value(PUBLISHED.theta, N=1.5e9, S=step, B=batch)
    assert value == pytest.approx(loss, abs=2e-6)


def test_the_solution_satisfies_the_formula_where_iteration_would_cycle() -> None:
    rng = np.random.default_rng(0)
    N, S, B = np.exp(
        rng.uniform(np.log([[1e3], [1e2], [1e2]]), np.log([[1e12], [1e7], [1e10]]), (3, 5000))
    )
    loss = LAW.value(PUBLISHED.theta, N=N, S=S, B=B)
    assert np.isfinite(loss).all()
    np.testing.assert_allclose(right_side(loss, N=N, S=S, B=B), loss, rtol=1e-9)


def test_its_unit_counts_the_loss_that_stands_on_the_right() -> None:
    assert LAW.unit("B_star") == "batch_tokens * loss**(1 / alpha_B)"
    assert LAW.unit("S_c") == "step"
    assert LAW.is_unit_free


def test_a_user_can_write_one() -> None:
    law = law_from_formula("loss = A / params**alpha + B / (tokens**beta * loss)")
    assert law.implicit == "loss"
    theta = {"A": 100.0, "alpha": 0.3, "B": 1e4, "beta": 0.4}
    loss = law.value(theta, params=1e8, tokens=1e10)
    assert loss == pytest.approx(100.0 / 1e8**0.3 + 1e4 / (1e10**0.4 * loss), rel=1e-12)


def test_what_only_restates_its_own_input_is_still_refused() -> None:
    with pytest.raises(LawError, match="predicts tokens from itself"):
        Law(key="x", title="", formula="k * D", variables={"D": "tokens"}, quantity="tokens",
            constants=(Constant("k", "amplitude"),))  # fmt: skip
