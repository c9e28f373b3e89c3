"""Kaplan et al. 2020 and what follows from it, against numbers computed by other means.

The constants are Kaplan's table 3 with the critical batch of appendix A unless said otherwise.
Laws at single points are in test_published_laws.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.compute import PF_DAY, pf_days
from scalewise.core.counting import kaplan_params
from scalewise.core.errors import LawError
from scalewise.core.flops import kaplan_flops_per_token
from scalewise.core.shape import ModelShape
from scalewise.fit.storage import read_fit
from scalewise.forecast.critical_batch import batch_at_overhead, fit_critical_batch, fit_hyperbola
from scalewise.forecast.trajectory import Trajectory
from scalewise.plan.compute_efficient import EfficientFrontier, efficient_run, size_cost, stop_cost
from scalewise.plan.overfitting import early_stop_steps, excess, tokens_needed

KAPLAN = Trajectory.kaplan2020()
APPENDIX_A = replace(KAPLAN, N_c=8.8e13, alpha_N=0.076)
OVERFIT = read_fit("kaplan2020-overfit")
N = 1.5e9


# The four predictions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "size", "floor"),
    [(KAPLAN, 1.5e9, 2.2752824), (KAPLAN, 1e10, 1.9660490), (APPENDIX_A, 1.5e9, 2.3035506)],
)
def test_the_least_loss_of_a_size(path: Trajectory, size: float, floor: float) -> None:
    assert path.floor(size) == pytest.approx(floor, rel=1e-5)
    with pytest.raises(LawError, match="out of reach"):
        path.steps_min(size, floor - 1e-6)


# loss: B_crit, S_min, E_min, S at B_crit, S at 2**19, S at 4e6, C_min in PF-days
STEPS = {
    3.0: (1.12257e6, 3207.80, 3.60098e9, 6415.61, 10076.1, 4108.05, 0.375102),
    2.8: (1.55918e6, 4906.12, 7.64951e9, 9812.24, 19496.4, 6818.50, 0.796824),
    2.6: (2.21899e6, 9225.18, 2.04706e10, 18450.4, 48269.7, 14342.8, 2.13235),
    2.5: (2.67465e6, 14973.7, 4.00493e10, 29947.3, 91361.7, 24986.0, 4.17180),
    2.4: (3.24855e6, 32492.9, 1.05555e11, 64985.7, 233822, 58881.5, 10.9953),
    2.3: (3.97838e6, 273328, 1.08740e12, 546656, 2.34738e6, 545178, 113.271),
}


@pytest.mark.parametrize("loss", STEPS)
def test_the_fewest_steps_and_tokens_to_a_loss(loss: float) -> None:
    batch = KAPLAN.critical_batch(loss)
    found = (
        batch,
        KAPLAN.steps_min(N, loss),
        KAPLAN.tokens_min(N, loss),
        KAPLAN.steps(N, loss, batch),
        KAPLAN.steps(N, loss, 2**19),
        KAPLAN.steps(N, loss, 4e6),
        pf_days(float(KAPLAN.flops_min(N, loss))),
    )
    assert found == pytest.approx(STEPS[loss], rel=1e-5)


LOSSES = {
    2**17: (4.981984, 3.412315, 2.696046, 2.534275, 2.386472),
    2**19: (4.453461, 3.002622, 2.488136, 2.394646, 2.321196),
    2**22: (4.111856, 2.681737, 2.359633, 2.318587, 2.290706),
    np.inf: (4.032747, 2.580695, 2.328357, 2.301734, 2.284506),
}


def test_the_loss_at_a_step_and_a_batch() -> None:
    step = np.array([1e3, 1e4, 1e5, 2.5e5, 1e6])
    batch = np.array(list(LOSSES))[:, None]
    np.testing.assert_allclose(KAPLAN.loss(N, step, batch), list(LOSSES.values()), atol=2e-6)


def test_steps_to_the_loss_at_a_step_are_that_step() -> None:
    size = np.array([1e6, 1e9])[:, None, None]
    step = np.array([500, 1e4, 1e6])[:, None]
    batch = 2.0 ** np.array([15, 19, 24])
    loss = np.asarray(KAPLAN.loss(size, step, batch))
    again = KAPLAN.steps(size, loss, batch)
    np.testing.assert_allclose(again, np.broadcast_to(step, (2, 3, 3)), rtol=1e-9)
    assert loss[0, 0, 0] == pytest.approx(7.772526, abs=2e-6)
    assert KAPLAN.loss(1e9, 1e6, 2**15) == pytest.approx(2.582640, abs=2e-6)


@pytest.mark.parametrize(("batch", "loss"), [(2**13, 6.908632), (2**15, 5.793209)])
def test_the_loss_is_found_where_iterating_would_cycle(batch: int, loss: float) -> None:
    assert KAPLAN.loss(N, 1e3, batch) == pytest.approx(loss, abs=2e-6)


def test_a_run_is_converted_to_its_least_steps_and_compute() -> None:
    batch, step = 2**19, 2.5e5
    flops = 6 * N * batch * step
    loss = KAPLAN.loss(N, step, batch)
    assert pf_days(flops) == pytest.approx(13.6533, rel=1e-5)
    assert loss == pytest.approx(2.3946459, rel=1e-6)
    assert KAPLAN.critical_batch(loss) == pytest.approx(3.283283e6, rel=1e-5)
    assert KAPLAN.steps_min_of(step, batch, loss) == pytest.approx(34424.04, rel=1e-5)
    least = float(KAPLAN.flops_min_of(flops, batch, loss))
    assert pf_days(least) == pytest.approx(11.77332, rel=1e-5)
    assert least == pytest.approx(KAPLAN.flops_min(N, loss), rel=1e-9)


def test_a_batch_schedule_by_the_local_critical_batch() -> None:
    stages = [(2**17, 2e4), (2**19, 2e4), (2**21, 2e4)]
    expected = [3.1411857, 2.7201587, 2.5125622]
    np.testing.assert_allclose(KAPLAN.loss_through(N, stages), expected, atol=1e-6)
    (constant,) = KAPLAN.loss_through(N, [(2**19, 1e5)])
    assert constant == pytest.approx(2.4881358, abs=1e-6)


@pytest.mark.parametrize(("loss", "ratio"), [(5.0, 2.97), (3.0, 1.87), (2.5, 1.33)])
def test_the_local_critical_batch_is_above_the_global_one(loss: float, ratio: float) -> None:
    found = KAPLAN.local_critical_batch(N, loss) / KAPLAN.critical_batch(loss)
    assert found == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize(
    ("loss", "size", "tenfold"), [(5.0, 99e3, 1.0e6), (4.0, 285e3, 2.9e6), (3.5, 539e3, 5.4e6)]
)
def test_a_batch_of_ten_critical_ones_is_nearly_unlimited(
    loss: float, size: float, tenfold: float
) -> None:
    batch = float(KAPLAN.critical_batch(loss))
    assert (batch, 10 * batch) == pytest.approx((size, tenfold), rel=0.02)
    late = KAPLAN.steps(1e7, loss, 10 * batch) / KAPLAN.steps_min(1e7, loss)
    assert late == pytest.approx(1.1, rel=1e-9)
    assert late ** float(KAPLAN.alpha_S) == pytest.approx(1.075, abs=5e-4)


@pytest.mark.parametrize(
    ("steps", "exponent", "scale", "off", "far_off"),
    [
        (25e3, 0.0639, 5.6e15, 0.143, 0.186),
        (100e3, 0.0706, 4.5e14, 0.057, 0.075),
        (250e3, 0.0731, 2.0e14, 0.030, 0.039),
        (1e6, 0.0749, 1.2e14, 0.011, 0.014),
    ],
)
def test_last_losses_taken_for_converged_ones_bend_the_law_of_size(
    steps: float, exponent: float, scale: float, off: float, far_off: float
) -> None:
    sizes = np.geomspace(1e6, 6e7, 7)
    slope, height = np.polyfit(np.log(sizes), np.log(APPENDIX_A.loss(sizes, steps, 2**19)), 1)
    assert -slope == pytest.approx(exponent, abs=1e-4)
    assert np.exp(-height / slope) == pytest.approx(scale, rel=0.03)
    for size, error in ((1.5e9, off), (33e9, far_off)):
        wrong = np.exp(height + slope * np.log(size))
        assert wrong / APPENDIX_A.floor(size) - 1 == pytest.approx(error, abs=0.001)


# Critical batch from scans -----------------------------------------------------------------------

SCANS = {
    4.5: ((19582.9, 6238.59, 2902.51, 2068.49, 1859.99), (1790.488, 2.915109e8, 162810.9)),
    4.0: ((71188.0, 20696.8, 8074.0, 4918.3, 4129.38), (3866.405, None, 285277.1)),
}
SCANNED = 2.0 ** np.array([14, 16, 18, 20, 22])


@pytest.mark.parametrize("loss", SCANS)
def test_an_exact_scan_gives_its_critical_batch(loss: float) -> None:
    printed, (fewest, tokens, critical) = SCANS[loss]
    steps = APPENDIX_A.steps(1e7, loss, SCANNED)
    np.testing.assert_allclose(steps, printed, rtol=5e-6)
    found = fit_hyperbola(SCANNED, printed)
    assert (found.steps_min, found.critical_batch_tokens) == pytest.approx(
        (fewest, critical), rel=2e-5
    )
    assert tokens is None or found.tokens_min == pytest.approx(tokens, rel=2e-5)


def test_exact_scans_to_five_losses_give_the_law_of_the_critical_batch() -> None:
    losses = (5.5, 5.0, 4.5, 4.0, 3.6)
    scans = [fit_hyperbola(SCANNED, APPENDIX_A.steps(1e7, loss, SCANNED)) for loss in losses]
    theta = fit_critical_batch(losses, scans, bootstrap=0).theta
    assert theta == pytest.approx({"B_star": 2.1e8, "alpha_B": 0.21}, rel=1e-6)


# Zhang et al. 2024 (arXiv:2410.21676), notebook plots/chinchilla.ipynb of hlzhang109/
# critical-batch-size: steps to a C4 validation loss at batches of 64 to 16384 sequences of 512.
# size in millions: steps; then S_min, E_min, B_crit, batch at 20 % overhead over batch 256
ZHANG = {
    85: ((46000, 23000, 13282, 7000, 3840, 2528, 1917, 1600, 1600),
         (1293.83, 2834258, 2190.6, 745.32)),
    151: ((96000, 49000, 24000, 12000, 7128, 4350, 2940, 2400, 2300),
          (1752.42, 5677479, 3239.8, 955.16)),
    302: ((196000, 90000, 46000, 23400, 13300, 7224, 4980, 3400, 2879),
          (2095.35, 11383270, 5432.6, 1393.73)),
    604: ((311000, 166000, 81000, 37440, 21320, 11400, 7199, 4700, 3800),
          (2459.93, 19449688, 7906.6, 1888.52)),
    1200: ((642000, 331000, 176000, 94000, 46500, 25000, 15360, 8900, 6500),
           (3897.31, 43381130, 11131.1, 2533.41)),
}  # fmt: skip
SEQUENCES = 64 * 2 ** np.arange(9)


def overhead_batch(steps: tuple[int, ...]) -> float:
    found = fit_hyperbola(SEQUENCES, steps, scale=np.inf)
    return float(batch_at_overhead(found.critical_batch_tokens, reference_batch_tokens=256))


@pytest.mark.parametrize("millions", ZHANG)
def test_the_critical_batches_of_zhang_2024(millions: int) -> None:
    steps, (fewest, tokens, critical, overhead) = ZHANG[millions]
    found = fit_hyperbola(SEQUENCES, steps, scale=np.inf)
    assert found.steps_min == pytest.approx(fewest, rel=1e-4)
    assert found.tokens_min == pytest.approx(tokens, rel=1e-4)
    assert found.critical_batch_tokens == pytest.approx(critical, rel=1e-4)
    assert overhead_batch(steps) == pytest.approx(overhead, rel=1e-4)
    residuals = np.log(found.steps(SEQUENCES)) - np.log(steps)
    assert 0.035 < residuals.std() < 0.057
    robust = fit_hyperbola(SEQUENCES, steps)
    assert robust.critical_batch_tokens == pytest.approx(critical, rel=0.05)
    low, high = robust.intervals()["critical_batch_tokens"]
    assert low < critical < high
    # Only the two largest models were not scanned up to three times their critical batch.
    assert robust.straddles == (millions < 604)
    assert len(robust.warnings) == (not robust.straddles)


def test_the_power_law_of_zhang_2024_by_size() -> None:
    batches = [overhead_batch(steps) for steps, _ in ZHANG.values()]
    slope, height = np.polyfit(np.log(list(ZHANG)), np.log(batches), 1)
    assert (np.exp(height), slope) == pytest.approx((93.1968, 0.46828), rel=1e-4)


# Overfitting -------------------------------------------------------------------------------------


def test_the_tokens_needed_by_a_billion_params() -> None:
    assert tokens_needed(OVERFIT, 1e9) == pytest.approx(2.4136e10, rel=1e-4)
    papers = 5e3 * 1e9**0.74
    assert papers == pytest.approx(2.2854e10, rel=1e-4)
    assert excess(OVERFIT, 1e9, papers) == pytest.approx(0.021026, abs=1e-5)
    assert excess(OVERFIT, 1e9, 2.4136e10) == pytest.approx(0.02, rel=1e-4)


@pytest.mark.parametrize(("size", "tokens", "steps"), [(1e8, 1e9, 18114.4), (1e9, 1e10, 42988.8)])
def test_the_earliest_step_to_stop_at(size: float, tokens: float, steps: float) -> None:
    assert early_stop_steps(OVERFIT, KAPLAN, size, tokens) == pytest.approx(steps, rel=1e-4)


# The compute-efficient frontier ------------------------------------------------------------------


def test_the_constants_of_the_frontier() -> None:
    frontier = EfficientFrontier(KAPLAN)
    assert frontier.exponent == pytest.approx(0.05245294, rel=1e-6)
    assert frontier.flops_scale == pytest.approx(1.390849e28, rel=1e-6)
    assert pf_days(float(frontier.flops_scale)) == pytest.approx(1.609779e8, rel=1e-6)
    assert 1 + frontier.excess == pytest.approx(1.1013158, abs=5e-8)
    assert 1 + frontier.excess == pytest.approx(1 + 0.077 / 0.76, abs=1e-9)
    powers = frontier.exponents()
    assert powers == pytest.approx(
        {"params_nonembed": 0.681207, "batch_tokens": 0.249776, "steps_min": 0.069017,
         "tokens_min": 0.318793}, abs=1e-6,
    )  # fmt: skip
    assert EfficientFrontier(APPENDIX_A).exponent == pytest.approx(0.05199, abs=5e-6)


@pytest.mark.parametrize(
    ("budget", "loss", "size", "steps", "batch", "tokens"),
    [
        (1.0, 2.694443, 5.84408e8, 13160.71, 1.872263e6, 2.464031e10),
        (1e3, 1.875470, 6.461562e10, 21199.74, 1.051222e7, None),
    ],
)
def test_the_efficient_run_of_a_budget(
    budget: float, loss: float, size: float, steps: float, batch: float, tokens: float | None
) -> None:
    run = efficient_run(KAPLAN, budget * PF_DAY)
    assert run.loss.value == pytest.approx(loss, rel=1e-5)
    assert run.params_nonembed.value == pytest.approx(size, rel=1e-5)
    assert run.steps_min.value == pytest.approx(steps, rel=1e-5)
    assert run.batch_tokens.value == pytest.approx(batch, rel=1e-5)
    assert tokens is None or run.tokens_min.value == pytest.approx(tokens, rel=1e-5)
    # By trying sizes: none reaches that loss with less compute.
    tried = size * np.exp(np.linspace(-0.1, 0.1, 2001))
    flops = np.asarray(KAPLAN.flops_min(tried, run.loss.value))
    assert flops.min() == pytest.approx(budget * PF_DAY, rel=1e-6)
    assert tried[flops.argmin()] == pytest.approx(size, rel=2e-3)


@pytest.mark.parametrize(
    ("ratio", "flops", "steps"), [(0.6, 1.16473, 1.94122), (2.2, 1.20372, 0.547147)]
)
def test_the_cost_of_another_size(ratio: float, flops: float, steps: float) -> None:
    cost = size_cost(KAPLAN, ratio)
    assert (cost.flops, cost.steps_min) == pytest.approx((flops, steps), rel=1e-5)


def test_the_cost_of_training_on_to_two_percent() -> None:
    cost = stop_cost(APPENDIX_A, 0.1, 0.02)
    assert cost.params_nonembed == pytest.approx(2.70073, rel=1e-5)
    assert cost.steps_min == pytest.approx(0.132877, rel=1e-5)
    assert cost.flops == pytest.approx(0.358865, rel=1e-5)


# Parameters and FLOPs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "width", "size"),
    [(48, 1600, 1_474_560_000), (36, 1280, 707_788_800), (2, 128, 393_216)],
)
def test_the_parameters_of_kaplans_shapes(layers: int, width: int, size: int) -> None:
    shape = ModelShape(
        n_layer=layers, d_model=width, n_head=1, vocab_size=50257, context_length=1024
    )
    assert kaplan_params(shape) == size == 12 * layers * width**2
    assert kaplan_flops_per_token(shape) == 6 * size
