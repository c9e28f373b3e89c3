"""The model that costs least to train and then to serve, at a given quality.

A compute-optimal model is the cheapest to train; a smaller one trained on more tokens is cheaper
to run. Sardana et al. 2024 (2401.00448) minimise 6 N D + 2 N D_inf subject to L(N, D) = l, which
for the additive law means

    beta B D**-beta (1 + D_inf / (3 D)) = alpha A N**-alpha.

Here the minimum is searched for along the line of equal loss, so that any law which trades size
against tokens will do; the condition holds at what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, UnfitDataError, UsageError
from scalewise.fit.prediction import reach
from scalewise.fit.result import FitResult
from scalewise.laws.law import Law
from scalewise.plan.allocate import (
    Interval,
    left_out,
    loss_at,
    pooled_band,
    rests_on,
    theta_of_draws,
    trading_laws,
)
from scalewise.plan.optimum import inputs_at, optimal_size, size_of
from scalewise.plan.serving import SERVING, TRAINING, ServingCost, scaled

Array = np.ndarray[Any, np.dtype[Any]]

_MOST_TOKENS = np.log(1e30)
_BISECTIONS = 60  # of log tokens below that: to the last digit
_SIZES = np.geomspace(1e3, 1e16, 53)  # between which the cheapest is looked for
_PLACES = 33
_ZOOMS = 7  # each narrows the places sixteenfold; the cost is flat to 1e-15 of itself before
_DRAWN = 41  # sizes at which the line of equal loss is kept for a figure
_AROUND = 4.0  # how far it goes beyond the smaller and the larger of the two optima


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One model of the quality asked for: ``cost`` weighs serving FLOPs, in training FLOPs."""

    params: Interval
    tokens: Interval
    tokens_per_param: Interval
    training_flops: Interval
    serving_flops: Interval
    cost: Interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferenceOptimum:
    """The cheapest model of a quality over its life, beside the compute-optimal one.

    ``quality`` is the loss asked for, ``loss`` what one such model would measure. ``saving`` is the
    share of the compute-optimal model's cost that the cheapest one saves. ``line`` holds models of
    equal loss for a figure: (size, tokens). ``extrapolation`` is by how much the cheapest model
    leaves the fitted range of each column.
    """

    inference_tokens: float
    serving: ServingCost
    size: str
    quality: float
    loss: Interval
    cheapest: Choice
    compute_optimal: Choice
    saving: Interval
    line: tuple[Array, Array]
    extrapolation: Mapping[str, float]
    level: float
    law: str
    rests_on: tuple[str, ...]
    runs: int
    warnings: tuple[str, ...]


def inference_optimum(
    result: FitResult,
    *,
    inference_tokens: float,
    params: float | None = None,
    loss: float | None = None,
    flops: float | None = None,
    cost: ServingCost | None = None,
    level: float = 0.9,
) -> InferenceOptimum:
    """The model that reaches a quality at the least cost of training and serving together.

    The quality is a ``loss`` in nats/token, or that of the compute-optimal model of ``params``, or
    that which a training budget of ``flops`` reaches when spent compute-optimally.
    ``inference_tokens`` is the number served over the life of the model, zero or more. Combined
    laws each give their optimum; the answer is their weighted geometric mean.
    Raises UsageError unless one quality is given, UnfitDataError if no model can reach it.

    >>> from scalewise.fit.storage import read_fit
    >>> best = inference_optimum(read_fit("besiroglu2024"), params=13e9, inference_tokens=2e12)
    >>> f"{best.cheapest.params.value / 1e9:.2f}B, {best.saving.value:.0%}"
    '6.10B, 29%'
    """
    goal = _Goal(params=params, loss=loss, flops=flops)
    if not (np.isfinite(inference_tokens) and inference_tokens >= 0):
        raise UsageError(
            f"inference_tokens={inference_tokens} is no count.", hint="Give 0 or more tokens."
        )
    serving = cost or ServingCost()
    weight = serving.per_flop * SERVING / TRAINING * inference_tokens
    members = trading_laws(result)
    shares = [share for share, _ in members]
    solved = [_solve(m.law, m.theta, goal, weight) for _, m in members]
    drawn = [_solve(m.law, theta_of_draws(m), goal, weight) for _, m in members]
    mean = _mean(solved, shares)
    if not np.isfinite([mean.log_size, mean.log_optimal]).all():
        raise _unreached(goal, float(mean.loss), members[0][1])

    pooled = _Pooled(mean, drawn, shares, level, result.spread)
    best = pooled.choice("log_size", "log_tokens", weight, inference_tokens)
    name = str(size_of(members[0][1].law))
    at = {name: best.params.value, "tokens": best.tokens.value}
    spent = {"flops": best.training_flops.value, **at}
    low, value, high = (float(v) for v in loss_at(result, members, at, level))
    beyond = reach(result.ranges, {column: np.asarray(v) for column, v in spent.items()})
    optimal = pooled.choice("log_optimal", "log_optimal_tokens", weight, inference_tokens)
    quality = float(mean.loss)
    if loss is None:  # the loss of the split itself, which no law's own optimum quite reaches
        split = {name: optimal.params.value, "tokens": optimal.tokens.value}
        quality = float(loss_at(result, members, split, level)[1])
    lost = float(np.mean([np.mean(~np.isfinite(s.log_size)) for s in drawn]))
    return InferenceOptimum(
        inference_tokens=float(inference_tokens),
        serving=serving,
        size=name,
        quality=quality,
        loss=Interval(value=value, low=low, high=high),
        cheapest=best,
        compute_optimal=optimal,
        saving=pooled.between(lambda s: s.saving(weight)),
        extrapolation={name: float(factor) for name, factor in beyond.items()},
        line=_line([m for _, m in members], shares, solved, mean),
        level=level,
        law=result.law.key,
        rests_on=rests_on(members),
        runs=result.runs,
        warnings=(
            *result.warnings,
            *result.interval_doubts,
            *left_out(result, members),
            *([f"{lost:.0%} of the resamples cannot reach that loss."] if lost > 0 else []),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Goal:
    """The quality asked for, in one of three ways."""

    params: float | None
    loss: float | None
    flops: float | None

    def __post_init__(self) -> None:
        given = {n: v for n in ("params", "loss", "flops") if (v := getattr(self, n)) is not None}
        if len(given) != 1:
            told = ", ".join(f"{name}={value:g}" for name, value in given.items()) or "nothing"
            raise UsageError(
                f"The quality is not clear: {told} is given.",
                hint="Give one of params (of the compute-optimal model of that quality), loss, or "
                "flops (spent compute-optimally).",
            )
        for name, value in given.items():
            if not (np.isfinite(value) and value > 0):
                raise UsageError(f"{name}={value} is no quality.", hint="Give a number above 0.")

    def __str__(self) -> str:
        if self.loss is not None:
            return f"a loss of {self.loss:g} nats/token"
        what = f"{self.params:g} params" if self.params is not None else f"{self.flops:g} FLOP"
        return f"the quality of {what}"

    def loss_under(self, law: Law, theta: Mapping[str, Array]) -> Array:
        """The loss that stands for the quality, an entry per set of constants."""
        shape = np.broadcast_shapes(*(np.shape(v) for v in theta.values()))
        if self.loss is not None:
            return np.full(shape, float(self.loss))
        if self.params is not None:
            return _loss_of_optimal(law, theta, float(self.params), shape)
        flops = np.full(shape, float(self.flops or 0.0))
        log_size = np.log(optimal_size(law, theta, flops))
        return _loss(law, theta, log_size, np.log(flops / TRAINING) - log_size)


def _unreached(goal: _Goal, loss: float, leader: FitResult) -> UnfitDataError:
    theta = {name: np.ravel(value) for name, value in leader.theta.items()}
    tokens = _tokens_for(leader.law, theta, np.log(_SIZES), np.full(len(_SIZES), loss))
    if np.isfinite(tokens[0]):
        return UnfitDataError(
            f"Models of fewer than {_SIZES[0]:g} params reach {goal} under {leader.law.key!r}.",
            hint="Ask for a lower loss, in nats/token.",
        )
    return UnfitDataError(
        f"No model reaches {goal} under {leader.law.key!r}.",
        hint="Ask for a loss above the law's irreducible part.",
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Solution:
    """The cheapest and the compute-optimal model of one quality, an entry per draw."""

    loss: Array
    log_size: Array
    log_tokens: Array
    log_optimal: Array
    log_optimal_tokens: Array

    def saving(self, weight: float) -> Array:
        """Share of the compute-optimal model's cost that the cheapest one saves."""
        dear = _log_cost(self.log_optimal, self.log_optimal_tokens, weight)
        return -np.expm1(_log_cost(self.log_size, self.log_tokens, weight) - dear)


@dataclass(frozen=True, slots=True)
class _Pooled:
    """What all laws and their resamples say, as values with intervals."""

    mean: _Solution
    drawn: Sequence[_Solution]
    shares: Sequence[float]
    level: float
    spread: float

    def between(self, of: Callable[[_Solution], Any]) -> Interval:
        samples = [np.atleast_1d(of(s)) for s in self.drawn]
        return _between(float(of(self.mean)), samples, self.shares, self.level, self.spread)

    def choice(self, size: str, tokens: str, weight: float, inference_tokens: float) -> Choice:
        """One of the two models, by the names of its size and tokens in a solution."""

        def both(s: _Solution) -> tuple[Array, Array]:
            return getattr(s, size), getattr(s, tokens)

        params = _exp(self.between(lambda s: both(s)[0]))
        return Choice(
            params=params,
            tokens=_exp(self.between(lambda s: both(s)[1])),
            tokens_per_param=_exp(self.between(lambda s: both(s)[1] - both(s)[0])),
            training_flops=_exp(self.between(lambda s: np.log(TRAINING) + sum(both(s)))),
            serving_flops=scaled(params, SERVING * inference_tokens),
            cost=_exp(self.between(lambda s: _log_cost(*both(s), weight))),
        )


def _mean(solved: Sequence[_Solution], shares: Sequence[float]) -> _Solution:
    """The weighted geometric mean of what each law finds."""
    fields = ("loss", "log_size", "log_tokens", "log_optimal", "log_optimal_tokens")
    return _Solution(
        **{f: np.average([getattr(s, f) for s in solved], axis=0, weights=shares) for f in fields}
    )


def _log_cost(log_size: Any, log_tokens: Any, weight: float) -> Array:
    """The log of 6 N (D + weight), with the weight of serving in training tokens."""
    with np.errstate(over="ignore"):
        return np.asarray(np.log(TRAINING) + log_size + np.log(np.exp(log_tokens) + weight))


def _solve(law: Law, theta: Mapping[str, Any], quality: _Goal, weight: float) -> _Solution:
    theta = {name: np.ravel(value) for name, value in theta.items()}
    goal = quality.loss_under(law, theta)

    def tokens_for(log_size: Array) -> Array:
        return _tokens_for(law, theta, log_size, goal)

    optimal = _cheapest(tokens_for, goal, 0.0)
    best = optimal if weight == 0 else _cheapest(tokens_for, goal, weight)
    return _Solution(
        loss=_one(goal),
        log_size=_one(best),
        log_tokens=_one(tokens_for(best)),
        log_optimal=_one(optimal),
        log_optimal_tokens=_one(tokens_for(optimal)),
    )


def _one(values: Array) -> Array:
    return values[0] if len(values) == 1 else values


def _loss_of_optimal(
    law: Law, theta: Mapping[str, Array], params: float, shape: tuple[int, ...]
) -> Array:
    """Loss of the compute-optimal model of ``params``, by bisection on its compute."""
    start = np.log(TRAINING * params)
    low, high = np.full(shape, start), np.full(shape, start + _MOST_TOKENS)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        larger = optimal_size(law, theta, np.exp(middle)) > params
        low, high = np.where(larger, low, middle), np.where(larger, middle, high)
    return _loss(law, theta, np.log(params), low - start)


def _loss(law: Law, theta: Mapping[str, Array], log_size: Any, log_tokens: Any) -> Array:
    return np.asarray(law.value(theta, **inputs_at(law, log_size, log_tokens)))


def _tokens_for(law: Law, theta: Mapping[str, Array], log_size: Array, goal: Array) -> Array:
    """The log D at which a size reaches the loss; infinite where it never does."""
    low, high = np.zeros_like(log_size), np.full_like(log_size, _MOST_TOKENS)
    reached = _loss(law, theta, log_size, high) <= goal
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        enough = _loss(law, theta, log_size, middle) <= goal
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(reached, high, np.inf)


def _cheapest(tokens_for: Callable[[Array], Array], goal: Array, weight: float) -> Array:
    """The log N with the least N (D + weight) on the line of equal loss; NaN if none reaches it.

    Sizes too small to reach the loss cost infinitely much, so the search leaves them.
    """

    def cost(log_size: Array) -> Array:
        return _log_cost(log_size, tokens_for(log_size), weight)

    at = np.log(_SIZES).reshape((-1,) + (1,) * goal.ndim) + np.zeros_like(goal)
    step = at[1] - at[0]
    known = np.ones(goal.shape, dtype=bool)
    for zoom in range(_ZOOMS):
        costs = cost(at)
        index = costs.argmin(axis=0)
        if not zoom:
            known = np.isfinite(costs.min(axis=0)) & (index > 0) & (index < len(at) - 1)
        best = np.take_along_axis(at, index[None], axis=0)[0]
        at = best + step * np.linspace(-1, 1, _PLACES).reshape((-1,) + (1,) * goal.ndim)
        step = step * 2 / (_PLACES - 1)
    return np.where(known, best, np.nan)


def _line(
    members: Sequence[FitResult], shares: Sequence[float], solved: Sequence[_Solution], mean: Any
) -> tuple[Array, Array]:
    """Sizes around both optima with the tokens that bring each to the quality."""
    ends = sorted([float(mean.log_size), float(mean.log_optimal)])
    log_size = np.linspace(ends[0] - np.log(_AROUND), ends[1] + np.log(_AROUND), _DRAWN)
    each = []
    for member, own in zip(members, solved, strict=True):
        theta = {name: np.ravel(value) for name, value in member.theta.items()}
        each.append(_tokens_for(member.law, theta, log_size, np.full(_DRAWN, own.loss)))
    tokens = np.exp(np.average(each, axis=0, weights=shares))
    reached = np.isfinite(tokens)
    return np.exp(log_size)[reached], tokens[reached]


def _between(
    value: float, samples: Sequence[Array], shares: Sequence[float], level: float, spread: float
) -> Interval:
    known = [s[np.isfinite(s)] for s in samples]
    if not all(len(s) for s in known):
        raise LawError(
            "No resample of a law reaches that loss.",
            hint="Ask for a higher loss or fit more runs.",
        )
    low, _, high = pooled_band(known, shares, np.asarray(value), spread=spread, level=level)
    return Interval(value=float(value), low=float(low), high=float(high))


def _exp(interval: Interval) -> Interval:
    low, value, high = np.exp([interval.low, interval.value, interval.high])
    return Interval(value=float(value), low=float(low), high=float(high))
