"""What batch scans need of a run: averaged weights, a loss to stop at, batches that grow."""

from __future__ import annotations

from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import UsageError
from scalewise.train.batches import Batches
from scalewise.train.cost import estimate_cost, training_flops_exact
from scalewise.train.learner import Learner
from scalewise.train.schedule import Segment, lr_factor, segments, tokens_trained
from scalewise.train.tokenizer import TokenizedCorpus
from scalewise.train.trainer import train_run
from tests.train.small_runs import outcome, small_spec, small_tokens

GROWING = small_spec(
    schedule="constant",
    token_budgets=(16_384,),
    batch_tokens=256,
    batch_stages=((64, 20), (128, 30)),
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenizedCorpus:
    return small_tokens(tmp_path_factory.mktemp("corpus"))


def test_stages_count_tokens_and_steps_both_ways() -> None:
    assert [GROWING.batch_at(step) for step in (0, 19, 20, 49, 50)] == [64, 64, 128, 128, 256]
    assert [GROWING.tokens_at(step) for step in (0, 20, 50, 51)] == [0, 1280, 5120, 5376]
    assert GROWING.steps == 50 + (16_384 - 5_120) // 256
    for step in range(GROWING.steps):
        assert GROWING.steps_within(GROWING.tokens_at(step)) == step
        assert GROWING.steps_within(GROWING.tokens_at(step + 1) - 1) == step


def test_a_growing_batch_takes_each_window_once_and_a_rate_by_its_root(
    tmp_path: Path, tokens: TokenizedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, rates = [], []
    plain = Learner.update

    def watched(learner: Learner, inputs: np.ndarray, targets: np.ndarray, lr: float) -> None:
        seen.append(inputs)
        rates.append(lr)
        plain(learner, inputs, targets, lr)

    monkeypatch.setattr(Learner, "update", watched)
    rows = train_run(GROWING, tokens, tmp_path)
    batches = Batches(tokens.train, context_length=32, batch_tokens=16_384, seed=0)
    np.testing.assert_array_equal(np.concatenate(seen), batches.batch(0)[0])
    assert rates[19] == pytest.approx(GROWING.lr_peak * sqrt(64 / 256))
    assert rates[49] == pytest.approx(GROWING.lr_peak * sqrt(128 / 256))
    assert rates[-1] == GROWING.lr_peak
    assert (rows[0]["batch_tokens"], rows[-1]["batch_tokens"]) == (64, 256)
    assert rows[-1]["tokens"] == 16_384


def test_stages_are_in_the_cost_and_the_segments() -> None:
    assert segments(GROWING) == (Segment("trunk", 0, GROWING.steps),)
    assert tokens_trained(GROWING) == 16_384
    same = small_spec(schedule="constant", token_budgets=(16_384,), batch_tokens=256)
    assert training_flops_exact(GROWING) == training_flops_exact(same)
    assert estimate_cost([GROWING])[0].updates == GROWING.steps
    assert lr_factor(GROWING, segments(GROWING)[0], 0) == pytest.approx(0.1 * 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_stages": ((100, 5),)}, "not a multiple of context_length=32"),
        ({"batch_stages": ((64,),)}, r"batch_stages=\(\(64,\),\)"),
        ({"batch_stages": ((64, 0),)}, "not a multiple of context_length=32"),
        ({"averaging": 1.0}, "averaging=1.0"),
        ({"stop_loss": 2.0}, "stop_loss=2.0 and schedule 'wsd'"),
        ({"stop_loss": -1.0, "schedule": "constant", "token_budgets": (4096,)}, "stop_loss=-1.0"),
        ({"noise_every": -1}, "noise_every=-1"),
    ],
)
def test_impossible_runs_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small_spec(**change)


def test_unused_new_fields_leave_the_folders_of_earlier_releases_alone() -> None:
    assert small_spec().fingerprint == small_spec(averaging=0.0, batch_stages=()).fingerprint
    changed: list[dict[str, Any]] = [
        {"averaging": 0.1},
        {"noise_every": 5},
        {"batch_stages": ((64, 20),)},
    ]
    prints = {small_spec(**change).fingerprint for change in changed}
    assert len(prints | {small_spec().fingerprint}) == 4


def test_a_run_ends_at_the_loss_that_it_was_to_stop_at(
    tmp_path: Path, tokens: TokenizedCorpus
) -> None:
    settings = {"schedule": "constant", "token_budgets": (16_384,), "eval_points": 12}
    whole = train_run(small_spec(**settings), tokens, tmp_path)
    target = 0.5 * (whole[4]["loss"] + whole[5]["loss"])
    stopped = train_run(small_spec(**settings, stop_loss=target), tokens, tmp_path)
    assert [row["loss"] for row in stopped] == [row["loss"] for row in whole[: len(stopped)]]
    assert stopped[-1]["loss"] <= target < stopped[-2]["loss"]
    assert [row["is_final"] for row in stopped] == [False] * (len(stopped) - 1) + [True]
    assert (stopped[-1]["status"], stopped[-1]["is_annealed"]) == ("ok", False)


def test_the_end_of_a_curve_is_measured_on_the_text_of_the_rest(
    tmp_path: Path, tokens: TokenizedCorpus
) -> None:
    spec = small_spec(schedule="constant", token_budgets=(8_192,))
    assert len({row["eval_set"] for row in train_run(spec, tokens, tmp_path)}) == 1


def test_averaged_weights_are_measured_and_the_run_itself_is_not_changed(
    tmp_path: Path, tokens: TokenizedCorpus
) -> None:
    settings = {"schedule": "constant", "token_budgets": (16_384,), "lr_peak": 0.05}
    plain, averaged = small_spec(**settings), small_spec(**settings, averaging=0.1)
    rough, smooth = (train_run(spec, tokens, tmp_path) for spec in (plain, averaged))
    assert outcome(tmp_path, plain)[0] == outcome(tmp_path, averaged)[0]
    assert smooth[-1]["loss"] < rough[-1]["loss"]
    assert smooth[-1]["train_loss"] == rough[-1]["train_loss"]
    assert (rough[-1]["averaging"], smooth[-1]["averaging"]) == (0.0, 0.1)


def test_an_average_begins_at_the_first_weights_and_survives_a_checkpoint() -> None:
    draw = np.random.default_rng(0)
    inputs, targets = draw.integers(0, 256, (4, 32)), draw.integers(0, 256, 128)
    learner = Learner(small_spec(averaging=0.25))
    weights = []
    for _ in range(3):
        learner.update(inputs, targets, 0.01)
        weights.append(learner.arrays()["hidden.weight"])
    # Weights of the updates so far: 1, then 1/(1 + 0.25) and 1/(1 + 0.5) for the new one.
    average = weights[0] + (weights[1] - weights[0]) / 1.25
    average += (weights[2] - average) / 1.5
    np.testing.assert_allclose(learner.arrays()["hidden.average"], average, atol=1e-7)
    again = Learner(small_spec(averaging=0.25))
    again.restore(learner.arrays())
    for one in (learner, again):
        one.update(inputs, targets, 0.01)
    np.testing.assert_array_equal(learner.losses(inputs, targets), again.losses(inputs, targets))
    assert learner.losses(inputs, targets).mean() < log(256)
