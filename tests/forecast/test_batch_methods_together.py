"""Every critical batch that a fit, a run table and a file of branches hold, in one table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scalewise.core.errors import LawError, RunDataError, UnfitDataError, UsageError
from scalewise.fit.result import FitResult
from scalewise.fit.storage import read_fit
from scalewise.forecast.batch_methods import batch_methods, branch_measurements
from scalewise.forecast.branch_file import read_branches, write_branches
from scalewise.forecast.fitting import fit
from scalewise.runs.example.batch import batch_branches, batch_runs
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.forecast.trajectory_runs import fitted


@pytest.fixture(scope="module")
def shipped() -> FitResult:
    return fit("trajectory", batch_runs(), rows="all", bootstrap=0)


def without_noise() -> RunTable:
    return batch_runs().where("seed == 0")


def test_the_shipped_experiment_has_all_three(shipped: FitResult) -> None:
    found = batch_methods(shipped, runs=batch_runs(), branches=batch_branches())
    assert found.methods == ("contours", "noise scale", "branches")
    assert found.lacking == ()
    assert sum(m.method == "contours" for m in found.measurements) == 5
    assert 0.8 < found.median_ratio("contours") < 1.25
    assert found.median_ratio("noise scale") < 0.9  # raw gradients, but the run was Adam's
    early, late = (m for m in found.measurements if m.method == "branches")
    assert early.loss > late.loss
    assert early.critical_batch_tokens < late.critical_batch_tokens


def test_branches_of_a_shorter_run_stand_on_the_curve_of_the_whole_one(shipped: FitResult) -> None:
    found = batch_methods(shipped, runs=batch_runs(), branches=batch_branches()[:1])
    (branch,) = (m for m in found.measurements if m.method == "branches")
    trunk = batch_runs().where("run_id == 'batch-d48-b1024-s0'")
    step, loss = trunk.column("step"), trunk.column("loss")
    assert branch.loss in loss[(step > 400) & (step < 600)]
    strange = [batch_branches()[0] | {"run_id": "other-t500"}]
    with pytest.raises(RunDataError, match="do not hold 'other-t500'"):
        batch_methods(shipped, runs=batch_runs(), branches=strange)


def test_what_is_lacking_is_told(shipped: FitResult) -> None:
    alone = batch_methods(shipped)
    assert alone.methods == ("contours",)
    assert alone.lacking == ("No noise scales: no runs with a column noise_scale_tokens.",)
    kaplan = read_fit("kaplan2020-trajectory")
    with pytest.raises(UnfitDataError, match="No critical batch was measured"):
        batch_methods(kaplan)
    below = batch_methods(fitted(), runs=batch_runs())  # losses of bytes, below floors of words
    assert below.methods == ("contours",)


def test_levels_are_those_of_the_runs_where_there_are_no_contours(shipped: FitResult) -> None:
    single = batch_runs().where("batch_tokens == 1024")
    other = fit("trajectory", single, rows="all", fixed={"alpha_B": 0.3}, bootstrap=0)
    found = batch_methods(other, runs=batch_runs())
    assert found.methods == ("noise scale",)
    assert found.lacking[0].startswith("No contours: No size was trained at 4 batches")
    assert len({m.loss for m in found.measurements}) > 1


def test_what_cannot_be_compared_is_refused(shipped: FitResult) -> None:
    with pytest.raises(UsageError, match="without the runs that they left"):
        batch_methods(shipped, branches=batch_branches())
    with pytest.raises(LawError, match="needs a fit of one of 'trajectory'"):
        batch_methods(read_fit("besiroglu2024"), runs=without_noise())


def test_branches_come_back_from_their_file(tmp_path: Path) -> None:
    endless = batch_branches()[0] | {"high_tokens": float("inf")}
    write_branches([endless, batch_branches()[1]], tmp_path / "b.json")
    assert read_branches(tmp_path / "b.json") == (endless, batch_branches()[1])


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "cannot be read as branches"),
        ("[]", "holds no branches"),
        ("[3]", r"Entry 1 of b\.json is no record"),
        ('{"run_id": "a", "step": 3}', r"Entry 1 of b\.json has no low_tokens, high_tokens"),
        ('{"run_id": "a", "step": 0, "low_tokens": 1, "high_tokens": 2}', "has step=0"),
        ('{"run_id": "a", "step": 1, "low_tokens": "x", "high_tokens": 2}', "has low_tokens=x"),
        ('{"run_id": "a", "step": 1, "low_tokens": 3, "high_tokens": 2}', "low_tokens=3 above"),
        ("[" * 100_000, "cannot be read as branches"),
        ('{"run_id": ["a"], "step": 1, "low_tokens": 1, "high_tokens": 2}', r"has run_id=\['a'\]"),
        ('{"run_id": "a", "step": 1e999, "low_tokens": 1, "high_tokens": 2}', "has step=inf"),
        (
            f'{{"run_id": "a", "step": {10**400}, "low_tokens": 1, "high_tokens": 2}}',
            "has step=a whole number of 1329 bits",
        ),
    ],
)
def test_a_damaged_file_of_branches_is_refused(tmp_path: Path, text: str, fact: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(RunDataError, match=fact):
        read_branches(tmp_path / "b.json")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing: Any = tmp_path / "none.json"
    with pytest.raises(RunDataError, match="cannot be read as branches"):
        read_branches(missing)


def test_a_branch_stands_on_the_nearest_checkpoint_that_has_a_step() -> None:
    runs = read_runs(
        {
            "run_id": ["a"] * 4,
            "params_nonembed": [1e8] * 4,
            "step": [None, 0, 100, 1000],
            "tokens": [None, 0.0, 1e7, 1e8],
            "loss": [9.0, 8.0, 4.0, 3.0],
        }
    )
    branch = {"run_id": "a", "step": 250, "low_tokens": 1e200, "high_tokens": 1e204}
    (found,) = branch_measurements(runs, [branch])
    assert found.loss == 4.0
    assert found.critical_batch_tokens == pytest.approx(1e202)


def test_runs_without_steps_can_still_be_asked_for_what_they_hold(shipped: FitResult) -> None:
    bare = replace(batch_runs(), frame=batch_runs().frame.drop("step", "noise_scale_tokens"))
    assert batch_methods(shipped, runs=bare).methods == ("contours",)
