"""The critical batch from batch scans: recovery, robustness, and the doubts it must voice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import RunDataError, UnfitDataError, UsageError
from scalewise.forecast.critical_batch import (
    BatchScan,
    batch_at_overhead,
    batch_for_cost,
    fit_critical_batch,
    fit_critical_batch_by_tokens,
    fit_hyperbola,
    influence,
    steps_ratio,
    tokens_ratio,
    weights_of,
)
from scalewise.forecast.trajectory import Trajectory

Array = np.ndarray[Any, np.dtype[Any]]

BATCHES = 2.0 ** np.arange(12, 22)
LEVELS = (5.5, 5.0, 4.5, 4.0, 3.6)


def scan_of(
    *, fewest: float = 2000.0, critical: float = 1e5, noise: float = 0.0, seed: int = 0
) -> BatchScan:
    return fit_hyperbola(BATCHES, steps_of(fewest, critical, noise=noise, seed=seed))


def steps_of(fewest: float, critical: float, *, noise: float = 0.0, seed: int = 0) -> Array:
    scatter = np.random.default_rng(seed).standard_normal(len(BATCHES))
    return np.asarray(fewest * (1 + critical / BATCHES) * np.exp(noise * scatter))


@pytest.mark.parametrize("scale", [0.03, np.inf])
def test_a_scan_without_noise_gives_its_hyperbola_back(scale: float) -> None:
    found = fit_hyperbola(BATCHES, steps_of(2000.0, 1e5), scale=scale)
    assert (found.steps_min, found.critical_batch_tokens) == pytest.approx((2000.0, 1e5), rel=1e-9)
    assert found.tokens_min == pytest.approx(2e8)
    assert found.scatter < 1e-9
    assert found.straddles
    assert found.warnings == ()
    np.testing.assert_allclose(found.steps(BATCHES), steps_of(2000.0, 1e5), rtol=1e-9)


def test_counting_batches_in_sequences_moves_only_their_unit() -> None:
    steps = steps_of(2000.0, 1e5, noise=0.05)
    tokens, sequences = fit_hyperbola(BATCHES, steps), fit_hyperbola(BATCHES / 512, steps)
    assert sequences.steps_min == pytest.approx(tokens.steps_min, rel=1e-6)
    assert 512 * sequences.critical_batch_tokens == pytest.approx(
        tokens.critical_batch_tokens, rel=1e-6
    )


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    truth = {"steps_min": 2000.0, "critical_batch_tokens": 1e5, "tokens_min": 2e8}
    held = dict.fromkeys(truth, 0)
    for seed in range(200):
        ends = scan_of(noise=0.02, seed=seed).intervals(0.9)
        for name, value in truth.items():
            held[name] += ends[name][0] <= value <= ends[name][1]
    assert all(165 <= count <= 195 for count in held.values()), held


def test_one_wild_batch_moves_a_robust_fit_less() -> None:
    steps = steps_of(2000.0, 1e5)
    steps[4] *= 1.5
    robust, plain = fit_hyperbola(BATCHES, steps), fit_hyperbola(BATCHES, steps, scale=np.inf)
    off = [abs(np.log(found.critical_batch_tokens / 1e5)) for found in (robust, plain)]
    assert off[0] < 0.3 * off[1]


@pytest.mark.parametrize("keep", [slice(0, 5), slice(6, 10)])
def test_batches_on_one_side_of_the_critical_one_are_told(keep: slice) -> None:
    found = fit_hyperbola(BATCHES[keep], steps_of(2000.0, 1e5)[keep])
    assert not found.straddles
    assert "is an extrapolation: the batches run from" in found.warnings[0]


def test_small_batches_that_need_more_tokens_are_told() -> None:
    steps = steps_of(2000.0, 1e5)
    steps[0] *= 1.5
    (warning,) = fit_hyperbola(BATCHES, steps).warnings
    assert warning.startswith("Batch 4096 needs 44% more tokens than a larger one")


@pytest.mark.parametrize(
    ("batches", "steps", "error", "words"),
    [
        ([1e5, 2e5], [100, 80], UnfitDataError, "2 batch sizes cannot carry the hyperbola"),
        ([1e5, 1e5, 2e5], [100, 101, 80], UnfitDataError, "2 batch sizes"),
        ([1e5, 2e5, 4e5], [100, 80], RunDataError, "3 batches came with 2 numbers of steps"),
        ([1e5, 2e5, 4e5], [100, 80, 0], RunDataError, "positive and finite"),
        ([1e5, 2e5, 4e5], [100, 80, np.inf], RunDataError, "positive and finite"),
    ],
)
def test_a_scan_that_is_none_is_refused(
    batches: list[float], steps: list[float], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fit_hyperbola(batches, steps)


def test_the_law_by_loss_comes_back_from_exact_scans() -> None:
    kaplan = Trajectory.kaplan2020()
    batches = 2.0 ** np.array([14, 16, 18, 20, 22])
    scans = [fit_hyperbola(batches, kaplan.steps(1e7, L, batches)) for L in LEVELS]
    result = fit_critical_batch(LEVELS, scans, bootstrap=0)
    assert result.theta == pytest.approx({"B_star": 2.1e8, "alpha_B": 0.21}, rel=1e-6)


def test_levels_without_batches_on_both_sides_are_dropped_and_named() -> None:
    scans = [scan_of(critical=c, noise=0.01) for c in (2e4, 5e4, 1e5, 2e5, 5e6)]
    result = fit_critical_batch((5.0, 4.5, 4.0, 3.5, 2.0), scans, bootstrap=20)
    assert result.points == 4
    assert "Dropped the losses 2:" in result.warnings[-1]
    with pytest.raises(UnfitDataError, match="2 of 3 losses have batches a factor of 3"):
        fit_critical_batch((4.0, 3.5, 2.0), scans[2:])


def test_the_law_by_tokens_comes_back_from_exact_scans() -> None:
    tokens = np.geomspace(1e8, 1e10, 5)
    critical = 20.0 * tokens**0.45
    scans = [
        fit_hyperbola(BATCHES, E / B * (1 + B / BATCHES))
        for E, B in zip(tokens, critical, strict=True)
    ]
    result = fit_critical_batch_by_tokens(scans, bootstrap=0)
    assert result.theta == pytest.approx({"k": 20.0, "p": 0.45}, rel=1e-6)
    assert result.warnings == ()


def test_scans_on_one_side_enter_no_law_by_tokens() -> None:
    scans = [scan_of(critical=c, noise=0.01) for c in (2e4, 5e4, 1e5, 5e6)]
    result = fit_critical_batch_by_tokens(scans, bootstrap=0)
    assert result.points == 3
    assert result.warnings[-1].startswith("Dropped 1 scans: no batches on both sides")


def test_influence_is_how_a_fit_moves_with_one_batch() -> None:
    steps = steps_of(2000.0, 1e5, noise=0.01)
    scan = fit_hyperbola(BATCHES, steps, scale=np.inf)
    moved, residuals = influence(scan, BATCHES, steps)
    nudged = steps.copy()
    nudged[3] *= np.exp(1e-4)
    other = fit_hyperbola(BATCHES, nudged, scale=np.inf)
    change = [other.steps_min / scan.steps_min,
              other.critical_batch_tokens / scan.critical_batch_tokens]  # fmt: skip
    np.testing.assert_allclose(moved[:, 3] * 1e-4, np.log(change), rtol=0.05)
    plain = np.log(steps) - np.log(np.asarray(scan.steps(BATCHES)))
    assert np.all(np.abs(residuals) > np.abs(plain))


# McCandlish et al. 2018, as tabulated for B/B_crit, S/S_min, E/E_min.
@pytest.mark.parametrize(
    ("ratio", "steps", "tokens"),
    [(0.1, 11, 1.1), (0.2, 6, 1.2), (1, 2, 2), (5, 1.2, 6), (10, 1.1, 11)],
)
def test_the_price_of_a_batch_in_steps_and_tokens(
    ratio: float, steps: float, tokens: float
) -> None:
    assert steps_ratio(ratio) == pytest.approx(steps)
    assert tokens_ratio(ratio) == pytest.approx(tokens)
    assert (steps - 1) * (tokens - 1) == pytest.approx(1)


def test_a_stated_overhead_gives_the_batch_that_has_it() -> None:
    found = scan_of()
    batch = batch_at_overhead(found.critical_batch_tokens, 0.2)
    assert batch * found.steps(batch) == pytest.approx(1.2 * found.tokens_min)
    reference = 3e4
    batch = batch_at_overhead(found.critical_batch_tokens, 0.2, reference_batch_tokens=reference)
    assert batch * found.steps(batch) == pytest.approx(1.2 * reference * found.steps(reference))
    with pytest.raises(UsageError, match=r"overhead=0\.0 must be positive"):
        batch_at_overhead(1e6, 0.0)


@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (1.0, 2.0), (3.0, 1.0)])
def test_the_batch_for_a_cost_is_the_cheapest_of_all(p: float, q: float) -> None:
    critical = 1e5
    batch = batch_for_cost(critical, steps_power=p, tokens_power=q)
    around = batch * np.geomspace(0.1, 10, 2001)
    cost = steps_ratio(around / critical) ** p * tokens_ratio(around / critical) ** q
    assert around[np.argmin(cost)] == pytest.approx(batch, rel=1e-9)
    with pytest.raises(UsageError, match=r"tokens_power=0 must be positive"):
        batch_for_cost(critical, tokens_power=0)


def test_scans_of_one_design_weigh_alike_however_little_one_scatters_by_chance() -> None:
    calm, rough = weights_of([scan_of(noise=0.05, seed=1), scan_of(noise=0.15, seed=1)])
    assert calm == pytest.approx(rough, rel=0.35)  # by its own scatter each, nine to one
    few, many = weights_of([
        fit_hyperbola(BATCHES[3:7], steps_of(2000.0, 1e5, noise=0.05)[3:7]), scan_of(noise=0.05)
    ])  # fmt: skip
    assert many > 1.5 * few
