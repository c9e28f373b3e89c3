"""What a fit returns: an immutable value that confesses its weaknesses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from statistics import NormalDist
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.core.flops import training_flops
from scalewise.core.quantities import check_level
from scalewise.fit.calibration import STATED_LEVEL, Calibration
from scalewise.fit.objective import Objective
from scalewise.fit.prediction import (
    Prediction,
    doubts_at,
    inputs_for,
    mixed_quantile,
    reach,
    refuse_impossible,
    refuse_unknown,
    scalar,
)
from scalewise.fit.priors import Penalty
from scalewise.fit.search import Certificate
from scalewise.laws.law import Law

Array = np.ndarray[Any, np.dtype[Any]]

_FEWEST_DRAWS = 20  # with fewer, the ends of a 90 % interval are the extremes themselves


class FitStatus(Enum):
    """How a fit ended; the value is the sentence a reader is told."""

    CONVERGED = "The search converged and every constant is determined by the data."
    AT_BOUND = "The search converged with a constant stopped by its bound."
    NOT_IDENTIFIED = "The data do not determine every constant: other values fit as well."
    MAX_ITERATIONS = "The search stopped before it converged."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another law fitted to the same runs, with its share in combined predictions."""

    weight: float
    result: FitResult


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FitResult:
    """A law with its constants estimated from runs.

    ``theta`` are the constants in the units of ``law.unit``. ``draws`` (count, p) are the
    constants refitted to resampled runs. ``noise`` is the standard deviation of one run around
    the law, in logs if the objective is. ``spread`` widens predictive intervals by what
    backtests found missing; 1 means untested or not needed. ``rivals`` are the other laws that
    share in a combined prediction, in which this law has the remaining ``weight``. ``inputs``,
    ``observed``, ``weights`` and ``cluster`` (the run's number) have an entry per point.
    ``penalty`` holds the priors; ``provenance`` says where they and fixed constants come from.
    ``tasks`` are the laws of downstream error by loss that stand on this one, by task, see
    ``forecast.downstream``. ``stages`` says what each stage of an estimation in stages found, by
    name, see ``forecast.estimate``; a fit made at once has none. ``calibration`` turns stated
    predictive intervals into ones of the width that held for public families. ``facts`` is what
    the run table said of itself, see ``runs.stated``, where whoever wrote the fit kept it.
    ``policy`` tells which points entered and how, where an estimation policy decided that.
    """

    law: Law
    theta: Mapping[str, float]
    status: FitStatus
    objective: Objective
    objective_value: float
    certificate: Certificate
    points: int
    runs: int
    ranges: Mapping[str, tuple[float, float]]
    noise: float
    draws: Array
    resampling: str
    seed: int
    correlation: Array
    inputs: Mapping[str, Array]
    observed: Array
    sha256: str
    source: str
    fixed: tuple[str, ...] = ()
    at_bound: tuple[str, ...] = ()
    not_identified: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    spread: float = 1.0
    weight: float = 1.0
    rivals: tuple[Rival, ...] = ()
    weights: Array = field(default_factory=lambda: np.empty(0))
    cluster: Array = field(default_factory=lambda: np.empty(0, dtype=int))
    penalty: Penalty | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, FitResult] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None
    policy: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def residuals(self) -> Array:
        """Observed against predicted at each point: difference of logs, or of values."""
        predicted = self.law.value(self.theta, **self.inputs)
        if self.objective.in_logs:
            return np.log(self.observed) - np.log(predicted)
        return self.observed - predicted

    @property
    def members(self) -> tuple[tuple[float, FitResult], ...]:
        """Every law behind a prediction with its weight, the leading one first."""
        return (self.weight, self), *((rival.weight, rival.result) for rival in self.rivals)

    @property
    def degrees(self) -> int:
        """Degrees of freedom of ``noise``, at least 1: of the points, and of the runs behind them.

        A fixed constant and one with a prior count like a fitted one, which is on the wide side.
        """
        return max(min(self.points - len(self.theta), self.runs - 1), 1)

    def intervals(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Percentile interval of each constant over the resamples."""
        check_level(level)
        if not len(self.draws):
            return {}
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return {
            name: (float(low[i]), float(high[i])) for i, name in enumerate(self.law.constant_names)
        }

    @property
    def reliable(self) -> bool:
        """Whether the search ended and the data determine the constants."""
        return self.status in (FitStatus.CONVERGED, FitStatus.AT_BOUND)

    def required(self) -> FitResult:
        """This result if it can be relied on, else UnfitDataError saying why not."""
        if self.reliable:
            return self
        detail = f" ({', '.join(self.not_identified)})" if self.not_identified else ""
        raise UnfitDataError(
            f"Law {self.law.key!r} on {self.points} points: {self.status.value}{detail}",
            hint="Add runs of other sizes or token counts, fix a constant, or use a simpler law.",
        )

    @property
    def interval_doubts(self) -> tuple[str, ...]:
        """What intervals lack that rest on no resamples or on a handful."""
        count = len(self.draws)
        if not self.runs or count >= _FEWEST_DRAWS:
            return ()
        if not count:
            return (
                "No resamples were drawn: the interval of a prediction holds the noise of one run "
                "alone, not what the constants leave open.",
            )
        return (
            f"{count} resample{'s' if count > 1 else ''} cannot tell the ends of an interval; "
            f"draw {_FEWEST_DRAWS} or more.",
        )

    def predict(self, *, level: float = 0.9, **columns: Any) -> Prediction:
        """Predict at new inputs, given by column name: ``predict(params=7e9, tokens=2e12)``.

        Scalars or arrays that broadcast. The interval is for one newly trained model: it holds
        the uncertainty of the constants, the noise between runs, the disagreement between the
        laws that the result rests on, and what backtests found missing.
        """
        check_level(level)
        refuse_unknown([member.law for _, member in self.members], columns)
        shares, centres, samples = [], [], []
        for share, member in self.members:
            inputs = inputs_for(member.law, columns)
            shares.append(share)
            centres.append(member.on_scale(member.law.value(member.theta, **inputs)))
            samples.append(member.sampled(inputs, centres[-1]))
        centre = np.average(np.stack(np.broadcast_arrays(*centres)), axis=0, weights=shares)
        low, high = self._edges(samples, shares, centre, level)
        value, low, high = (self.off_scale(v) for v in (centre, low, high))
        refuse_impossible(self.law, value, columns)
        given = {name: np.asarray(v, dtype=float) for name, v in columns.items()}
        if {"params", "flops"} <= set(given):
            given.setdefault("tokens", given["flops"] / (6.0 * given["params"]))
        if {"params", "tokens"} <= set(given):
            given.setdefault("flops", training_flops(given["params"], given["tokens"]))
            given["tokens_per_param"] = given["tokens"] / given["params"]
        return Prediction(
            quantity=self.law.quantity,
            value=scalar(value),
            low=scalar(low),
            high=scalar(high),
            level=level,
            extrapolation=reach(self.ranges, given),
            runs=self.runs,
            rests_on=tuple(f"{member.law.key} ({share:.0%})" for share, member in self.members),
            warnings=(
                *self.warnings,
                *self.interval_doubts,
                *doubts_at(self.law.quantity, value, self.unheard, given),
            ),
        )

    @property
    def unheard(self) -> dict[str, dict[str, tuple[float, float]]]:
        """The fitted range of what each law behind a prediction leaves out, by its key."""
        return {
            member.law.key: {
                column: member.ranges[column]
                for column in ("params", "tokens", "tokens_per_param")
                if column in member.ranges and column not in member.law.columns
            }
            for _, member in self.members
        }

    def _edges(
        self, samples: list[Array], shares: list[float], centre: Array, level: float
    ) -> tuple[Array, Array]:
        """Both ends of the interval: as stated, and of the width that proved right for others."""
        low, high = self._stated(samples, shares, centre, level)
        if self.calibration is None:
            return centre - low, centre + high
        own = sum(self._stated(samples, shares, centre, STATED_LEVEL)) / 2
        # The calibration is in logs; beside a value, a width in logs is one relative to it.
        unit = 1.0 if self.objective.in_logs else np.abs(centre)
        half = self.calibration.half_width(np.asarray(own / unit), level) * unit
        shape = np.divide(2.0 * half, low + high, out=np.zeros_like(half), where=low + high > 0)
        return centre - shape * low, centre + shape * high

    def _stated(
        self, samples: list[Array], shares: list[float], centre: Array, level: float
    ) -> tuple[Array, Array]:
        """How far below and above the centre the interval reaches, by the draws and run noise."""
        distances = []
        for probability in ((1 - level) / 2, (1 + level) / 2):
            distance = mixed_quantile(samples, shares, probability) - centre
            z = t_quantile(probability, self.degrees)
            # Errors of constants and of the new run are independent: they add in quadrature.
            distances.append(self.spread * np.hypot(distance, z * self.noise))
        return distances[0], distances[1]

    def sampled(self, inputs: Mapping[str, Array], centre: Array) -> Array:
        """Predictions of every resample, shape (count, ...), centred on the estimate."""
        if not len(self.draws):
            return np.asarray(centre)[None]
        shape = (-1,) + (1,) * np.ndim(centre)
        theta = {
            name: self.draws[:, i].reshape(shape) for i, name in enumerate(self.law.constant_names)
        }
        with np.errstate(all="ignore"):
            values = self.on_scale(self.law.value(theta, **inputs))
        return np.where(np.isfinite(values), values, centre)

    def on_scale(self, values: Array) -> Array:
        """Values on the scale of the residuals."""
        return np.log(values) if self.objective.in_logs else np.asarray(values)

    def off_scale(self, values: Array) -> Array:
        """Back from the scale of the residuals."""
        return np.exp(values) if self.objective.in_logs else values

    def combined_with(
        self, rivals: tuple[Rival, ...], *, weight: float, spread: float
    ) -> FitResult:
        """This result leading a combination of laws."""
        return replace(self, rivals=rivals, weight=weight, spread=spread)

    def _repr_html_(self) -> str:
        from scalewise.fit.notebook import fit_html

        return fit_html(self)

    def __repr__(self) -> str:
        return f"<FitResult {self}>"

    def __str__(self) -> str:
        constants = ", ".join(f"{name} = {value:.5g}" for name, value in self.theta.items())
        return (
            f"{self.law.key}: {constants} ({self.objective.name} {self.objective_value:.6g}, "
            f"{self.points} points of {self.runs} runs, {self.status.name})"
        )


def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t: exact for 1 and 2 degrees, else Cornish-Fisher's expansion.

    Within 0.5 % of the exact value between 1 % and 99 % from 3 degrees on; SciPy's own would cost
    more CPU to import than a whole prediction takes.
    """
    if degrees == 1:
        return float(np.tan(np.pi * (probability - 0.5)))
    if degrees == 2:
        return float((2 * probability - 1) / np.sqrt(2 * probability * (1 - probability)))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**power for power, term in enumerate(terms, start=1))
