"""Every step's batch follows from seed and step, and an epoch uses each window once."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import RunDataError
from scalewise.train.batches import Batches, Windows, epoch_order

TOKENS = np.arange(1001, dtype=np.uint16)


def batches(seed: int = 0, batch_tokens: int = 40) -> Batches:
    return Batches(TOKENS, context_length=10, batch_tokens=batch_tokens, seed=seed)


def test_targets_are_the_tokens_that_follow() -> None:
    inputs, targets = batches().batch(3)
    assert inputs.shape == (4, 10)
    assert np.array_equal(inputs.reshape(-1) + 1, targets)
    assert set(inputs[:, 0] % 10) == {0}


def test_a_batch_depends_on_seed_and_step_only() -> None:
    first = batches()
    late_then_early = [first.batch(step)[0] for step in (70, 3)]
    fresh = [batches().batch(step)[0] for step in (70, 3)]
    assert all(np.array_equal(a, b) for a, b in zip(late_then_early, fresh, strict=True))
    assert not np.array_equal(fresh[1], batches(seed=1).batch(3)[0])


@pytest.mark.parametrize("batch_tokens", [40, 30, 70])
def test_an_epoch_sees_every_window_once_and_the_next_in_another_order(batch_tokens: int) -> None:
    source = batches(batch_tokens=batch_tokens)
    per_batch = batch_tokens // 10
    starts = [source.batch(step)[0][:, 0] for step in range(200 // per_batch + 1)]
    seen = np.concatenate(starts)[:200]
    assert sorted(seen[:100]) == sorted(seen[100:]) == list(range(0, 1000, 10))
    assert list(seen[:100]) != list(seen[100:])


def test_the_order_is_the_promised_one() -> None:
    # A change here makes every published loss of the embedded example irreproducible.
    assert epoch_order(0, 0, 8).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]


def test_too_few_tokens_for_one_window_are_an_error() -> None:
    with pytest.raises(RunDataError, match=r"10 tokens do not fill one context of 10 \+ 1"):
        Windows(TOKENS[:10], 10)
