"""The global search: many starts, one descent, and the certificate of what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.fit.lad import vertex
from scalewise.fit.projection import linear_constants
from scalewise.fit.solver import RELATIVE_DECREASE, Minimum, minimise
from scalewise.fit.space import Space, joined, padded
from scalewise.fit.starts import starts

Array = np.ndarray[Any, np.dtype[Any]]

FEW_POINTS = 40
LARGE = 4000  # points beyond which the search begins on a sample of so many
NOT_FOLLOWED = -1
CARRIED = 3  # minima of the sample that are followed on every point
EQUAL = 1e-11  # objectives this close differ by rounding alone
SAME = 1e-6  # objectives that agree to this share belong to the same minimum
LONG_VALLEY = 0.3  # standard deviations this long, in coordinates, can hold several minima
MAX_REACH = 1.5
VALLEY_STEPS = np.concatenate([np.linspace(-3.0, -0.25, 8), np.linspace(0.25, 3.0, 8)])
_MET = 1e-4  # coordinates this close have met
PROJECTED = 5  # steps in the nonlinear constants alone that a search begins with
ON_THE_WAY = 1e-2  # relative decrease at which a stage of the descent hands over to the next
SMOOTHED = 1e-7  # the delta that stands for 0 until the exact end of a lad fit
SMOOTHED_WARM = 1e-5  # the same for resamples, which need no exact end


@dataclass(frozen=True, slots=True, kw_only=True)
class Basin:
    """Another minimum that was found, with its objective."""

    objective: float
    theta: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How the global optimum is known.

    ``screened`` starts were scored, ``refined`` of them descended, ``agreeing`` ended at the
    reported optimum. ``basins`` are the other minima, best first. ``exact`` says that
    multipliers prove a least-absolute-deviations optimum.
    """

    screened: int
    refined: int
    agreeing: int
    basins: tuple[Basin, ...] = ()
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best minimum of a search, with its certificate."""

    q: Array
    objective: float
    converged: bool
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Effort:
    """How wide and deep a search is: starts scored, starts descended, and when to stop."""

    screened: int
    refined: int
    tolerance: float
    max_iterations: int
    follows_valleys: bool


THOROUGH = Effort(
    screened=256,
    refined=16,
    tolerance=RELATIVE_DECREASE,
    max_iterations=200,
    follows_valleys=True,
)
# For the many fits of a backtest, where a place in a flat valley is as good as its bottom.
QUICK = Effort(screened=96, refined=4, tolerance=1e-6, max_iterations=60, follows_valleys=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is searched: a space, the observations on the scale of its residuals, the weights."""

    space: Space
    observed: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.observed)

    def sample(self) -> Problem:
        """At most ``LARGE`` of the points, spread evenly."""
        if len(self) <= LARGE:
            return self
        few = np.linspace(0, len(self) - 1, LARGE).astype(int)
        return Problem(self.space.at(few), self.observed[few], self.weights[few])


def search(space: Space, observed: Array, weights: Array, effort: Effort = THOROUGH) -> Optimum:
    """Find the global optimum; ``observed`` is on the scale of the residuals."""
    return search_all([Problem(space, observed, weights)], effort)[0]


def search_all(problems: Sequence[Problem], effort: Effort = THOROUGH) -> list[Optimum]:
    """The global optimum of each of many data sets under one law, descended side by side."""
    samples = [problem.sample() for problem in problems]
    optima = []
    for problem, (found, member, screened) in zip(problems, _minima(samples, effort), strict=True):
        if len(problem) > LARGE:
            found, member = _on_every_point(problem, found, member, effort)
        optima.append(_optimum(problem, found, member, screened))
    return optima


def _optimum(problem: Problem, found: Minimum, member: Array, screened: int) -> Optimum:
    space, observed, weights = problem.space, problem.observed, problem.weights
    best = _plainest(found)
    q, exact = found.q[best], False
    if space.objective.delta == 0 and space.penalty is None:
        q, exact = vertex(space, q, observed, weights)
    residuals, _ = space.residuals(q[None], observed[None])
    value = float(space.objective.total(residuals[0], weights))
    same = found.objective <= found.objective[best] * (1 + SAME) + 1e-300
    return Optimum(
        q=q,
        objective=value,
        converged=bool(found.converged[same].any()) or exact,
        certificate=Certificate(
            screened=screened,
            refined=len(member),
            agreeing=int(same[member[member != NOT_FOLLOWED]].sum()),
            basins=_basins(space, found, same),
            exact=exact,
        ),
    )


def _minima(problems: Sequence[Problem], effort: Effort) -> list[tuple[Minimum, Array, int]]:
    """Per problem: the minima that its starts lead to, where each start ended, how many were."""
    begin, share, screened = [], [], []
    plain = [replace(p, space=p.space.explicit(p.observed)) for p in problems]
    for p in plain:
        first, count = starts(
            p.space, p.observed, p.weights, screened=effort.screened, refined=effort.refined
        )
        weights = np.broadcast_to(p.weights, (len(first), len(p)))
        if effort.follows_valleys and len(p) <= FEW_POINTS:
            first, weights = _leaving_one_out(first, p.weights)
        begin.append(first)
        share.append(weights)
        screened.append(count)
    linear = len(linear_constants(plain[0].space)) > 0
    rough = _side_by_side(
        plain, begin, share, delta=np.inf, max_iterations=40, tolerance=1e-6,
        projected=PROJECTED if linear else 0,
    )  # fmt: skip
    parts = [_distinct(r.q, r.objective) for r in rough]
    found = _staged(problems, [q for q, _ in parts], effort)
    members = [member for _, member in parts]
    if effort.follows_valleys:
        along = [
            _along_the_valley(p.space, f, p.observed, p.weights)
            for p, f in zip(problems, found, strict=True)
        ]
        more = _side_by_side(
            problems, along, None, delta=problems[0].space.objective.delta or SMOOTHED,
            tolerance=effort.tolerance,
        )  # fmt: skip
        members = [
            np.concatenate([m, len(f.q) + np.arange(len(a.q))])
            for m, f, a in zip(members, found, more, strict=True)
        ]
        found = [f.joined(a) for f, a in zip(found, more, strict=True)]
    return list(zip(found, members, screened, strict=True))


def _side_by_side(
    problems: Sequence[Problem], begin: Sequence[Array], share: Sequence[Array] | None, **how: Any
) -> list[Minimum]:
    """Minimise every problem from all of its starts, all in one go.

    ``share`` are weights by start, else those of the problems.
    """
    rows = _Rows(problems, begin, share)
    if not len(rows.q):
        return [Minimum(q, np.empty(0), np.empty(0, dtype=bool)) for q in begin]
    with np.errstate(all="ignore"):
        return rows.apart(minimise(rows.space, rows.q, rows.observed, rows.weights, **how))


def _staged(problems: Sequence[Problem], begin: Sequence[Array], effort: Effort) -> list[Minimum]:
    rows = _Rows(problems, begin, None)
    return rows.apart(
        descend(
            rows.space,
            rows.q,
            rows.observed,
            rows.weights,
            tolerance=effort.tolerance,
            max_iterations=effort.max_iterations,
        )
    )


class _Rows:
    """The starts of several problems as the rows of one."""

    def __init__(
        self, problems: Sequence[Problem], begin: Sequence[Array], share: Sequence[Array] | None
    ) -> None:
        self.counts = [len(q) for q in begin]
        owner = np.repeat(np.arange(len(problems)), self.counts)
        self.q = np.concatenate(begin)
        self.space = joined([p.space for p in problems], owner)
        self.observed = padded([p.observed for p in problems])[owner]
        self.weights = padded([p.weights for p in problems], fill=0.0)[owner]
        if share is not None:
            every = [row for rows in share for row in rows]
            self.weights = padded(every, fill=0.0)

    def apart(self, found: Minimum) -> list[Minimum]:
        """The minima of each problem."""
        ends = np.cumsum(self.counts)[:-1]
        columns = (np.split(c, ends) for c in (found.q, found.objective, found.converged))
        return [Minimum(*parts) for parts in zip(*columns, strict=True)]


def _on_every_point(
    problem: Problem, found: Minimum, member: Array, effort: Effort
) -> tuple[Minimum, Array]:
    """The best minima of a sample, descended again on all points, and who belongs to which."""
    distinct, again = _distinct(found.q, found.objective)
    kept = min(len(distinct), CARRIED)  # they come best first
    every = descend(
        problem.space, distinct[:kept], problem.observed, problem.weights,
        tolerance=effort.tolerance, warm=True,
    )  # fmt: skip
    member = again[member]
    return every, np.where(member < kept, member, NOT_FOLLOWED)


def _leaving_one_out(begin: Array, weights: Array) -> tuple[Array, Array]:
    """The starts, and as many again as there are points, each without one of them.

    With few points the robust objective has minima that pass by different outliers, and the
    smooth one, which no outlier escapes, would lead every start to the same of them.
    """
    again = begin[np.arange(len(weights)) % len(begin)]
    every = np.broadcast_to(weights, (len(begin), len(weights)))
    return np.concatenate([begin, again]), np.concatenate(
        [every, weights * (1.0 - np.eye(len(weights)))]
    )


def _along_the_valley(space: Space, found: Minimum, observed: Array, weights: Array) -> Array:
    """Starts on both sides of the best minimum, along its least determined direction.

    The smooth objective leads every start to one place of a long flat valley, where the robust
    one has several minima. Only worth it where the valley is long.
    """
    q = found.q[int(np.argmin(found.objective))]
    free = np.flatnonzero(space.free & (q > space.low) & (q < space.high))
    residuals, jacobian = space.residuals(q[None], observed[None])
    slopes = jacobian[0][free] * np.sqrt(weights)
    size = np.linalg.norm(slopes, axis=1)
    if not len(free) or not np.isfinite(slopes).all() or np.any(size == 0):
        return np.empty((0, len(q)))
    scaled = slopes / size[:, None]
    strength, directions = np.linalg.eigh(scaled @ scaled.T)
    noise = 1.4826 * float(np.median(np.abs(residuals[0])))
    reach = noise / np.sqrt(max(float(strength[0]), 1e-12)) * directions[:, 0] / size
    longest = float(np.max(np.abs(reach)))
    if longest < LONG_VALLEY:
        return np.empty((0, len(q)))
    reach = reach * min(1.0, MAX_REACH / longest)
    moves = np.zeros((len(VALLEY_STEPS), len(q)))
    moves[:, free] = np.outer(VALLEY_STEPS, reach)
    return np.clip(q + moves, space.low, space.high)


def _plainest(found: Minimum) -> int:
    """The best minimum; among equals, as along a valley without a floor, the least extreme."""
    least = float(np.min(found.objective))
    equal = np.flatnonzero(found.objective <= least * (1 + EQUAL))
    return int(equal[np.argmin(np.sum(found.q[equal] ** 2, axis=1))])


def _distinct(q: Array, objective: Array) -> tuple[Array, Array]:
    """The distinct rows of ``q``, and for each row which of them it is.

    Starts that met on the smooth objective would only repeat each other's descent.
    """
    kept: list[int] = []
    member = np.zeros(len(q), dtype=int)
    for i in np.argsort(objective, kind="stable"):
        apart = np.max(np.abs(q[kept] - q[i]), axis=1) if kept else np.empty(0)
        near = np.flatnonzero(apart < _MET)
        member[i] = near[0] if len(near) else len(kept)
        if not len(near):
            kept.append(int(i))
    return q[kept], member


def descend(
    space: Space,
    q: Array,
    observed: Array,
    weights: Array,
    *,
    tolerance: float = RELATIVE_DECREASE,
    max_iterations: int = THOROUGH.max_iterations,
    warm: bool = False,
) -> Minimum:
    """Descend from each ``q`` (S, p), with delta lowered step by step to the objective's own.

    Each stage starts in the region where the next is smooth; jumping straight to a small delta
    would leave the steps nothing but the slowly converging majoriser. ``warm`` starts are near
    their optimum already and skip the first stages.
    """
    target = space.objective.delta or (SMOOTHED_WARM if warm else SMOOTHED)
    with np.errstate(all="ignore"):
        residuals, _ = space.residuals(q, np.broadcast_to(observed, (len(q), observed.shape[-1])))
        typical = np.nanmedian(np.abs(residuals))
        delta = (0.25 if warm else 2.0) * float(typical) if np.isfinite(typical) else target
        while np.isfinite(target) and delta > 1.5 * target:
            q = minimise(
                space, q, observed, weights, delta=delta, max_iterations=8, tolerance=ON_THE_WAY
            ).q
            delta *= 0.25
    return minimise(
        space,
        q,
        observed,
        weights,
        delta=target,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )


def _basins(space: Space, found: Minimum, same: Array) -> tuple[Basin, ...]:
    """Minima other than the best, each once."""
    basins: list[Basin] = []
    for i in np.argsort(found.objective):
        value = float(found.objective[i])
        if same[i] or not found.converged[i]:
            continue
        if basins and value <= basins[-1].objective * (1 + SAME):
            continue
        theta = {name: float(v) for name, v in space.theta(found.q[i]).items()}
        basins.append(Basin(objective=value, theta=theta))
    return tuple(basins)
