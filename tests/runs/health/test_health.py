"""Each health check on a table that has its illness, and on one that has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalewise.runs.health import CHECKS, Finding, check_health
from scalewise.runs.read import read_runs
from tests.shared_data import shared_table


def healthy() -> dict[str, Any]:
    """Twelve finished runs on the Chinchilla law: four sizes, three budgets."""
    params = np.repeat([1e7, 3e7, 1e8, 3e8], 3)
    tokens = params * np.tile([10.0, 20.0, 40.0], 4)
    return {
        "run_id": [f"run {i}" for i in range(12)],
        "params": params,
        "tokens": tokens,
        "loss": 1.69 + 406.4 / params**0.34 + 410.7 / tokens**0.28,
        "is_final": [True] * 12,
        "family": ["f"] * 12,
        "eval_set": ["c4"] * 12,
    }


def curve(n: int = 40) -> dict[str, Any]:
    """One run of each of three sizes with n checkpoints."""
    tokens = np.tile(np.geomspace(1e8, 1e10, n), 3)
    params = np.repeat([1e7, 3e7, 1e8], n)
    noise = np.random.default_rng(0).normal(0.0, 0.002, 3 * n)
    return {
        "run_id": np.repeat(["a", "b", "c"], n),
        "params": params,
        "tokens": tokens,
        "loss": 1.69 + 406.4 / params**0.34 + 410.7 / tokens**0.28 + noise,
    }


def findings(columns: dict[str, Any]) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_health(read_runs(columns))}


def spoiled(name: str, changes: dict[int, Any]) -> dict[str, Any]:
    columns = healthy()
    columns[name] = [changes.get(i, value) for i, value in enumerate(columns[name])]
    return columns


def test_a_healthy_table_has_no_findings() -> None:
    assert check_health(read_runs(healthy())) == ()


def test_a_healthy_curve_is_only_told_to_be_unfinished() -> None:
    assert set(findings(curve())) == {"unfinished checkpoints among finals", "one value of tokens"}


def test_every_finding_quotes_and_mends_and_errors_come_first() -> None:
    columns = spoiled("loss", {2: -1.0, 5: float("nan")}) | {"tokenizer": ["x", "y"] * 6}
    found = check_health(read_runs(columns))
    assert all(finding.fact.endswith(".") and finding.mend for finding in found)
    order = [("error", "warning", "note").index(finding.severity) for finding in found]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("name", "value", "finding", "fact"),
    [
        ("loss", -1.0, "non-positive loss", r"row 3 (-1)"),
        ("loss", 0.0, "non-positive loss", "row 3 (0)"),
        ("loss", float("nan"), "loss not finite", "row 3 (nan)"),
        ("loss", float("inf"), "loss not finite", "row 3 (inf)"),
        ("loss", None, "missing loss", "1 of 12 rows: row 3 ('run 2')"),
        ("params", None, "missing params", "row 3 ('run 2')"),
        ("params", -7e9, "non-positive params", "row 3 (-7e+09)"),
        ("tokens", -1.0, "non-positive tokens", "row 3 (-1)"),
    ],
)
def test_an_impossible_value_is_an_error_with_its_row(
    name: str, value: float | None, finding: str, fact: str
) -> None:
    found = findings(spoiled(name, {2: value}))[finding]
    assert (found.severity, found.rows) == ("error", (3,))
    assert fact in found.fact


def test_step_zero_rows_are_a_warning() -> None:
    columns = healthy()
    columns = {k: [*v, v[-1]] for k, v in columns.items()}
    columns["tokens"][-1], columns["is_final"][-1] = 0, False
    found = findings(columns)
    assert found["zero tokens"].severity == "warning"
    assert "non-positive tokens" not in found


def test_a_table_without_loss_or_scale_says_so() -> None:
    assert "bits_per_byte" in findings({"N": [1e6], "bits_per_byte": [1.0]})["no loss"].fact
    assert "no scale" in findings({"loss": [3.0]})


def test_perplexity_passed_as_loss_is_seen_with_the_reasoning() -> None:
    columns = healthy()
    columns["loss"] = np.exp(columns["loss"])
    found = findings(columns)["perplexity as loss"]
    assert found.severity == "error"
    assert "their logarithms" in found.fact


def test_a_known_vocabulary_lowers_the_bound() -> None:
    columns = healthy() | {"vocab_size": [256] * 12, "tokenizer": ["bytes"] * 12}
    columns["loss"] = np.linspace(7.5, 9.0, 12)
    assert "ln(vocab_size)" in findings(columns)["perplexity as loss"].fact


def test_one_loss_above_a_uniform_guess_is_no_perplexity() -> None:
    found = findings(spoiled("loss", {4: 14.0}))
    assert "row 5 (14)" in found["loss above a uniform guess"].fact
    assert "perplexity as loss" not in found


def test_bits_passed_as_loss_are_seen_beside_the_truth() -> None:
    columns = healthy()
    columns["perplexity"] = np.exp(columns["loss"])
    assert "bits or perplexity as loss" not in findings(columns)
    columns["loss"] = np.log2(columns["perplexity"])
    assert "log2(perplexity)" in findings(columns)["bits or perplexity as loss"].fact
    columns["bits_per_byte"] = columns["loss"]
    assert findings(columns)["bits or perplexity as loss"].severity == "error"


def test_losses_as_low_as_bits_per_byte_are_a_warning_unless_tokens_are_bytes() -> None:
    columns = healthy()
    columns["loss"] = np.linspace(1.2, 0.8, 12)
    assert findings(columns)["bits per byte as loss"].severity == "warning"
    assert "bits per byte as loss" not in findings(columns | {"tokenizer": ["bytes"] * 12})


@pytest.mark.parametrize("unit", [1e6, 1e9])
@pytest.mark.parametrize("name", ["params", "tokens"])
def test_counts_in_millions_or_billions_are_errors(name: str, unit: float) -> None:
    columns = healthy()
    columns[name] = columns[name] / unit
    found = findings(columns)[f"{name} in millions or billions"]
    assert found.severity == "error"
    assert len(found.rows) == 12


def test_a_short_run_whose_steps_and_batches_amount_to_its_tokens_is_counted_right() -> None:
    short = {
        "params": [14_416.0, 26_232.0, 41_120.0],
        "loss": [2.4, 2.3, 2.2],
        "step": [195.0] * 3,
        "batch_tokens": [512.0] * 3,
        "tokens": [99_840.0] * 3,
    }
    assert "tokens in millions or billions" not in findings(short)
    assert "tokens in millions or billions" in findings({**short, "tokens": [998.4] * 3})


@pytest.mark.parametrize("name", ["params", "tokens"])
def test_a_count_beyond_anything_trained_is_an_error(name: str) -> None:
    found = findings(spoiled(name, {2: 1e300}))[f"{name} beyond measure"]
    assert (found.severity, found.rows) == ("error", (3,))
    assert "row 3 (1e+300)" in found.fact


def test_one_row_of_fractional_params_is_found() -> None:
    found = findings(spoiled("params", {0: 1070.5}))["params in millions or billions"]
    assert found.rows == (1,)
    assert "1070" in found.fact or "1071" in found.fact


def test_the_first_steps_of_a_curve_are_not_taken_for_millions() -> None:
    columns = curve()
    columns["tokens"] = np.tile(np.geomspace(4096, 1e10, 40), 3)
    assert "tokens in millions or billions" not in findings(columns)


def test_a_typing_error_in_tokens_stands_out() -> None:
    found = findings(spoiled("tokens", {11: 627e12}))["tokens per parameter out of range"]
    assert found.rows == (12,)


def test_tokens_that_contradict_step_times_batch_are_found() -> None:
    columns = healthy() | {"batch_tokens": [65_536] * 12}
    columns["step"] = columns["tokens"] / 65_536
    assert findings(columns) == {}
    columns["step"] = columns["step"] * 1.2
    assert findings(columns)["tokens contradict step * batch_tokens"].severity == "warning"


def test_a_batch_in_sequences_is_recognised() -> None:
    columns = healthy() | {"batch_tokens": [32] * 12, "context_length": [2048] * 12}
    columns["step"] = columns["tokens"] / 65_536
    found = findings(columns)["tokens contradict step * batch_tokens"]
    assert found.severity == "error"
    assert "batch_tokens holds sequences" in found.fact


def test_flops_that_wrapped_round_at_64_bits_are_found() -> None:
    params = np.array([7_000_000_000, 70_000_000_000, 1_000_000], dtype=np.int64)
    tokens = np.array([300_000_000_000, 1_400_000_000_000, 1_000_000_000], dtype=np.int64)
    with np.errstate(over="ignore"):
        flops = 6 * params * tokens
    columns = {"params": params, "tokens": tokens, "flops": flops, "loss": [2.0, 1.9, 4.0]}
    found = findings(columns)["flops overflowed"]
    assert found.rows == (1, 2)
    assert "1.26e+22" in found.fact
    unsigned = columns | {"flops": flops.astype(np.uint64)}
    assert findings(unsigned)["flops overflowed"].rows == (1, 2)
    assert "flops overflowed" not in findings(columns | {"flops": 6.0 * params * tokens})


def test_large_flops_that_did_not_wrap_are_left_alone() -> None:
    columns = {"params": [1.6e9] * 3, "tokens": [1.2e9] * 3, "loss": [3.0] * 3}
    assert 2.0**63 < 6 * 1.6e9 * 1.2e9 < 2.0**64
    assert "flops overflowed" not in findings(columns)


def test_flops_beyond_threefold_of_6nd_are_noted() -> None:
    columns = healthy()
    columns["flops"] = 24.0 * columns["params"] * columns["tokens"]
    assert findings(columns)["flops far from 6ND"].severity == "note"
    columns["flops"] = 12.0 * columns["params"] * columns["tokens"]
    assert "flops far from 6ND" not in findings(columns)


def test_more_nonembedding_parameters_than_parameters_are_an_error() -> None:
    columns = healthy()
    columns["params_nonembed"] = columns["params"] * 1.1
    assert findings(columns)["params_nonembed exceeds params"].severity == "error"
    columns["params_nonembed"] = columns["params"]
    assert findings(columns)["params equal params_nonembed"].severity == "note"
    columns["params_nonembed"] = columns["params"] * 0.9
    assert findings(columns) == {}


def test_rows_repeated_after_a_restart_are_counted() -> None:
    columns = {name: [*values, *values[5:8]] for name, values in curve().items()}
    found = findings(columns)["duplicate rows"]
    assert found.rows == (6, 7, 8)
    assert "3 rows of 1 runs" in found.fact
    assert ".deduplicated()" in found.mend


def test_a_spike_that_recovers_is_a_warning() -> None:
    columns = curve()
    columns["loss"][20] += 1.5
    found = findings(columns)
    assert found["loss spikes"].rows == (21,)
    assert not {"diverged runs", "rising tails"} & set(found)


def test_a_run_that_ends_far_above_its_best_has_diverged() -> None:
    columns = curve()
    columns["loss"][36:40] += [0.5, 1.0, 2.0, 3.0]
    found = findings(columns)
    assert found["diverged runs"].rows == (40,)
    assert "'a'" in found["diverged runs"].fact
    assert "loss spikes" not in found


def test_a_tail_that_rises_a_little_is_a_warning() -> None:
    columns = curve()
    columns["loss"][30:40] += np.linspace(0.0, 0.4, 10)
    assert findings(columns)["rising tails"].rows == (40,)


def test_a_status_of_divergence_is_an_error() -> None:
    columns = healthy() | {"status": ["ok"] * 11 + ["diverged"]}
    assert findings(columns)["diverged status"].rows == (12,)


def test_a_final_far_worse_than_a_smaller_one_is_found() -> None:
    found = findings(spoiled("loss", {11: 7.0}))["diverged or mistuned runs"]
    assert (found.severity, found.rows) == ("error", (12,))


def test_a_final_is_held_against_the_best_smaller_run_wherever_it_stands() -> None:
    # Rows come in any order; the one with the fewest params and tokens is the yardstick.
    runs = {
        "params": [4e8, 1e8, 2e8, 2e8],
        "tokens": [8e9, 2e9, 1e9, 8e9],
        "loss": [4.0, 2.5, 9.0, 3.6],
    }
    assert findings(runs)["diverged or mistuned runs"].rows == (1,)


def test_a_row_without_loss_or_written_twice_is_no_unfinished_checkpoint() -> None:
    gap = findings(spoiled("loss", {2: None}))
    assert "missing loss" in gap
    assert "unfinished checkpoints among finals" not in gap
    twice = {name: [*values, values[-1]] for name, values in healthy().items()}
    assert "unfinished checkpoints among finals" not in findings(twice)


@pytest.mark.parametrize(
    ("name", "severity"),
    [("tokenizer", "error"), ("eval_set", "error"), ("corpus", "error"), ("family", "warning")],
)
def test_what_must_not_be_mixed_is_named(name: str, severity: str) -> None:
    found = findings(healthy() | {name: ["it's", "y"] * 6})[f"mixed {name}"]
    assert found.severity == severity
    assert "2 values" in found.fact


def test_the_mend_of_a_mixture_is_a_condition_that_works() -> None:
    runs = read_runs(healthy() | {"corpus": ["c4", "pile", "c4"] * 4})
    (found,) = check_health(runs)
    assert """.where("corpus == 'c4'")""" in found.mend
    assert check_health(runs.where("corpus == 'c4'")) == ()


def test_unannealed_finals_among_annealed_ones_are_a_warning() -> None:
    columns = healthy() | {"is_annealed": [True] * 10 + [False] * 2}
    assert findings(columns)["unannealed finals"].rows == (11, 12)


def test_too_few_sizes_are_an_error_and_one_budget_a_warning() -> None:
    columns = healthy()
    columns["params"] = np.repeat([1e7, 1e8], 6)
    columns["tokens"] = [1e9] * 12
    found = findings(columns)
    assert found["fewer than three sizes"].severity == "error"
    assert found["one value of tokens"].severity == "warning"


def test_checkpoints_without_run_id_are_not_silently_runs() -> None:
    columns = curve()
    del columns["run_id"]
    assert "checkpoints taken for runs" in findings(columns)


def test_hostile_names_are_escaped_in_findings() -> None:
    columns = spoiled("loss", {0: None})
    columns["run_id"][0] = "\x1b[2J\nboo"
    assert all("\x1b" not in f.fact and "\n" not in f.fact for f in findings(columns).values())


def test_every_check_survives_a_table_of_one_column_and_one_of_nothing_finite() -> None:
    for columns in (
        {"loss": [3.0]},
        {"params": [1e6]},
        {"step": [1]},
        {k: [float("nan")] * 6 for k in ("params", "tokens", "loss", "flops", "step")},
        {k: [None] * 6 for k in ("params", "tokens", "loss", "batch_tokens", "status")},
    ):
        table = read_runs(columns)
        for check in CHECKS:
            assert all(isinstance(finding, Finding) for finding in check(table))


def names_found(table: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_health(read_runs(shared_table(table)))}


def test_the_chinchilla_points_are_healthy() -> None:
    assert names_found("chinchilla_epoch/points.parquet") == {}


def test_the_eight_evaluation_sets_of_gadre_are_noticed() -> None:
    found = names_found("gadre_overtraining/losses.parquet")
    assert "There are 8 values of eval_set" in found["mixed eval_set"].fact
    assert "There are 3 values of corpus" in found["mixed corpus"].fact


def test_the_diverged_step_law_runs_are_noticed() -> None:
    found = names_found("steplaw/dense.parquet")
    assert found["diverged or mistuned runs"].severity == "error"
    assert len(found["diverged or mistuned runs"].rows) > 100
    assert "params equal params_nonembed" in found


def test_the_missing_points_of_porian_and_the_first_rows_of_clark_are_noticed() -> None:
    assert len(names_found("porian_isoflop/isoflop_points.parquet")["missing loss"].rows) == 3
    found = names_found("clark_routing/curves.parquet")
    assert len(found["zero tokens"].rows) == 223
    assert "unfinished checkpoints among finals" in found


def test_a_count_that_another_stands_in_for_is_only_a_warning() -> None:
    columns = healthy() | {"params_nonembed": [None] * 3 + [5e5] * 9}
    found = findings(columns)["missing params_nonembed"]
    assert (found.severity, found.rows) == ("warning", (1, 2, 3))


def test_leaving_out_failed_runs_keeps_those_of_unknown_status() -> None:
    columns = healthy() | {"status": ["failed"] * 2 + ["ok"] * 10}
    assert "status == 'ok'" in findings(columns)["diverged status"].mend
    columns["status"] = ["failed"] * 2 + [None] * 10
    found = findings(columns)["diverged status"]
    assert ".without([...])" in found.mend
    assert "runs: row 1 (" in found.fact
