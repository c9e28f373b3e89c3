from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.forecast.fitted_rows import kept_rows
from scalewise.plan import leave_out
from scalewise.plan.influence import influence
from scalewise.plan.leave_out import size_groups
from scalewise.plan.target import answers, target_at
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.forecast.ladders import ladder
from tests.shared_data import shared_table


def spoiled(table: RunTable, row: int, factor: float) -> RunTable:
    loss = table.column("loss").copy()
    loss[row] *= factor
    return replace(table, frame=table.frame.with_columns(loss=loss))


def test_the_spoiled_run_is_the_influential_one() -> None:
    table = spoiled(ladder(), 20, 1.2)
    found = influence("chinchilla", table, flops=1e22, objective="ls-log", bootstrap=60)
    worst = found.each_run[0]
    assert worst.label == table.text("run_id")[20]
    assert worst.influential
    clean = influence("chinchilla", ladder(), flops=1e22, objective="ls-log", bootstrap=60)
    assert worst.value == pytest.approx(clean.base.value, rel=0.15)


@pytest.mark.parametrize("objective", ["huber-log", "lad-log", "ls"])
def test_the_batch_agrees_with_fits_one_by_one(objective: str) -> None:
    table = ladder(sizes=5, budgets=3, noise=0.005)
    found = influence(
        "chinchilla", table, params=7e9, tokens=1e12, objective=objective, bootstrap=30
    )
    target = target_at(table, params=7e9, tokens=1e12)
    names = np.array(table.text("run_id"))
    for row in found.each_run[::4]:
        rest = kept_rows(table, names != row.label)
        again = fit("chinchilla", rest, objective=objective, bootstrap=0)
        assert row.value == pytest.approx(answers(again.law, again.theta, target)[0], rel=2e-4)


def test_changes_are_in_half_widths_of_the_interval() -> None:
    found = influence("chinchilla", ladder(), flops=1e22, bootstrap=60)
    half = 0.5 * np.log(found.base.high / found.base.low)
    for row in (*found.sizes, *found.each_run):
        assert row.value is not None
        assert row.shift == pytest.approx(np.log(row.value / found.base.value) / half)
    shifts = [abs(row.shift or 0) for row in found.each_run]
    assert shifts == sorted(shifts, reverse=True)


def test_a_size_that_the_law_cannot_do_without_is_reported() -> None:
    found = influence("chinchilla", ladder(sizes=3, budgets=4), flops=1e22, bootstrap=30)
    assert [bool(row.doubt) for row in found.sizes] == [True] * 3
    assert all(row.value is None or "left" in row.doubt for row in found.sizes)
    assert not any(row.influential for row in found.sizes if row.value is None)


def test_leaving_out_the_run_of_a_needed_level_is_a_search_of_its_own() -> None:
    rows = [
        {"run_id": f"n{size}", "params": size, "tokens": tokens, "loss": 1.8 + 480 / size**0.35
         + 2000 / tokens**0.37 + 0.002 * ((i * j) % 3), "is_final": True}
        for i, size in enumerate((1e7, 1e8, 1e9)) for j, tokens in enumerate((1e9, 4e9, 2e10, 8e10))
    ]  # fmt: skip
    found = influence("chinchilla", read_runs(rows), flops=1e22, bootstrap=30)
    assert all(row.doubt for row in found.each_run)
    assert all(row.points == 4 for row in found.each_run)


def test_many_sizes_are_left_out_by_neighbours_and_equal_ones_stay_together() -> None:
    sizes = np.repeat(np.geomspace(1e6, 1e9, 40), 3)
    groups = size_groups(sizes)
    assert len(groups) == 12
    assert sum(rows.sum() for _, rows in groups) == 120
    assert all(rows.reshape(40, 3).all(axis=1).sum() * 3 == rows.sum() for _, rows in groups)


def test_of_too_many_runs_the_most_influential_are_refitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = spoiled(spoiled(ladder(), 20, 1.1), 3, 0.95)
    whole = influence("chinchilla", table, flops=1e22, objective="ls-log", bootstrap=30)
    monkeypatch.setattr(leave_out, "MOST_RUNS", 8)
    some = influence("chinchilla", table, flops=1e22, objective="ls-log", bootstrap=30)
    assert some.screened_out == 20
    assert [row.label for row in some.each_run[:2]] == [row.label for row in whole.each_run[:2]]


def test_priors_and_fixed_constants_hold_in_every_fit() -> None:
    settings = {"fixed": {"E": 1.7}, "bootstrap": 30}
    found = influence("chinchilla", ladder(), params=7e9, tokens=1e12, **settings)  # type: ignore[arg-type]
    rest = ladder().without([found.each_run[0].label])
    again = fit("chinchilla", rest, fixed={"E": 1.7}, bootstrap=0)
    target = target_at(rest, params=7e9, tokens=1e12)
    assert found.each_run[0].value == pytest.approx(
        answers(again.law, again.theta, target)[0], rel=1e-4
    )


def test_what_does_not_determine_the_law_is_refused() -> None:
    same = {"params": [1e7, 1e8, 1e9] * 3, "tokens": [1e9] * 3 + [1e10] * 3 + [1e11] * 3}
    with pytest.raises(UnfitDataError, match="do not determine every constant"):
        influence("chinchilla", {**same, "loss": [3.0] * 9}, flops=1e22)
    with pytest.raises(UnfitDataError, match="do not determine every constant"):
        influence("chinchilla", ladder(sizes=2, budgets=5), flops=1e22)
    with pytest.raises(UnfitDataError, match="5 free constants and there are 1 points"):
        influence("chinchilla", {"params": [1e7], "tokens": [1e9], "loss": [3.0]}, flops=1e22)


def test_without_resamples_there_is_nothing_to_measure_by() -> None:
    with pytest.raises(UsageError, match="bootstrap=0 leaves no interval"):
        influence("chinchilla", ladder(), flops=1e22, bootstrap=0)


def test_the_outlier_of_the_published_points_is_found() -> None:
    """Leaving out the first point moves 6.8 tokens per param to 10.1, as in spec 3.2 for k = 1."""
    found = influence(
        "chinchilla", shared_table("chinchilla_epoch/points.parquet"), flops=5.76e23, bootstrap=60
    )
    assert found.base.value == pytest.approx(6.8, abs=0.05)
    assert found.each_run[0].label == "chin-000"
    assert found.each_run[0].value == pytest.approx(10.1, abs=0.05)
    assert len(found.each_run) == 245
    assert len(found.sizes) == 12
