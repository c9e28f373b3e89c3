from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.forecast.loss_curve import predict_curve
from scalewise.forecast.on_track import OnTrack, on_track
from scalewise.forecast.trajectory import Trajectory
from scalewise.runs.read import read_runs
from tests.forecast.trajectory_runs import fitted, log_text

CONSTANT = ((2**18, 60_000.0),)
GROWING = ((2**18, 20_000.0), (2**20, 40_000.0))


def judged(
    stages: Sequence[tuple[float, float]] = CONSTANT, size: float = 6e8, *, columns: Any = None,
    **log: Any,
) -> OnTrack:  # fmt: skip
    frame = pl.read_csv(io.StringIO(log_text(stages=stages, **log)))
    frame = frame.with_columns(**{k: pl.lit(v) for k, v in (columns or {}).items()})
    return on_track(fitted(), read_runs(frame), stages=stages, params_nonembed=size)


def test_a_run_on_the_law_stays_on_track() -> None:
    found = judged()
    assert not found.has_left
    assert found.until == 60_000


@pytest.mark.parametrize(("off", "side"), [(0.03, "above"), (-0.03, "below")])
def test_a_run_off_the_law_leaves_for_good(off: float, side: str) -> None:
    found = judged(off=off, from_step=6000)
    assert found.has_left
    assert found.side == side
    assert found.left_at is not None
    assert 6000 <= found.left_at < 7000


@pytest.mark.parametrize("status", ["running or crashed", "failed"])
def test_a_log_is_judged_whatever_it_says_of_its_end(status: str) -> None:
    assert judged(columns={"status": status}).step.tolist() == judged().step.tolist()


def test_steps_follow_from_tokens_and_the_planned_batches() -> None:
    frame = pl.read_csv(io.StringIO(log_text(stages=GROWING, upto=50_000)))
    early = pl.col("step") * 2**18
    later = 20_000 * 2**18 + (pl.col("step") - 20_000) * 2**20
    tokens = pl.when(pl.col("step") <= 20_000).then(early).otherwise(later).alias("tokens")
    by_tokens = frame.select(tokens, "loss")
    found = on_track(fitted(), read_runs(by_tokens), stages=GROWING, params_nonembed=6e8)
    assert found.step == pytest.approx(judged(GROWING, upto=50_000).step)
    assert not found.warnings
    beyond = read_runs({"tokens": [1e13], "loss": [2.0]})
    with pytest.raises(UsageError, match="The log goes on to step"):
        on_track(fitted(), beyond, stages=GROWING, params_nonembed=6e8)


def test_a_log_of_another_tokenizer_or_text_is_told() -> None:
    fit = replace(fitted(), facts={"tokenizer": "'gpt2'", "eval_set": "2 values: 'a', 'b'"})
    for columns, told in (
        ({"tokenizer": "gpt2", "eval_set": "b"}, ()),
        ({"tokenizer": "llama"}, ("The log has tokens of 'llama', the fit tokens of 'gpt2'",)),
        ({"eval_set": "c"}, ("The log has losses on 'c', the fit losses on 2 values: 'a', 'b'",)),
    ):
        frame = pl.read_csv(io.StringIO(log_text(stages=CONSTANT)))
        frame = frame.with_columns(**{name: pl.lit(value) for name, value in columns.items()})
        found = on_track(fit, read_runs(frame), stages=CONSTANT, params_nonembed=6e8)
        assert len(found.warnings) == len(told)
        assert all(w.startswith(t) for w, t in zip(found.warnings, told, strict=True))


def test_steps_that_are_no_updates_are_doubted() -> None:
    frame = pl.read_csv(io.StringIO(log_text(stages=CONSTANT)))
    frame = frame.with_columns(tokens=pl.col("step") * 2**18 / 8)
    found = on_track(fitted(), read_runs(frame), stages=CONSTANT, params_nonembed=6e8)
    assert any("are its steps optimizer updates?" in told for told in found.warnings)


@pytest.mark.parametrize(("off", "factor"), [(0.3665, "x1.44"), (-1.0, "x0.368")])
def test_a_log_off_by_one_factor_throughout_may_be_in_other_units(off: float, factor: str) -> None:
    found = judged(off=off, from_step=0)
    assert found.has_left
    assert any(f"The whole log lies {factor} of its forecast" in w for w in found.warnings)
    assert not any("whole log" in w for w in judged(off=0.05, from_step=0).warnings)


def test_batches_to_come_count_in_the_projected_loss() -> None:
    found = judged(GROWING, upto=15_000)
    trajectory = Trajectory.from_fit(fitted())
    curve = predict_curve(trajectory, 6e8, GROWING)
    assert found.planned.value == pytest.approx(curve.loss[-1], rel=1e-9)
    kept = predict_curve(trajectory, 6e8, CONSTANT)
    assert found.planned.value < kept.loss[-1] - 0.05


def test_a_run_within_its_second_stage_is_judged_by_both() -> None:
    found = judged(GROWING, upto=50_000)
    assert not found.has_left
    curve = predict_curve(Trajectory.from_fit(fitted()), 6e8, GROWING)
    assert found.planned.value == pytest.approx(curve.loss[-1], rel=1e-9)


def test_rows_that_only_carry_the_schedule_are_not_told_as_left_out() -> None:
    assert not any("without size" in note for note in judged(GROWING).left_out)
    text = log_text(stages=GROWING)
    lines = text.splitlines()
    lines[9] = lines[9].split(",")[0] + ",NaN"
    log = read_runs(pl.read_csv(io.StringIO("\n".join(lines))))
    found = on_track(fitted(), log, stages=GROWING, params_nonembed=6e8)
    assert "1 rows without size, step, batch or loss" in found.left_out


def test_a_log_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match="of a run of 7M params_nonembed, the forecast of 600M"):
        judged(columns={"params_nonembed": 7e6})
    assert not judged(columns={"params_nonembed": 6.02e8}).has_left


@pytest.mark.parametrize("stages", [CONSTANT, GROWING])
def test_a_log_of_another_batch_is_refused(stages: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(UsageError, match="a batch of 131k tokens, the forecast one of 262k"):
        judged(stages, columns={"batch_tokens": 2**17})


def test_a_log_beyond_the_planned_steps_is_refused() -> None:
    log = read_runs(pl.read_csv(io.StringIO(log_text())))
    with pytest.raises(UsageError, match="goes on to step 25k; the forecast ends at step 20k"):
        on_track(fitted(), log, stages=[(2**18, 20_000.0)], params_nonembed=6e8)


@pytest.mark.parametrize("stages", [CONSTANT, GROWING])
@pytest.mark.parametrize(
    ("columns", "missing"), [({"step": [2000, 3000]}, "loss"), ({"loss": [3.0, 2.9]}, "step")]
)
def test_a_log_without_steps_or_losses_is_refused(
    columns: dict[str, list[float]], missing: str, stages: tuple[tuple[float, float], ...]
) -> None:
    with pytest.raises(RunDataError, match=f"Loss curves need {missing}"):
        on_track(fitted(), read_runs(columns), stages=stages, params_nonembed=6e8)


@pytest.mark.parametrize("stages", [CONSTANT, GROWING])
def test_a_log_of_losses_that_are_not_numbers_is_refused(
    stages: tuple[tuple[float, float], ...],
) -> None:
    log = read_runs({"step": [2000, 3000], "loss": [float("nan")] * 2})
    with pytest.raises(RunDataError, match="rows is usable"):
        on_track(fitted(), log, stages=stages, params_nonembed=6e8)


def test_stages_say_all_of_the_plan() -> None:
    log = read_runs(pl.read_csv(io.StringIO(log_text())))
    for also in ({"until": 60_000}, {"batch_tokens": 2**18}):
        with pytest.raises(UsageError, match=f"are given with {next(iter(also))}"):
            on_track(fitted(), log, stages=CONSTANT, params_nonembed=6e8, **also)
    with pytest.raises(UsageError, match=r"stages=\[\] are given with no stage"):
        on_track(fitted(), log, stages=[], params_nonembed=6e8)
    with pytest.raises(UsageError, match="steps in stages=-3 must be positive"):
        on_track(fitted(), log, stages=[(2**18, -3.0)], params_nonembed=6e8)


def test_a_constant_plan_is_a_batch_and_a_last_step() -> None:
    log = read_runs(pl.read_csv(io.StringIO(log_text())))
    staged = on_track(fitted(), log, stages=CONSTANT, params_nonembed=6e8)
    plain = on_track(fitted(), log, until=60_000, batch_tokens=2**18, params_nonembed=6e8)
    assert staged.projected.value == pytest.approx(plain.projected.value, rel=1e-12)
    assert staged.left_out == plain.left_out
