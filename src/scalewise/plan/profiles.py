"""Where the loss of one compute budget is lowest in size: three ways to find the vertex.

================  ==============================================================================
``parabola``      loss = c0 + c1 x + c2 x**2 in x = log N (Hoffmann et al. 2022, approach 2)
``additive``      loss = c0 + c1 exp(-alpha x) + c2 exp(beta x), exponents shared by budgets
``interpolated``  the lowest point of the Akima spline through the points (Porian et al. 2024)
================  ==============================================================================

At a fixed C = 6 N D the law E + A / N**alpha + B / D**beta *is* the ``additive`` profile: around
its minimum the third derivative over the second is beta - alpha, and a parabola, which has none,
puts the vertex on the wrong side as soon as alpha != beta, or as the sampled sizes are not centred
on it. The bias does not shrink with more points and grows with the width of the sampling, so
budgets sampled differently bend the exponent too. ``additive`` has three free numbers per budget
as the parabola has (which is its limit for alpha and beta near zero), is unbiased for every
additive law whatever sizes were sampled, and does not, as a fit of the law itself does, tie E, A
and B of one budget to those of another. A cubic would be a fourth number for each budget, and its
minimum runs away where the points are few. ``interpolated`` assumes no shape and pays in noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scalewise.plan.interpolation import akima, lowest

Array = np.ndarray[Any, np.dtype[Any]]
Method = Literal["parabola", "additive", "interpolated"]

FEWEST_SIZES = 4  # a parabola has three constants; fewer sizes leave nothing to judge it by
_FEWEST_DRAWN = 3  # sizes in a resample that still fix a parabola
_SAME_SIZE = 0.05  # of log N: closer points would make an interpolating curve swing wildly
_EXPONENTS = np.geomspace(0.03, 1.5, 12)  # published ones lie between 0.07 and 0.6
_ZOOMS = 14  # narrowings of the grid of exponents around its best, along a flat valley
_RIDGE = 1e-9  # keeps a resample with too few sizes solvable; it is then set aside
_DRAWN = 60  # places at which a profile is drawn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """The points of one budget: x = log size, loss, log tokens, and which cluster each is of."""

    log_flops: float
    x: Array
    loss: Array
    log_tokens: Array
    cluster: Array

    @property
    def sizes(self) -> int:
        """How many different sizes were sampled."""
        return len(np.unique(self.x))


@dataclass(frozen=True, slots=True)
class Shape:
    """The exponents that all budgets share in the ``additive`` profile; zero for the others."""

    alpha: float = 0.0
    beta: float = 0.0


def shape_of(profiles: Sequence[Profile], method: Method) -> Shape:
    """The shared exponents that leave the least sum of squares over all budgets."""
    if method != "additive" or not profiles:
        return Shape()
    alphas = betas = np.log(_EXPONENTS)
    low, high, step = alphas[0], alphas[-1], alphas[1] - alphas[0]
    best = np.zeros(2)
    for _ in range(_ZOOMS):
        grid = np.array([(a, b) for a in alphas for b in betas])
        squares = [_solved(p, np.ones((1, len(p.x))), np.exp(grid))[1][0] for p in profiles]
        best = grid[int(np.sum(squares, axis=0).argmin())]
        alphas, betas = (
            np.clip(np.linspace(centre - step, centre + step, 7), low, high) for centre in best
        )
        step /= 1.7
    return Shape(float(np.exp(best[0])), float(np.exp(best[1])))


def vertices(
    profiles: Sequence[Profile], method: Method, shape: Shape, counts: Sequence[Array] | None = None
) -> Array:
    """The log N at the vertex of each profile, (count, budgets); NaN where none lies inside.

    ``counts`` gives for each profile how often each point occurs in each resample, (count, n).
    Without it the answer is the estimate, (1, budgets). The exponents of ``additive`` are
    ``shape`` for the estimate and chosen anew, on a grid, for each resample.
    """
    if method == "interpolated":
        return np.stack(
            [
                _interpolated(p, c)
                for p, c in zip(profiles, _weights(profiles, counts), strict=True)
            ],
            axis=1,
        )
    grid = np.array([[shape.alpha, shape.beta]])
    if method == "additive" and counts is not None:
        grid = np.array([(a, b) for a in _EXPONENTS for b in _EXPONENTS])
    found, squares = [], []
    for profile, count in zip(profiles, _weights(profiles, counts), strict=True):
        coefficients, left = _solved(profile, count, grid)
        found.append(_inside(profile, count, _turning(coefficients, grid) + profile.x.mean()))
        squares.append(left)
    if not found:
        return np.empty((1, 0))
    best = np.sum(squares, axis=0).argmin(axis=1)
    rows = np.arange(len(best))
    return np.stack([v[rows, best] for v in found], axis=1)


def drawn(profile: Profile, method: Method, shape: Shape) -> tuple[Array, Array]:
    """The fitted profile as (log size, loss) on a fine grid over the sampled sizes."""
    at = np.linspace(profile.x.min(), profile.x.max(), _DRAWN)
    if method == "interpolated":
        return at, akima(*_merged(profile, np.ones(len(profile.x))), at)
    grid = np.array([[shape.alpha, shape.beta]])
    coefficients, _ = _solved(profile, np.ones((1, len(profile.x))), grid)
    mean = profile.loss.mean()
    basis = _basis(at - profile.x.mean(), grid)[0]
    return at, mean + basis @ coefficients[0, 0]


def why_none(profile: Profile, method: Method, shape: Shape) -> str:
    """Why a profile has no vertex that can be used."""
    if profile.sizes < FEWEST_SIZES:
        return f"{profile.sizes} sizes, {FEWEST_SIZES} are needed"
    at, loss = drawn(profile, method, shape)
    i = int(loss.argmin())
    if i == 0:
        return "loss is lowest at the smallest size sampled: no smaller size brackets the minimum"
    if i == len(at) - 1:
        return "loss is lowest at the largest size sampled: no larger size brackets the minimum"
    return "the profile has no minimum between the sampled sizes"


def _weights(profiles: Sequence[Profile], counts: Sequence[Array] | None) -> Sequence[Array]:
    return [np.ones((1, len(p.x))) for p in profiles] if counts is None else counts


def _basis(x: Array, grid: Array) -> Array:
    """The three functions of x for each pair of exponents, (pairs, n, 3); zeros: a parabola."""
    if not grid.any():
        return np.stack([np.ones_like(x), x, x**2], axis=1)[None]
    alpha, beta = grid[:, :1], grid[:, 1:]
    falling, rising = np.expm1(-alpha * x), np.expm1(beta * x)
    return np.stack([np.ones_like(falling), falling, rising], axis=2)


def _solved(profile: Profile, counts: Array, grid: Array) -> tuple[Array, Array]:
    """Weighted least squares: coefficients (count, pairs, 3), sums of squares (count, pairs)."""
    basis = _basis(profile.x - profile.x.mean(), grid)
    # Normal equations on an orthonormal basis: the three functions are nearly alike when the
    # exponents are small, and squaring that would cost half of the digits.
    q, r = np.linalg.qr(basis)
    y = profile.loss - profile.loss.mean()
    pairs, n, _ = q.shape
    products = (q[..., :, None] * q[..., None, :]).transpose(1, 0, 2, 3).reshape(n, -1)
    normal = (counts @ products).reshape(-1, pairs, 3, 3) + _RIDGE * np.eye(3)
    right = ((counts * y) @ q.transpose(1, 0, 2).reshape(n, -1)).reshape(-1, pairs, 3)
    solution = np.linalg.solve(normal, right[..., None])[..., 0]
    squares = (counts @ y**2)[:, None] - (right * solution).sum(axis=2)
    return np.einsum("gij,rgj->rgi", np.linalg.inv(r), solution), np.maximum(squares, 0.0)


def _turning(coefficients: Array, grid: Array) -> Array:
    """Where the fitted curve has its minimum, (count, pairs); NaN if it has none."""
    _, c1, c2 = np.moveaxis(coefficients, 2, 0)
    with np.errstate(all="ignore"):
        if not grid.any():
            return np.where(c2 > 0, -c1 / (2 * c2), np.nan)
        alpha, beta = grid[:, 0], grid[:, 1]
        at = np.log(alpha * c1 / (beta * c2)) / (alpha + beta)
        return np.where((c1 > 0) & (c2 > 0), at, np.nan)


def _inside(profile: Profile, counts: Array, at: Array) -> Array:
    """Vertices that lie between the smallest and largest size drawn, out of enough sizes."""
    present = counts > 0
    low = np.where(present, profile.x, np.inf).min(axis=1)[:, None]
    high = np.where(present, profile.x, -np.inf).max(axis=1)[:, None]
    levels = np.unique(profile.x)
    sizes = (present @ (profile.x[:, None] == levels) > 0).sum(axis=1)
    good = (at > low) & (at < high) & (sizes >= _FEWEST_DRAWN)[:, None]
    return np.where(good, at, np.nan)


def _interpolated(profile: Profile, counts: Array) -> Array:
    out = np.full(len(counts), np.nan)
    for row, count in enumerate(counts):
        x, y = _merged(profile, count)
        if len(x) >= _FEWEST_DRAWN:
            out[row] = lowest(x, y)
    return out


def _merged(profile: Profile, count: Array) -> tuple[Array, Array]:
    """One point per size that occurs, near-equal sizes as one: the means of log size and loss."""
    order = np.argsort(profile.x, kind="stable")
    x, y, count = profile.x[order], profile.loss[order], count[order]
    group = np.floor((x - x[0]) / _SAME_SIZE)
    code = np.cumsum(np.r_[0, np.diff(group) > 1e-9])
    weight = np.bincount(code, weights=count)
    kept = weight > 0
    mean_x, mean_y = (np.bincount(code, weights=count * v)[kept] / weight[kept] for v in (x, y))
    return mean_x, mean_y
