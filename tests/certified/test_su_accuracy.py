"""Estimating a trajectory as well as it can be: against numbers computed by other means.

Truth is Kaplan et al. 2020, appendix A, with the step law of table 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import scalewise as sw
from scalewise.fit.engine import fit
from scalewise.fit.search import QUICK
from scalewise.forecast.asymptotes import asymptotes
from scalewise.forecast.contours import batch_contours
from scalewise.forecast.critical_batch import batch_at_overhead
from scalewise.forecast.trajectory import CONSTANTS, Trajectory
from tests.certified.test_kaplan_tables import SEQUENCES, ZHANG
from tests.forecast.simulated_curves import BATCH, TRUTH, curves

Array = np.ndarray[Any, np.dtype[Any]]

SIZES = (1e6, 2e6, 4e6, 8e6, 1.6e7, 3.2e7, 6e7)
SCAN = tuple(2.0 ** np.arange(15, 24))
DESIGN = tuple([(N, BATCH) for N in SIZES] + [(8e6, B) for B in SCAN if B != BATCH])


def answers(path: Trajectory) -> Array:
    """alpha_N, log N_c, alpha_S, and logs of S_c, three losses, B_star and B_crit(2.3)."""
    losses = (path.floor(1.5e9), path.floor(33e9), path.loss(33e9, 1e5, 2**22))
    logs = np.log(np.array([path.S_c, *losses, path.B_star, path.critical_batch(2.3)]))
    return np.array([path.alpha_N, np.log(path.N_c), path.alpha_S, *logs])


def joint(**settings: Any) -> Trajectory:
    table = curves(designs=DESIGN, steps=(1e3, 2.5e5), **settings)
    return Trajectory.from_fit(fit("trajectory", table, rows="all", delta=3e-3, bootstrap=0))


def test_exact_curves_give_every_constant_and_the_curve_of_33b_back() -> None:
    found = joint(points=12)
    for name in CONSTANTS:
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name), rel=1e-6)
    np.testing.assert_allclose(answers(found), answers(TRUTH), rtol=1e-8)


def test_noise_costs_no_more_accuracy_than_an_independent_monte_carlo_says() -> None:
    """Noise 0.2 % per point and 0.1 % per run; six repetitions tell to 30 %, its twenty to 16 %."""
    expected = np.array([3.6e-4, 0.08, 3.4e-3, 0.004, 0.0020, 0.0031, 0.0023, 0.09, 0.045])
    found = np.array(
        [answers(joint(points=40, point=0.002, run=0.001, seed=seed)) for seed in range(6)]
    )
    ratio = found.std(axis=0, ddof=1) / expected
    assert np.all((ratio > 0.4) & (ratio < 1.7)), ratio
    assert np.all(np.abs(found.mean(axis=0) - answers(TRUTH)) < 1.5 * expected)


@pytest.mark.parametrize(("steps", "off"), [(25e3, 0.143), (100e3, 0.057), (1e6, 0.011)])
def test_floors_from_whole_curves_lose_the_bias_of_last_losses(steps: float, off: float) -> None:
    """Last losses of runs at 2**19 put the floor of 1.5B too high by ``off``."""
    sizes = np.geomspace(1e6, 6e7, 7)
    design = [(float(N), BATCH) for N in sizes] + [(8e6, 2.0**16), (8e6, 2.0**22)]
    table = curves(designs=design, steps=(1e3, steps))
    naive = [float(TRUTH.loss(N, steps, BATCH)) for N in sizes]
    found = asymptotes(fit("trajectory", table, rows="all", bootstrap=0, effort=QUICK))
    floors = {a.params_nonembed: a.own_floor for a in found}
    ours = [floors[float(N)] for N in sizes]
    for heights, expected in ((naive, off), (ours, 0.0)):
        slope, at_one = np.polyfit(np.log(sizes), np.log(heights), 1)
        height = np.exp(at_one + slope * np.log(1.5e9))
        assert height / TRUTH.floor(1.5e9) - 1 == pytest.approx(expected, abs=0.001)


def test_the_critical_batch_comes_back_from_the_curves_of_an_exact_scan() -> None:
    """Log-log regression over five losses returns B_star and alpha_B to 1e-6."""
    losses, batches = np.array([5.5, 5.0, 4.5, 4.0, 3.6]), 2.0 ** np.array([14, 16, 18, 20, 22])
    table = {
        "run_id": [f"{B:g}" for B in batches for _ in losses],
        "params_nonembed": [1e7] * 25,
        "batch_tokens": np.repeat(batches, 5),
        "loss": np.tile(losses, 5),
        "step": np.ravel(TRUTH.steps(1e7, losses, batches[:, None])),
    }
    found = batch_contours(table, losses=losses.tolist(), smoothing=0.0)
    result = found.critical_batch_by_loss(bootstrap=0)
    assert result.theta == pytest.approx({"B_star": 2.1e8, "alpha_B": 0.21}, rel=1e-6)
    by_loss = {c.loss: c.scan for c in found.contours}
    assert by_loss[4.5].steps_min == pytest.approx(1790.488, rel=1e-6)
    assert by_loss[4.5].tokens_min == pytest.approx(2.915109e8, rel=1e-6)
    assert by_loss[4.0].critical_batch_tokens == pytest.approx(285277.1, rel=1e-6)


# Zhang et al. 2024: the C4 validation loss that each size, in millions, was trained to.
TARGETS = {85: 3.42, 151: 3.24, 302: 3.07, 604: 2.92, 1200: 2.736}


def test_the_table_of_zhang_2024_goes_through_the_public_door() -> None:
    """Steps to one loss per size, at batches in tokens: 512 to a sequence."""
    rows = [
        {"run_id": f"{size}M-{B}", "params_nonembed": size * 1e6, "batch_tokens": 512 * int(B),
         "step": steps, "loss": TARGETS[size]}
        for size, (all_steps, _) in ZHANG.items()
        for B, steps in zip(SEQUENCES, all_steps, strict=True)
    ]  # fmt: skip
    found = sw.batch_contours(rows, losses=list(TARGETS.values()), scale=np.inf)
    assert [c.loss for c in found.contours] == sorted(TARGETS.values(), reverse=True)
    for contour, (_, certified) in zip(found.contours, ZHANG.values(), strict=True):
        fewest, tokens, critical, overhead = certified
        scan = contour.scan
        assert scan.steps_min == pytest.approx(fewest, rel=1e-4)
        assert scan.tokens_min / 512 == pytest.approx(tokens, rel=1e-4)
        assert scan.critical_batch_tokens / 512 == pytest.approx(critical, rel=1e-4)
        reference = batch_at_overhead(
            scan.critical_batch_tokens, 0.2, reference_batch_tokens=256 * 512
        )
        assert reference / 512 == pytest.approx(overhead, rel=1e-4)
    assert "2 of 5 contours, at losses 2.736 to 2.92, have no batches" in found.warnings[-1]
