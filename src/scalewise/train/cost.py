"""What a ladder will cost, before any of it is trained; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scalewise.core import counting
from scalewise.core.flops import flops_per_token, forward_flops_per_token
from scalewise.runs.spec import RunSpec
from scalewise.train.schedule import eval_steps, tokens_trained, total_updates

FINAL_EVAL_TOKENS = 2**20  # finished models see the whole split, up to this many tokens of it


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """The size of one run: updates over trunk and branches, and processor time."""

    run_id: str
    params: int
    tokens: int  # of the longest budget
    updates: int
    flops: float  # of all updates, rule "exact"
    cpu_seconds: float


def training_flops_exact(spec: RunSpec) -> float:
    """FLOPs of all updates of a run, trunk and branches, by the rule ``exact``."""
    return tokens_trained(spec) * flops_per_token(spec.shape, "exact")


def estimate_cost(
    specs: Sequence[RunSpec], *, speed: float = 1.0, val_tokens: int = 573_086
) -> tuple[RunCost, ...]:
    """Updates, FLOPs and CPU seconds of each run.

    ``speed`` is that of the machine against one core of the reference (AMD EPYC with AVX-512,
    quiet); `calibrate.measured_speed` measures it in a second. ``val_tokens`` is the size of the
    validation split, by default the embedded one's.
    """
    return tuple(
        RunCost(
            run_id=spec.run_id,
            params=counting.params(spec.shape),
            tokens=spec.tokens,
            updates=total_updates(spec),
            flops=training_flops_exact(spec),
            cpu_seconds=_cpu_seconds(spec, val_tokens) / speed,
        )
        for spec in specs
    )


def wall_seconds(costs: Sequence[RunCost], workers: int) -> float:
    """Time until all runs are done when the longest goes first and no core is shared.

    >>> two = [RunCost(run_id=n, params=1, tokens=1, updates=1, flops=1.0, cpu_seconds=s)
    ...        for n, s in (("a", 4.0), ("b", 3.0), ("c", 2.0))]
    >>> wall_seconds(two, workers=2)
    5.0
    """
    busy_until = [0.0] * workers
    for cost in sorted(costs, key=lambda cost: -cost.cpu_seconds):
        first_free = busy_until.index(min(busy_until))
        busy_until[first_free] += cost.cpu_seconds
    return max(busy_until)


# One update took 4.2, 6.5, 11.5, 29 and 46 ms at widths 16 to 176 with two layers and 512 tokens
# on the reference core. Three terms describe them: calls, element-wise passes, matrix products.
SECONDS_PER_LAYER = 3e-4
SECONDS_PER_ELEMENT = 1.93e-8
SECONDS_PER_FLOP = 1 / 63e9
SECONDS_OF_START = 4.0  # spawning a process and importing torch


def step_seconds(spec: RunSpec) -> float:
    """CPU seconds of one update on the reference core."""
    return _seconds(spec, updates=1, tokens=spec.batch_tokens)


def _seconds(spec: RunSpec, *, updates: int, tokens: float) -> float:
    shape = spec.shape
    return (
        SECONDS_PER_LAYER * (shape.n_layer + 1) * updates
        + SECONDS_PER_ELEMENT * tokens * (shape.n_layer * shape.d_model + shape.vocab_size)
        + SECONDS_PER_FLOP * tokens * flops_per_token(shape, "exact")
    )


def _cpu_seconds(spec: RunSpec, val_tokens: int) -> float:
    trunk_evals = len(eval_steps(spec)) * min(spec.eval_tokens, val_tokens)
    is_annealed = spec.schedule != "constant"
    final_tokens = max(spec.eval_tokens, FINAL_EVAL_TOKENS * is_annealed)
    final_evals = len(spec.token_budgets) * min(final_tokens, val_tokens)
    forward_share = forward_flops_per_token(spec.shape, "exact") / flops_per_token(
        spec.shape, "exact"
    )
    tokens = tokens_trained(spec) + (trunk_evals + final_evals) * forward_share
    return SECONDS_OF_START + _seconds(spec, updates=total_updates(spec), tokens=tokens)
