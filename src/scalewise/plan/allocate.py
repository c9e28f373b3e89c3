"""Split a compute budget between size and tokens so that predicted loss is least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.prediction import doubts_at, mixed_quantile, reach
from scalewise.fit.result import FitResult, Rival
from scalewise.plan.growth import freed
from scalewise.plan.optimum import optimal_size, size_of, trades

Array = np.ndarray[Any, np.dtype[Any]]
Band = tuple[Array, Array, Array]

UNKNOWN_RANGE = (1e18, 1e24)  # FLOP: published constants come without their runs
BEYOND = 100.0  # times the largest run, up to which frontiers are drawn
_CERTAIN = 1e-6  # of an exponent: draws that agree so closely were given no choice
_MOSTLY = 0.5  # share of a law beyond which its draws make most of the interval
AROUND = (0.01, 0.1, 1.0, 10.0, 100.0)  # budgets of a curve, in the one asked about


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
    params: Band
    tokens: Band
    loss: Band
    size: str
    level: float

    @property
    def tokens_per_param(self) -> Band:
        """D/N = C / (6 N**2) at each budget, so its band is that of N, inverted."""
        low, value, high = (self.flops / (6.0 * size**2) for size in reversed(self.params))
        return low, value, high


def allocate(
    result: FitResult, flops: float, *, tokens_unique: float | None = None, level: float = 0.9
) -> Allocation:
    """Split a compute budget so that predicted loss is least, under C = 6 N D.

    In closed form for the laws that add a price of size and a price of data: at the optimum
    alpha A N**-alpha = beta B D**-beta (Hoffmann et al. 2022, eq. 4). Combined laws each give
    their optimum; the answer is their weighted geometric mean. ``tokens_unique`` is what there is
    to train on, for laws of repeated data, see `plan.data_constrained`.
    Raises LawError if no law behind the result trades size against tokens.

    >>> from scalewise.fit.storage import read_fit
    >>> round(allocate(read_fit("besiroglu2024"), 5.76e23).tokens_per_param.value, 2)
    18.39
    """
    grid = np.array([_budget(flops)])
    line = frontier(result, grid, tokens_unique=tokens_unique, level=level)
    params, tokens, ratio, loss = (
        Interval(low=float(low[0]), value=float(value[0]), high=float(high[0]))
        for low, value, high in (line.params, line.tokens, line.tokens_per_param, line.loss)
    )
    beyond = reach(result.ranges, {"flops": np.asarray(float(flops))})
    members = trading_laws(result, tokens_unique)
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
        rests_on=rests_on(members),
        warnings=(
            *result.warnings,
            *result.interval_doubts,
            *left_out(result, members),
            *_certain_growth(result, float(flops), tokens_unique),
            *doubts_at("loss", line.loss[1]),
        ),
    )


def frontier(
    result: FitResult, flops: Array, *, tokens_unique: float | None = None, level: float = 0.9
) -> Frontier:
    """The compute-optimal allocation at each budget of ``flops`` (FLOP, shape (m,))."""
    members = trading_laws(result, tokens_unique)
    given = given_tokens(tokens_unique)
    size = str(size_of(members[0][1].law))
    shares = [share for share, _ in members]
    centres = [np.log(optimal_size(m.law, m.theta, flops, given)) for _, m in members]
    samples = [
        np.log(optimal_size(m.law, theta_of_draws(m), flops[None], given)) for _, m in members
    ]
    centre = np.average(centres, axis=0, weights=shares)
    low, best, high = np.exp(
        pooled_band(samples, shares, centre, spread=result.spread, level=level)
    )
    columns = {size: best, "tokens": flops / (6.0 * best), **given}
    return Frontier(
        flops=flops,
        params=(low, best, high),
        tokens=(flops / (6.0 * high), flops / (6.0 * best), flops / (6.0 * low)),
        loss=loss_at(result, members, columns, level),
        size=size,
        level=level,
    )


def around(
    result: FitResult, flops: float, *, tokens_unique: float | None = None, level: float = 0.9
) -> Frontier:
    """The allocation at budgets from a hundredth of ``flops`` to a hundred times as much."""
    budgets = _budget(flops) * np.array(AROUND)
    return frontier(result, budgets, tokens_unique=tokens_unique, level=level)


def drawn_range(result: FitResult, flops: float | None = None) -> tuple[float, float]:
    """FLOP between which a frontier is drawn: from the smallest run to the largest or ``flops``.

    Without ``flops``, to a hundred times the largest.
    """
    low, high = result.ranges.get("flops", UNKNOWN_RANGE)
    return low, max(high, flops or (BEYOND if result.ranges else 1.0) * high)


def _budget(flops: float) -> float:
    if not (np.isfinite(flops) and flops > 0):
        raise UsageError(f"flops={flops} is no compute budget.", hint="Give a positive number.")
    return float(flops)


def given_tokens(tokens_unique: float | None) -> dict[str, float]:
    """The column of unique tokens, where there is one."""
    if tokens_unique is None:
        return {}
    if not (np.isfinite(tokens_unique) and tokens_unique > 0):
        raise UsageError(
            f"tokens_unique={tokens_unique} is no count.", hint="Give the unique tokens there are."
        )
    return {"tokens_unique": float(tokens_unique)}


def trading_laws(
    result: FitResult, tokens_unique: float | None = None
) -> list[tuple[float, FitResult]]:
    """The laws behind a result that trade size against tokens, on the leader's count.

    With ``tokens_unique`` those that know repeated data, without it those that do not ask. Where
    none of them learns from the runs how size grows, they come ``freed``.
    """
    return freed(_trading(result, tokens_unique))


def _trading(result: FitResult, tokens_unique: float | None) -> list[tuple[float, FitResult]]:
    given = given_tokens(tokens_unique)
    able = [(share, member) for share, member in result.members if trades(member.law, given)]
    if not able:
        raise _refusal(result, tokens_unique)
    size = size_of(able[0][1].law)
    same = [(share, member) for share, member in able if size_of(member.law) == size]
    total = sum(share for share, _ in same)
    return [(share / total, member) for share, member in same]


def _refusal(result: FitResult, tokens_unique: float | None) -> LawError:
    key = result.law.key
    if tokens_unique is not None:
        return LawError(
            f"Law {key!r} does not know repeated data: it has no tokens_unique.",
            hint="Use data-constrained: fit it with --law data-constrained to runs that have a "
            "column tokens_unique, or take the published muennighoff2023.",
        )
    if any(trades(member.law, given_tokens(1.0)) for _, member in result.members):
        return LawError(
            f"Law {key!r} asks how many unique tokens there are.",
            hint="Give --tokens-unique 25B (tokens_unique=25e9) with a budget; what serving "
            "costs is for laws of size and tokens alone.",
        )
    return LawError(
        f"Law {key!r} has no trade-off between size and tokens.",
        hint="Fit a law in both, such as chinchilla, on runs that vary both.",
    )


def rests_on(members: list[tuple[float, FitResult]]) -> tuple[str, ...]:
    """Each law that had a say, with its share."""
    return tuple(f"{member.law.key} ({share:.0%})" for share, member in members)


def left_out(result: FitResult, members: list[tuple[float, FitResult]]) -> tuple[str, ...]:
    """The laws behind a result that had no say, in a sentence; nothing if all had."""
    kept = {member.law.key for _, member in members}
    lost = [member.law.key for _, member in result.members if member.law.key not in kept]
    if not lost:
        return ()
    return (f"{', '.join(lost)} cannot allocate and had no say in the split.",)


def _certain_growth(
    result: FitResult, flops: float, tokens_unique: float | None
) -> tuple[str, ...]:
    """Says so if the law that mostly answers leaves the best size one way to grow with compute."""
    members, given = _trading(result, tokens_unique), given_tokens(tokens_unique)
    share, member = max(members, key=lambda pair: pair[0])
    if share <= _MOSTLY or len(member.draws) < 2:
        return ()
    budgets = flops * np.array([[1.0, 10.0]])
    sizes = np.log(optimal_size(member.law, theta_of_draws(member), budgets, given))
    growth = np.diff(sizes) / np.log(10.0)
    if np.ptp(growth) > _CERTAIN or np.ptp(sizes, axis=0).max() <= _CERTAIN:
        return ()  # the draws differ in growth, or in nothing, as of runs without noise
    told = (
        f"By {member.law.key} ({share:.0%}) the best size grows as flops**"
        f"{float(growth[0, 0]):.3g} whatever the runs say"
    )
    if freed(members) is not members:
        return (
            f"{told}; the intervals hold what the same runs leave open where its exponents of "
            "size and tokens may differ, as in chinchilla.",
        )
    return (
        f"{told}: the intervals of params and tokens hold no doubt about that but what other "
        "laws bring. Fit chinchilla to see it.",
    )


def loss_at(
    result: FitResult,
    members: list[tuple[float, FitResult]],
    columns: Mapping[str, Any],
    level: float,
) -> Band:
    """Loss that one new model would measure, from the laws that chose it."""
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


def growth(result: FitResult, ends: Array, *, level: float) -> Interval:
    """The exponent by which the best size grows between two budgets (FLOP): d log N / d log C."""
    members = trading_laws(result)
    shares, span = [share for share, _ in members], float(np.log(ends[1] / ends[0]))
    slopes = [np.diff(np.log(optimal_size(m.law, m.theta, ends)))[0] / span for _, m in members]
    drawn = [
        np.diff(np.log(optimal_size(m.law, theta_of_draws(m), ends[None])), axis=1)[:, 0] / span
        for _, m in members
    ]
    known = [d[np.isfinite(d)] for d in drawn]
    centre = np.average(slopes, axis=0, weights=shares)
    low, value, high = pooled_band(known, shares, centre, spread=result.spread, level=level)
    return Interval(value=float(value), low=float(low), high=float(high))


def pooled_band(
    samples: Sequence[Array], shares: Sequence[float], centre: Array, *, spread: float, level: float
) -> Band:
    """A centre between the quantiles of all laws' resamples, their distances times ``spread``.

    ``spread`` is by how much backtests found the intervals of the combined laws too narrow.
    """
    low, high = (
        np.asarray(centre + spread * (mixed_quantile(samples, shares, p) - centre))
        for p in ((1 - level) / 2, (1 + level) / 2)
    )
    return low, np.asarray(centre), high
