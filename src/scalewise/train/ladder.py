"""Ladders of runs: the one that ships with the package, and a small one to train while you wait.

Importing this module needs no torch: a ladder is only a list of RunSpecs.
"""

from __future__ import annotations

from collections.abc import Sequence

from scalewise.runs.spec import RunSpec
from scalewise.train.shape import shape_from_width

BATCH_TOKENS = 512
LR_PEAK = 0.005  # least loss at widths 16 and 48 among 0.003 to 0.016, where 2 % worse

PILOT_WIDTHS = (16, 24, 32, 48, 64, 96, 128, 176)
PILOT_BUDGETS = (512_000, 1_024_000, 2_048_000, 4_096_000, 8_192_000)  # within one epoch
REPEATED = {16: (1, 2), 32: (1,)}  # width -> further seeds: what the loss owes to chance

LIVE_WIDTHS = (16, 24, 32, 48, 64)


def pilot_ladder() -> tuple[RunSpec, ...]:
    """The embedded example: eight widths over two layers, five token budgets each, on bytes.

    Widths 16 to 176 span a factor 120 in ``params_nonembed``; 128 and 176 are the held-out target.
    Widths 16 and 32 are trained with further seeds.
    """
    runs = [_run(width, PILOT_BUDGETS, seed=0, family="pilot") for width in PILOT_WIDTHS]
    runs += [
        _run(width, PILOT_BUDGETS, seed=seed, family="pilot")
        for width, seeds in REPEATED.items()
        for seed in seeds
    ]
    return tuple(runs)


def _run(width: int, budgets: Sequence[int], *, seed: int, family: str) -> RunSpec:
    return RunSpec(
        run_id=f"{family}-d{width}-s{seed}",
        shape=shape_from_width(width, n_layer=2),
        token_budgets=tuple(budgets),
        batch_tokens=BATCH_TOKENS,
        lr_peak=LR_PEAK,
        seed=seed,
        family=family,
        eval_tokens=131_072,
        eval_points=24,
    )
