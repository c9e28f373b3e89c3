"""The coordinates in which a fit searches, and the way back to the constants.

Inputs are divided by their geometric means, and amplitudes are searched by their logarithm, so
every search sees numbers near one and the unit of an input cannot change the answer: counting
parameters in millions moves the amplitudes by exactly what their derived units say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import LawError
from scalewise.core.expression import Expression, evaluate, program
from scalewise.fit.objective import Objective
from scalewise.fit.points import Points
from scalewise.fit.priors import Penalty
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]

# An amplitude is searched between these logarithms of its value in normalised units: 1e-13 of a
# nat is below any measurement, and N_c / N stays below exp(120) for every exponent above 0.01.
LOG_AMPLITUDE = (-30.0, 120.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """One law over one set of points, in normalised coordinates ``q`` of shape (..., p).

    Where every problem has points of its own, see ``joined``, the inputs are (S, n), the bounds
    (S, p), and ``q`` has S rows.
    """

    law: Law
    inputs: Mapping[str, Array]  # divided by unit
    unit: Mapping[str, float]
    dimensions: Mapping[str, Mapping[str, Expression]]
    low: Array
    high: Array
    free: Array
    objective: Objective
    data: dict[int, Any]  # what the formula keeps between evaluations
    penalty: Penalty | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The constants, in coordinate order."""
        return self.law.constant_names

    @property
    def logged(self) -> Array:
        """Which coordinates are logarithms."""
        return np.array([c.role == "amplitude" for c in self.law.constants])

    def at(self, rows: Array | slice) -> Space:
        """The same coordinates over some of the points."""
        return replace(self, inputs={s: x[rows] for s, x in self.inputs.items()}, data={})

    def keep(self, rows: Array) -> Space:
        """The space of some of the problems, where problems differ in more than ``q``."""
        own_points = next(iter(self.inputs.values())).ndim > 1
        own_priors = self.penalty is not None and self.penalty.mean.ndim > 1
        if not (own_points or own_priors):
            return self
        kept = self
        if own_points:
            kept = replace(
                self,
                inputs={s: x[rows] for s, x in self.inputs.items()},
                low=self.low[rows],
                high=self.high[rows],
                data={},
            )
        if own_priors and self.penalty is not None:
            kept = replace(kept, penalty=replace(self.penalty, mean=self.penalty.mean[rows]))
        return kept

    def scaled_theta(self, q: Array) -> dict[str, Array]:
        """Constants in normalised units; each has shape (..., 1), to broadcast over points."""
        values = np.where(self.logged, np.exp(np.where(self.logged, q, 0.0)), q)
        return {name: values[..., i, None] for i, name in enumerate(self.names)}

    def predicted(self, q: Array) -> Array:
        """Predicted quantity at the points, shape (..., n)."""
        values = {**self.inputs, **self.scaled_theta(q)}
        return np.asarray(self.law.evaluate(values, data=self.data)[0])

    def explicit(self, observed: Array) -> Space:
        """For an implicit law, the same with the measured quantity on its right; else itself.

        Cheap to evaluate, linear in more constants, and close by where the law fits.
        """
        law = self.law
        if not law.implicit:
            return self
        measured = np.exp(observed) if self.objective.in_logs else observed
        return replace(
            self,
            law=law.explicit(f"measured_{law.quantity}"),
            inputs={**self.inputs, law.implicit: measured},
            data={},
        )

    def residuals(self, q: Array, observed: Array) -> tuple[Array, Array]:
        """Residuals (S, n) and their derivatives by the coordinates (S, p, n)."""
        theta = self.scaled_theta(q)
        start = (
            (np.exp(observed) if self.objective.in_logs else observed) if self.law.implicit else 1.0
        )
        predicted, gradient = self.law.evaluate(
            {**self.inputs, **theta}, start=start, data=self.data
        )
        jacobian = np.zeros((len(q), len(self.names), observed.shape[-1]))
        scale = 1.0 / predicted if self.objective.in_logs else 1.0
        for i, (name, logged) in enumerate(zip(self.names, self.logged, strict=True)):
            if self.free[i] and name in gradient:
                factor = theta[name] * scale if logged else scale
                jacobian[:, i, :] = gradient[name] * factor
        fitted = np.log(predicted) if self.objective.in_logs else predicted
        return fitted - observed, jacobian

    def surprise(self, q: Array) -> tuple[Array, Array]:
        """Constants with a prior, in its standard deviations from its mean, (S, k).

        Also the derivatives by the coordinates, (S, k, p).
        """
        assert self.penalty is not None  # noqa: S101 - asked for only where there are priors
        theta = {name: value[..., 0] for name, value in self.scaled_theta(q).items()}
        names, by = self.penalty.names, frozenset(self.names)
        value = np.empty((len(q), len(names)))
        slope = np.zeros((len(q), len(names), q.shape[1]))
        for k, name in enumerate(names):
            i = self.names.index(name)
            factor = self.factor(name, theta)
            if self.logged[i]:
                value[:, k] = q[:, i] + np.log(factor)
                slope[:, k, i] = 1.0
                for symbol, power in self.dimensions[name].items():
                    _, gradient = program(power, by).run(theta)
                    for other, derivative in gradient.items():
                        slope[:, k, self.names.index(other)] += derivative * np.log(
                            self.unit[symbol]
                        )
            else:
                value[:, k], slope[:, k, i] = q[:, i] * factor, factor
        slope = np.where(self.free, slope, 0.0)
        return (value - self.penalty.mean) / self.penalty.sd, slope / self.penalty.sd[:, None]

    def disbelief(self, q: Array) -> Array:
        """What priors add to the objective at each of ``q`` (S, p)."""
        if self.penalty is None:
            return np.zeros(len(q))
        surprise, _ = self.surprise(q)
        return self.penalty.rise(self.objective.delta) * np.sum(surprise**2, axis=1)

    def theta(self, q: Array) -> dict[str, Array]:
        """Constants in the user's units; ``q`` has shape (..., p), each constant (...)."""
        scaled = {name: value[..., 0] for name, value in self.scaled_theta(q).items()}
        return {name: scaled[name] * self.factor(name, scaled) for name in self.names}

    def q_of(self, theta: Mapping[str, float]) -> Array:
        """Coordinates of constants given in the user's units."""
        scaled = {name: theta[name] / self.factor(name, theta) for name in self.names}
        values = np.array([float(scaled[name]) for name in self.names])
        with np.errstate(divide="ignore"):
            q = np.where(self.logged, np.log(np.where(self.logged, values, 1.0)), values)
        return np.clip(q, self.low, self.high)

    def factor(self, name: str, theta: Mapping[str, Any]) -> Any:
        """How much larger a constant is in the user's units than in normalised ones."""
        factor: Any = 1.0
        for symbol, power in self.dimensions[name].items():
            factor = factor * self.unit[symbol] ** evaluate(power, theta)
        return factor


def joined(spaces: Sequence[Space], owner: Array) -> Space:
    """One space of many problems: the i-th is over the points of ``spaces[owner[i]]``.

    All are of one law, with the same constants free. Points are padded by their last one, which
    ``padded`` gives no weight.
    """
    if len(spaces) == 1:
        return spaces[0]
    first = spaces[0]
    return replace(
        first,
        inputs={s: padded([space.inputs[s] for space in spaces])[owner] for s in first.inputs},
        low=np.stack([space.low for space in spaces])[owner],
        high=np.stack([space.high for space in spaces])[owner],
        data={},
    )


def padded(rows: Sequence[Array], fill: float | None = None) -> Array:
    """Arrays of unequal length as rows of one, ended by ``fill`` or by repeats of their last."""
    length = max(len(row) for row in rows)
    if min(len(row) for row in rows) == length:
        return np.stack(rows)
    return np.stack(
        [
            np.pad(row, (0, length - len(row)), constant_values=row[-1] if fill is None else fill)
            for row in rows
        ]
    )


def space_of(
    law: Law,
    points: Points,
    objective: Objective,
    *,
    bounds: Mapping[str, tuple[float, float]],
    fixed: Mapping[str, float],
) -> Space:
    """Set up the coordinates, with the user's bounds and fixed constants carried over."""
    for name in (*bounds, *fixed):
        if name not in law.constant_names:
            raise LawError(
                f"Law {law.key!r} has no constant {name!r}.",
                hint=f"It has {', '.join(law.constant_names)}.",
            )
    dimensions = law.dimensions
    stated = {c.name: fixed_bounds(c.name, c.bounds, bounds, fixed) for c in law.constants}
    # What holds in one unit only, as N in E - k * log(N), is left as it is; so is what the unit
    # of a bounded amplitude contains to a fitted power, for such a bound is a box only in the
    # user's own units.
    as_given = set(law.rigid)
    for constant in law.constants:
        if stated[constant.name] != (0.0, np.inf):
            as_given |= {s for s, power in dimensions[constant.name].items() if power.names}
    unit: dict[str, float] = {}
    for group in law.unit_groups:  # what must be counted in one unit is divided by one number
        values = np.concatenate([points.inputs[s] for s in group])
        typical = 1.0 if group & as_given else float(np.exp(np.mean(np.log(values))))
        unit |= dict.fromkeys(group, typical)
    low, high = np.empty(len(law.constants)), np.empty(len(law.constants))
    for i, constant in enumerate(law.constants):
        factor = 1.0
        for symbol, power in dimensions[constant.name].items():
            if not power.names:
                factor *= unit[symbol] ** float(evaluate(power, {}))
        edges = np.array(stated[constant.name], dtype=float) / factor
        if constant.role == "amplitude":
            if edges[1] < 0:
                raise LawError(
                    f"{constant.name} is at most {stated[constant.name][1]:g}, and an amplitude "
                    "cannot be negative.",
                    hint="The formula states its sign; give a value above 0.",
                )
            with np.errstate(divide="ignore"):
                edges = np.log(np.maximum(edges, 0.0))
            if constant.name not in fixed:
                wide = 1e3 if any(unit[s] == 1.0 for s in dimensions[constant.name]) else 0.0
                edges = np.clip(edges, LOG_AMPLITUDE[0] - wide, LOG_AMPLITUDE[1] + wide)
        low[i], high[i] = edges
    return Space(
        law=law,
        inputs={s: x / unit[s] for s, x in points.inputs.items()},
        unit=unit,
        dimensions=dimensions,
        low=low,
        high=high,
        free=low < high,
        objective=objective,
        data={},
    )


def fixed_bounds(
    name: str,
    default: tuple[float, float],
    bounds: Mapping[str, tuple[float, float]],
    fixed: Mapping[str, float],
) -> tuple[float, float]:
    """The interval a constant may take: a point if fixed, the user's, or the law's own."""
    if name in fixed:
        if not np.isfinite(fixed[name]):
            raise LawError(f"{name} is fixed at {fixed[name]}.", hint="Give a finite value.")
        return (float(fixed[name]), float(fixed[name]))
    low, high = bounds.get(name, default)
    if not low <= high:
        raise LawError(f"{name} has bounds ({low:g}, {high:g}).", hint="Lower bound first.")
    return (float(low), float(high))
