"""What is known of constants beforehand: priors, and constants pinned to published values.

A prior is one more observation, of a constant: its squared distance from the mean, in standard
deviations, is added to the objective at the rate at which chance makes the objective rise. With
noise of standard deviation sigma, Huber's sum rises by E[psi**2] / (2 E[psi']) per unit of
chi-squared, which for least squares is sigma**2 (Huber 1964).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import erf, exp, inf, isfinite, pi, sqrt
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, UsageError
from scalewise.laws.catalogue import published_named
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a constant before the fit, in the unit of ``law.unit``, and why.

    Normal; for an amplitude, whose values are positive, log-normal with standard deviation
    ``sd / mean`` in logs.
    """

    mean: float
    sd: float
    source: str = ""

    def __post_init__(self) -> None:
        if not (isfinite(self.mean) and isfinite(self.sd) and self.sd > 0):
            raise UsageError(
                f"A prior of {self.mean:g} with standard deviation {self.sd:g} says nothing.",
                hint="Give a finite mean and a standard deviation above 0.",
            )

    def __str__(self) -> str:
        return f"{self.mean:g} ± {self.sd:g}" + (f" ({self.source})" if self.source else "")


@dataclass(frozen=True, slots=True)
class Penalty:
    """Priors as the solver meets them: on ``index`` coordinates' constants, by log if ``logged``.

    ``mean`` is (k,) or, where each resample has its own, (S, k); ``sigma`` is the noise of a point
    and ``points_per_run`` how many points share one run's noise.
    """

    names: tuple[str, ...]
    mean: Array
    sd: Array
    sigma: float
    points_per_run: float

    def rise(self, delta: float) -> float:
        """How much the objective rises per unit of chi-squared."""
        return self.points_per_run * rise_per_chi_squared(self.sigma, delta)


def rise_per_chi_squared(sigma: float, delta: float) -> float:
    """Rise of Huber's sum per unit of chi-squared under normal noise: E[psi**2] / (2 E[psi']).

    >>> rise_per_chi_squared(2.0, float("inf"))
    4.0
    >>> round(rise_per_chi_squared(1.0, 10.0), 6)  # sums of r**2 / 2
    0.5
    """
    if delta == inf:
        return sigma * sigma
    if delta < 1e-4 * sigma:  # least absolute deviations: E[psi**2] = 1, E[psi'] = 2 f(0)
        return 0.5 * sigma * sqrt(pi / 2) * (delta or 1.0)
    z = delta / sigma if sigma > 0 else inf
    inside = erf(z / sqrt(2))
    tails = z * z * (1 - inside) - 2 * z * exp(-z * z / 2) / sqrt(2 * pi) if z < 30 else 0.0
    return 0.5 * sigma * sigma * (inside + tails) / inside


def pinned(
    law: Law, fixed: Mapping[str, float | str] | None
) -> tuple[dict[str, float], dict[str, str]]:
    """Values of fixed constants, those named by a published set looked up; and where from.

    Raises LawError for a set that has no such constant, or one in another unit.
    """
    values: dict[str, float] = {}
    provenance: dict[str, str] = {}
    for name, given in (fixed or {}).items():
        if not isinstance(given, str):
            values[name], provenance[name] = float(given), "given"
            continue
        theirs, published = published_named(given)
        if name not in published.theta or name not in law.constant_names:
            raise LawError(
                f"{given!r} has no constant {name!r} that law {law.key!r} shares.",
                hint=f"It has {', '.join(published.theta)}.",
            )
        if theirs.unit(name) != law.unit(name):
            raise LawError(
                f"{name} of {given!r} is in {theirs.unit(name)}, in law {law.key!r} in "
                f"{law.unit(name)}.",
                hint="Only a constant of the same unit can be borrowed; fix it by a number.",
            )
        values[name], provenance[name] = published.theta[name], str(published.source)
    return values, provenance


def penalty_of(
    law: Law, priors: Mapping[str, Prior], sigma: float, points_per_run: float
) -> Penalty:
    """The priors on the scale of the search: amplitudes by logarithm."""
    mean, sd = [], []
    for name, prior in priors.items():
        if name not in law.constant_names:
            raise LawError(
                f"Law {law.key!r} has no constant {name!r} to put a prior on.",
                hint=f"It has {', '.join(law.constant_names)}.",
            )
        role = next(c.role for c in law.constants if c.name == name)
        if role == "amplitude" and not prior.mean > 0:
            raise UsageError(
                f"The prior of amplitude {name} has mean {prior.mean:g}.", hint="Give it above 0."
            )
        mean.append(np.log(prior.mean) if role == "amplitude" else prior.mean)
        sd.append(prior.sd / prior.mean if role == "amplitude" else prior.sd)
    return Penalty(tuple(priors), np.array(mean), np.array(sd), sigma, points_per_run)
