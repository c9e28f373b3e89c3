"""Calibrated intervals: learned from others' held-out runs, never from what they are scored on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.fit.calibration import Calibration
from scalewise.fit.storage import read_fit, write_fit
from scalewise.forecast.calibration import Misses, calibrated_on, calibration, public_misses
from scalewise.forecast.choose import choose
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

ROOT = Calibration(exponent=0.5, levels=(0.5, 0.9), factors=(0.1, 0.2), families=9, groups=9)


def simulated(groups: int, exponent: float, seed: int, ends: int = 4) -> Misses:
    """Errors whose scale is 0.3 times a power of the stated width."""
    generator = np.random.default_rng(seed)
    stated = np.exp(generator.normal(np.log(0.03), 1.0, size=groups * ends))
    names = tuple(f"family-{i // ends}" for i in range(groups * ends))
    missed = 0.3 * stated**exponent * np.abs(generator.normal(size=groups * ends))
    return Misses(names, names, stated, missed)


def test_a_half_width_is_the_factor_times_the_power_of_the_stated_one() -> None:
    np.testing.assert_allclose(ROOT.half_width(np.array([0.04, 0.01]), 0.9), [0.04, 0.02])


def test_levels_beyond_the_known_ones_grow_as_normal_quantiles() -> None:
    assert ROOT.factor(0.95) == pytest.approx(0.2 * 1.959964 / 1.644854, rel=1e-5)
    assert ROOT.factor(0.25) == pytest.approx(0.1 * 0.318639 / 0.674490, rel=1e-5)
    assert 0.1 < ROOT.factor(0.7) < 0.2


@pytest.mark.parametrize("exponent", [0.4, 0.7, 1.0])
def test_the_power_by_which_errors_grow_is_found(exponent: float) -> None:
    found = calibrated_on(simulated(400, exponent, seed=1))
    assert found.exponent == pytest.approx(exponent, abs=0.1)


def test_the_next_group_is_held_as_often_as_is_said() -> None:
    inside = []
    for seed in range(300):
        misses = simulated(24, 0.6, seed=seed, ends=1)
        others = misses.without(("family-0",))
        width = calibrated_on(others).half_width(misses.stated[:1], 0.9)
        inside.append(bool(misses.missed[0] <= width[0]))
    # 300 draws of a share of 0.9 stay within three standard errors, 0.052, of it.
    assert abs(np.mean(inside) - 0.9) < 0.052


def test_a_family_left_out_takes_those_that_share_its_source_along() -> None:
    misses = public_misses()
    rest = misses.without(("gemstones",))
    assert "gemstones-cooled" in misses.family
    assert not {"gemstones", "gemstones-cooled"} & set(rest.family)
    assert calibration(without=("gemstones",)).groups == calibration().groups - 1


def test_every_group_counts_the_same_however_many_ends_it_has() -> None:
    misses = Misses(
        ("a", "a", "a", "b", "c"), ("a", "a", "a", "bc", "bc"), np.ones(5), np.arange(5.0)
    )
    np.testing.assert_allclose(misses.weights, [1 / 6, 1 / 6, 1 / 6, 1 / 4, 1 / 4])


def test_few_groups_calibrate_nothing() -> None:
    with pytest.raises(UnfitDataError, match="9 groups of families are too few"):
        calibrated_on(simulated(9, 0.6, seed=0))


def test_the_shipped_calibration_rests_on_many_sources_and_widens_narrow_intervals_more() -> None:
    found = calibration()
    assert found.groups >= 15
    assert found.families >= 30
    assert 0 < found.exponent < 1
    assert list(found.factors) == sorted(found.factors)
    narrow, wide = found.half_width(np.array([0.002, 0.2]), 0.9) / [0.002, 0.2]
    assert narrow > 1 > wide


def ladder() -> RunTable:
    generator = np.random.default_rng(7)
    N = np.repeat(np.geomspace(1e7, 1e9, 6), 3)
    D = N * np.tile([10.0, 30.0, 90.0], 6)
    noise = np.exp(generator.normal(0, 0.004, len(N)))
    return read_runs(
        {"params": N, "tokens": D, "loss": (1.7 + 400 / N**0.34 + 1e3 / D**0.3) * noise}
    )


def test_the_interval_of_auto_has_the_calibrated_width_around_the_same_forecast() -> None:
    result = choose(ladder(), bootstrap=60)
    stated = replace(result, calibration=None)
    at = {"params": 7e9, "tokens": 1e11}
    told, plain = result.predict(**at), stated.predict(**at)
    assert result.calibration == calibration()
    assert told.loss == plain.loss
    half = float(np.log(plain.high / plain.low) / 2)
    expected = calibration().half_width(np.array(half), 0.9)
    assert np.log(told.high / told.low) / 2 == pytest.approx(float(expected), rel=1e-9)
    # What was lopsided stays so.
    lean = np.log(plain.high / plain.loss) / np.log(plain.loss / plain.low)
    assert np.log(told.high / told.loss) / np.log(told.loss / told.low) == pytest.approx(lean)


def test_wider_levels_give_wider_intervals_one_point_or_many() -> None:
    result = choose(ladder(), bootstrap=60)
    sizes = np.array([1e9, 7e9, 7e10])
    widths = []
    for level in (0.3, 0.5, 0.8, 0.9, 0.95, 0.99):
        told = result.predict(params=sizes, tokens=1e11, level=level)
        widths.append(np.log(np.asarray(told.high) / np.asarray(told.low)))
    assert np.all(np.diff(widths, axis=0) > 0)
    alone = result.predict(params=7e9, tokens=1e11)
    together = result.predict(params=sizes, tokens=1e11)
    assert alone.low == pytest.approx(np.asarray(together.low)[1])
    assert alone.high == pytest.approx(np.asarray(together.high)[1])


def test_a_fit_file_keeps_its_calibration(tmp_path: Path) -> None:
    result = choose(ladder(), bootstrap=60)
    write_fit(result, tmp_path / "fit.json")
    again = read_fit(tmp_path / "fit.json")
    assert again.calibration == result.calibration
    at = {"params": 7e9, "tokens": 1e11}
    assert again.predict(**at).high == pytest.approx(result.predict(**at).high)


def test_runs_without_noise_have_intervals_of_no_width() -> None:
    N = np.repeat(np.geomspace(1e7, 1e9, 6), 3)
    D = N * np.tile([10.0, 30.0, 90.0], 6)
    exact = choose({"params": N, "tokens": D, "loss": 1.7 + 400 / N**0.34 + 1e3 / D**0.3},
                   laws=["chinchilla"], bootstrap=30)  # fmt: skip
    told = exact.predict(params=7e9, tokens=1e11)
    assert told.low <= told.loss <= told.high
    assert told.high / told.low - 1 < 1e-3


def test_whoever_shares_a_group_is_left_out_whatever_the_group_is_called() -> None:
    misses = Misses(("a", "b", "c"), ("lab", "lab", "other"), np.ones(3), np.arange(3.0))
    assert misses.without(("a",)).family == ("c",)
    assert misses.without(("lab",)).family == ("c",)


def test_the_factor_is_the_quantile_for_one_group_more() -> None:
    names = tuple(f"family-{i}" for i in range(10))
    found = calibrated_on(Misses(names, names, np.ones(10), 0.01 * np.arange(1, 11)))
    # Nine of ten errors are below 0.1; of eleven groups 0.9 are 9.9, so it takes the tenth.
    assert found.factor(0.9) == pytest.approx(0.10)
    assert found.factor(0.8) == pytest.approx(0.09)
    assert found.factor(0.5) == pytest.approx(0.06)
