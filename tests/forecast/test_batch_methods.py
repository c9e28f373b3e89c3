from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import LawError, RunDataError, UnfitDataError, UsageError
from scalewise.forecast.batch_methods import (
    BatchMeasurement,
    branch_measurements,
    compare_methods,
    contour_measurements,
    noise_scale_measurements,
)
from scalewise.forecast.fitted_contours import fitted_contours
from scalewise.forecast.trajectory import Trajectory
from scalewise.report.cards.batch_methods import batch_methods_card
from scalewise.report.figures import NARROW, svg
from scalewise.report.text import render
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.forecast.trajectory_runs import fitted

KAPLAN = Trajectory.kaplan2020()


def measured_runs(factor: float = 0.1) -> RunTable:
    """A run of 10M whose noise scale is a fixed share of the local critical batch."""
    step = np.geomspace(500, 100_000, 60).round()
    loss = np.asarray(KAPLAN.loss(1e7, step, 2**17))
    scale = factor * np.asarray(KAPLAN.local_critical_batch(1e7, loss))
    scale[::7] = np.nan  # averages that are not yet positive
    return read_runs(
        {"run_id": ["a"] * 60, "step": step, "loss": loss, "params_nonembed": [1e7] * 60,
         "batch_tokens": [2**17] * 60, "noise_scale_tokens": scale}
    )  # fmt: skip


def branch(**changes: object) -> dict[str, object]:
    return {"run_id": "a", "step": 10_000, "low_tokens": 1e5, "high_tokens": 4e5} | changes


def test_each_method_is_held_against_the_number_of_its_own_kind() -> None:
    contours = contour_measurements(fitted_contours(fitted()))
    scales = noise_scale_measurements(measured_runs(), [4.0, 4.5, 5.0])
    branches = branch_measurements(measured_runs(), [branch()])
    found = compare_methods(KAPLAN, [*contours, *scales, *branches])
    assert found.methods == ("contours", "noise scale", "branches")
    assert found.median_ratio("contours") == pytest.approx(1, abs=0.1)
    assert found.median_ratio("noise scale") == pytest.approx(0.1, rel=0.05)
    losses = [m.loss for m in found.measurements]
    assert losses == sorted(losses, reverse=True)


def test_a_noise_scale_is_that_of_the_checkpoints_near_the_loss() -> None:
    runs = measured_runs()
    (found,) = noise_scale_measurements(runs, [4.5])
    loss, scale = runs.column("loss"), runs.column("noise_scale_tokens")
    near = (np.abs(np.log(loss / 4.5)) < 0.02) & np.isfinite(scale)
    assert found.critical_batch_tokens == pytest.approx(np.exp(np.log(scale[near]).mean()))
    assert found.low <= found.critical_batch_tokens <= found.high
    assert noise_scale_measurements(runs, [9.0]) == ()


def test_branches_stand_at_the_loss_of_their_checkpoint() -> None:
    (found,) = branch_measurements(measured_runs(), [branch()])
    assert found.loss == pytest.approx(float(KAPLAN.loss(1e7, 1e4, 2**17)), rel=0.02)
    assert found.critical_batch_tokens == pytest.approx(2e5)
    (endless,) = branch_measurements(measured_runs(), [branch(high_tokens=float("inf"))])
    assert (endless.critical_batch_tokens, endless.high) == (1e5, float("inf"))


def test_the_card_tells_what_each_method_measures() -> None:
    scales = noise_scale_measurements(measured_runs(), [4.0, 4.5])
    endless = branch_measurements(measured_runs(), [branch(high_tokens=float("inf"))])
    contours = contour_measurements(fitted_contours(fitted()))
    card = batch_methods_card(compare_methods(KAPLAN, [*contours, *scales, *endless]))
    assert "contours ×" in card.conclusion
    assert "noise scale ×0.1" in card.conclusion
    assert any("knows no optimizer" in caveat for caveat in card.caveats)
    assert "∞" in render(card)
    assert card.figure is not None
    assert "branches" in svg(card.figure, layout=NARROW)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UnfitDataError, match="No critical batch was measured"):
        compare_methods(KAPLAN, [])
    below = BatchMeasurement(
        method="branches", loss=2.0, params_nonembed=1e7, critical_batch_tokens=1e5,
        low=1e5, high=1e5,
    )  # fmt: skip
    with pytest.raises(LawError, match="out of reach"):
        compare_methods(KAPLAN, [below])
    with pytest.raises(UsageError, match="does not hold the critical batch"):
        BatchMeasurement(
            method="branches", loss=4.0, params_nonembed=1e7, critical_batch_tokens=1e5,
            low=2e5, high=3e5,
        )  # fmt: skip
    runs = measured_runs()
    with pytest.raises(RunDataError, match="do not hold 'b', which branches started from"):
        branch_measurements(runs, [branch(run_id="b")])
    plain = read_runs({"loss": [3.0], "params_nonembed": [1e7]})
    with pytest.raises(RunDataError, match="no column 'noise_scale_tokens'"):
        noise_scale_measurements(plain, [3.0])
    found = compare_methods(KAPLAN, branch_measurements(runs, [branch()]))
    with pytest.raises(UsageError, match="Nothing was measured by 'contours'"):
        found.median_ratio("contours")
