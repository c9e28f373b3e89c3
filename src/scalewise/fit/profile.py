"""Profile intervals: how far one number can be moved before the fit becomes worse than chance.

The number, a constant or a prediction, is held at a value while all other constants follow. The
values at which the objective has risen by no more than chance explains are the interval. Unlike
percentiles of resamples it shows a rise that never comes: a constant without an upper limit is
reported as that, not as the largest resample. Venzon & Moolgavkar 1988; Raue et al. 2009.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import LawError, UnfitDataError, UsageError
from scalewise.core.quantities import check_level, format_count, level_text
from scalewise.fit.information import information
from scalewise.fit.points import Points
from scalewise.fit.prediction import inputs_for
from scalewise.fit.result import FitResult, t_quantile
from scalewise.fit.search import descend
from scalewise.fit.space import Space, space_of
from scalewise.laws.law import QUANTITY_UNITS

Array = np.ndarray[Any, np.dtype[Any]]
End = Literal["closed", "bound", "open"]
# Minimise with the number held near a value: x, starts (S, p) -> its x, coordinates, objective.
Held = Callable[[float, Array], tuple[float, Array, float]]

_ENOUGH = 1e-9
_STEPS = 60  # on either side
_STUCK = 0.02  # of a step: less progress than this is none
_PROMINENT = 0.01  # of the rise that ends the interval: a shallower dip is no minimum
_GROWTH = 1.25  # of each step, so that the end of a flat side comes into reach
_FARTHEST = 30.0  # logarithms, where the number is positive: thirteen decades
_BEYOND = 1.6  # times the rise that ends the interval, so that the figure shows the crossing
_RESTRAINT = 50.0  # stiffness of the point that holds a prediction, in that of the objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The least objective at each value of one number.

    ``values`` rise; ``objective`` is the least reached with the number held there, ``least`` that
    of the fit and ``threshold`` where the interval of ``level`` ends. ``low`` and ``high`` are the
    ends: ``closed`` where the objective crosses the threshold, ``bound`` where a bound of the law
    comes first, ``open`` where it does not rise as far as was looked.
    """

    name: str
    unit: str
    best: float
    values: Array
    objective: Array
    least: float
    threshold: float
    low: float
    high: float
    low_end: End
    high_end: End
    minima: tuple[float, ...]
    level: float

    @property
    def verdict(self) -> str:
        """What the profile says about the number, in a sentence."""
        ends = {"low": self.low_end, "high": self.high_end}
        open_ = [side for side, end in ends.items() if end == "open"]
        if len(open_) == len(ends):
            told = f"flat: the data say nothing about {self.name}"
        elif open_:
            side = "upper" if open_ == ["high"] else "lower"
            limit, sign = (self.low, "at least") if side == "upper" else (self.high, "at most")
            told = f"no {side} limit: {sign} {_short(limit)} is all that the data say"
        else:
            told = f"{_short(self.low)} to {_short(self.high)}"
            at = [side for side, end in ends.items() if end == "bound"]
            if at:
                told += f"; the {' and the '.join(at)} end is where the law stops, not the data"
        if len(self.minima) > 1:
            told += f"; {len(self.minima)} minima, at {', '.join(map(_short, self.minima))}"
        return told

    def __str__(self) -> str:
        return (
            f"{self.name} = {_short(self.best)}, {level_text(self.level)} profile: {self.verdict}"
        )


def _short(value: float) -> str:
    return format_count(value) if abs(value) >= 1e4 else f"{value:.4g}"


def profile(result: FitResult, name: str = "", *, level: float = 0.9, **columns: Any) -> Profile:
    """Profile a constant by its name, or the prediction at ``columns``: ``params=7e9, ...``.

    A rise of the objective is measured against its scatter over runs, so that checkpoints of one
    run do not count as evidence of their own. Combined laws are profiled by their leader.
    Raises LawError for an unknown constant, UsageError unless one number is asked for, and
    UnfitDataError for constants that were given, not fitted.
    """
    if bool(name) == bool(columns):
        raise UsageError(
            f"What to profile is not clear: constant {name!r}, inputs {sorted(columns)}.",
            hint='Write profile(result, "alpha") or profile(result, params=7e9, tokens=1e12).',
        )
    check_level(level)
    if result.points < 2:
        raise UnfitDataError(
            f"{result.source} was not fitted here, so there is no objective to profile.",
            hint="Fit the law to runs first.",
        )
    t = t_quantile((1 + level) / 2, result.degrees)
    with np.errstate(all="ignore"):
        held = _constant(result, name) if name else _value(result, columns, t)
        rise = held.rise_per_chi_squared * t * t
        return _told(held, _trace(held, rise), rise, level)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A number that can be held: ``x`` is its logarithm where it is positive, else itself."""

    name: str
    unit: str
    x: float
    q: Array
    starts: Array  # other minima, to begin from too
    direction: Array  # how the coordinates follow x at first
    step: float
    bounds: tuple[float, float]
    positive: bool
    factor: float  # from the coordinate to the user's unit
    least: float
    rise_per_chi_squared: float
    at: Held

    def off_scale(self, x: Any) -> Any:
        """From x back to the number."""
        return (np.exp(x) if self.positive else x) * self.factor


def points_behind(result: FitResult) -> Points:
    """The points of a fit, as they were fitted."""
    return Points(
        inputs=result.inputs,
        observed=result.observed,
        weights=result.weights,
        cluster=result.cluster,
        flops=None,
        sha256=result.sha256,
        source=result.source,
    )


def space_behind(result: FitResult) -> Space:
    """The coordinates in which a fit was searched."""
    return _space(result, points_behind(result), {})


def _space(result: FitResult, points: Points, fixed: Mapping[str, float]) -> Space:
    given = {name: result.theta[name] for name in result.fixed}
    space = space_of(result.law, points, result.objective, bounds={}, fixed={**given, **fixed})
    return replace(space, penalty=result.penalty)


def _constant(result: FitResult, name: str) -> _Held:
    law, points = result.law, points_behind(result)
    if name not in law.constant_names or name in result.fixed:
        free = [n for n in law.constant_names if n not in result.fixed]
        why = "is fixed in this fit" if name in result.fixed else "is no constant"
        raise LawError(f"{name!r} {why} of law {law.key!r}.", hint=f"Free: {', '.join(free)}.")
    index = law.constant_names.index(name)
    constant = law.constants[index]
    positive = constant.role == "amplitude"
    # A fixed constant has a coordinate in its own unit, which then is moved row by row.
    space = _space(result, points, {name: result.theta[name]})

    def _end(edge: float) -> float:
        return float(np.log(edge)) if positive else edge

    low, high = space.low.copy(), space.high.copy()
    low[index], high[index] = -np.inf, np.inf
    space = replace(space, low=low, high=high)
    observed, q = result.objective.observed(points.observed), space.q_of(result.theta)

    def at(x: float, starts: Array) -> tuple[float, Array, float]:
        starts = starts.copy()
        starts[:, index] = x
        return x, *_least(space, starts, observed, points.weights, len(observed))

    every = replace(space, free=_space(result, points, {}).free)
    known = information(every, q, observed, points.weights, points.cluster)
    factor = float(space.factor(name, result.theta))
    return _Held(
        name=name,
        unit=law.unit(name),
        x=float(q[index]),
        q=q,
        starts=np.array([space.q_of(b.theta) for b in result.certificate.basins]).reshape(
            -1, len(q)
        ),
        direction=known.direction(np.eye(len(q))[index]),
        step=known.standard_error(np.eye(len(q))[index]),
        bounds=(_end(constant.bounds[0] / factor), _end(constant.bounds[1] / factor)),
        positive=positive,
        factor=factor,
        least=result.objective_value + float(space.disbelief(q[None])[0]),
        rise_per_chi_squared=known.rise_per_chi_squared(np.eye(len(q))[index]),
        at=at,
    )


def _value(result: FitResult, columns: Mapping[str, Any], t: float) -> _Held:
    """The prediction at one place, held by an invented run of great weight there.

    Wherever that run pulls the prediction to, the constants are the best for its value there.
    """
    points, law = points_behind(result), result.law
    place = inputs_for(law, columns)
    if any(np.size(v) != 1 for v in place.values()):
        raise UsageError("More than one place is given.", hint="Profile one prediction at a time.")
    extended = replace(
        points,
        inputs={s: np.append(x, float(place[s])) for s, x in points.inputs.items()},
        observed=np.append(points.observed, 1.0),
        weights=np.append(points.weights, 0.0),
        cluster=np.append(points.cluster, points.cluster[0]),
    )
    space = _space(result, extended, {})
    count, q = len(points.observed), space.q_of(result.theta)
    observed = result.objective.observed(extended.observed)
    residuals, jacobian = space.residuals(q[None], observed[None])
    known = information(space, q, observed, extended.weights, extended.cluster)
    gradient = jacobian[0][:, -1]
    rise = known.rise_per_chi_squared(gradient)
    held = extended.weights.copy()
    held[-1] = _restraint(result.objective.delta, known.stiffness(gradient), rise * t * t)

    def at(x: float, starts: Array) -> tuple[float, Array, float]:
        q, objective = _least(space, starts, np.append(observed[:-1], x), held, count)
        there, _ = space.residuals(q[None], observed[None])
        return float(there[0][-1] + observed[-1]), q, objective

    x = float(residuals[0][-1] + observed[-1])
    given = ", ".join(f"{name}={_short(float(value))}" for name, value in columns.items())
    return _Held(
        name=f"{law.quantity} at {given}",
        unit=QUANTITY_UNITS[law.quantity],
        x=x,
        q=q,
        starts=np.array([space.q_of(b.theta) for b in result.certificate.basins]).reshape(
            -1, len(q)
        ),
        direction=known.direction(gradient),
        step=known.standard_error(gradient),
        bounds=(-np.inf, np.inf),
        positive=result.objective.in_logs,
        factor=1.0,
        least=result.objective_value + float(space.disbelief(q[None])[0]),
        rise_per_chi_squared=rise,
        at=at,
    )


def _restraint(delta: float, stiffness: float, rise: float) -> float:
    """Weight at which an invented run outpulls all others until the objective has risen enough."""
    if np.isinf(delta):
        return _RESTRAINT * stiffness
    pull = 3.0 * np.sqrt(2.0 * _BEYOND * rise * stiffness)
    return float(max(pull / (delta or 1.0), _RESTRAINT * stiffness if delta else 0.0))


def _least(
    space: Space, starts: Array, observed: Array, weights: Array, count: int
) -> tuple[Array, float]:
    """The best of the descents from ``starts``, and its objective over the first ``count``."""
    found = descend(space, starts, observed, weights, tolerance=_ENOUGH, warm=True)
    residuals, _ = space.residuals(found.q, np.broadcast_to(observed, (len(starts), len(observed))))
    total = space.objective.total(residuals[:, :count], weights[:count]) + space.disbelief(found.q)
    best = int(np.argmin(np.where(np.isfinite(found.objective), found.objective, np.inf)))
    return found.q[best], float(total[best])


def _trace(held: _Held, rise: float) -> tuple[Array, Array, tuple[End, End]]:
    """The profile on both sides of the best value, and how each side ended."""
    sides = [_side(held, rise, sign) for sign in (-1.0, 1.0)]
    (left, _), (right, _) = sides
    x = np.array([*[p.x for p in reversed(left)], held.x, *[p.x for p in right]])
    value = np.array(
        [*[p.objective for p in reversed(left)], held.least, *[p.objective for p in right]]
    )
    return x, value, (sides[0][1], sides[1][1])


@dataclass(slots=True)
class _Point:
    x: float
    q: Array
    objective: float


def _side(held: _Held, rise: float, sign: float) -> tuple[list[_Point], End]:
    """Walk away from the best value until the objective has risen enough, and back again."""
    step = held.step if np.isfinite(held.step) and held.step > 0 else 0.05 * max(abs(held.x), 1.0)
    step = 0.4 * min(step, 0.5 if held.positive else 0.5 * max(abs(held.x), 0.1))
    farthest = held.bounds[1] if sign > 0 else held.bounds[0]
    walked = [_Point(held.x, held.q, held.least)]
    end: End = "open"
    for _ in range(_STEPS):
        here = walked[-1]
        x = here.x + sign * step
        if sign * (x - farthest) >= 0:
            x, end = farthest, "bound"
        if sign * (x - here.x) <= 0 or (held.positive and abs(x - held.x) > _FARTHEST):
            break
        before = walked[-2] if len(walked) > 1 else here
        slope = (here.q - before.q) / (here.x - before.x) if here is not before else held.direction
        ahead = here.q + slope * (x - here.x)
        there = _Point(*held.at(x, np.concatenate([[here.q, ahead], held.starts])))
        if sign * (there.x - here.x) <= _STUCK * sign * (x - here.x):
            end = "bound"  # no constants within their bounds predict any further
            break
        walked.append(there)
        objective = there.objective
        if not objective <= held.least + _BEYOND * rise:
            end = "closed"
        if end != "open":
            break
        step *= _GROWTH
    # Another valley, found only far out, may be lower all the way back.
    for outer, inner in zip(walked[:0:-1], walked[-2:0:-1], strict=False):
        again = _Point(*held.at(inner.x, outer.q[None]))
        if again.objective < inner.objective:
            inner.x, inner.q, inner.objective = again.x, again.q, again.objective
    if end == "bound" and walked[-1].objective > held.least + rise:
        end = "closed"
    return walked[1:], end


def _told(
    held: _Held, traced: tuple[Array, Array, tuple[End, End]], rise: float, level: float
) -> Profile:
    x, objective, ends = traced
    least = float(objective.min())
    threshold = least + rise
    root = np.sqrt(np.maximum(objective - least, 0.0))
    limits = []
    for sign, end, far in ((-1, ends[0], x[0]), (1, ends[1], x[-1])):
        inside = np.flatnonzero(objective <= threshold)
        last = int(inside[0] if sign < 0 else inside[-1])
        if end != "closed":
            limits.append(float(far) if end == "bound" else sign * np.inf)
        elif 0 <= last + sign < len(x):
            # The root of the rise is nearly straight, as for a parabola it would be.
            a, b = root[last], root[last + sign]
            share = (np.sqrt(rise) - a) / (b - a) if b > a and np.isfinite(b) else 0.0
            limits.append(float(x[last] + share * (x[last + sign] - x[last])))
        else:
            limits.append(float(x[last]))
    low, high = (held.off_scale(v) for v in limits)
    return Profile(
        name=held.name,
        unit=held.unit,
        best=float(held.off_scale(held.x)),
        values=np.asarray(held.off_scale(x)),
        objective=objective,
        least=least,
        threshold=threshold,
        low=float(low),
        high=float(high),
        low_end=ends[0],
        high_end=ends[1],
        minima=tuple(float(held.off_scale(x[i])) for i in _dips(objective, rise)),
        level=level,
    )


def _dips(objective: Array, rise: float) -> list[int]:
    """Indices of the minima of a profile within the threshold, each set off by a real rise."""
    found: list[int] = []
    for i in np.flatnonzero(objective <= objective.min() + rise):
        if not found:
            found.append(int(i))
            continue
        last = found[-1]
        between = float(objective[last : i + 1].max())
        apart = between - max(objective[last], objective[i]) > _PROMINENT * rise + 1e-24
        if apart:
            found.append(int(i))
        elif objective[i] < objective[last]:
            found[-1] = int(i)
    return found
