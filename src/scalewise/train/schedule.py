"""What happens at which step: segments of a run, learning rates and evaluations.

A ``wsd`` run is one trunk at constant rate with a decaying branch for each token budget::

    trunk ────┬──────────┬────────────────────
              └ branch 1 └ branch 2       ...

`segments` lists trunk pieces and branches in the order in which they are trained. The other
schedules are a single segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sqrt
from typing import Literal

from scalewise.runs.spec import RunSpec


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive steps ``first <= step < last``; a branch leaves the trunk at ``first``."""

    kind: Literal["trunk", "branch"]
    first: int
    last: int

    @property
    def updates(self) -> int:
        """Optimizer updates in this segment."""
        return self.last - self.first


def segments(spec: RunSpec) -> tuple[Segment, ...]:
    """The pieces of a run, in the order of training.

    Hägele et al. 2024 (2405.18392): one trunk serves every budget.
    """
    budgets = [spec.steps_within(tokens) for tokens in spec.token_budgets]
    if spec.schedule != "wsd":
        return (Segment("trunk", 0, budgets[-1]),)
    pieces: list[Segment] = []
    at = 0
    for steps in budgets:
        leaves = steps - max(1, round(spec.decay_fraction * steps))
        if leaves > at:
            pieces.append(Segment("trunk", at, leaves))
        pieces.append(Segment("branch", leaves, steps))
        at = leaves
    return tuple(pieces)


def total_updates(spec: RunSpec) -> int:
    """Optimizer updates over trunk and branches together: what the run costs."""
    return sum(piece.updates for piece in segments(spec))


def tokens_trained(spec: RunSpec) -> int:
    """Tokens of all updates, trunk and branches together.

    Those of a branch are counted at their place in the run, as the trunk's are.
    """
    return sum(spec.tokens_at(piece.last) - spec.tokens_at(piece.first) for piece in segments(spec))


def lr_factor(spec: RunSpec, piece: Segment, step: int) -> float:
    """The learning rate of one update as a share of the peak, in (0, 1].

    Warm-up is linear over ``warmup_steps``. A branch decays as 1 - sqrt(progress), which beat
    linear and cosine decay in Hägele et al. 2024, fig. 5. ``cosine`` and ``linear`` fall to zero
    from the end of the warm-up to the end of the run. A stage of smaller batches learns at the
    square root of their share of ``batch_tokens``, the usual rule for Adam.
    """
    warmup = min(1.0, (step + 1) / spec.warmup_steps) if spec.warmup_steps else 1.0
    if spec.batch_stages:
        warmup *= sqrt(spec.batch_at(step) / spec.batch_tokens)
    if piece.kind == "branch":
        return warmup * (1.0 - sqrt((step - piece.first) / piece.updates))
    if spec.schedule in ("constant", "wsd") or step < spec.warmup_steps:
        return warmup
    progress = (step - spec.warmup_steps) / max(1, piece.last - spec.warmup_steps)
    return 0.5 * (1.0 + cos(pi * progress)) if spec.schedule == "cosine" else 1.0 - progress


def eval_steps(spec: RunSpec) -> frozenset[int]:
    """Trunk steps after which the loss is measured: log-spaced from the warm-up to the end."""
    last = max((piece.last for piece in segments(spec) if piece.kind == "trunk"), default=0)
    if last == 0 or spec.eval_points < 1:
        return frozenset()
    first = min(max(1, spec.warmup_steps), last)
    if spec.eval_points == 1:
        return frozenset({last})
    ratio = (last / first) ** (1 / (spec.eval_points - 1))
    return frozenset(round(first * ratio**k) for k in range(spec.eval_points))
