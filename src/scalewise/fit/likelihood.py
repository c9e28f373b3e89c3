"""Whether constants stated elsewhere are compatible with the runs behind a fit.

Two answers to "are these published constants right for my runs?", which need not agree:

- the *distance* of the stated constants from the fitted ones, measured by how far the constants
  of resampled runs scatter. It assumes no distribution of the residuals, and resampling by run
  knows that checkpoints belong together.
- the *likelihood ratio*: how much less probable the residuals are under the stated constants.
  It follows the valley of the fit where that bends. Its p-value is for the residuals' own
  distribution, and counts the points of one run once (Schrader & Hettmansperger 1980).

Trust the ratio first. Of simulated fits of five constants at the level 0.1, it refused the true
constants in 8 to 12 % with 80 or more runs and 10 to 20 % with 30; the distance in 8 to 23 % and
40 to 50 %, for a covariance knows nothing of the bend.

Both test the constants as they are stated. Printed to two digits they can be refused for their
rounding alone: on the 240 points of Besiroglu et al. 2024, Hoffmann's constants lose a ratio of 84
at the precision of the TeX source and of 635 as printed.

The likelihood is that of Besiroglu et al. 2024 (arXiv:2404.10102): the density whose negative
logarithm is Huber's function, with the scale that makes the residuals most probable. Their
threshold is in units of that scale, so that at 1e-3 the density is Laplace's but for its very
tip, and the constants of greatest likelihood are those of least absolute deviations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import erf, erfc, exp, log, pi, sqrt
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, RunDataError, UnfitDataError, UsageError
from scalewise.fit.objective import rho
from scalewise.fit.points import Rows, points_of
from scalewise.fit.result import FitResult
from scalewise.laws.catalogue import law_from, published_named
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]

LONG_TAILED = 1e-3  # threshold of Besiroglu et al. 2024, in units of the scale
NORMAL = float("inf")
_FEW_RUNS = 20  # runs per constant below which resamples scatter too little, see above
_FLAT = 1e-12  # variance along a direction, of the widest, below which draws do not spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """Log-likelihood of residuals at their most probable scale.

    ``value`` is in nats, summed over ``points``; ``scale`` is in the unit of the residuals and
    ``delta``, the threshold of the density, in units of the scale.
    """

    value: float
    scale: float
    points: int
    delta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compatibility:
    """How well stated constants agree with a fit, by two tests.

    ``distance`` is the squared distance from the fitted constants in units of their covariance
    over resamples; ``likelihood_ratio`` is twice the loss of log-likelihood. Each ``p`` is the
    probability of a value as large if the stated constants were true: the distance would follow a
    chi-squared distribution with ``degrees`` of freedom, the ratio that distribution divided by
    ``sharpness``, which is 1 if the density is right and there are many runs.
    ``mean_residual`` is the mean observed minus predicted value under the stated constants, in
    the unit of the law's quantity.
    """

    law: str
    stated: Mapping[str, float]
    degrees: int
    distance: float
    distance_p: float
    likelihood_ratio: float
    likelihood_ratio_p: float
    sharpness: float
    log_likelihood: Likelihood
    fitted_log_likelihood: Likelihood
    mean_residual: float
    runs: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.law}, stated constants against {self.runs} runs: distance "
            f"{self.distance:.4g} (p = {self.distance_p:.2g}), likelihood ratio "
            f"{self.likelihood_ratio:.4g} (p = {self.likelihood_ratio_p:.2g}), "
            f"{self.degrees} degrees of freedom; mean residual {self.mean_residual:+.4f}"
        )


def likelihood(
    residuals: Array, *, delta: float = LONG_TAILED, weights: Array | None = None
) -> Likelihood:
    """Log-likelihood of residuals (n,) under Huber's density, at the scale s that maximises it.

    ``-sum(rho(r / s)) - n log Z - n log s``, with ``rho`` Huber's function of threshold ``delta``
    and ``Z = sqrt(2 pi) erf(delta / sqrt 2) + 2 exp(-delta**2 / 2) / delta``. ``delta`` near 0
    is Laplace's density, ``inf`` the normal one. Weights (n,) count a residual so many times.
    Besiroglu et al. 2024, notebook.

    Raises RunDataError if all residuals are zero or one is not finite.

    >>> round(likelihood(np.array([-1.0, 1.0, 1.0, -1.0]), delta=NORMAL).value, 4)
    -5.6758
    """
    if not delta > 0:
        raise UsageError(
            f"delta={delta:g} must be positive.", hint="Use 1e-3 for long tails, inf for normal."
        )
    size = np.abs(np.asarray(residuals, dtype=float))
    weights = np.ones_like(size) if weights is None else weights
    if not size.size or not np.isfinite(size).all() or not np.any(size > 0):
        raise RunDataError(
            f"The {size.size} residuals have no finite, positive size.",
            hint="Check that the law predicts a positive quantity at every point, and not exactly.",
        )
    scale = _scale(size, weights, delta)
    z = sqrt(2 * pi) * erf(delta / sqrt(2))
    if np.isfinite(delta):
        z += 2 * exp(-(delta**2) / 2) / delta
    # rho() with an infinite threshold is the objective of least squares, r**2 without the half.
    surprise = rho(size / scale, min(delta, 1e150)) + log(z * scale)
    return Likelihood(value=-float(weights @ surprise), scale=scale, points=size.size, delta=delta)


def _scale(size: Array, weights: Array, delta: float) -> float:
    """The most probable scale of residuals given by their size.

    With k residuals inside ``delta * s`` the derivative vanishes where
    ``n s**2 = sum of the k squares + delta s * sum of the other sizes``: one k is consistent.
    """
    count = float(weights.sum())
    if np.isinf(delta):
        return sqrt(float(weights @ size**2) / count)
    order = np.argsort(size)
    size, weights = size[order], weights[order]
    squares = np.concatenate([[0.0], np.cumsum(weights * size**2)])
    beyond = delta * np.concatenate([np.cumsum((weights * size)[::-1])[::-1], [0.0]])
    scale = (beyond + np.sqrt(beyond**2 + 4 * count * squares)) / (2 * count)
    inside = np.searchsorted(size, delta * scale, side="right")
    return float(scale[np.argmin(np.abs(inside - np.arange(len(scale))))])


def log_likelihood(
    stated: FitResult | Mapping[str, float] | str,
    runs: object,
    *,
    law: Law | str | None = None,
    rows: Rows = "finals",
    delta: float = LONG_TAILED,
) -> Likelihood:
    """Log-likelihood of the runs' log residuals under stated constants.

    ``stated`` is a fit, the name of a published set, or constants by name of ``law``. The
    difference between two sets of constants on the same runs says which explains them better.

    >>> runs = {"params": [1e8, 1e9, 1e10], "tokens": [2e9, 2e10, 2e11], "loss": [3.3, 2.5, 2.1]}
    >>> hoffmann = log_likelihood("hoffmann2022-tex", runs).value
    >>> log_likelihood("besiroglu2024", runs).value > hoffmann
    False
    """
    owner, theta = _stated(stated, law)
    points = points_of(owner, runs, rows=rows)
    with np.errstate(all="ignore"):  # what is not finite is refused below
        missed = np.log(points.observed) - np.log(owner.value(theta, **points.inputs))
    return likelihood(missed, delta=delta)


def compatible(
    result: FitResult,
    stated: FitResult | Mapping[str, float] | str,
    *,
    delta: float | None = None,
) -> Compatibility:
    """Test constants stated elsewhere against a fit and the points behind it.

    ``stated`` is the name of a published set, another fit, or constants by name, for the same
    law. Amplitudes and offsets are compared by their logarithm. ``delta`` is the threshold of
    the density, see ``likelihood``: by default the long-tailed one, unless the fit's own
    objective treats residuals of the size of the noise by their square.

    Raises UnfitDataError if the fit has too few resamples, and LawError for another law.
    """
    law, theta = _stated(stated, result.law)
    if law.formula != result.law.formula:
        raise LawError(
            f"The stated constants are those of {law.key!r}; the fit is of {result.law.key!r}.",
            hint="Fit the law whose constants you want to test.",
        )
    free = [n for n in result.law.constant_names if n not in result.fixed]
    if not free:
        raise UnfitDataError(
            f"Every constant of {result.law.key!r} is fixed: the fit has nothing to compare with.",
            hint="Fit the law with constants free.",
        )
    if delta is None:
        delta = LONG_TAILED if result.objective.delta < result.noise else NORMAL
    distance = _distance(result, theta, free)
    # Weights say how sure one point is beside another, never how many runs there were.
    weights = result.weights / result.weights.mean()
    fitted = likelihood(result.residuals, delta=delta, weights=weights)
    with np.errstate(all="ignore"):
        predicted = result.law.value(theta, **result.inputs)
        missed = result.on_scale(result.observed) - result.on_scale(predicted)
    own = likelihood(missed, delta=delta, weights=weights)
    ratio = 2 * (fitted.value - own.value)
    sharpness = _sharpness(result.residuals, weights, fitted)
    sharpness *= max(result.runs - len(free), 1) / result.points
    return Compatibility(
        law=result.law.key,
        stated=theta,
        degrees=len(free),
        distance=distance,
        distance_p=chi_squared_beyond(distance, len(free)),
        likelihood_ratio=ratio,
        likelihood_ratio_p=chi_squared_beyond(max(sharpness * ratio, 0.0), len(free)),
        sharpness=sharpness,
        log_likelihood=own,
        fitted_log_likelihood=fitted,
        mean_residual=float(np.average(result.observed - predicted, weights=weights)),
        runs=result.runs,
        warnings=_doubts(result, law, theta, ratio, len(free)),
    )


def chi_squared_beyond(value: float, degrees: int) -> float:
    """Probability that a chi-squared variable with ``degrees`` of freedom exceeds ``value``.

    The finite sums for whole degrees (Abramowitz & Stegun 1964, 26.4.4 and 26.4.5): exact, and
    without the import of SciPy.

    >>> round(chi_squared_beyond(3.841458820694124, 1), 12)
    0.05
    """
    half = value / 2
    if degrees % 2:
        tail, term = erfc(sqrt(half)), sqrt(2 * value / pi) * exp(-half)
        divisors = range(3, degrees + 1, 2)
    else:
        tail, term = 0.0, exp(-half)
        divisors = range(2, degrees + 1, 2)
    for divisor in divisors:
        tail += term
        term *= value / divisor
    return min(tail, 1.0)


def _sharpness(residuals: Array, weights: Array, at: Likelihood) -> float:
    """What a likelihood ratio is to be multiplied by if the density is not that of the residuals.

    ``mean(psi') / mean(psi**2)`` with ``psi`` the derivative of Huber's function: Schrader &
    Hettmansperger 1980 (Biometrika 67, 93). A threshold that few residuals lie inside is widened
    to count their density at zero.
    """
    size = np.abs(residuals) / at.scale
    if np.isinf(at.delta):
        return 1.0
    window = max(at.delta, 1.4826 * float(np.median(size)) * len(size) ** -0.2)
    inside = float(np.average(size <= window, weights=weights))
    pull = float(np.average(np.minimum(size, at.delta) ** 2, weights=weights))
    return inside * at.delta / window / pull


def _stated(
    stated: FitResult | Mapping[str, float] | str, law: Law | str | None
) -> tuple[Law, dict[str, float]]:
    """The law of stated constants, and their values."""
    if isinstance(stated, str):
        owner, published = published_named(stated)
        return owner, dict(published.theta)
    if isinstance(stated, FitResult):
        return stated.law, dict(stated.theta)
    if law is None:
        raise UsageError(
            f"Constants {', '.join(stated)} were given without their law.",
            hint='Say which, for example law="chinchilla".',
        )
    owner = law_from(law) if isinstance(law, str) else law
    if set(stated) != set(owner.constant_names):
        raise LawError(
            f"Law {owner.key!r} has the constants {', '.join(owner.constant_names)}; stated were "
            f"{', '.join(stated)}.",
            hint="State every constant of the law, and no other.",
        )
    return owner, {name: float(stated[name]) for name in owner.constant_names}


def _distance(result: FitResult, theta: Mapping[str, float], free: list[str]) -> float:
    """Squared distance of ``theta`` from the fit, by the covariance of its draws."""
    if len(result.draws) <= len(free):
        raise UnfitDataError(
            f"The fit has {len(result.draws)} resamples, too few for the covariance of "
            f"{len(free)} constants.",
            hint="Fit with bootstrap=300 or more.",
        )
    names = result.law.constant_names
    columns = [names.index(name) for name in free]
    logged = np.array([c.role != "exponent" for c in result.law.constants])
    stacked = np.stack([[result.theta[n] for n in names], [theta[n] for n in names]])
    # An offset that reaches zero in a resample, or below, has no logarithm to compare.
    logged &= (np.min(result.draws, axis=0) > 0) & (np.min(stacked, axis=0) > 0)
    draws, (fitted, other) = (
        np.where(logged, np.log(np.where(logged, values, 1.0)), values)[:, columns]
        for values in (result.draws, stacked)
    )
    spread = draws.std(axis=0, ddof=1)
    safe = np.where(spread > 0, spread, 1.0)
    variance, directions = np.linalg.eigh(np.atleast_2d(np.cov((draws / safe).T)))
    if variance[0] <= _FLAT * variance[-1]:
        raise UnfitDataError(
            f"The {len(draws)} resamples do not spread in every direction of {', '.join(free)}.",
            hint="Fix constants that stop at a bound, or add resamples.",
        )
    along = directions.T @ ((other - fitted) / safe)
    return float(np.sum(along**2 / variance))


def _doubts(
    result: FitResult, law: Law, theta: Mapping[str, float], ratio: float, degrees: int
) -> tuple[str, ...]:
    found = list(result.warnings)
    if law.columns != result.law.columns:
        found.append(
            f"The stated constants count {', '.join(law.columns)}, the fit counts "
            f"{', '.join(result.law.columns)}."
        )
    found += [
        f"{name} is fixed at {result.theta[name]:.6g} in the fit; the stated {theta[name]:.6g} "
        "enters the likelihood ratio and not the distance."
        for name in result.fixed
        if theta[name] != result.theta[name]
    ]
    if result.rivals:
        found.append(f"Only {result.law.key!r} is compared, of the laws that the fit combines.")
    if result.runs < _FEW_RUNS * degrees:
        found.append(
            f"{result.runs} runs for {degrees} constants: the distance refuses true constants more "
            "often than its p-value says; go by the likelihood ratio."
        )
    if ratio < 0:
        found.append(
            "The stated constants are more probable than the fitted ones, which minimise another "
            "objective."
        )
    return tuple(found)
