"""Forecast the largest runs of a table from the rest, beside what they reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.fit.engine import DEFAULT_BOOTSTRAP
from scalewise.fit.result import FitResult
from scalewise.forecast.backtest import (
    DEFAULT_POLICY,
    LawScore,
    Policy,
    held_out_points,
    law_candidates,
    naive_scores,
    score,
    score_laws,
)
from scalewise.forecast.choose import AUTO, choose
from scalewise.forecast.repeats import seed_noise
from scalewise.forecast.splits import Split, loss_rows, size_column, split_at
from scalewise.laws.law import Law


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutForecast:
    """What was forecast of the largest sizes, and how every law tried did on them.

    ``seed_noise`` is the standard deviation of log loss between runs that differ only in their
    seed, or None where there are none.
    """

    result: FitResult
    split: Split
    auto: LawScore
    scores: tuple[LawScore, ...]
    held_out_sizes: tuple[float, ...]
    fitted_sizes: tuple[float, ...]
    level: float
    seed_noise: float | None


def forecast_held_out(
    runs: object,
    *,
    sizes: int = 2,
    laws: Sequence[str | Law] | None = None,
    policy: Policy = DEFAULT_POLICY,
    bootstrap: int = DEFAULT_BOOTSTRAP,
) -> HeldOutForecast:
    """Set the largest ``sizes`` aside, fit the rest by backtest, and forecast what was set aside.

    Raises UnfitDataError if fewer than three sizes would be left.
    """
    table, how = loss_rows(runs, policy.estimation)
    policy = replace(policy, estimation=how)
    column = size_column(table)
    table = table.measured(column)
    all_sizes = np.unique(table.column(column))
    if sizes < 1 or len(all_sizes) - sizes < 3:
        raise UnfitDataError(
            f"Holding out {sizes} of {len(all_sizes)} sizes leaves fewer than three to fit.",
            hint="Hold out fewer, or add runs of other sizes.",
        )
    split = split_at(table, float(all_sizes[-sizes - 1]))
    result = choose(split.fitted, laws, policy=policy, bootstrap=bootstrap)
    auto = score(
        AUTO,
        "laws combined by their own backtests",
        held_out_points(result, split.held_out, level=policy.level),
        level=policy.level,
        splits=1,
    )
    options = law_candidates(split.fitted, laws, policy)
    scores = (
        auto,
        *score_laws(options, [split], policy),
        *naive_scores([split], level=policy.level),
    )
    return HeldOutForecast(
        result=result,
        split=split,
        auto=auto,
        scores=tuple(sorted(scores, key=lambda s: s.mean_abs_error)),
        held_out_sizes=tuple(float(s) for s in all_sizes[-sizes:]),
        fitted_sizes=tuple(float(s) for s in all_sizes[:-sizes]),
        level=policy.level,
        seed_noise=seed_noise(table),
    )
