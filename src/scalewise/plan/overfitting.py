"""How many tokens a size needs before repeating them hurts (Kaplan et al. 2020, sec. 4 and 5.3).

Of the law L(N, D) = ((N_c/N)**(alpha_N/alpha_D) + D_c/D)**alpha_D, the loss of a model stopped at
its best on D distinct tokens. N is the count that the law was fitted on, ``params_nonembed`` for
the published constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scalewise.core.errors import LawError
from scalewise.fit.prediction import reach, scalar
from scalewise.fit.result import FitResult
from scalewise.forecast.trajectory import Trajectory, percentiles, positive
from scalewise.laws.kaplan import KAPLAN_OVERFIT
from scalewise.plan.allocate import Interval, theta_of_draws

Array = np.ndarray[Any, np.dtype[Any]]
Value = Array | float
Theta = Mapping[str, Any]

TOLERANCE = 0.02  # relative; the run-to-run spread of test loss, Kaplan et al. 2020, sec. 4.2
# Sizes and data sets behind the published constants, Kaplan et al. 2020, sec. 3.
_KAPLAN_RANGES = {"params_nonembed": (768.0, 1.5e9), "tokens": (2.2e7, 2.3e10)}
_FEW_TOKENS = 5e7  # about twice the data set, 2.2e7, on which the published fit is poor


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStop:
    """The earliest step at which training on a limited data set stops paying: a lower bound.

    ``steps_min`` counts updates of unlimited batch, ``steps`` those of ``batch_tokens``.
    """

    steps_min: Interval
    steps: Interval
    batch_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfit:
    """What a size needs, and what a data set costs it.

    ``tokens_needed`` keeps the excess over the loss with unlimited data within ``tolerance``,
    relative. ``excess`` and ``loss`` (nats/token) are those at ``tokens`` where these were given,
    else at ``tokens_needed``; ``early_stop`` is there where constants for steps were given.
    ``size`` names the parameter count. The interval of ``loss`` is for one new model, the others
    hold the uncertainty of the constants; low equals high where none is known.
    """

    size: str
    params: float
    tolerance: float
    tokens_needed: Interval
    tokens: float
    excess: Interval
    loss: Interval
    early_stop: EarlyStop | None
    level: float
    extrapolation: Mapping[str, float]
    runs: int
    law: str
    warnings: tuple[str, ...]


def excess(result: FitResult, params: ArrayLike, tokens: ArrayLike) -> Value:
    """The relative excess over the loss with unlimited data; arguments broadcast. Eq. 4.3.

    L(N, D)/L(N, inf) - 1 = (1 + (N/N_c)**(alpha_N/alpha_D) D_c/D)**alpha_D - 1.
    Raises LawError for a result of another law.

    >>> from scalewise.fit.storage import read_fit
    >>> round(excess(read_fit("kaplan2020-overfit"), 1e9, 2.4136e10), 4)
    0.02
    """
    theta = _leader(result).theta
    return scalar(_excess(theta, positive("params", params), positive("tokens", tokens)))


def tokens_needed(result: FitResult, params: ArrayLike, *, tolerance: float = TOLERANCE) -> Value:
    """The distinct tokens that keep the excess within ``tolerance``, relative; broadcasts.

    D = D_c (N/N_c)**(alpha_N/alpha_D) / ((1 + tolerance)**(1/alpha_D) - 1), eq. 4.3 solved for D.
    Eq. 4.4 of the paper, 5e3 N**0.74, is this at a tolerance of 2 %, rounded.

    >>> from scalewise.fit.storage import read_fit
    >>> f"{tokens_needed(read_fit('kaplan2020-overfit'), 1e9):.4e}"
    '2.4136e+10'
    """
    theta = _leader(result).theta
    return scalar(_needed(theta, positive("params", params), positive("tolerance", tolerance)))


def early_stop_steps(
    result: FitResult,
    trajectory: Trajectory,
    params: ArrayLike,
    tokens: ArrayLike,
    batch_tokens: ArrayLike = np.inf,
) -> Value:
    """The step before which stopping cannot be right: a lower bound, in updates. Eq. 5.7.

    S_stop = S_c (L(N, D) - L(N, inf))**(-1/alpha_S) at unlimited batch, times 1 + B_crit/B at a
    batch B in tokens. The losses are those of ``result``; only S_c, alpha_S and the critical
    batch come from ``trajectory``, which must be of the same data and tokenizer.
    """
    theta = _leader(result).theta
    N, D = positive("params", params), positive("tokens", tokens)
    B = positive("batch_tokens", batch_tokens, endless=True)
    return scalar(_stop(theta, trajectory, N, D, B))


def overfit(
    result: FitResult,
    params: float,
    tokens: float | None = None,
    *,
    tolerance: float = TOLERANCE,
    trajectory: Trajectory | None = None,
    batch_tokens: float = np.inf,
    level: float = 0.9,
) -> Overfit:
    """What a size needs and what a data set costs it, with intervals over the resamples.

    Without ``tokens`` the excess and the early stop are those at the tokens needed.
    Raises LawError for a result of another law.
    """
    leader = _leader(result)
    N, share = positive("params", params), positive("tolerance", tolerance)

    def told(ask: Callable[[Theta], Value]) -> Interval:
        return _interval(leader, ask, level)

    needed = told(lambda theta: _needed(theta, N, share))
    given = needed.value if tokens is None else float(tokens)
    D = positive("tokens", given)
    size = leader.law.variables["N"]
    outside = reach(_ranges(leader), {size: N, "tokens": D})
    stop = None
    if trajectory is not None:
        batches = (np.asarray(np.inf), positive("batch_tokens", batch_tokens, endless=True))
        fewest, steps = (_stop_interval(leader, trajectory, N, D, B, level) for B in batches)
        stop = EarlyStop(steps_min=fewest, steps=steps, batch_tokens=float(batch_tokens))
    return Overfit(
        size=size,
        params=float(params),
        tolerance=float(tolerance),
        tokens_needed=needed,
        tokens=given,
        excess=told(lambda theta: _excess(theta, N, D)),
        loss=_loss_interval(leader, N, D, level),
        early_stop=stop,
        level=level,
        extrapolation={name: float(factor) for name, factor in outside.items()},
        runs=leader.runs,
        law=leader.law.key,
        warnings=(*leader.warnings, *_doubts(leader, given, stop)),
    )


def _leader(result: FitResult) -> FitResult:
    """The member of a result that has the law of overfitting, on whichever count."""
    for _, member in result.members:
        if member.law.formula == KAPLAN_OVERFIT.formula:
            return member
    raise LawError(
        f"Law {result.law.key!r} does not say what limited data cost a model.",
        hint=f"Fit {KAPLAN_OVERFIT.key}, or give {KAPLAN_OVERFIT.published[0].key}.",
    )


def _ratio(theta: Theta) -> Any:
    return theta["alpha_N"] / theta["alpha_D"]


def _excess(theta: Theta, N: Array, D: Array) -> Array:
    shortage = (N / theta["N_c"]) ** _ratio(theta) * theta["D_c"] / D
    # expm1 and log1p, as the excess may be smaller than rounding.
    return np.asarray(np.expm1(theta["alpha_D"] * np.log1p(shortage)))


def _needed(theta: Theta, N: Array, tolerance: Array) -> Array:
    allowed = np.expm1(np.log1p(tolerance) / theta["alpha_D"])
    return np.asarray(theta["D_c"] * (N / theta["N_c"]) ** _ratio(theta) / allowed)


def _loss(theta: Theta, N: Array, D: Array) -> Array:
    return KAPLAN_OVERFIT.value(theta, N=N, D=D)


def _stop(theta: Theta, trajectory: Trajectory, N: Array, D: Array, B: Array) -> Array:
    converged = (theta["N_c"] / N) ** theta["alpha_N"]
    gap = converged * _excess(theta, N, D)
    fewest = trajectory.S_c * gap ** (-1 / trajectory.alpha_S)
    return np.asarray(fewest * (1 + trajectory.critical_batch(_loss(theta, N, D)) / B))


def _interval(leader: FitResult, ask: Callable[[Theta], Value], level: float) -> Interval:
    with np.errstate(all="ignore"):
        drawn = np.asarray(ask(theta_of_draws(leader)))
    low, high = percentiles(drawn.ravel(), level)
    return Interval(value=float(ask(leader.theta)), low=float(low), high=float(high))


def _stop_interval(
    leader: FitResult, trajectory: Trajectory, N: Array, D: Array, B: Array, level: float
) -> Interval:
    """Over the draws of the loss and of the steps, paired as independent."""
    counts = [len(draws) for draws in (leader.draws, trajectory.draws) if len(draws)]
    count = min(counts, default=1)
    theta = {name: values[:count, 0] for name, values in theta_of_draws(leader).items()}
    steps = trajectory
    if len(trajectory.draws):
        steps = replace(trajectory, draws=trajectory.draws[:count]).sampled()
    with np.errstate(all="ignore"):
        drawn = _stop(theta, steps, N, D, B)
    low, high = percentiles(drawn, level)
    value = float(_stop(leader.theta, trajectory, N, D, B))
    return Interval(value=value, low=float(low), high=float(high))


def _loss_interval(leader: FitResult, N: Array, D: Array, level: float) -> Interval:
    columns = {leader.law.variables["N"]: float(N), leader.law.variables["D"]: float(D)}
    told = leader.predict(level=level, **columns)
    return Interval(value=float(told.value), low=float(told.low), high=float(told.high))


def _is_kaplans(leader: FitResult) -> bool:
    return not leader.runs and leader.theta == KAPLAN_OVERFIT.published[0].theta


def _ranges(leader: FitResult) -> Mapping[str, tuple[float, float]]:
    return _KAPLAN_RANGES if _is_kaplans(leader) else leader.ranges


def _doubts(leader: FitResult, tokens: float, stop: EarlyStop | None) -> tuple[str, ...]:
    said = []
    if _is_kaplans(leader) and tokens < _FEW_TOKENS:
        said.append(
            f"{tokens:.3g} tokens are near the 2.2e7 of the smallest data set, where the published "
            "fit is poor: an epoch there was 40 updates."
        )
    if stop is not None:
        said.append(
            "The early stop is a lower bound: until then a limited data set trains no faster than "
            "an unlimited one."
        )
    return tuple(said)
