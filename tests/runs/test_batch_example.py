"""The embedded batch-size experiment: what it spans, and that its parts can be compared."""

from __future__ import annotations

from collections import Counter

import numpy as np

from scalewise.runs.example.batch import batch_branches, batch_runs


def test_one_size_is_trained_at_six_batch_sizes_or_more_over_a_factor_of_32() -> None:
    scan = batch_runs().where("d_model == 48 and seed == 0").column("batch_tokens")
    assert len(np.unique(scan)) >= 6
    assert scan.max() / scan.min() >= 32


def test_six_sizes_or_more_are_trained_at_one_batch_size() -> None:
    ladder = batch_runs().where("batch_tokens == 1024").column("params_nonembed")
    assert len(np.unique(ladder)) >= 6
    assert ladder.max() / ladder.min() > 10


def test_every_curve_is_dense_at_constant_rate_and_on_one_text() -> None:
    runs = batch_runs()
    assert set(runs.frame["eval_set"]) == {"stdlib:val[:65536]"}
    assert set(runs.frame["schedule"]) == {"constant"}
    assert set(runs.frame["status"]) == {"ok"}
    assert min(Counter(runs.frame["run_id"]).values()) >= 40
    finals = runs.frame.filter(runs.frame["is_final"])
    assert sorted(finals["run_id"]) == sorted(set(runs.frame["run_id"]))
    assert runs.column("tokens").max() < runs.column("tokens_unique").min()  # nothing repeats


def test_larger_batches_take_fewer_steps_and_more_tokens_to_a_loss() -> None:
    runs = batch_runs().where("d_model == 48 and seed == 0")
    reached = {}
    for size in (1024, 4096, 16384):
        curve = runs.where(f"batch_tokens == {size}")
        reached[size] = curve.column("step")[curve.column("loss") <= 1.6].min()
    assert reached[1024] > reached[4096] > reached[16384]
    assert 1024 * reached[1024] < 4096 * reached[4096] < 16384 * reached[16384]


def test_rates_follow_one_rule_in_size_and_batch() -> None:
    runs = batch_runs().finals()
    logs = [np.log(runs.column(name)) for name in ("batch_tokens", "params_nonembed", "lr_peak")]
    X = np.column_stack([np.ones(len(logs[0])), *logs[:2]])
    _, residual, *_ = np.linalg.lstsq(X, logs[2], rcond=None)
    assert float(residual[0]) < 1e-8


def test_the_gradient_noise_scale_grows_along_a_run() -> None:
    noisy = batch_runs().where("noise_scale_tokens > 0 and d_model == 48")
    first, last = noisy.column("noise_scale_tokens")[[0, -1]]
    assert last > 2 * first


def test_local_critical_batches_were_measured_at_two_moments() -> None:
    early, late = batch_branches()
    assert early["tokens"] < late["tokens"]
    assert all(found["low_tokens"] < found["high_tokens"] for found in (early, late))
