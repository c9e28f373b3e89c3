"""What the over-training law says about how many tokens a parameter should see."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.errors import LawError, RunDataError, UsageError
from scalewise.core.quantities import check_level
from scalewise.fit.result import FitResult
from scalewise.laws.gadre import OVERTRAINING
from scalewise.plan.allocate import Interval, theta_of_draws
from scalewise.runs.read import read_runs

Array = np.ndarray[Any, np.dtype[Any]]


def optimal_multiplier(result: FitResult, *, level: float = 0.9) -> Interval:
    """The tokens per parameter at which a budget is best spent, whatever the budget.

    M* = (B / A)**(1 / (2 eta)), from L = E + A N**(-2 eta) + B D**(-2 eta) at C = 6 N D (Gadre
    et al. 2024, eqs 9 and 10, who note that it lies below the 10 to 80 that they observe). The
    interval is that of the constants under one exponent, which ``allocate`` does not take for
    certain; without resamples it has no width.
    Raises LawError for a result of other laws, whose optimum moves with the budget.

    >>> from scalewise.fit.storage import read_fit
    >>> round(optimal_multiplier(read_fit("gadre2024-redpajama")).value, 1)
    7.5
    """
    check_level(level)
    member = next((m for _, m in result.members if m.law.formula == OVERTRAINING.formula), None)
    if member is None:
        raise LawError(
            f"Law {result.law.key!r} has no single best number of tokens per parameter.",
            hint="Fit law 'overtraining', or allocate at a stated budget.",
        )
    best = _multiplier(member.theta)
    draws = np.log(_multiplier(theta_of_draws(member)))
    low, high = np.quantile(draws[np.isfinite(draws)], [(1 - level) / 2, (1 + level) / 2])
    centre = np.log(best)
    widened = centre + result.spread * (np.array([low, high]) - centre)
    return Interval(
        value=float(best), low=float(np.exp(widened[0])), high=float(np.exp(widened[1]))
    )


def _multiplier(theta: Any) -> Any:
    with np.errstate(all="ignore"):
        return (theta["B"] / theta["A"]) ** (1.0 / (2.0 * theta["eta"]))


def compute_ratio(runs: object, flops: float) -> float:
    """How many times the compute of all ``runs`` together a target of ``flops`` takes.

    >>> runs = {"params": [1e8, 2e8], "tokens": [2e9, 4e9], "loss": [3.9, 3.5]}
    >>> compute_ratio(runs, 6 * 1e9 * 2e10)
    20.0
    """
    if not (np.isfinite(flops) and flops > 0):
        raise UsageError(f"flops={flops} is no compute.", hint="Give a positive number.")
    table = read_runs(runs)
    spent = table.column("flops")
    if not (np.all(np.isfinite(spent)) and np.all(spent > 0)):
        missing = int(np.sum(~(spent > 0)))
        raise RunDataError(
            f"{missing} of {len(spent)} runs lack flops.", hint="Give params and tokens of each."
        )
    return float(flops) / float(spent.sum())
