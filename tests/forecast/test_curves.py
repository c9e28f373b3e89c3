"""Which rows of a run table form the curves of a trajectory, and what is said of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.forecast.curves import read_curves
from scalewise.runs.read import read_runs
from tests.forecast.simulated_curves import curves


def rows(**changes: Any) -> dict[str, Any]:
    """One run of six checkpoints."""
    return {
        "run_id": ["a"] * 6, "params_nonembed": [1e6] * 6, "batch_tokens": [4096.0] * 6,
        "step": [10.0, 20.0, 50.0, 100.0, 200.0, 400.0], "loss": [7.0, 6.0, 5.5, 5.0, 4.5, 4.2],
    } | changes  # fmt: skip


def test_a_clean_table_is_kept_whole_and_sorted_by_step() -> None:
    table = curves(points=5)
    shuffled = read_runs(table.frame.sample(fraction=1.0, shuffle=True, seed=1))
    found = read_curves(shuffled)
    assert found.left_out == ()
    assert len(found.curves) == table.run_count
    assert all(np.all(np.diff(curve.step) > 0) for curve in found.curves)
    assert {c.batch_tokens for c in found.curves} == set(table.column("batch_tokens").tolist())


@pytest.mark.parametrize(
    ("changes", "kept", "words"),
    [
        ({"is_annealed": [False] * 5 + [True]}, 5, "1 rows at a decayed learning rate"),
        ({"lr": [1, 1, 1, 1, 0.5, 0.1], "lr_peak": [1] * 6}, 4, "2 rows at a decayed learning"),
        ({"loss": [7.0, 6.0, None, 5.0, 4.5, 4.2]}, 5, "1 rows without size, step, batch or loss"),
        ({"warmup_steps": [30] * 6}, 3, "3 rows before 2 times their warm-up"),
        ({"eval_set": ["val"] * 5 + ["test"]}, 5, "1 rows measured on another text"),
        ({"step": [10, 20, 50, 100, 200, 200]}, 5, "1 rows that a later row of the same step"),
    ],
)
def test_rows_of_another_law_are_left_out_and_counted(
    changes: dict[str, Any], kept: int, words: str
) -> None:
    found = read_curves(rows(**changes))
    assert len(found.curves[0].step) == kept
    assert found.left_out[0].startswith(words)
    assert len(found.left_out) == 1


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_run_that_went_wrong_is_left_out_whole(status: str) -> None:
    both = {name: values * 2 for name, values in rows().items()}
    both |= {"run_id": ["a"] * 6 + ["b"] * 6, "status": ["ok"] * 11 + [status]}
    found = read_curves(both)
    assert [curve.run_id for curve in found.curves] == ["a"]
    assert found.left_out == ("6 rows of runs that diverged or failed",)


@pytest.mark.parametrize("status", ["running", "running or crashed", "crashed", ""])
def test_a_run_that_has_not_ended_counts_as_far_as_it_went(status: str) -> None:
    found = read_curves(rows(status=[status] * 6))
    assert len(found.curves[0].step) == 6


def test_the_last_of_repeated_steps_counts() -> None:
    found = read_curves(rows(step=[10, 20, 50, 100, 200, 200]))
    assert found.curves[0].loss[-1] == 4.2


def test_a_whole_table_of_decaying_rates_is_refused() -> None:
    with pytest.raises(RunDataError, match="None of 6 rows is usable: 6 rows at a decayed"):
        read_curves(rows(schedule=["cosine"] * 6))


def test_runs_whose_batch_changes_are_left_out_unless_asked_for() -> None:
    changing = rows(batch_tokens=[1024.0] * 3 + [4096.0] * 3)
    with pytest.raises(RunDataError, match="6 rows of runs whose batch changes"):
        read_curves(changing)
    assert len(read_curves(changing, by_batch=False).curves[0].step) == 6


def test_a_missing_column_is_named_with_the_mend() -> None:
    columns = rows()
    del columns["batch_tokens"]
    with pytest.raises(RunDataError, match="Loss curves need batch_tokens; the table has"):
        read_curves(columns)
    with pytest.raises(UsageError, match="warmups=-1 is negative"):
        read_curves(rows(), warmups=-1)


def test_a_dense_log_is_thinned_evenly_in_log_step() -> None:
    step = np.arange(1.0, 2001.0)
    log = {"run_id": ["a"] * 2000, "params_nonembed": [1e6] * 2000, "batch_tokens": [1.0] * 2000,
           "step": step, "loss": 5 * step**-0.1}  # fmt: skip
    found = read_curves(log).thinned(20)
    kept = found.curves[0].step
    assert (kept[0], kept[-1]) == (1, 2000)
    assert 15 <= len(kept) <= 20
    assert np.ptp(np.diff(np.log(kept))[-8:]) < 0.02
    assert found.left_out[0].startswith(f"{2000 - len(kept)} rows between 20 steps of each curve")
    assert found.thinned(20) is found
