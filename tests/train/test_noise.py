"""The gradient noise scale: the estimator by hand and by simulation, and in the loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalewise.core.errors import UsageError
from scalewise.train.learner import Learner
from scalewise.train.noise import MEMORY, NoiseScale, parts_of, unbiased
from scalewise.train.trainer import train_run
from tests.train.small_runs import outcome, small_spec, small_tokens


def test_two_norms_give_gradient_and_noise_exactly() -> None:
    # |G|^2 = 1 and tr(Sigma) = 500: |g_16|^2 = 1 + 500/16, |g_256|^2 = 1 + 500/256.
    found = unbiased(small_sq=32.25, big_sq=2.953125, small_tokens=16, big_tokens=256)
    assert found == (1.0, 500.0)


@pytest.mark.parametrize(("small", "big"), [(256, 256), (256, 16), (0, 16)])
def test_one_batch_size_is_not_enough(small: int, big: int) -> None:
    with pytest.raises(UsageError, match="Two different batch sizes"):
        unbiased(small_sq=1.0, big_sq=1.0, small_tokens=small, big_tokens=big)


def test_the_ratio_of_averages_finds_a_simulated_noise_scale() -> None:
    draw = np.random.default_rng(3)
    gradient, spread = np.full(50, 0.2), 2.0  # |G|^2 = 2, tr(Sigma) = 50 * 4 = 200
    noise, ratios = NoiseScale(), []
    for _ in range(4000):
        parts = gradient + spread * draw.standard_normal((8, 50)) / np.sqrt(16)
        small_sq = float(np.mean(np.sum(parts**2, axis=1)))
        big_sq = float(np.sum(parts.mean(axis=0) ** 2))
        noise = noise.add(small_sq=small_sq, big_sq=big_sq, small_tokens=16, big_tokens=128)
        assert noise.batch_tokens is not None
        ratios.append(noise.batch_tokens)
    assert np.mean(ratios[200:]) == pytest.approx(100.0, rel=0.03)


def test_the_first_measurement_counts_whole_and_an_update_is_counted_once() -> None:
    once = NoiseScale().add(small_sq=32.25, big_sq=2.953125, small_tokens=16, big_tokens=256)
    assert once.means == pytest.approx((1.0, 500.0), rel=1e-12)
    twice = once.add(small_sq=32.25, big_sq=2.953125, small_tokens=16, big_tokens=256)
    assert twice.count == 2
    assert twice.means == pytest.approx((1.0, 500.0), rel=1e-12)
    assert twice.trace == pytest.approx(500 * (1 - MEMORY**2))


def test_no_scale_is_told_while_an_average_is_not_positive() -> None:
    assert NoiseScale().batch_tokens is None
    noise = NoiseScale().add(small_sq=1.0, big_sq=2.0, small_tokens=16, big_tokens=256)
    assert noise.means[1] < 0
    assert noise.batch_tokens is None


@pytest.mark.parametrize("sequences", [2, 3, 4, 12, 17, 64])
def test_a_batch_is_cut_into_equal_parts(sequences: int) -> None:
    assert parts_of(sequences) > 1
    assert sequences % parts_of(sequences) == 0


def test_an_update_in_parts_is_the_same_update() -> None:
    draw = np.random.default_rng(0)
    inputs, targets = draw.integers(0, 256, (4, 32)), draw.integers(0, 256, 128)
    whole, cut = Learner(small_spec()), Learner(small_spec())
    for _ in range(3):
        whole.update(inputs, targets, 0.01)
        small_sq, big_sq = cut.update_in_parts(inputs, targets, 0.01, 4)
    assert small_sq > big_sq > 0
    assert cut.mean_train_loss() == pytest.approx(whole.mean_train_loss(), rel=1e-5)
    ours, theirs = cut.named_weights(), whole.named_weights()
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], atol=2e-4)


def test_every_row_tells_the_noise_scale_and_an_interrupted_run_the_same(tmp_path: Path) -> None:
    spec = small_spec(noise_every=5)
    tokens = small_tokens(tmp_path)
    rows = train_run(spec, tokens, tmp_path / "whole")
    assert all(row["grad_noise"] > 0 for row in rows)
    assert rows[-1]["noise_scale_tokens"] == rows[-1]["grad_noise"] / rows[-1]["grad_sq"]

    class Killed(Exception):  # noqa: N818
        """Stands in for a signal."""

    plain, count = Learner.update, 0

    def deadly(*args: object) -> None:
        nonlocal count
        count += 1
        if count == 90:
            raise Killed
        plain(*args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "update", deadly)
        with pytest.raises(Killed):
            train_run(spec, tokens, tmp_path / "killed", checkpoint_seconds=0.0)
    train_run(spec, tokens, tmp_path / "killed")
    assert outcome(tmp_path / "killed", spec) == outcome(tmp_path / "whole", spec)
