"""What a fit minimises, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.fit.objective import objective_named, rho
from scalewise.fit.points import points_of
from scalewise.fit.solver import minimise
from scalewise.fit.space import Space, space_of
from tests.fit.simulated_runs import CHINCHILLA, TRUTH, simulated

RESIDUALS = np.array([-2.0, -0.5, 0.0, 0.25, 3.0])


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        (0.0, [2.0, 0.5, 0.0, 0.25, 3.0]),
        (np.inf, [4.0, 0.25, 0.0, 0.0625, 9.0]),
        (1.0, [1.5, 0.125, 0.0, 0.03125, 2.5]),
        (0.25, [0.46875, 0.09375, 0.0, 0.03125, 0.71875]),
    ],
)
def test_each_residual_counts_as_its_kind_says(delta: float, expected: list[float]) -> None:
    assert rho(RESIDUALS, delta).tolist() == expected


@pytest.mark.parametrize(
    ("name", "delta", "in_logs"),
    [
        ("huber-log", 1e-3, True),
        ("lad-log", 0, True),
        ("ls-log", np.inf, True),
        ("ls", np.inf, False),
    ],
)
def test_every_objective_has_its_scale_and_its_default(
    name: str, delta: float, in_logs: bool
) -> None:
    goal = objective_named(name)
    assert (goal.delta, goal.in_logs) == (delta, in_logs)
    assert goal.observed(np.array([np.e])) == pytest.approx(1.0 if in_logs else np.e)


def test_the_objective_is_a_weighted_sum_never_a_mean() -> None:
    goal = objective_named("ls")
    assert float(goal.total(RESIDUALS, np.ones(5))) == 13.3125
    assert float(goal.total(RESIDUALS, np.array([0, 0, 0, 0, 2.0]))) == 18.0


def chinchilla_space() -> Space:
    points = points_of(CHINCHILLA, simulated())
    return space_of(CHINCHILLA, points, objective_named("huber-log"), bounds={}, fixed={})


def test_coordinates_and_constants_are_two_ways_to_say_the_same() -> None:
    space = chinchilla_space()
    q = space.q_of(TRUTH)
    assert {name: float(v) for name, v in space.theta(q).items()} == pytest.approx(TRUTH, rel=1e-12)


def test_derivatives_by_coordinate_are_those_of_finite_differences() -> None:
    space, h = chinchilla_space(), 1e-6
    q = space.q_of(TRUTH)
    observed = np.log(simulated()["loss"])
    _, jacobian = space.residuals(q[None], observed[None])
    for i in range(5):
        step = np.eye(5)[i] * h
        ahead, behind = (space.residuals((q + s)[None], observed[None])[0] for s in (step, -step))
        np.testing.assert_allclose(
            jacobian[0, i], (ahead - behind)[0] / (2 * h), rtol=1e-5, atol=1e-9
        )


def test_problems_solved_together_end_where_each_ends_alone() -> None:
    space = chinchilla_space()
    starts = space.q_of(TRUTH) + 0.2 * np.random.default_rng(0).standard_normal((6, 5))
    observed, weights = np.log(simulated()["loss"]), np.ones(30)
    together = minimise(space, starts, observed, weights, delta=np.inf)
    assert together.converged.all()
    for start, q in zip(starts, together.q, strict=True):
        alone = minimise(space, start[None], observed, weights, delta=np.inf)
        np.testing.assert_allclose(alone.q[0], q, atol=1e-6)
