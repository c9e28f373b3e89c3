"""What public families of models taught about a new one: their constants, and how these vary.

``families.json`` holds derived constants only, made by ``benchmarks/family_constants.py``. Terms
are stated at anchors, ``A / N**alpha`` at 1B params and ``B / D**beta`` at 10B tokens, for A and
alpha of one fit trade off so strongly that neither can be carried to other runs alone.

Families that come from one laboratory's recipe or share runs count as one group. Between groups
the logarithms of the constants are normal, with outlying groups weighted as under Student's t, and
the sampling variance of each fit removed (random effects, DerSimonian & Laird 1986, multivariate).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.priors import Prior
from scalewise.fit.result import t_quantile
from scalewise.laws.chinchilla import CHINCHILLA
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]

COORDINATES = ("E", "size_term", "alpha", "token_term", "beta")
SIZE_ANCHOR = 1e9  # params at which the size term is stated
TOKEN_ANCHOR = 1e10  # tokens at which the token term is stated
FEWEST_GROUPS = 5  # below which nothing is said of a new family

_HEAVY_TAIL = 5.0  # degrees of freedom of the Student weights of families
# Student weights alone estimate a scale below the standard deviation; with this factor normal
# families of five constants get their own: 5 / E[10 x / (5 + x)], x chi-squared of 5 degrees.
_CONSISTENT = 1.0988
_PASSES = 200
_ODD = 2.5  # robust standard deviations to which an odd group is pulled in
_MISFIT = 0.25  # of the believed spread: no family follows the law exactly
# What is believed of the spread between groups before any is seen, with the weight of so many:
# the floor differs by a fifth, amplitudes and exponents by a third. Fewer groups than the 15 free
# numbers of a covariance would otherwise leave directions in which families cannot differ. Of
# weights 1, 2 and 4 it is the least whose 90 % intervals held 85 % by family and by group in
# benchmarks/borrowed.py, on whose targets it was thus chosen.
_BELIEVED_SD = np.array([0.2, 0.4, 0.3, 0.4, 0.4])
_BELIEVED_WEIGHT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """The chinchilla law of one public family, under the default estimation policy.

    ``constants`` and ``se`` are by ``COORDINATES``, terms in nats/token at their anchors; ``se``
    is relative, of the logarithm, and ``correlation`` that of the logarithms. ``counted`` says
    what its params count. ``noise`` is the standard deviation of one run in log loss. ``apart``
    says why it teaches nothing about language-model losses, where it does not.
    """

    name: str
    group: str
    citation: str
    counted: str
    is_curve: bool
    status: str
    sizes: int
    runs: int
    points: int
    params: tuple[float, float]
    tokens: tuple[float, float]
    constants: Mapping[str, float]
    se: Mapping[str, float]
    correlation: Array
    noise: float
    apart: str = ""

    @property
    def log_constants(self) -> Array:
        """Logarithms of the constants, in the order of ``COORDINATES``."""
        return np.log([self.constants[name] for name in COORDINATES])

    @property
    def log_covariance(self) -> Array:
        """Sampling covariance of ``log_constants``."""
        sd = np.array([self.se[name] for name in COORDINATES])
        return np.asarray(self.correlation * np.outer(sd, sd))

    @property
    def theta(self) -> dict[str, float]:
        """The constants of the chinchilla law."""
        return law_constants(self.constants)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drift:
    """By how much a family's runs ended off what their own beginning foretold.

    ``per_efold`` is log measured over forecast loss per e-fold of further tokens: below zero where
    the decay of the learning rate was still to come.
    """

    name: str
    group: str
    per_efold: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Library:
    """The families, their drifts, and how the file was made."""

    families: tuple[Family, ...]
    drifts: tuple[Drift, ...] = ()
    made_by: Mapping[str, str]

    def named(self, name: str) -> Family:
        """A family by its name. Raises UsageError if there is none."""
        found = {family.name: family for family in self.families}
        if name not in found:
            raise UsageError(
                f"There is no public family {name!r}.", hint=f"There are {', '.join(found)}."
            )
        return found[name]

    def groups_of(self, names: Sequence[str]) -> set[str]:
        """The groups that some families belong to. Raises UsageError for an unknown name."""
        known = {each.name: each.group for each in self.drifts}
        known |= {each.name: each.group for each in self.families}
        if unknown := [name for name in names if name not in known]:
            raise UsageError(
                f"There is no public family {unknown[0]!r}.", hint=f"There are {', '.join(known)}."
            )
        return {known[name] for name in names}

    def between(self, *, without: Sequence[str] = ()) -> Between:
        """How constants vary between families; whole groups of those in ``without`` are left out.

        Raises UsageError if too few groups are left.
        """
        gone = self.groups_of(without)
        kept = [f for f in self.families if not f.apart and f.group not in gone]
        groups = [family.group for family in kept]
        if len(set(groups)) < FEWEST_GROUPS:
            raise UsageError(
                f"{len(set(groups))} groups of families are left; {FEWEST_GROUPS} say something "
                "of a new one.",
                hint="Leave fewer out.",
            )
        share = np.array([1 / groups.count(group) for group in groups])
        value = np.stack([family.log_constants for family in kept])
        sampling = np.stack([family.log_covariance for family in kept])
        mean, covariance, of_mean = _random_effects(value, sampling, share)
        noise = np.log([family.noise for family in kept])
        usual = float(np.average(noise, weights=share))
        return Between(
            mean=mean,
            covariance=covariance,
            of_mean=of_mean,
            noise=(usual, float(np.sqrt(np.average((noise - usual) ** 2, weights=share)))),
            drift=_drift([each for each in self.drifts if each.group not in gone]),
            groups=len(set(groups)),
            names=tuple(family.name for family in kept),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Between:
    """Mean and covariance of the log constants between groups, in order of ``COORDINATES``.

    ``of_mean`` is the covariance of the mean itself. ``noise`` is the mean and standard deviation
    of the log of a run's noise; ``drift`` the mean and predictive standard deviation of a run's
    ``Drift.per_efold``.
    """

    mean: Array
    covariance: Array
    of_mean: Array
    noise: tuple[float, float]
    drift: tuple[float, float]
    groups: int
    names: tuple[str, ...]

    @property
    def predictive(self) -> Array:
        """Covariance of the log constants of a family not seen."""
        return self.covariance + self.of_mean

    def sd(self, name: str) -> float:
        """Predictive standard deviation of the log of a constant."""
        i = COORDINATES.index(name)
        return float(np.sqrt(self.predictive[i, i]))

    @property
    def provenance(self) -> str:
        """What the numbers rest on, in one line."""
        return f"{self.groups} groups of public families ({len(self.names)} families)"


def family_priors(
    law: Law, *, without: Sequence[str] = (), constants: Sequence[str] = ("alpha", "beta")
) -> dict[str, Prior]:
    """Priors on constants of a new family, learnt from the public ones.

    The standard deviation is that between families, widened so that a normal interval of 90 % is
    as wide as Student's with the number of groups. E, alpha and beta can be asked for; amplitudes
    depend on the exponent, see ``predict_from_one``. Raises LawError for another law or constant.

    >>> from scalewise.laws.chinchilla import CHINCHILLA
    >>> 0.2 < family_priors(CHINCHILLA)["alpha"].mean < 0.5
    True
    """
    if law.formula != CHINCHILLA.formula:
        raise LawError(
            f"The public families were fitted by {CHINCHILLA.formula!r}, not by {law.key!r}.",
            hint="Exponents of another formula mean something else; fit chinchilla.",
        )
    if unknown := [name for name in constants if name not in ("E", "alpha", "beta")]:
        raise LawError(
            f"No prior of {unknown[0]!r} is kept.",
            hint="E, alpha and beta have one; A and B mean nothing without their exponent.",
        )
    between = library().between(without=without)
    widened = t_quantile(0.95, between.groups - 1) / NormalDist().inv_cdf(0.95)
    priors = {}
    for name in constants:
        mean = float(np.exp(between.mean[COORDINATES.index(name)]))
        priors[name] = Prior(mean, mean * between.sd(name) * widened, between.provenance)
    return priors


def law_constants(anchored: Mapping[str, float]) -> dict[str, float]:
    """Constants of the chinchilla law from those whose terms are stated at the anchors.

    >>> at = {"E": 1.8, "size_term": 0.3, "alpha": 0.5, "token_term": 0.4, "beta": 0.5}
    >>> round(law_constants(at)["A"] / 1e9**0.5, 6)
    0.3
    """
    alpha, beta = anchored["alpha"], anchored["beta"]
    return {
        "E": anchored["E"],
        "A": anchored["size_term"] * SIZE_ANCHOR**alpha,
        "B": anchored["token_term"] * TOKEN_ANCHOR**beta,
        "alpha": alpha,
        "beta": beta,
    }


@lru_cache(maxsize=1)
def library() -> Library:
    """The library that comes with the package.

    >>> library().named("chinchilla").sizes > 3
    True
    """
    text = Path(__file__).with_name("families.json").read_text(encoding="utf-8")
    record = json.loads(text)
    return Library(
        families=tuple(_family(each) for each in record["families"]),
        drifts=tuple(Drift(**each) for each in record["drifts"]),
        made_by=record["made_by"],
    )


def _family(record: Mapping[str, Any]) -> Family:
    count = len(COORDINATES)
    correlation = np.eye(count)
    below = np.tril_indices(count, -1)
    correlation[below] = record["correlation"]
    correlation = correlation + np.tril(correlation, -1).T
    return Family(
        **{
            **record,
            "params": tuple(record["params"]),
            "tokens": tuple(record["tokens"]),
            "constants": dict(zip(COORDINATES, record["constants"], strict=True)),
            "se": dict(zip(COORDINATES, record["se"], strict=True)),
            "correlation": correlation,
        }
    )


def _random_effects(value: Array, sampling: Array, share: Array) -> tuple[Array, Array, Array]:
    """Mean, between-family covariance, and covariance of the mean; ``share`` adds up to groups.

    Expectation-maximisation with Student weights, from the median outwards.
    """
    size = value.shape[1]
    believed = _BELIEVED_WEIGHT * np.diag(_BELIEVED_SD**2)
    sampling = sampling + np.diag((_MISFIT * _BELIEVED_SD) ** 2)
    mean, covariance = np.median(value, axis=0), np.diag(np.full(size, 0.25))
    precision = np.eye(size)
    for _ in range(_PASSES):
        inverse = np.linalg.inv(covariance + sampling)
        apart = value - mean
        distance = np.einsum("ki,kij,kj->k", apart, inverse, apart)
        weight = share * (_HEAVY_TAIL + size) / (_HEAVY_TAIL + distance)
        precision = np.einsum("k,kij->ij", weight, inverse)
        mean = np.linalg.solve(precision, np.einsum("k,kij,kj->i", weight, inverse, value))
        gain = covariance @ inverse
        own = np.einsum("kij,kj->ki", gain, value - mean)
        left = covariance - gain @ covariance
        seen = _CONSISTENT * np.einsum("k,ki,kj->ij", weight, own, own)
        seen = seen + np.einsum("k,kij->ij", share, left)
        covariance = (seen + believed) / (share.sum() + _BELIEVED_WEIGHT)
    return mean, covariance, np.linalg.inv(precision)


def _drift(drifts: Sequence[Drift]) -> tuple[float, float]:
    """Mean by group and predictive standard deviation, odd groups pulled in; none is no drift."""
    groups = sorted({each.group for each in drifts})
    if len(groups) < 2:
        return 0.0, 0.0
    values = np.array(
        [np.mean([each.per_efold for each in drifts if each.group == group]) for group in groups]
    )
    middle = float(np.median(values))
    far = _ODD * 1.4826 * float(np.median(np.abs(values - middle)))
    values = np.clip(values, middle - far, middle + far)
    return float(values.mean()), float(np.std(values, ddof=1) * np.sqrt(1 + 1 / len(values)))
