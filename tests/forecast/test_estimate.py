"""Estimating a trajectory: recovery, the choice of form by hold-out, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import RunDataError, UnfitDataError, UsageError
from scalewise.forecast.estimate import TrajectoryFit, fit_trajectory
from scalewise.forecast.trajectory import CONSTANTS, Trajectory
from tests.forecast.simulated_curves import LADDER, TRUTH, curves

NOISE: dict[str, Any] = {"point": 0.002, "run": 0.001}


@pytest.fixture(scope="module")
def noisy() -> TrajectoryFit:
    return fit_trajectory(curves(**NOISE, points=20), bootstrap=60)


def test_curves_without_noise_give_the_constants_back() -> None:
    found = fit_trajectory(curves(), forms=["trajectory"], bootstrap=0)
    for name in CONSTANTS:
        assert getattr(found.trajectory, name) == pytest.approx(getattr(TRUTH, name), rel=1e-6)
    assert found.result.theta["N_c"] == pytest.approx(8.8e13, rel=1e-6)
    assert found.forms[0].error < 1e-9


def test_the_plain_law_stands_where_it_is_true(noisy: TrajectoryFit) -> None:
    assert noisy.result.law.key == "trajectory"
    assert noisy.held_out == ("largest size", "furthest batch")
    errors = {score.law: score.error for score in noisy.forms}
    assert errors["trajectory"] < 0.004
    assert errors["trajectory-floor"] > 0.9 * errors["trajectory"]
    assert noisy.forms[-1].law == "trajectory-tokens"
    assert noisy.result.spread < 1.5
    large = noisy.trajectory.loss(1e9, 1e5, 2**20)
    assert large == pytest.approx(TRUTH.loss(1e9, 1e5, 2**20), rel=0.01)


def test_the_stages_are_told_beside_the_joint_fit(noisy: TrajectoryFit) -> None:
    assert len(noisy.contours.contours) == 15
    assert [a.params_nonembed for a in noisy.asymptotes] == sorted({N for N, _ in LADDER})
    assert noisy.left_out[-1].endswith("1.5 nats/token or more above the floor of their size")
    assert noisy.warnings == noisy.result.warnings


@pytest.mark.parametrize(
    ("form", "path"),
    [("trajectory-floor", replace(TRUTH, E=1.4, N_c=1e9, alpha_N=0.25)),
     ("trajectory-tokens", replace(TRUTH, critical_by="tokens", B_star=30.0, alpha_B=1 / 0.45))],
)  # fmt: skip
def test_another_form_is_kept_where_held_out_curves_say_so(form: str, path: Trajectory) -> None:
    found = fit_trajectory(curves(path, **NOISE), bootstrap=0)
    assert found.result.law.key == form
    assert found.forms[0].law == form
    assert found.warnings[-1].startswith(f"Held-out curves chose {form} (")


def test_too_little_to_hold_out_is_told_and_the_plain_law_kept() -> None:
    designs = [(N, 2.0**19) for N in (1e6, 8e6, 6e7)] + [(8e6, B) for B in (2.0**15, 2.0**22)]
    found = fit_trajectory(curves(designs=designs, **NOISE), bootstrap=0)
    assert (found.held_out, found.result.law.key) == ((), "trajectory")
    assert "Too few sizes and batches to hold any out" in found.warnings[-1]
    assert found.contours.contours == ()
    assert "No contours: No size was trained at 4 batches" in found.warnings[0]


def test_rows_of_the_transient_and_of_dense_logs_are_left_out() -> None:
    table = curves(steps=(100.0, 2.5e5), points=80, **NOISE)
    found = fit_trajectory(table, forms=["trajectory"], points=30, bootstrap=0)
    told = " | ".join(found.left_out)
    assert "rows between 30 steps of each curve, evenly in log step" in told
    assert "rows 1.5 nats/token or more above the floor of their size" in told
    assert len(found.left_out) == 2
    assert found.result.points < 30 * table.run_count
    gap = found.result.observed - np.asarray(found.trajectory.floor(found.result.inputs["N"]))
    assert gap.max() < 1.55


def test_finished_rows_of_decayed_rates_do_not_bend_the_fit() -> None:
    table = curves(points=15)
    ends = [i % 15 == 14 for i in range(len(table))]
    low = np.where(ends, 0.9, 1.0) * table.column("loss")
    import polars as pl

    frame = table.frame.with_columns(loss=pl.Series(low), is_annealed=pl.Series(ends))
    found = fit_trajectory(frame, forms=["trajectory"], bootstrap=0)
    assert found.left_out[0] == "9 rows at a decayed learning rate, which is another law"
    assert found.result.theta["alpha_N"] == pytest.approx(0.076, rel=1e-5)


def test_bad_questions_are_refused() -> None:
    with pytest.raises(UsageError, match=r"forms=\['chinchilla'\] are no forms"):
        fit_trajectory(curves(), forms=["chinchilla"])
    with pytest.raises(UsageError, match=r"forms=\(\) are no forms"):
        fit_trajectory(curves(), forms=[])
    with pytest.raises(UsageError, match=r"points=1 and gap=1.5 leave no curve"):
        fit_trajectory(curves(), points=1)
    with pytest.raises(RunDataError, match="Loss curves need step, batch_tokens"):
        fit_trajectory({"params_nonembed": [1e6], "loss": [4.0]})
    with pytest.raises(UnfitDataError, match="6 free constants and there are 4 points"):
        fit_trajectory(curves(designs=[(1e6, 2.0**19)], points=4))
