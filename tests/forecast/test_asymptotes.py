"""Floors of sizes, which the last losses of their runs are not."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import LawError
from scalewise.fit.engine import fit
from scalewise.fit.storage import read_fit
from scalewise.forecast.asymptotes import Asymptote, asymptotes
from tests.forecast.simulated_curves import SIZES, TRUTH, curves


def size_law(found: tuple[Asymptote, ...], height: str) -> tuple[float, float]:
    """The exponent of size, and the floor of 1.5B, by a line through one reading per size."""
    x = np.log([a.params_nonembed for a in found])
    slope, at_one = np.polyfit(x, np.log([getattr(a, height) for a in found]), 1)
    return -slope, float(np.exp(at_one + slope * np.log(1.5e9)))


def test_floors_have_none_of_the_bias_that_last_losses_have() -> None:
    """Last losses after 100,000 updates put the floor of 1.5B 5.7 % too high."""
    table = curves(steps=(1e3, 1e5))
    found = asymptotes(fit("trajectory", table, rows="all", bootstrap=0))
    assert [a.params_nonembed for a in found] == sorted(SIZES)
    truth = float(TRUTH.floor(1.5e9))
    exponent, floor = size_law(found, "floor")
    assert (exponent, floor) == pytest.approx((0.076, truth), rel=1e-6)
    exponent, floor = size_law(found, "own_floor")
    assert (exponent, floor) == pytest.approx((0.076, truth), rel=1e-5)
    exponent, floor = size_law(found, "last_loss")
    assert exponent == pytest.approx(0.0706, abs=0.001)
    assert floor / truth - 1 == pytest.approx(0.057, abs=0.006)


def test_a_run_counts_as_converged_by_what_the_fit_says_is_left() -> None:
    table = curves(designs=[(1e6, 2.0**21), (4e6, 2.0**19), (2e7, 2.0**19), (6e7, 2.0**17)],
                   steps=(2e3, 4e6))  # fmt: skip
    found = asymptotes(fit("trajectory", table, rows="all", bootstrap=0))
    for a in found:
        assert a.excess == pytest.approx(a.last_loss / a.floor - 1, abs=1e-6)
    assert [a.is_converged for a in found] == [True, True, True, False]


def test_floors_have_intervals_from_resampled_runs() -> None:
    result = fit("trajectory", curves(point=0.002, run=0.001), rows="all", bootstrap=30)
    for a in asymptotes(result, level=0.8):
        assert a.low < a.floor < a.high
        assert a.own_floor == pytest.approx(a.floor, rel=0.01)


def test_fits_of_other_laws_have_no_floors_of_sizes() -> None:
    with pytest.raises(LawError, match="this is one of 'chinchilla'"):
        asymptotes(read_fit("besiroglu2024"))
