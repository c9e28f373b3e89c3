from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.plan.interpolation import akima, lowest
from scalewise.plan.powerline import power_line


def test_akima_agrees_with_scipy() -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    rng = np.random.default_rng(3)
    x = np.sort(rng.normal(size=12))
    y = rng.normal(size=12)
    at = np.linspace(x[0], x[-1], 200)
    np.testing.assert_allclose(
        akima(x, y, at), interpolate.Akima1DInterpolator(x, y)(at), atol=1e-12
    )


def test_outside_the_points_there_is_no_value() -> None:
    x = np.arange(4.0)
    assert np.isnan(akima(x, x, np.array([-1.0, 5.0]))).all()


def test_the_lowest_point_of_a_parabola_is_its_vertex() -> None:
    x = np.linspace(-2.0, 2.0, 9)
    assert lowest(x, (x - 0.5) ** 2) == pytest.approx(0.5, abs=1e-3)


def test_a_curve_that_only_falls_has_no_lowest_point() -> None:
    x = np.arange(5.0)
    assert np.isnan(lowest(x, -x))


def test_a_line_through_exact_optima_has_no_width() -> None:
    x = np.log([1e18, 1e19, 1e20, 1e21])
    line = power_line(x, 0.5 * x + 1, np.empty((0, 4)), level=0.9)
    assert line.exponent.value == pytest.approx(0.5)
    assert line.exponent.high - line.exponent.low < 1e-9
    assert line.at(1e24).value == pytest.approx(np.exp(1) * 1e12)


def test_the_interval_is_the_wider_of_resampling_and_scatter() -> None:
    x = np.log([1e18, 1e19, 1e20, 1e21])
    y = 0.5 * x + np.array([0.1, -0.1, 0.1, -0.1])
    scattered = power_line(x, y, np.empty((0, 4)), level=0.9).exponent
    tight = power_line(x, y, np.tile(y, (20, 1)), level=0.9).exponent
    wild = power_line(
        x, y, y + np.linspace(-1, 1, 20)[:, None] * (x - x.mean()), level=0.9
    ).exponent
    assert tight == scattered
    assert wild.high - wild.low > 1.5


def test_two_optima_make_no_line() -> None:
    with pytest.raises(UnfitDataError, match="needs optima at 3 budgets; there are 2"):
        power_line(np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.empty((0, 2)), level=0.9)
