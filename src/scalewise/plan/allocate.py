"""Split a compute budget between size and tokens so that predicted loss is least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.prediction import mixed_quantile, reach
from scalewise.fit.result import FitResult, Rival
from scalewise.plan.optimum import optimal_size, size_of

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with the interval that holds it with the stated probability."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The model and token count that a budget is best spent on, under C = 6 N D.

    ``size`` names the parameter count that the laws use. The interval of ``loss`` is for one
    newly trained model at ``params`` and ``tokens``.
    """

    flops: float
    size: str
    params: Interval
    tokens: Interval
    tokens_per_param: Interval
    loss: Interval
    level: float
    law: str
    extrapolation: float
    runs: int
    rests_on: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """The compute-optimal allocation along a grid of budgets; each entry (low, value, high)."""

    flops: Array
    params: tuple[Array, Array, Array]
    tokens: tuple[Array, Array, Array]
    loss: tuple[Array, Array, Array]
    size: str
    level: float


def allocate(result: FitResult, flops: float, *, level: float = 0.9) -> Allocation:
    """Split a compute budget so that predicted loss is least, under C = 6 N D.

    In closed form for the laws that add a price of size and a price of data: at the optimum
    alpha A N**-alpha = beta B D**-beta (Hoffmann et al. 2022, eq. 4). Combined laws each give
    their optimum; the answer is their weighted geometric mean.
    Raises LawError if no law behind the result trades size against tokens.

    >>> from scalewise.fit.storage import read_fit
    >>> round(allocate(read_fit("besiroglu2024"), 5.76e23).tokens_per_param.value, 2)
    18.39
    """
    line = frontier(result, np.array([_budget(flops)]), level=level)
    params, tokens, loss = (
        Interval(low=float(low[0]), value=float(value[0]), high=float(high[0]))
        for low, value, high in (line.params, line.tokens, line.loss)
    )
    # D/N = C / (6 N**2), so its interval is that of N, inverted.
    ratio = Interval(
        value=tokens.value / params.value,
        low=flops / (6.0 * params.high**2),
        high=flops / (6.0 * params.low**2),
    )
    beyond = reach(result.ranges, {"flops": np.asarray(float(flops))})
    members = trading_laws(result)
    return Allocation(
        flops=float(flops),
        size=line.size,
        params=params,
        tokens=tokens,
        tokens_per_param=ratio,
        loss=loss,
        level=level,
        law=result.law.key,
        extrapolation=float(beyond.get("flops", 1.0)),
        runs=result.runs,
        rests_on=tuple(f"{member.law.key} ({share:.0%})" for share, member in members),
        warnings=(*result.warnings, *_left_out(result, members)),
    )


def frontier(result: FitResult, flops: Array, *, level: float = 0.9) -> Frontier:
    """The compute-optimal allocation at each budget of ``flops`` (FLOP, shape (m,))."""
    members = trading_laws(result)
    size = str(size_of(members[0][1].law))
    shares = [share for share, _ in members]
    centres = [np.log(optimal_size(member.law, member.theta, flops)) for _, member in members]
    samples = [
        np.log(optimal_size(member.law, theta_of_draws(member), flops[None]))
        for _, member in members
    ]
    centre = np.average(centres, axis=0, weights=shares)
    low, high = (
        np.exp(centre + result.spread * (mixed_quantile(samples, shares, p) - centre))
        for p in ((1 - level) / 2, (1 + level) / 2)
    )
    best = np.exp(centre)
    prediction = _loss_at(result, members, {size: best, "tokens": flops / (6.0 * best)}, level)
    return Frontier(
        flops=flops,
        params=(low, best, high),
        tokens=(flops / (6.0 * high), flops / (6.0 * best), flops / (6.0 * low)),
        loss=prediction,
        size=size,
        level=level,
    )


def _budget(flops: float) -> float:
    if not (np.isfinite(flops) and flops > 0):
        raise UsageError(f"flops={flops} is no compute budget.", hint="Give a positive number.")
    return float(flops)


def trading_laws(result: FitResult) -> list[tuple[float, FitResult]]:
    """The laws behind a result that trade size against tokens, on the leader's count."""
    able = [(share, member) for share, member in result.members if size_of(member.law)]
    if not able:
        raise LawError(
            f"Law {result.law.key!r} has no trade-off between size and tokens.",
            hint="Fit a law in both, such as chinchilla, on runs that vary both.",
        )
    size = size_of(able[0][1].law)
    same = [(share, member) for share, member in able if size_of(member.law) == size]
    total = sum(share for share, _ in same)
    return [(share / total, member) for share, member in same]


def _left_out(result: FitResult, members: list[tuple[float, FitResult]]) -> tuple[str, ...]:
    kept = {member.law.key for _, member in members}
    lost = [member.law.key for _, member in result.members if member.law.key not in kept]
    if not lost:
        return ()
    return (f"{', '.join(lost)} cannot allocate and had no say in the split.",)


def _loss_at(
    result: FitResult,
    members: list[tuple[float, FitResult]],
    columns: dict[str, Array],
    level: float,
) -> tuple[Array, Array, Array]:
    """Loss at the optimum from the laws that chose it."""
    (share, leader), *others = members
    rivals = tuple(Rival(weight=s, result=member) for s, member in others)
    combined = leader.combined_with(rivals, weight=share, spread=result.spread)
    prediction = combined.predict(level=level, **columns)
    return np.asarray(prediction.low), np.asarray(prediction.value), np.asarray(prediction.high)


def theta_of_draws(member: FitResult) -> dict[str, Array]:
    """The constants of every resample, shape (count, 1); the estimate where there are none."""
    if not len(member.draws):
        return {name: np.array([[value]]) for name, value in member.theta.items()}
    return {name: member.draws[:, i, None] for i, name in enumerate(member.law.constant_names)}
