"""Branches from a checkpoint: the data they see, where they end, and what they refuse."""

from __future__ import annotations

from math import inf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.train.branches import Branch, _ends, branched_batch
from scalewise.train.learner import Learner
from scalewise.train.tokenizer import TokenizedCorpus
from scalewise.train.trainer import train_run
from tests.train.small_runs import small_spec, small_tokens

SPEC = small_spec(schedule="constant", token_budgets=(8_192,), batch_tokens=64, averaging=0.1)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenizedCorpus:
    return small_tokens(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory, tokens: TokenizedCorpus) -> Path:
    folder = tmp_path_factory.mktemp("queue")
    train_run(SPEC, tokens, folder)
    return folder


def test_a_tiny_run_has_a_local_critical_batch(queue: Path, tokens: TokenizedCorpus) -> None:
    found = branched_batch(
        SPEC, tokens, queue, branch_tokens=4_096, factors=(1, 4, 16, 64), tolerance=0.02
    )
    assert (found.step, found.tokens) == (128, 8_192)
    assert [branch.updates for branch in found.branches] == [64, 16, 4, 1]
    assert [branch.lr / SPEC.lr_peak for branch in found.branches] == [1, 2, 4, 8]
    assert found.branches[-1].loss > found.branches[0].loss + found.tolerance
    assert found.low_tokens < found.critical_batch_tokens < found.high_tokens
    assert found.critical_batch_tokens == sqrt(found.low_tokens * found.high_tokens)


def test_all_branches_see_the_tokens_that_the_run_would_see_next(
    queue: Path, tokens: TokenizedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[float, list[np.ndarray]] = {}
    plain = Learner.update

    def watched(learner: Learner, inputs: np.ndarray, targets: np.ndarray, lr: float) -> None:
        seen.setdefault(lr, []).append(inputs)
        plain(learner, inputs, targets, lr)

    monkeypatch.setattr(Learner, "update", watched)
    branched_batch(SPEC, tokens, queue, branch_tokens=512, factors=(1, 2, 8))
    ran_on = small_spec(schedule="constant", token_budgets=(8_704,), batch_tokens=64)
    branches = [np.concatenate(pieces) for pieces in seen.values()]
    seen.clear()
    train_run(ran_on, tokens, queue)
    (whole,) = (np.concatenate(seen[lr]) for lr in [ran_on.lr_peak])
    assert len(branches) == 3
    for branch in branches:
        np.testing.assert_array_equal(branch, whole[-16:])


@pytest.mark.parametrize(
    ("losses", "ends"),
    [
        ((2.0, 2.005, 2.02, 2.0), (128.0, 256.0)),  # a later good one does not count
        ((2.0, 1.95, 1.965, 3.0), (128.0, 256.0)),  # against the best so far
        ((2.0, inf), (64.0, 128.0)),
        ((2.0, 2.0, 2.0), (256.0, inf)),
    ],
)
def test_the_ends_are_the_last_branch_within_tolerance_and_the_next(
    losses: tuple[float, ...], ends: tuple[float, float]
) -> None:
    branches = [
        Branch(factor=2**n, batch_tokens=64 * 2**n, lr=0.01, updates=9, loss=loss)
        for n, loss in enumerate(losses)
    ]
    assert _ends(branches, 0.01) == ends


def test_a_run_without_a_checkpoint_is_refused(tmp_path: Path, tokens: TokenizedCorpus) -> None:
    with pytest.raises(RunDataError, match="Run 'small' has no checkpoint"):
        branched_batch(SPEC, tokens, tmp_path, branch_tokens=4_096)


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"schedule": "wsd"}, {}, "has schedule 'wsd'."),
        ({"batch_stages": ((32, 5),)}, {}, "schedule 'constant' and batch stages."),
        ({}, {"factors": (2, 2)}, "two or more whole numbers"),
        ({}, {"factors": (1, 1000)}, "shorter than one batch of 64000"),
    ],
)
def test_branches_that_mean_nothing_are_refused(
    changes: dict[str, object],
    settings: dict[str, Any],
    message: str,
    tmp_path: Path,
    tokens: TokenizedCorpus,
) -> None:
    spec = small_spec(**{"schedule": "constant", "token_budgets": (8_192,), "batch_tokens": 64}
                      | changes)  # fmt: skip
    with pytest.raises(UsageError, match=message):
        branched_batch(spec, tokens, tmp_path, branch_tokens=4_096, **settings)
