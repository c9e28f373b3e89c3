"""Ladders of runs: the one that ships with the package, and a small one to train while you wait.

Importing this module needs no torch: a ladder is only a tuple of RunSpecs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt

from scalewise.core import counting
from scalewise.core.errors import UsageError
from scalewise.runs.spec import RunSpec
from scalewise.train.shape import shape_from_width

BATCH_TOKENS = 512  # below the critical batch at every loss reached here
LR_PEAK = 0.005  # the best of 0.0025 to 0.016 at widths 16, 48 and 128; 0.01 within 1 %
N_LAYER = 2  # one depth for all widths: a ladder with steps in depth has kinks in its losses

PILOT_WIDTHS = (16, 24, 32, 48, 64, 96, 128, 176)
PILOT_BUDGETS = (512_000, 1_024_000, 2_048_000, 4_096_000, 8_192_000)  # within one epoch
PILOT_SEEDS = {16: (1, 2), 32: (1,)}  # width -> further seeds: what the loss owes to chance

LIVE_WIDTHS = (16, 24, 32, 48, 64)
LIVE_BUDGETS = (1_024_000, 1_433_600, 2_048_000)  # none ends before 2000 updates


def pilot_ladder() -> tuple[RunSpec, ...]:
    """The embedded example: eight widths over two layers, five token budgets each, on bytes.

    Widths 16 to 176 span a factor 120 in ``params_nonembed``; the largest two are the target
    that is held out. Widths 16 and 32 are trained with further seeds. About an hour of CPU time.
    """
    seeded = [(width, 0) for width in PILOT_WIDTHS]
    seeded += [(width, seed) for width, seeds in PILOT_SEEDS.items() for seed in seeds]
    return tuple(
        _run("pilot", width, PILOT_BUDGETS, seed=seed, eval_tokens=131_072, eval_points=24)
        for width, seed in seeded
    )


def live_ladder() -> tuple[RunSpec, ...]:
    """Five widths with three budgets each, in four minutes of two cores; the last is the target.

    >>> fitted, target = split_largest(live_ladder(), 1)
    >>> [spec.shape.d_model for spec in (*fitted, *target)]
    [16, 24, 32, 48, 64]
    """
    return tuple(
        _run("live", width, LIVE_BUDGETS, seed=0, eval_tokens=65_536, eval_points=12)
        for width in LIVE_WIDTHS
    )


def split_largest(
    specs: Iterable[RunSpec], sizes: int
) -> tuple[tuple[RunSpec, ...], tuple[RunSpec, ...]]:
    """Part the runs of the largest ``sizes`` model sizes from the others: (others, largest).

    Raises UsageError when no smaller size would be left.
    """
    runs = tuple(specs)
    counts = sorted({counting.params(spec.shape) for spec in runs})
    if not 0 < sizes < len(counts):
        raise UsageError(
            f"Cannot hold out {sizes} of {len(counts)} model sizes.",
            hint="Hold out at least one size and leave at least one.",
        )
    held_out = set(counts[-sizes:])
    return (
        tuple(spec for spec in runs if counting.params(spec.shape) not in held_out),
        tuple(spec for spec in runs if counting.params(spec.shape) in held_out),
    )


def lr_peak_for(batch_tokens: int) -> float:
    """A peak learning rate for batches of this size: 0.007 sqrt(B / 1024), at most 0.014.

    Measured on the embedded corpus at 512 tokens; the square root is the usual rule for Adam
    below the critical batch, and stops where that is reached.

    >>> round(lr_peak_for(512), 4), lr_peak_for(10**6)
    (0.0049, 0.014)
    """
    return 0.007 * min(2.0, sqrt(batch_tokens / 1024))


def _run(
    family: str,
    width: int,
    budgets: Sequence[int],
    *,
    seed: int,
    eval_tokens: int,
    eval_points: int,
) -> RunSpec:
    return RunSpec(
        run_id=f"{family}-d{width}-s{seed}",
        shape=shape_from_width(width, n_layer=N_LAYER),
        token_budgets=tuple(budgets),
        batch_tokens=BATCH_TOKENS,
        lr_peak=LR_PEAK,
        seed=seed,
        family=family,
        eval_tokens=eval_tokens,
        eval_points=eval_points,
    )
