"""How well would each law have forecast the larger runs, fitted only to the smaller ones?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import ScalewiseError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult, FitStatus
from scalewise.fit.search import QUICK, THOROUGH, Effort
from scalewise.fit.uncertainty import Resampling
from scalewise.forecast.candidates import candidates
from scalewise.forecast.policy import FINALS, EstimationPolicy
from scalewise.forecast.splits import Split, column_or_nan, size_column
from scalewise.laws.law import Law
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

NAIVE = ("best seen", "most compute")
QUICK_DRAWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How every fit of a comparison is made, so that laws differ in nothing else.

    ``estimation`` says which points enter, None leaves that to ``estimation_for``; its objective
    holds where this one names none.
    """

    estimation: EstimationPolicy | None = None
    objective: str | None = None
    delta: float | None = None
    level: float = 0.9
    seed: int = 0
    effort: Effort = THOROUGH
    resampling: Resampling = "refit"

    @property
    def quick(self) -> Policy:
        """The same for the many fits of a backtest, whose forecasts need no certificate."""
        return replace(self, effort=QUICK, resampling="asymptotic")


DEFAULT_POLICY = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPoint:
    """One run that a fit had not seen: what it measured and what was forecast."""

    run_id: str
    params: float
    tokens: float
    flops: float
    measured: float
    predicted: float
    low: float
    high: float

    @property
    def relative_error(self) -> float:
        """Predicted over measured, minus one."""
        return self.predicted / self.measured - 1.0

    @property
    def inside(self) -> bool:
        """Whether the interval held the measured value."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class LawScore:
    """How one law, or naive rule, did on held-out runs over all splits.

    ``coverage``, ``mean_width`` (in logs) and ``interval_score`` (in logs, lower is better:
    Gneiting & Raftery 2007) are None for rules that give no interval. ``noise`` is the scatter
    around the law at the runs it was fitted to, averaged over the splits.
    """

    law: str
    title: str
    splits: int
    points: tuple[HeldOutPoint, ...]
    coverage: float | None
    mean_width: float | None
    interval_score: float | None
    noise: float | None = None
    status: str = "fitted"

    @property
    def errors(self) -> Array:
        """Signed relative errors."""
        return np.array([point.relative_error for point in self.points])

    @property
    def mean_abs_error(self) -> float:
        """Mean absolute relative error; infinite if nothing could be forecast."""
        return float(np.mean(np.abs(self.errors))) if self.points else float("inf")

    @property
    def worst_error(self) -> float:
        """The relative error that is largest in size, with its sign."""
        errors = self.errors
        return float(errors[np.argmax(np.abs(errors))]) if len(errors) else float("inf")

    @property
    def bias(self) -> float:
        """Mean signed relative error."""
        return float(np.mean(self.errors)) if self.points else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Every law and naive rule over the same splits, best mean error first.

    ``policy`` tells which points entered, where checkpoints did.
    """

    scores: tuple[LawScore, ...]
    splits: tuple[Split, ...]
    level: float
    recommended: str
    warnings: tuple[str, ...] = ()
    policy: str = ""


def fit_by(policy: Policy, law: Law, table: RunTable, *, bootstrap: int) -> FitResult:
    """Fit one law as a policy says."""
    how = policy.estimation or FINALS
    return fit(
        law,
        table if how == FINALS else how.points(law, table),
        objective=policy.objective or how.objective,
        delta=policy.delta if policy.objective else policy.delta or how.delta,
        bounds=how.bounds_of(law),
        bootstrap=bootstrap,
        resampling=policy.resampling,
        seed=policy.seed,
        effort=policy.effort,
    )


def forecast_split(law: Law, split: Split, policy: Policy) -> tuple[FitResult | None, str]:
    """Fit a law to the small side of a split; the reason, if it cannot be done."""
    try:
        result = fit_by(policy.quick, law, split.fitted, bootstrap=QUICK_DRAWS)
        if result.status is FitStatus.MAX_ITERATIONS:  # a flat valley, longer than the quick search
            patient = replace(policy.quick, effort=policy.effort)
            result = fit_by(patient, law, split.fitted, bootstrap=QUICK_DRAWS)
        return result.required(), "fitted"
    except ScalewiseError as error:
        return None, str(error)


def held_out_points(
    result: FitResult, table: RunTable, *, level: float
) -> tuple[HeldOutPoint, ...]:
    """A result's forecasts of the runs of a table, beside what they measured."""
    prediction = result.predict(level=level, **inputs_of(result, table))
    measured = table.column(result.law.quantity)
    return _points(
        table,
        measured,
        *(
            np.broadcast_to(v, measured.shape)
            for v in (prediction.value, prediction.low, prediction.high)
        ),
    )


def inputs_of(result: FitResult, table: RunTable) -> dict[str, Array]:
    """The columns that a result and its rivals need, taken from a run table."""
    columns = {c for _, member in result.members for c in member.law.columns}
    return {column: table.column(column) for column in sorted(columns)}


def naive_points(rule: str, split: Split) -> tuple[HeldOutPoint, ...]:
    """Forecast every held-out run by a rule that extrapolates nothing.

    Where compute is unknown, size stands in for it.
    """
    fitted = split.fitted.column("loss")
    if rule == "best seen":
        guess = float(np.min(fitted))
    else:
        compute = column_or_nan(split.fitted, "flops")
        if not np.isfinite(compute).any():
            compute = split.fitted.column(size_column(split.fitted))
        guess = float(fitted[int(np.nanargmax(compute))])
    measured = split.held_out.column("loss")
    flat = np.full(len(measured), guess)
    return _points(split.held_out, measured, flat, flat, flat)


def score(
    law: str,
    title: str,
    points: Sequence[HeldOutPoint],
    *,
    level: float,
    splits: int,
    noise: float | None = None,
    status: str = "fitted",
) -> LawScore:
    """Summarise held-out forecasts; naive rules get no interval measures."""
    if not points or law in NAIVE:
        measures: tuple[float | None, ...] = (None, None, None)
    else:
        measured, low, high = (
            np.log([getattr(p, name) for p in points]) for name in ("measured", "low", "high")
        )
        width = high - low
        outside = np.maximum(low - measured, 0.0) + np.maximum(measured - high, 0.0)
        measures = (
            float(np.mean([p.inside for p in points])),
            float(np.mean(width)),
            float(np.mean(width + 2.0 / (1.0 - level) * outside)),
        )
    return LawScore(
        law=law,
        title=title,
        splits=splits,
        points=tuple(points),
        coverage=measures[0],
        mean_width=measures[1],
        interval_score=measures[2],
        noise=noise,
        status=status,
    )


def score_laws(
    laws: Sequence[Law], splits: Sequence[Split], policy: Policy
) -> tuple[LawScore, ...]:
    """Score each law over the splits; a law that fails on any split says why and scores none."""
    scores = []
    for law in laws:
        points: list[HeldOutPoint] = []
        noises: list[float] = []
        reason = "fitted"
        for split in splits:
            result, reason = forecast_split(law, split, policy)
            if result is None:
                points, reason = [], f"{split.label}: {reason}"
                break
            points += held_out_points(result, split.held_out, level=policy.level)
            noises.append(result.noise)
        scores.append(
            score(
                law.key,
                law.title,
                points,
                level=policy.level,
                splits=len(splits),
                noise=float(np.mean(noises)) if points else None,
                status=reason,
            )
        )
    return tuple(scores)


def naive_scores(splits: Sequence[Split], *, level: float) -> tuple[LawScore, ...]:
    """Score the rules that a law has to beat."""
    titles: Mapping[str, str] = {
        "best seen": "lowest loss among the fitted runs",
        "most compute": "loss of the fitted run with most compute",
    }
    return tuple(
        score(
            rule,
            titles[rule],
            [point for split in splits for point in naive_points(rule, split)],
            level=level,
            splits=len(splits),
        )
        for rule in NAIVE
    )


def law_candidates(
    table: RunTable, laws: Sequence[str | Law] | None, policy: Policy
) -> tuple[Law, ...]:
    """The laws to compare on a table.

    Raises UsageError for one that predicts anything but loss.
    """
    curves = policy.estimation is not None and policy.estimation.is_of_curves
    found = candidates(table, laws, curves=curves)
    for law in found:
        if law.quantity != "loss":
            raise UsageError(
                f"Law {law.key!r} predicts {law.quantity}; laws are compared by the loss that they "
                "forecast.",
                hint="Leave it out; fit it by its name alone.",
            )
    return found


def _points(
    table: RunTable, measured: Array, predicted: Array, low: Array, high: Array
) -> tuple[HeldOutPoint, ...]:
    names = table.text("run_id")
    size, tokens, flops = (
        column_or_nan(table, column) for column in (size_column(table), "tokens", "flops")
    )
    return tuple(
        HeldOutPoint(
            run_id=names[i],
            params=float(size[i]),
            tokens=float(tokens[i]),
            flops=float(flops[i]),
            measured=float(measured[i]),
            predicted=float(predicted[i]),
            low=float(low[i]),
            high=float(high[i]),
        )
        for i in range(len(table))
    )
