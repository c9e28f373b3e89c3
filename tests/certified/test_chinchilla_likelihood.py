"""Published constants on the 240 and 245 extracted points: objectives, likelihoods, residuals.

The likelihood is that of Besiroglu et al. 2024: Huber's density with a free scale.
"""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.fit.engine import fit
from scalewise.fit.likelihood import chi_squared_beyond, compatible, log_likelihood
from scalewise.fit.objective import Objective
from scalewise.laws.catalogue import published_named
from scalewise.laws.chinchilla import CHINCHILLA
from tests.certified.chinchilla_points import chinchilla_points

ROUNDED, TEX = "hoffmann2022", "hoffmann2022-tex"


def refitted() -> dict[str, float]:
    """The constants of greatest likelihood of the 240 points."""
    return dict(fit("chinchilla", chinchilla_points(), objective="lad-log", bootstrap=0).theta)


@pytest.mark.parametrize(
    ("dropped", "key", "value", "log_scale"),
    [(5, ROUNDED, 562.25, -10.94362), (5, TEX, 837.78, -12.09163),
     (0, ROUNDED, 531.89, -10.77189), (0, TEX, 714.43, -11.51694)],
)  # fmt: skip
def test_published_constants_have_the_printed_log_likelihood(
    dropped: int, key: str, value: float, log_scale: float
) -> None:
    found = log_likelihood(key, chinchilla_points(dropped=dropped))
    assert found.points == 245 - dropped
    assert found.value == pytest.approx(value, abs=0.01)
    assert np.log(found.scale) == pytest.approx(log_scale, abs=1e-5)


@pytest.mark.parametrize(
    ("dropped", "value", "log_scale", "ratio", "p"),
    [(5, 879.77, -12.26662, 84.00, 1.2e-16), (0, 757.80, -11.69398, 86.75, 3.2e-17)],
)
def test_the_refit_of_240_points_gains_the_printed_likelihood_ratio(
    dropped: int, value: float, log_scale: float, ratio: float, p: float
) -> None:
    points = chinchilla_points(dropped=dropped)
    ours = log_likelihood(refitted(), points, law="chinchilla")
    assert ours.value == pytest.approx(value, abs=0.01)
    assert np.log(ours.scale) == pytest.approx(log_scale, abs=1e-5)
    gained = 2 * (ours.value - log_likelihood(TEX, points).value)
    assert gained == pytest.approx(ratio, abs=0.01)
    assert chi_squared_beyond(gained, 5) == pytest.approx(p, rel=0.05)


@pytest.mark.parametrize(("key", "residual"), [(ROUNDED, -0.0447), (TEX, 0.0086)])
def test_published_constants_miss_the_points_by_the_printed_mean(key: str, residual: float) -> None:
    points = chinchilla_points()
    predicted = CHINCHILLA.value(
        published_named(key)[1].theta, N=points["params"], D=points["tokens"]
    )
    assert np.mean(points["loss"] - predicted) == pytest.approx(residual, abs=5e-5)


def test_the_refit_misses_the_points_by_the_printed_mean() -> None:
    points = chinchilla_points()
    predicted = CHINCHILLA.value(refitted(), N=points["params"], D=points["tokens"])
    assert np.mean(points["loss"] - predicted) == pytest.approx(0.0018, abs=5e-5)


@pytest.mark.parametrize(
    ("key", "objective"),
    [(ROUNDED, 0.00412101), (TEX, 0.00123116), ("besiroglu2024", 0.00102284)],
)
def test_published_constants_have_the_computed_huber_sum(key: str, objective: float) -> None:
    points = chinchilla_points()
    predicted = CHINCHILLA.value(
        published_named(key)[1].theta, N=points["params"], D=points["tokens"]
    )
    residuals = np.log(predicted / points["loss"])
    total = Objective("huber-log", 1e-3).total(residuals, np.ones(240))
    assert total == pytest.approx(objective, abs=1e-8)


def test_both_tests_refuse_the_original_constants_and_accept_the_later_ones() -> None:
    result = fit("chinchilla", chinchilla_points(), objective="lad-log", bootstrap=300)
    original, later = (compatible(result, key) for key in (TEX, "besiroglu2024"))
    assert original.distance_p < 1e-20
    assert original.likelihood_ratio_p < 1e-10
    assert later.distance_p > 0.5
    assert later.likelihood_ratio_p > 0.5


def test_rounding_alone_is_enough_to_refuse_constants() -> None:
    result = fit("chinchilla", chinchilla_points(), objective="lad-log", bootstrap=30)
    assert compatible(result, TEX).likelihood_ratio == pytest.approx(84.0, abs=0.01)
    assert compatible(result, ROUNDED).likelihood_ratio == pytest.approx(635.04, abs=0.02)


@pytest.mark.parametrize("objective", ["huber-log", "lad-log", "ls-log"])
def test_dividing_the_objective_by_the_number_of_points_moves_no_constant(objective: str) -> None:
    points = chinchilla_points()
    total = fit("chinchilla", points, objective=objective, bootstrap=0)
    mean = fit(
        "chinchilla", points, objective=objective, weights=np.full(240, 1 / 240), bootstrap=0
    )
    assert mean.status is total.status
    assert 240 * mean.objective_value == pytest.approx(total.objective_value, rel=1e-9)
    within = {"E": 5e-5, "A": 0.3, "B": 3.0, "alpha": 2e-5, "beta": 5e-5}
    for name, value in total.theta.items():
        assert mean.theta[name] == pytest.approx(value, abs=within[name] / 100)
