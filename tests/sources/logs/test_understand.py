from __future__ import annotations

import math

import polars as pl
import pytest

from scalewise.sources.logs.log import Fact, Log, Meaning
from scalewise.sources.logs.mapping import Corrections, corrections_from
from scalewise.sources.logs.metric_names import guess
from scalewise.sources.logs.points import Points
from scalewise.sources.logs.rows import TRAIN_SET, rows_of
from scalewise.sources.logs.understand import Understood, understand

STEPS = range(1, 11)


def a_log(metrics: dict[str, list[float | None]], kind: str = "tensorboard", **more: object) -> Log:
    points = Points()
    for name, values in metrics.items():
        for step, value in zip(STEPS, values, strict=False):
            if value is not None:
                points.add(step, name, value)
    return Log(run_id="r", name="r", kind=kind, source="x", points=points.frame(), **more)  # type: ignore[arg-type]


def tokens_of(found: Understood) -> tuple[list[int], str]:
    rows, _ = rows_of(found)
    confidence = next(c.confidence for c in found.choices if c.column == "tokens")
    return rows["tokens"].to_list(), confidence


LOSS: dict[str, list[float | None]] = {"val/loss": [None, 3.0, None, 2.0]}


def test_logged_tokens_are_the_axis_and_read_between_their_steps() -> None:
    log = a_log({**LOSS, "train/tokens_seen": [100.0, None, 300.0, 400.0]})
    assert tokens_of(understand(log)) == ([200, 400], "named")


def test_consumed_samples_times_the_sequence_length_come_next() -> None:
    log = a_log({**LOSS, "consumed_samples": [10, 20, 30, 40]}, config={"seq_length": 8})
    assert tokens_of(understand(log)) == ([160, 320], "derived")


def test_steps_times_batch_are_derived_and_wandb_steps_assumed() -> None:
    config: dict[str, object] = {"global_batch_size": 4, "block_size": 16}
    assert tokens_of(understand(a_log(LOSS, config=config))) == ([128, 256], "derived")
    assert tokens_of(understand(a_log(LOSS, "wandb", config=config))) == ([128, 256], "assumed")


def test_an_update_counter_wins_over_the_steps_of_the_log() -> None:
    metrics: dict[str, list[float | None]] = {**LOSS, "trainer/global_step": [10, 20, 30, 40]}
    found = understand(a_log(metrics, "wandb", config={"batch_tokens": 5}))
    assert tokens_of(found) == ([100, 200], "derived")
    assert rows_of(found)[0]["step"].to_list() == [20, 40]


def test_a_growing_batch_is_summed_over_steps() -> None:
    log = a_log({**LOSS, "batch_tokens": [10.0, 10.0, 20.0, 20.0]})
    assert tokens_of(understand(log)) == ([20, 60], "derived")


def test_without_any_of_these_tokens_are_unknown_and_said_so() -> None:
    found = understand(a_log(LOSS))
    assert next(c for c in found.choices if c.column == "tokens").confidence == "unknown"
    assert "tokens" not in rows_of(found)[0].columns


def test_a_batch_on_devices_that_nobody_counted_is_assumed() -> None:
    config = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "block_size": 8}
    found = understand(a_log(LOSS, config=config))
    assert found.facts["batch_tokens"].value == 64
    assert found.facts["batch_tokens"].confidence == "assumed"
    assert "on one device" in found.facts["batch_tokens"].how


def test_a_large_batch_size_is_taken_for_tokens() -> None:
    found = understand(a_log(LOSS, config={"global_batch_size": 524288, "block_size": 2048}))
    assert found.facts["batch_tokens"].value == 524288
    assert found.facts["batch_tokens"].confidence == "assumed"


def test_validation_sets_are_rows_and_tasks_are_columns() -> None:
    metrics: dict[str, list[float | None]] = {
        "eval/lm/c4-validation/CE loss": [3.0], "eval/lm/pile-validation/CE loss": [2.5],
        "eval/downstream/arc (accuracy)": [0.4], "eval/downstream/arc (CE loss)": [1.2],
    }  # fmt: skip
    rows, _ = rows_of(understand(a_log(metrics)))
    assert rows.select("eval_set", "loss", "acc_arc", "loss_arc").sort("eval_set").rows() == [
        ("c4-validation", 3.0, 0.4, 1.2),
        ("pile-validation", 2.5, 0.4, 1.2),
    ]


def test_perplexity_and_bits_become_nats_only_where_that_is_known() -> None:
    rows, _ = rows_of(understand(a_log({"val/ppl": [math.e, 0.5]})))
    assert rows["loss"].to_list() == [1.0, None]
    bits = a_log({"val/bpb": [1.0]})
    assert "loss" not in rows_of(understand(bits))[0].columns
    told = corrections_from({"constants": {"bytes_per_token": 4}})
    assert rows_of(understand(bits, told))[0]["loss"].to_list() == [4 * math.log(2)]


def test_without_a_held_out_loss_the_training_loss_stands_in_and_is_told() -> None:
    points = Points()
    for step in range(1, 10_001):
        points.add(step, "train/loss", 3.0 + (step % 2) / 10)
    log = Log(run_id="r", name="r", kind="tensorboard", source="x", points=points.frame(),
              meanings={"train/loss": Meaning(column="train_loss", note="EMA(0.9)")})  # fmt: skip
    rows, notes = rows_of(understand(log))
    assert rows.height == 200
    assert rows["step"].max() == 10_000
    assert rows["loss"].to_list() == pytest.approx([3.05] * 200)
    assert set(rows["eval_set"]) == {TRAIN_SET}
    assert set(rows["train_loss_smoothing"]) == {"EMA(0.9)"}
    assert "averaged over 200 equal parts" in notes[0]


def test_a_format_that_knows_its_metrics_is_believed_over_their_names() -> None:
    log = a_log({"loss": [3.0], "eval_loss": [2.0]},
                meanings={"loss": Meaning(column="loss", eval_set="own")})  # fmt: skip
    found = understand(log)
    assert found.measures[("own", "loss")] == "loss"
    assert next(c for c in found.choices if c.from_ == "loss").confidence == "logged"


def test_the_user_is_believed_over_all() -> None:
    log = a_log({"val/loss": [3.0], "score": [2.0], "n": [7.0]}, config={"n_params": 1e6},
                facts={"params": Fact(value=2e6, how="header")})  # fmt: skip
    told = corrections_from({
        "columns": {"loss": "score", "tokens": "n"}, "constants": {"batch_tokens": 5},
        "runs": {"r": {"params": "3M"}},
    })  # fmt: skip
    rows, _ = rows_of(understand(log, told))
    picked = rows.select("loss", "tokens", "params", "batch_tokens").rows()
    assert picked == [(2.0, 7, 3e6, 5.0)]


def test_the_step_itself_may_count_tokens() -> None:
    told = corrections_from({"columns": {"tokens": "step"}})
    assert tokens_of(understand(a_log(LOSS), told)) == ([2, 4], "told")


def test_an_unfinished_run_has_no_final_row() -> None:
    short = a_log({"val/loss": [3.0] * 5}, config={"max_steps": 10})
    assert not rows_of(understand(short))[0]["is_final"].any()
    whole = a_log({"val/loss": [3.0] * 10}, config={"max_steps": 10})
    assert rows_of(understand(whole))[0]["is_final"].to_list() == [False] * 9 + [True]


def test_a_diverged_loss_stays_what_it_was() -> None:
    rows, _ = rows_of(understand(a_log({"val/loss": [3.0, math.nan]})))
    assert math.isnan(rows["loss"].to_list()[1])
    assert rows.schema["loss"] == pl.Float64


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("val/loss_bits", "bits_per_token"),
        ("eval/bits_per_token", "bits_per_token"),
        ("val/log_ppl", "loss"),
        ("log/val_ppl", "perplexity"),
        ("val_loss_per_byte", None),
        ("eval/bits_per_char", None),
        ("val/nll_sum", None),
    ],
)
def test_a_loss_in_another_unit_is_not_taken_for_nats_per_token(
    name: str, column: str | None
) -> None:
    known = guess(name)
    assert (known and known.meaning.column) == column


def test_a_metric_that_the_user_confirms_keeps_its_unit() -> None:
    log = a_log({"val_loss": [3.2, 3.1], "tokens_B": [0.5, 1.0], "total_petaflops": [1.0, 2.0]})
    told = {"tokens": "tokens_B", "flops": "total_petaflops"}
    rows, _ = rows_of(understand(log, Corrections(columns=told)))
    assert rows["tokens"].to_list() == [500_000_000, 1_000_000_000]
    assert rows["flops"].to_list() == [1e15, 2e15]


def test_a_sequence_length_under_the_name_that_fine_tuning_scripts_use_is_known() -> None:
    config = {"max_seq_length": 512, "global_batch_size": 8}
    log = a_log({"val/loss": [3.0, 2.9]}, config=config)
    assert tokens_of(understand(log))[0] == [4096, 8192]


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_an_evaluation_logged_by_a_call_of_its_own_saw_what_was_counted_last(kind: str) -> None:
    train: list[float | None] = [3.0, None, 2.9, None, 2.8, None]
    seen: list[float | None] = [100.0, None, 200.0, None, 300.0, None]
    log = a_log(
        {"train/loss": train, "tokens": seen, "val/loss": [None, 3, None, 2, None, 1]}, kind
    )
    assert tokens_of(understand(log))[0] == [100, 200, 300]


def test_a_counter_that_is_logged_less_often_than_the_loss_is_read_between() -> None:
    loss: list[float | None] = [3.0, 2.9, 2.8, 2.7, 2.6]
    seen: list[float | None] = [100.0, None, 300.0, None, None]
    log = a_log({"train/loss": loss, "tokens": seen, "val/loss": [None, 3, None, 2, None]}, "wandb")
    assert tokens_of(understand(log))[0] == [200, 400]


def test_the_steps_of_trackio_may_count_calls() -> None:
    log = a_log(LOSS, "trackio", config={"batch_tokens": 10})
    assert tokens_of(understand(log)) == ([20, 40], "assumed")


def test_tokens_that_do_not_grow_are_those_of_one_update() -> None:
    seen: list[float | None] = [500.0, 512.0, 508.0, 512.0]
    log = a_log({"val/loss": [None, 3.0, None, 2.0], "tokens": seen})
    assert tokens_of(understand(log)) == ([1012, 2032], "assumed")
    told = understand(log, Corrections(columns={"tokens": "tokens"}))
    assert tokens_of(told) == ([512, 512], "told")
    same = a_log({"val/loss": [None, 3.0, None, 2.0], "tokens": [512.0] * 4})
    assert tokens_of(understand(same)) == ([1024, 2048], "assumed")


def test_a_counter_seen_from_late_in_a_run_is_a_counter() -> None:
    points = Points()
    for step in range(1000, 1100, 10):
        points.add_row(step, {"tokens": step * 512.0, "val/loss": 3.0})
    log = Log(run_id="r", name="r", kind="tensorboard", source="x", points=points.frame())
    assert tokens_of(understand(log))[0][0] == 512_000
