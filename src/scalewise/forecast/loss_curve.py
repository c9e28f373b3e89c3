"""The whole loss curve of a run before it starts, with its band, at a batch or a batch schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import UsageError
from scalewise.fit.result import FitResult, t_quantile
from scalewise.forecast.trajectory import Trajectory, Value, positive, tails

Array = np.ndarray[Any, np.dtype[Any]]

_EARLY = 0.01  # of the run, where the range of fitted steps is not known


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LossCurve:
    """Predicted loss in nats/token along one run; arrays have an entry per step, log-spaced.

    ``stages`` are pairs (batch_tokens, steps). ``low`` and ``high`` bound what one newly trained
    run would measure at that step with probability ``level``; without resamples and run noise
    they equal ``loss``. ``floor`` is the (low, value, high) that no number of steps goes below.
    """

    params_nonembed: float
    stages: tuple[tuple[float, float], ...]
    step: Array
    batch_tokens: Array
    tokens: Array
    loss: Array
    low: Array
    high: Array
    floor: tuple[float, float, float]
    level: float
    extrapolation: Mapping[str, float]
    runs: int
    source: str
    warnings: tuple[str, ...]

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return bool(np.any(self.low < self.high))


def predict_curve(
    trajectory: Trajectory,
    params_nonembed: float,
    stages: Sequence[tuple[float, float]],
    *,
    result: FitResult | None = None,
    points: int = 200,
    level: float = 0.9,
) -> LossCurve:
    """The loss at ``points`` log-spaced steps and the ends of the stages of a batch schedule.

    One stage is a constant batch. The band holds the uncertainty of the constants and, with the
    fit ``result`` that the trajectory comes from, the noise of a run. Steps before the first
    fitted one are left out.

    >>> curve = predict_curve(Trajectory.kaplan2020(), 1.5e9, [(2**19, 1e5)], points=3)
    >>> curve.step.tolist(), curve.loss.round(4).tolist()
    ([1000.0, 10000.0, 100000.0], [4.4535, 3.0026, 2.4881])
    """
    N, plan = _checked(params_nonembed, stages)
    total = sum(steps for _, steps in plan)
    first, late = _first_step(trajectory, total)
    ends = np.cumsum([steps for _, steps in plan])
    along_logs = np.geomspace(first, total, points).round()
    step = np.unique(np.concatenate([along_logs[along_logs < total], ends[ends >= first]]))
    pieces = _pieces(plan, step)

    def along(t: Trajectory) -> Array:
        return _loss_along(t, N, plan, pieces)

    centre = along(trajectory)
    low, high = _band(trajectory, along, centre, result, level)
    reached = {
        "params_nonembed": [N],
        "step": [total],
        "batch_tokens": [batch for batch, _ in plan],
        "loss": [float(centre[-1])],
    }
    floor = float(trajectory.floor(N))
    floor_low, floor_high = trajectory.bounds(lambda t: t.floor(N), level=level)
    return LossCurve(
        params_nonembed=N,
        stages=plan,
        step=step,
        batch_tokens=pieces.batch[pieces.asked],
        tokens=np.cumsum(pieces.batch * pieces.steps)[pieces.asked],
        loss=centre,
        low=low,
        high=high,
        floor=(float(floor_low), floor, float(floor_high)),
        level=level,
        extrapolation=trajectory.extrapolation(**reached),
        runs=0 if result is None else result.runs,
        source=trajectory.source,
        warnings=(*trajectory.warnings, *trajectory.doubts(**reached), *late),
    )


def widened(
    centre: Array, low: Value, high: Value, result: FitResult, level: float
) -> tuple[Array, Array]:
    """An interval of the constants, widened by the noise of one run: quadrature on the fit's scale.

    As in `FitResult.predict`, so that both give one run the same interval.
    """
    degrees = max(min(result.points - len(result.theta), result.runs - 1), 1)
    ends = []
    for edge, probability in zip((low, high), tails(level), strict=True):
        distance = result.on_scale(np.asarray(edge)) - result.on_scale(centre)
        z = t_quantile(probability, degrees)
        total = np.sign(z) * result.spread * np.hypot(distance, z * result.noise)
        ends.append(result.off_scale(result.on_scale(centre) + total))
    return ends[0], ends[1]


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """A schedule cut at every step asked about; ``asked`` marks the pieces that end at one."""

    batch: Array
    steps: Array
    asked: Array


def _pieces(plan: tuple[tuple[float, float], ...], step: Array) -> _Pieces:
    ends = np.cumsum([steps for _, steps in plan])
    cuts = np.unique(np.concatenate([step, ends]))
    stage = np.minimum(np.searchsorted(ends, cuts), len(plan) - 1)
    return _Pieces(
        batch=np.array([batch for batch, _ in plan])[stage],
        steps=np.diff(cuts, prepend=0.0),
        asked=np.isin(cuts, step),
    )


def _loss_along(
    t: Trajectory, N: float, plan: tuple[tuple[float, float], ...], pieces: _Pieces
) -> Array:
    """The loss at the end of every piece asked about, on the last axis."""
    if len(plan) == 1:
        step = np.cumsum(pieces.steps)[pieces.asked]
        return np.asarray(t.loss(N, step, plan[0][0]))
    rows = t.loss_through(N, list(zip(pieces.batch, pieces.steps, strict=True)))
    # Constants of draws have a last axis of length 1, in the place of the steps.
    return np.moveaxis(rows[..., 0] if rows.ndim > 1 else rows, 0, -1)[..., pieces.asked]


def _band(
    trajectory: Trajectory,
    along: Callable[[Trajectory], Array],
    centre: Array,
    result: FitResult | None,
    level: float,
) -> tuple[Array, Array]:
    low, high = (np.asarray(edge) for edge in trajectory.bounds(along, level=level))
    return (low, high) if result is None else widened(centre, low, high, result, level)


def _checked(
    params_nonembed: float, stages: Sequence[tuple[float, float]]
) -> tuple[float, tuple[tuple[float, float], ...]]:
    N = float(positive("params_nonembed", params_nonembed))
    if N < 1:
        raise UsageError(
            f"params_nonembed={N:g} is less than one parameter.", hint="Give a count such as 7B."
        )
    plan = tuple(
        (float(positive("batch_tokens", batch)), float(positive("steps", steps)))
        for batch, steps in stages
    )
    if not plan:
        raise UsageError("The schedule has no stage.", hint="Give [(batch_tokens, steps), ...].")
    return N, plan


def _first_step(trajectory: Trajectory, total: float) -> tuple[float, tuple[str, ...]]:
    """From which step on the law is asked, and a warning where the run ends before that."""
    if "step" not in trajectory.ranges:
        return max(1.0, round(_EARLY * total)), ()
    first = trajectory.ranges["step"][0]
    if first < total:
        return first, ()
    return total, (
        f"The run ends at step {total:g}, before the first fitted step {first:g}: warm-up and the "
        "early transient are not in the law.",
    )
