"""Kaplan's compute-efficient frontier in closed form (Kaplan et al. 2020, appendix B).

For a `Trajectory`, minimise the loss over N at fixed C = 6 N B_crit(L) S_min. At the optimum
(S_c/S_min)**alpha_S = r (N_c/N)**alpha_N with r = alpha_N/alpha_S: training stops about 10 % above
the converged loss. Everything along the frontier is then a power of C.

C is C_min, N counts parameters without embeddings and S is S_min: the least compute and the
fewest steps, which no one batch reaches together. At the critical batch, training takes
2 S_min steps, 2 E_min tokens and 2 C_min FLOP.

These exponents describe Kaplan's set-up. A size allocated by them is far too large for its
tokens where Hoffmann et al. 2022 hold: see `plan.conventions` for why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scalewise.core.errors import LawError
from scalewise.fit.prediction import scalar
from scalewise.forecast.trajectory import Trajectory, positive
from scalewise.plan.allocate import Interval

Array = np.ndarray[Any, np.dtype[Any]]
Value = Array | float


@dataclass(frozen=True, slots=True)
class EfficientFrontier:
    """The compute-efficient frontier of a trajectory; ``flops`` is C_min in FLOP, and broadcasts.

    >>> frontier = EfficientFrontier(Trajectory.kaplan2020())
    >>> round(frontier.exponent, 5), round(frontier.exponents()["params_nonembed"], 3)
    (0.05245, 0.681)
    """

    trajectory: Trajectory

    @property
    def excess(self) -> Value:
        """Over the converged loss, at which training stops: r = alpha_N/alpha_S, relative."""
        return self.trajectory.alpha_N / self.trajectory.alpha_S

    @property
    def exponent(self) -> Value:
        """alpha_C of L = (C_c/C)**alpha_C: 1 / (1/alpha_S + 1/alpha_B + 1/alpha_N). Eq. 6.4."""
        t = self.trajectory
        return 1 / (1 / t.alpha_S + 1 / t.alpha_B + 1 / t.alpha_N)

    @property
    def flops_scale(self) -> Value:
        """C_c, the FLOP at which the loss reaches 1 nat/token.

        6 N_c B_star S_c (1 + r)**(1/alpha_S + 1/alpha_N) (1/r)**(1/alpha_S).
        """
        t, r = self.trajectory, self.excess
        bend = (1 + r) ** (1 / t.alpha_S + 1 / t.alpha_N) * (1 / r) ** (1 / t.alpha_S)
        return 6.0 * t.N_c * t.B_star * t.S_c * bend

    def exponents(self) -> dict[str, Value]:
        """The power of C by which each quantity grows; size, batch and steps sum to 1."""
        t, a = self.trajectory, self.exponent
        size = a / t.alpha_N
        return {
            "params_nonembed": size,
            "batch_tokens": a / t.alpha_B,
            "steps_min": a / t.alpha_S,
            "tokens_min": 1 - size,
        }

    def loss(self, flops: ArrayLike) -> Value:
        """The least loss that C buys: (C_c/C)**alpha_C, in nats/token."""
        return scalar((self.flops_scale / positive("flops", flops)) ** self.exponent)

    def params_nonembed(self, flops: ArrayLike) -> Value:
        """The size: N_c (C/C_c)**(alpha_C/alpha_N) (1 + r)**(1/alpha_N)."""
        t = self.trajectory
        return scalar(np.asarray(t.N_c * ((1 + self.excess) / self.loss(flops)) ** (1 / t.alpha_N)))

    def steps_min(self, flops: ArrayLike) -> Value:
        """The fewest updates, S_c**alpha_S being r (N_c/N)**alpha_N S_min**alpha_S.

        C_c/(6 N_c B_star) (1 + r)**(-1/alpha_N) (C/C_c)**(alpha_C/alpha_S).
        """
        t = self.trajectory
        head = self.flops_scale / (6.0 * t.N_c * t.B_star) * (1 + self.excess) ** (-1 / t.alpha_N)
        return scalar(np.asarray(head * self.loss(flops) ** (-1 / t.alpha_S)))

    def batch_tokens(self, flops: ArrayLike) -> Value:
        """The critical batch at the loss reached, in tokens."""
        return self.trajectory.critical_batch(self.loss(flops))

    def tokens_min(self, flops: ArrayLike) -> Value:
        """The fewest tokens: E_min = B_crit S_min = C / (6 N)."""
        return scalar(np.asarray(self.batch_tokens(flops) * self.steps_min(flops)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientRun:
    """What a compute budget C_min is best spent on, by the frontier.

    ``flops`` is C_min; at the critical batch the run takes twice ``steps_min``, ``tokens_min`` and
    ``flops``. Intervals hold the uncertainty of the constants; low equals high where none is known.
    """

    flops: float
    params_nonembed: Interval
    loss: Interval
    batch_tokens: Interval
    steps_min: Interval
    tokens_min: Interval
    exponents: Mapping[str, float]
    excess: float
    level: float
    extrapolation: Mapping[str, float]
    source: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Size, steps and compute of one choice, as factors of those of another, at the same loss."""

    params_nonembed: Value
    steps_min: Value
    flops: Value


def efficient_run(trajectory: Trajectory, flops: float, *, level: float = 0.9) -> EfficientRun:
    """The compute-efficient model for a budget C_min in FLOP.

    >>> run = efficient_run(Trajectory.kaplan2020(), 8.64e19)
    >>> round(run.loss.value, 4), f"{run.params_nonembed.value:.3g}"
    (2.6944, '5.84e+08')
    """
    positive("flops", flops)
    if trajectory.critical_by != "loss" or np.any(np.asarray(trajectory.E) > 0):
        raise LawError(
            "The frontier in closed form is that of a trajectory without a floor, whose critical "
            "batch is a power of the loss.",
            hint="Fit --law trajectory, or choose a size with `scalewise steps`.",
        )

    def told(ask: Callable[[EfficientFrontier], Value]) -> Interval:
        return interval_of(trajectory, lambda t: ask(EfficientFrontier(t)), level=level)

    frontier = EfficientFrontier(trajectory)
    size, loss = told(lambda f: f.params_nonembed(flops)), told(lambda f: f.loss(flops))
    reached = {"params_nonembed": size.value, "loss": loss.value}
    return EfficientRun(
        flops=float(flops),
        params_nonembed=size,
        loss=loss,
        batch_tokens=told(lambda f: f.batch_tokens(flops)),
        steps_min=told(lambda f: f.steps_min(flops)),
        tokens_min=told(lambda f: f.tokens_min(flops)),
        exponents={name: float(value) for name, value in frontier.exponents().items()},
        excess=float(frontier.excess),
        level=level,
        extrapolation=trajectory.extrapolation(**reached),
        source=trajectory.source,
        warnings=(*trajectory.warnings, *trajectory.doubts(**reached)),
    )


def size_cost(trajectory: Trajectory, ratio: ArrayLike) -> Cost:
    """What a size ``ratio`` times the efficient one costs on the way to the same loss.

    With n = N/N_eff: steps [1 + (alpha_S/alpha_N)(1 - n**-alpha_N)]**(-1/alpha_S), compute n times
    that. Raises LawError for a size that cannot reach the loss.

    >>> cost = size_cost(Trajectory.kaplan2020(), 2.2)
    >>> round(cost.flops, 3), round(cost.steps_min, 3)
    (1.204, 0.547)
    """
    n = positive("ratio", ratio)
    r = EfficientFrontier(trajectory).excess
    bracket = np.asarray(1 + (1 - n**-trajectory.alpha_N) / r)
    if np.any(bracket <= 0):
        smallest = float(np.max((1 + r) ** (-1 / trajectory.alpha_N)))
        raise LawError(
            f"A model of {float(np.min(n)):g} times the efficient size never reaches that loss.",
            hint=f"It takes at least {smallest:.3g} times the efficient size.",
        )
    steps = bracket ** (-1 / trajectory.alpha_S)
    return Cost(params_nonembed=scalar(n), steps_min=scalar(steps), flops=scalar(n * steps))


def stop_cost(trajectory: Trajectory, excess: float, reference: float) -> Cost:
    """What stopping at ``excess`` over the converged loss costs, against stopping at ``reference``.

    At the same loss N_f/N_g = ((1+f)/(1+g))**(1/alpha_N) and
    S_f/S_g = ((1+1/f)/(1+1/g))**(1/alpha_S); compute is their product. Kaplan compares
    f = 0.1, the efficient run, with g = 0.02.

    >>> cost = stop_cost(Trajectory.kaplan2020(), 0.1, 0.02)
    >>> cost.params_nonembed > 2.6 and cost.flops < 0.4
    True
    """
    f, g = (positive("excess", value) for value in (excess, reference))
    size = ((1 + f) / (1 + g)) ** (1 / trajectory.alpha_N)
    steps = ((1 + 1 / f) / (1 + 1 / g)) ** (1 / trajectory.alpha_S)
    return Cost(params_nonembed=scalar(size), steps_min=scalar(steps), flops=scalar(size * steps))


def interval_of(
    trajectory: Trajectory, ask: Callable[[Trajectory], Value], *, level: float
) -> Interval:
    """A scalar answer of a trajectory with its interval over the draws."""
    low, high = trajectory.bounds(ask, level=level)
    return Interval(value=float(ask(trajectory)), low=float(low), high=float(high))
