"""The model that costs least to train and then to serve, at a given quality.

A compute-optimal model is the cheapest to train; a smaller one trained on more tokens is cheaper
to run. Sardana et al. 2024 (2401.00448) minimise 6 N D + 2 N D_inf subject to L(N, D) = l, which
for the additive law means

    beta B D**-beta (1 + D_inf / (3 D)) = alpha A N**-alpha.

Here the minimum is searched for along the line of equal loss, so that any law which trades size
against tokens will do; the condition holds at what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, UnfitDataError, UsageError
from scalewise.fit.prediction import mixed_quantile
from scalewise.fit.result import FitResult
from scalewise.laws.law import Law
from scalewise.plan.allocate import Interval, theta_of_draws, trading_laws
from scalewise.plan.optimum import optimal_size, size_of

Array = np.ndarray[Any, np.dtype[Any]]

TRAINING = 6.0  # FLOPs per parameter and token, forward and backward
SERVING = 2.0  # forward only
_MOST_TOKENS = np.log(1e30)
_BISECTIONS = 60  # of log tokens below that: to the last digit
_SIZES = np.geomspace(1e3, 1e16, 53)  # between which the cheapest is looked for
_PLACES = 33
_ZOOMS = 7  # each narrows the places sixteenfold; the cost is flat to 1e-15 of itself before


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCost:
    """What a serving FLOP costs, in training FLOPs.

    ``training_mfu`` is the utilisation of training, ``input_mfu`` that of reading prompts and
    ``output_mfu`` that of writing answers, which is far lower; ``input_share`` of the tokens are
    read. ``price_ratio`` is the hourly price of the serving chip over that of the training chip,
    for the same peak rate. All at 1, FLOPs are minimised.
    """

    training_mfu: float = 1.0
    input_mfu: float = 1.0
    output_mfu: float = 1.0
    input_share: float = 0.0
    price_ratio: float = 1.0

    def __post_init__(self) -> None:
        for name in ("training_mfu", "input_mfu", "output_mfu"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(
                    f"{name}={getattr(self, name)} is no share of the peak rate.",
                    hint="Give a number above 0 and up to 1, such as 0.4.",
                )
        if not 0 <= self.input_share <= 1:
            raise UsageError(
                f"input_share={self.input_share} is no share of the tokens.",
                hint="Give a number from 0 to 1.",
            )
        if not (np.isfinite(self.price_ratio) and self.price_ratio > 0):
            raise UsageError(
                f"price_ratio={self.price_ratio} is no ratio of prices.", hint="Give it above 0."
            )

    @property
    def per_flop(self) -> float:
        """Cost of a serving FLOP over that of a training FLOP.

        >>> ServingCost(training_mfu=0.4, output_mfu=0.1).per_flop
        4.0
        """
        read = self.input_share / self.input_mfu
        written = (1 - self.input_share) / self.output_mfu
        return self.price_ratio * self.training_mfu * (read + written)


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceOptimum:
    """The cheapest model of a quality over its life, beside the compute-optimal one.

    ``training_flops`` and ``serving_flops`` are FLOP. ``cost`` weighs the serving FLOPs by
    ``serving_cost`` and is in training FLOPs; ``optimal_*`` are those of the compute-optimal model
    of the same loss; ``saving`` is the share of its cost that the cheapest one saves.
    """

    inference_tokens: float
    serving_cost: float
    size: str
    loss: float
    params: Interval
    tokens: Interval
    training_flops: float
    serving_flops: float
    cost: float
    optimal_params: float
    optimal_tokens: float
    optimal_cost: float
    saving: Interval
    level: float
    law: str
    runs: int
    warnings: tuple[str, ...]


def inference_optimum(
    result: FitResult,
    *,
    inference_tokens: float,
    params: float | None = None,
    loss: float | None = None,
    cost: ServingCost | None = None,
    level: float = 0.9,
) -> InferenceOptimum:
    """The model that reaches a quality at the least cost of training and serving together.

    The quality is a ``loss`` in nats/token, or that of the compute-optimal model of ``params``.
    ``inference_tokens`` is the number served over the life of the model, zero or more. Combined
    laws each give their optimum; the answer is their weighted geometric mean.
    Raises UsageError unless one quality is given, UnfitDataError if no model can reach it.

    >>> from scalewise.fit.storage import read_fit
    >>> best = inference_optimum(read_fit("besiroglu2024"), params=13e9, inference_tokens=2e12)
    >>> f"{best.params.value / 1e9:.2f}B, {best.saving.value:.0%}"
    '6.10B, 29%'
    """
    if (params is None) == (loss is None):
        raise UsageError(
            f"The quality is not clear: params={params}, loss={loss}.",
            hint="Give one: params of the compute-optimal model of that quality, or its loss.",
        )
    if not (np.isfinite(inference_tokens) and inference_tokens >= 0):
        raise UsageError(
            f"inference_tokens={inference_tokens} is no count.", hint="Give 0 or more tokens."
        )
    weight = (cost or ServingCost()).per_flop * SERVING / TRAINING * inference_tokens
    members = trading_laws(result)
    shares = [share for share, _ in members]
    solved = [_solve(m.law, m.theta, params, loss, weight) for _, m in members]
    drawn = [_solve(m.law, theta_of_draws(m), params, loss, weight) for _, m in members]
    target, *best = (
        np.average([getattr(s, name) for s in solved], axis=0, weights=shares)
        for name in ("loss", "log_size", "log_tokens", "log_optimal", "log_optimal_tokens")
    )
    if not np.isfinite(best).all():
        raise UnfitDataError(
            f"No model reaches a loss of {loss} nats/token under {result.law.key!r}.",
            hint="Ask for a loss above the law's irreducible part.",
        )
    size, tokens, optimal, optimal_tokens = (float(np.exp(v)) for v in best)
    total = size * TRAINING * (tokens + weight)
    optimal_total = optimal * TRAINING * (optimal_tokens + weight)
    saving = _between(
        1 - total / optimal_total, [s.saving(weight) for s in drawn], shares, level, result.spread
    )
    lost = np.mean([np.mean(~np.isfinite(s.log_size)) for s in drawn])
    unreached = (f"{lost:.0%} of the resamples cannot reach that loss.",) if lost > 0 else ()
    return InferenceOptimum(
        inference_tokens=float(inference_tokens),
        serving_cost=(cost or ServingCost()).per_flop,
        size=str(size_of(members[0][1].law)),
        loss=float(target),
        params=_exp(
            _between(float(best[0]), [s.log_size for s in drawn], shares, level, result.spread)
        ),
        tokens=_exp(
            _between(float(best[1]), [s.log_tokens for s in drawn], shares, level, result.spread)
        ),
        training_flops=TRAINING * size * tokens,
        serving_flops=SERVING * size * float(inference_tokens),
        cost=total,
        optimal_params=optimal,
        optimal_tokens=optimal_tokens,
        optimal_cost=optimal_total,
        saving=saving,
        level=level,
        law=result.law.key,
        runs=result.runs,
        warnings=(*result.warnings, *unreached),
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
        ratio = np.exp(self.log_size - self.log_optimal) * (
            (np.exp(self.log_tokens) + weight) / (np.exp(self.log_optimal_tokens) + weight)
        )
        return np.asarray(1 - ratio)


def _solve(
    law: Law, theta: Mapping[str, Any], params: float | None, loss: float | None, weight: float
) -> _Solution:
    theta = {name: np.ravel(value) for name, value in theta.items()}
    if params is not None:
        goal = _quality_of(law, theta, float(params))
    else:
        goal = np.full(np.broadcast_shapes(*(v.shape for v in theta.values())), float(loss or 0.0))

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


def _quality_of(law: Law, theta: Mapping[str, Array], params: float) -> Array:
    """Loss of the compute-optimal model of ``params``, by bisection on its compute."""
    low, high = (
        np.full(np.broadcast_shapes(*(v.shape for v in theta.values())), edge)
        for edge in (np.log(6.0 * params), np.log(6.0 * params) + _MOST_TOKENS)
    )
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        larger = optimal_size(law, theta, np.exp(middle)) > params
        low, high = np.where(larger, low, middle), np.where(larger, middle, high)
    return _loss(law, theta, np.log(params), low - np.log(6.0 * params))


def _loss(law: Law, theta: Mapping[str, Array], log_size: Any, log_tokens: Any) -> Array:
    symbol = {column: s for s, column in law.variables.items()}
    inputs = {symbol[str(size_of(law))]: np.exp(log_size), symbol["tokens"]: np.exp(log_tokens)}
    return np.asarray(law.value(theta, **inputs))


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
        with np.errstate(over="ignore"):
            return log_size + np.log(np.exp(tokens_for(log_size)) + weight)

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


def _between(
    value: float, samples: list[Array], shares: list[float], level: float, spread: float
) -> Interval:
    known = [np.atleast_1d(s)[np.isfinite(np.atleast_1d(s))] for s in samples]
    if not all(len(s) for s in known):
        raise LawError(
            "No resample of a law reaches that loss.",
            hint="Ask for a higher loss or fit more runs.",
        )
    low, high = (
        float(value + spread * (mixed_quantile(known, shares, p) - value))
        for p in ((1 - level) / 2, (1 + level) / 2)
    )
    return Interval(value=float(value), low=low, high=high)


def _exp(interval: Interval) -> Interval:
    low, value, high = np.exp([interval.low, interval.value, interval.high])
    return Interval(value=float(value), low=float(low), high=float(high))
