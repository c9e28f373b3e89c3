"""The critical batch at one moment of a run, by branches from its checkpoint.

From one checkpoint, branches with k times the batch and k**0.5 times the rate see the same
tokens; the critical batch is the largest that still comes to the same loss (Merrill et al. 2025,
2505.23971, sec. 3). It is a local quantity, as the gradient noise scale is, but one that includes
the optimizer: it says what a larger batch costs from here on, not over a whole run to a loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isfinite, sqrt
from pathlib import Path

import numpy as np

from scalewise.core.errors import RunDataError, UsageError
from scalewise.runs.spec import RunSpec
from scalewise.train.batches import Batches, Windows
from scalewise.train.checkpoint import Arrays, CheckpointPair
from scalewise.train.learner import Learner
from scalewise.train.run_folder import RunFolder
from scalewise.train.tokenizer import TokenizedCorpus

FACTORS = (1, 2, 4, 8, 16)
SMOOTHING = 0.5  # weight of each new loss in a branch's running average
MEASURED_AT = (0.625, 0.75, 0.875, 1.0)  # shares of a branch after which its loss is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One branch: its batch, its rate, and the loss it came to."""

    factor: int
    batch_tokens: int
    lr: float
    updates: int
    loss: float  # nats/token, smoothed over the end of the branch; infinite if it diverged


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchedBatch:
    """The local critical batch after ``step`` updates: between ``low_tokens`` and ``high_tokens``.

    ``high_tokens`` is infinite when the largest branch was still within ``tolerance``.
    """

    run_id: str
    step: int
    tokens: int
    branch_tokens: int  # that each branch was trained for
    tolerance: float  # nats/token
    low_tokens: float
    high_tokens: float
    branches: tuple[Branch, ...]

    @property
    def critical_batch_tokens(self) -> float:
        """The geometric mean of the two ends; infinite where there is no upper end."""
        return sqrt(self.low_tokens * self.high_tokens)


def branched_batch(
    spec: RunSpec,
    tokens: TokenizedCorpus,
    queue: str | Path,
    *,
    branch_tokens: int,
    factors: Sequence[int] = FACTORS,
    rate_exponent: float = 0.5,
    tolerance: float = 0.01,
    device: str = "cpu",
) -> BranchedBatch:
    """Branch off the newest checkpoint of a run in a queue folder.

    Each branch sees the same ``branch_tokens`` tokens, those that the run itself would see next,
    and is measured on the run's own validation text. ``rate_exponent`` is 0.5 for Adam, 1 for
    plain gradient descent.
    Raises RunDataError when the run has no checkpoint, UsageError when its rate is not constant
    or a branch would not make a single update.
    """
    _check(spec, factors, branch_tokens)
    found = CheckpointPair(RunFolder(Path(queue), spec).path).load()
    if found is None:
        raise RunDataError(
            f"Run {spec.run_id!r} has no checkpoint in {Path(queue).name!r}.",
            hint="Train it first, at least to its first checkpoint.",
        )
    step = int(found.facts["step"])
    trunk = _Trunk(spec, tokens, found.arrays, step, device)
    branches = tuple(
        trunk.branch(factor, branch_tokens, rate_exponent) for factor in sorted(set(factors))
    )
    low, high = _ends(branches, tolerance)
    return BranchedBatch(
        run_id=spec.run_id,
        step=step,
        tokens=spec.tokens_at(step),
        branch_tokens=branch_tokens,
        tolerance=tolerance,
        low_tokens=low,
        high_tokens=high,
        branches=branches,
    )


def _check(spec: RunSpec, factors: Sequence[int], branch_tokens: int) -> None:
    if spec.schedule != "constant" or spec.batch_stages:
        raise UsageError(
            f"Run {spec.run_id!r} has schedule {spec.schedule!r}"
            + (" and batch stages." if spec.batch_stages else "."),
            hint="Branch off a run of constant rate and batch: the others are about to change.",
        )
    if len(set(factors)) < 2 or min(factors) < 1:
        raise UsageError(
            f"factors={tuple(factors)}.", hint="Give two or more whole numbers from 1 on."
        )
    if branch_tokens < max(factors) * spec.batch_tokens:
        raise UsageError(
            f"Branches of {branch_tokens} tokens are shorter than one batch of "
            f"{max(factors) * spec.batch_tokens}.",
            hint="Give more tokens or smaller factors.",
        )


@dataclass(frozen=True, slots=True)
class _Trunk:
    """Where all branches leave."""

    spec: RunSpec
    tokens: TokenizedCorpus
    arrays: Arrays
    step: int
    device: str

    def branch(self, factor: int, branch_tokens: int, rate_exponent: float) -> Branch:
        """Train one branch and smooth the losses at its end."""
        spec = self.spec
        batch_tokens = factor * spec.batch_tokens
        # What the weights were before the branch is not to be averaged into its loss.
        learner = Learner(replace(spec, averaging=0.0), self.device)
        learner.restore(self.arrays)
        windows = _validation(spec, self.tokens)
        T, lr = spec.shape.context_length, spec.lr_peak * factor**rate_exponent
        batches = Batches(
            self.tokens.train, context_length=T, batch_tokens=batch_tokens, seed=spec.seed
        )
        first, updates = spec.tokens_at(self.step) // T, branch_tokens // batch_tokens
        measured = {max(1, round(share * updates)) for share in MEASURED_AT}
        smoothed = 0.0
        for update in range(updates):
            per_batch = batch_tokens // T
            learner.update(*batches.span(first + update * per_batch, per_batch), lr)
            if update + 1 in measured:
                loss = float(learner.losses(*windows).mean(dtype=np.float64))
                is_first = update + 1 == min(measured)
                smoothed = loss if is_first else smoothed + SMOOTHING * (loss - smoothed)
        return Branch(
            factor=factor,
            batch_tokens=batch_tokens,
            lr=lr,
            updates=updates,
            loss=smoothed if isfinite(smoothed) else inf,
        )


def _validation(
    spec: RunSpec, tokens: TokenizedCorpus
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], ...]:
    windows = Windows(tokens.val, spec.shape.context_length)
    count = min(windows.count, max(1, spec.eval_tokens // spec.shape.context_length))
    return windows.take(slice(0, count))


def _ends(branches: Sequence[Branch], tolerance: float) -> tuple[float, float]:
    """The largest batch up to which none lost more than the tolerance, and the one after it."""
    best = branches[0].loss
    for before, branch in pairwise(branches):
        if branch.loss > best + tolerance:
            return float(before.batch_tokens), float(branch.batch_tokens)
        best = min(best, branch.loss)
    return float(branches[-1].batch_tokens), inf
