"""Which step does what: segments, learning rates, evaluations."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

import pytest

from scalewise.runs.spec import RunSpec
from scalewise.train.schedule import Segment, eval_steps, lr_factor, segments, total_updates
from tests.train.small_runs import small_spec

WSD = small_spec(token_budgets=(12_800, 25_600, 51_200))  # 100, 200 and 400 steps


def test_branches_leave_the_trunk_before_their_budget() -> None:
    assert segments(WSD) == (
        Segment("trunk", 0, 80),
        Segment("branch", 80, 100),
        Segment("trunk", 80, 160),
        Segment("branch", 160, 200),
        Segment("trunk", 160, 320),
        Segment("branch", 320, 400),
    )


def test_a_branching_run_costs_its_trunk_and_its_branches() -> None:
    assert total_updates(WSD) == 320 + 20 + 40 + 80


def test_a_run_that_decays_throughout_has_no_trunk() -> None:
    spec = small_spec(token_budgets=(12_800,), decay_fraction=1.0)
    assert segments(spec) == (Segment("branch", 0, 100),)
    assert eval_steps(spec) == frozenset()


def test_the_rate_warms_up_stays_and_falls_as_one_less_a_square_root() -> None:
    trunk, branch = Segment("trunk", 0, 80), Segment("branch", 80, 100)
    assert [lr_factor(WSD, trunk, step) for step in (0, 4, 9, 10, 79)] == [0.1, 0.5, 1, 1, 1]
    assert lr_factor(WSD, branch, 80) == 1.0
    assert lr_factor(WSD, branch, 85) == pytest.approx(0.5)
    assert lr_factor(WSD, branch, 99) == pytest.approx(1 - sqrt(19 / 20))


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("linear", 0.5, 1 / 90), ("cosine", 0.5, 0.0003)]
)
def test_other_schedules_fall_from_the_end_of_the_warm_up(
    schedule: str, middle: float, end: float
) -> None:
    spec = small_spec(schedule=schedule, token_budgets=(12_800,))
    (piece,) = segments(spec)
    assert lr_factor(spec, piece, 9) == 1.0
    assert lr_factor(spec, piece, 55) == pytest.approx(middle)
    assert lr_factor(spec, piece, 99) == pytest.approx(end, rel=0.02)
    factors = [lr_factor(spec, piece, step) for step in range(9, 100)]
    assert all(late < early for early, late in pairwise(factors[1:]))


def test_a_constant_schedule_stays() -> None:
    spec = small_spec(schedule="constant", token_budgets=(12_800,))
    (piece,) = segments(spec)
    assert {lr_factor(spec, piece, step) for step in range(10, 100)} == {1.0}


def test_no_warm_up_starts_at_the_peak() -> None:
    assert lr_factor(small_spec(warmup_steps=0), Segment("trunk", 0, 80), 0) == 1.0


@pytest.mark.parametrize("points", [0, 1, 2, 7, 24])
def test_evaluations_are_log_spaced_from_the_warm_up_to_the_end_of_the_trunk(points: int) -> None:
    spec: RunSpec = small_spec(token_budgets=(1_280_000,), eval_points=points)
    steps = sorted(eval_steps(spec))
    assert len(steps) == points
    if points > 1:
        assert (steps[0], steps[-1]) == (10, 8000)
        ratios = [late / early for early, late in pairwise(steps)]
        assert ratios == pytest.approx([800 ** (1 / (points - 1))] * (points - 1), rel=0.1)
