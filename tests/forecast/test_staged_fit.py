"""Laws of whole curves by the general door: in stages where the runs carry them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.fit.result import FitResult, FitStatus
from scalewise.fit.storage import read_fit, write_fit
from scalewise.forecast.estimate import fit_trajectory
from scalewise.forecast.fitting import fit
from scalewise.forecast.trajectory import Trajectory
from scalewise.laws.trajectory import TRAJECTORY_FLOOR
from scalewise.runs.example.batch import batch_runs
from tests.forecast.simulated_curves import TRUTH, curves

NOISE: dict[str, Any] = {"point": 0.002, "run": 0.001}


@cache
def shipped() -> FitResult:
    return fit("trajectory", batch_runs(), bootstrap=30)


def test_a_named_law_of_curves_is_estimated_in_stages() -> None:
    found = shipped()
    same = fit_trajectory(batch_runs(), forms=["trajectory"], bootstrap=30)
    assert dict(found.theta) == dict(same.result.theta)
    assert found.spread == same.result.spread > 1
    assert found.objective.delta == 3e-3
    assert list(found.stages) == [
        "curves", "contours", "critical batch", "form", "joint fit", "floors"
    ]  # fmt: skip
    assert "21 curves, 7 sizes and 7 batches" in found.stages["curves"]
    assert "rows before 2 times their warm-up" in found.stages["curves"]
    assert "14 of them the batches lie to both sides" in found.stages["contours"]
    assert "largest size and the furthest batch: trajectory missed" in found.stages["form"]


def test_the_stages_stay_with_the_fit_file_and_it_answers(tmp_path: Path) -> None:
    write_fit(shipped(), tmp_path / "fit.json")
    again = read_fit(tmp_path / "fit.json")
    assert dict(again.stages) == dict(shipped().stages)
    path = Trajectory.from_fit(again)
    assert len(path.draws) > 20
    assert again.predict(params_nonembed=1e6, step=4000, batch_tokens=1536).loss == pytest.approx(
        path.loss(1e6, 4000, 1536)
    )


def test_all_rows_are_fitted_at_once_where_that_is_asked_for() -> None:
    plain = fit("trajectory", batch_runs(), rows="all", bootstrap=0)
    assert plain.points == len(batch_runs()) > shipped().points
    assert not plain.stages


def test_a_law_may_be_named_by_itself_and_the_form_left_to_held_out_curves() -> None:
    floor = fit(TRAJECTORY_FLOOR, curves(**NOISE), bootstrap=0)
    assert floor.law.key == "trajectory-floor"
    assert "trajectory-tokens" not in floor.stages["form"]
    chosen = fit("trajectory-auto", curves(**NOISE), bootstrap=0)
    assert chosen.law.key == "trajectory"
    assert "trajectory-tokens missed by" in chosen.stages["form"]


def test_fixed_constants_and_objectives_go_through_the_stages() -> None:
    found = fit("trajectory", curves(), fixed={"alpha_B": 0.21}, objective="ls-log", bootstrap=0)
    assert found.fixed == ("alpha_B",)
    assert found.objective.name == "ls-log"
    assert found.stages["joint fit"].startswith("5 constants of trajectory at once, by ls-log, to")
    assert found.theta["B_star"] == pytest.approx(2.1e8, rel=1e-4)


def test_one_batch_is_told_as_the_stages_that_it_lacks() -> None:
    designs = [(N, 2.0**19) for N in (1e6, 4e6, 1.6e7, 6e7)]
    found = fit("trajectory", curves(designs=designs, **NOISE), bootstrap=20)
    assert found.stages["contours"].startswith("not possible: No size was trained at 4 batches")
    assert found.stages["critical batch"] == "not possible: there are no contours"
    assert "not tested: too few sizes and batches" in found.stages["form"]
    assert found.stages["joint fit"].startswith("6 constants")
    assert any("No contours" in told for told in found.warnings)


def test_floors_that_the_runs_do_not_determine_are_none() -> None:
    found = fit("trajectory", batch_runs().where("batch_tokens == 1024"), bootstrap=0)
    assert found.status is FitStatus.NOT_IDENTIFIED
    assert found.stages["floors"] == "not possible: the runs do not determine them"


def test_rows_that_form_no_curves_are_fitted_at_once_and_that_is_told() -> None:
    table = curves(schedule=["cosine"] * 15 * 9, **NOISE)
    found = fit("trajectory", table, bootstrap=0)
    assert list(found.stages) == ["curves"]
    assert found.stages["curves"].startswith("not possible: None of 135 rows is usable: 135 rows")
    assert found.warnings[-1].startswith("Fitted at once, all rows as they are, for want of curves")
    assert found.points == 135
    assert found.objective.delta == 3e-3
    large = Trajectory.from_fit(found).loss(1e9, 1e5, 2**20)
    assert large == pytest.approx(TRUTH.loss(1e9, 1e5, 2**20), rel=0.01)


def test_what_the_stages_have_no_place_for_is_refused() -> None:
    with pytest.raises(UsageError, match="weights cannot be used with the stages of 'trajectory'"):
        fit("trajectory", curves(), weights=np.ones(135))
    with pytest.raises(UsageError, match="fixed cannot be used with the stages of 'trajectory-aut"):
        fit("trajectory-auto", curves(), fixed={"alpha_B": 0.21})
    with pytest.raises(UsageError, match="rows='all' cannot be used with the stages of 'trajecto"):
        fit("trajectory-auto", curves(), rows="all")
    with pytest.raises(RunDataError, match="batch_tokens"):
        fit("trajectory", {"params_nonembed": [1e6], "step": [10], "loss": [4.0]})
