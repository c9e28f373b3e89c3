"""How well would each law have forecast the larger runs, fitted only to the smaller ones?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import ScalewiseError, UnfitDataError, UsageError
from scalewise.core.quantities import format_count
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult, FitStatus
from scalewise.fit.search import QUICK, THOROUGH, Effort
from scalewise.fit.uncertainty import Resampling
from scalewise.forecast.candidates import candidates
from scalewise.laws.law import Law
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

NAIVE = ("best seen", "most compute")
MAX_SPLITS = 4
QUICK_DRAWS = 100
_LEAST_SIZES = 3  # that a law is fitted to


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How every fit of a comparison is made, so that laws differ in nothing else."""

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
class Split:
    """Small runs to fit, larger ones to forecast."""

    label: str
    fitted: RunTable
    held_out: RunTable
    max_fitted_flops: float
    max_target_flops: float

    @property
    def reach(self) -> float:
        """How many times more compute the largest target took than the largest fitted run."""
        return self.max_target_flops / self.max_fitted_flops


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
    """Every law and naive rule over the same splits, best mean error first."""

    scores: tuple[LawScore, ...]
    splits: tuple[Split, ...]
    level: float
    recommended: str
    warnings: tuple[str, ...] = ()


def splits_by_size(table: RunTable, *, most: int = MAX_SPLITS) -> tuple[Split, ...]:
    """Hold out the largest size, then the two largest, and so on while three remain.

    With many sizes the cuts are spread over the upper half of them. Raises UnfitDataError with
    fewer than four sizes.
    """
    column = size_column(table)
    table = table.where(f"{column} > 0 and loss > 0")
    sizes = np.unique(table.column(column))
    if len(sizes) < _LEAST_SIZES + 1:
        raise UnfitDataError(
            f"The runs have {len(sizes)} sizes; to fit three and hold out one takes four.",
            hint="Add runs of other sizes; until then no forecast from them has been tested.",
        )
    least = max(_LEAST_SIZES, len(sizes) // 2)
    cuts = np.unique(np.linspace(least, len(sizes) - 1, num=most).round().astype(int))
    splits = (split_at(table, float(sizes[cut - 1])) for cut in cuts)
    # A larger model trained on little is no test of reaching further, unless nothing else is.
    ahead = tuple(split for split in splits if not split.reach < 1)
    return ahead or (split_at(table, float(sizes[-2])),)


def split_at(table: RunTable, size: float) -> Split:
    """Fit the runs up to a size, forecast those beyond."""
    column = size_column(table)
    fitted = table.where(f"{column} <= {size!r}")
    held_out = table.where(f"{column} > {size!r}")
    return Split(
        label=f"{column} up to {format_count(size)}",
        fitted=fitted,
        held_out=held_out,
        max_fitted_flops=_most_flops(fitted),
        max_target_flops=_most_flops(held_out),
    )


def size_column(table: RunTable) -> str:
    """The column that orders runs by size."""
    for column in ("params", "params_nonembed", "flops", "tokens"):
        if table.has(column):
            return column
    raise UnfitDataError(
        "The runs have no params, flops or tokens to order them by.",
        hint="Map one of these columns, for example --map params=N.",
    )


def fit_by(policy: Policy, law: Law, table: RunTable, *, bootstrap: int) -> FitResult:
    """Fit one law as a policy says."""
    return fit(
        law,
        table,
        objective=policy.objective,
        delta=policy.delta,
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
        compute = _column(split.fitted, "flops")
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


def loss_finals(runs: object) -> RunTable:
    """The finished models of whatever ``read_runs`` accepts, those with a usable loss."""
    from scalewise.runs.read import read_runs

    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    return table.finals().where("loss > 0")


def law_candidates(table: RunTable, laws: Sequence[str | Law] | None) -> tuple[Law, ...]:
    """The laws to compare on a table.

    Raises UsageError for one that predicts anything but loss.
    """
    found = candidates(table, laws)
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
        _column(table, column) for column in (size_column(table), "tokens", "flops")
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


def _column(table: RunTable, name: str) -> Array:
    return table.column(name) if table.has(name) else np.full(len(table), np.nan)


def _most_flops(table: RunTable) -> float:
    flops = _column(table, "flops")
    return float(np.nanmax(flops)) if np.isfinite(flops).any() else float("nan")
