from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import UsageError
from scalewise.forecast.loss_curve import predict_curve
from scalewise.forecast.trajectory import Trajectory
from tests.forecast.trajectory_runs import drawn, fitted

KAPLAN = Trajectory.kaplan2020()


@pytest.mark.parametrize(
    ("batch", "steps", "loss"),
    [(2**17, 1e5, 2.696046), (2**19, 2.5e5, 2.394646), (2**22, 1e6, 2.290706)],
)
def test_a_constant_batch_ends_where_the_published_table_says(
    batch: int, steps: float, loss: float
) -> None:
    curve = predict_curve(KAPLAN, 1.5e9, [(batch, steps)])
    assert curve.loss[-1] == pytest.approx(loss, abs=2e-6)
    assert curve.step[-1] == steps
    assert curve.tokens[-1] == batch * steps
    assert not curve.known


def test_a_schedule_passes_through_the_loss_of_each_stage() -> None:
    curve = predict_curve(KAPLAN, 1.5e9, [(2**17, 2e4), (2**19, 2e4), (2**21, 2e4)])
    at = curve.loss[np.isin(curve.step, [2e4, 4e4, 6e4])]
    assert at == pytest.approx([3.1411857, 2.7201587, 2.5125622], abs=1e-6)
    assert curve.tokens[-1] == 2e4 * (2**17 + 2**19 + 2**21)
    assert sorted(set(curve.batch_tokens.tolist())) == [2**17, 2**19, 2**21]


def test_one_stage_cut_in_two_is_the_same_curve() -> None:
    whole = predict_curve(drawn(), 1e9, [(2**19, 4e4)], points=3)
    cut = predict_curve(drawn(), 1e9, [(2**19, 4e3), (2**19, 3.6e4)], points=3)
    assert 4e3 in whole.step
    for name in ("step", "loss", "low", "high", "tokens"):
        assert getattr(cut, name) == pytest.approx(getattr(whole, name), rel=1e-9)


def test_the_band_holds_its_share_of_the_resamples() -> None:
    curve = predict_curve(drawn(), 1e9, [(2**18, 1e4), (2**20, 3e4)], level=0.8)
    assert curve.known
    ends = np.asarray(drawn().sampled().loss_through(1e9, curve.stages))[-1].ravel()
    inside = (ends >= curve.low[-1]) & (ends <= curve.high[-1])
    assert inside.mean() == pytest.approx(0.8, abs=0.02)


def test_with_a_fit_the_band_is_that_of_its_own_prediction() -> None:
    result = fitted()
    curve = predict_curve(
        Trajectory.from_fit(result), 6e8, [(2**18, 6e4)], result=result, points=12
    )
    own = result.predict(params_nonembed=6e8, step=curve.step, batch_tokens=2**18)
    assert curve.loss == pytest.approx(np.asarray(own.value), rel=1e-9)
    # The quantiles of 40 resamples differ by the rule between two of them.
    assert curve.low == pytest.approx(np.asarray(own.low), rel=1e-3)
    assert curve.high == pytest.approx(np.asarray(own.high), rel=1e-3)
    assert curve.runs == result.runs


def test_the_band_of_a_fit_holds_the_noise_of_a_run() -> None:
    result = fitted()
    trajectory = Trajectory.from_fit(result)
    bare = predict_curve(trajectory, 1e7, [(2**17, 5e4)])
    whole = predict_curve(trajectory, 1e7, [(2**17, 5e4)], result=result)
    assert np.all(whole.high - whole.low > bare.high - bare.low)
    assert whole.high[-1] / whole.loss[-1] - 1 > 1.3 * result.noise


def test_a_curve_begins_with_the_first_fitted_step() -> None:
    trajectory = Trajectory.from_fit(fitted())
    assert predict_curve(trajectory, 1e8, [(2**18, 6e4)]).step[0] == 1000
    short = predict_curve(trajectory, 1e8, [(2**18, 300.0)])
    assert short.step.tolist() == [300.0]
    assert any("before the first fitted step 1000" in warning for warning in short.warnings)


def test_extrapolation_names_size_step_batch_and_loss() -> None:
    trajectory = Trajectory.from_fit(fitted())
    curve = predict_curve(trajectory, 6e8, [(2**13, 1e4), (2**18, 9e5)])
    factors = curve.extrapolation
    assert factors["params_nonembed"] == pytest.approx(10)
    assert factors["step"] == pytest.approx(9.1)
    assert factors["batch_tokens"] == pytest.approx(2)
    assert factors["loss"] > 1.1


@pytest.mark.parametrize(
    ("size", "stages", "fact"),
    [
        (0.2, [(2**18, 1e4)], "params_nonembed=0.2 is less than one parameter"),
        (1e9, [], "The schedule has no stage"),
        (1e9, [(0, 1e4)], "batch_tokens=0 must be positive"),
        (1e9, [(2**18, float("nan"))], "steps=nan must be positive"),
    ],
)
def test_what_is_no_run_is_refused(
    size: float, stages: list[tuple[float, float]], fact: str
) -> None:
    with pytest.raises(UsageError, match=fact):
        predict_curve(KAPLAN, size, stages)
