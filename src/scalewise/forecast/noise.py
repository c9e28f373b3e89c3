"""Why runs miss the law: run-to-run noise, the finite evaluation set, or the law itself.

Runs of one experiment that differ in their seed show pure error, whatever the law. What scatters
about the law beyond that is lack of fit, and the ratio of the two is the classical F test.
The error of the evaluation set is known only where it was measured, as a standard error of each
loss. A part that nothing in the table tells is named as unknown, never taken for zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.fit.points import Rows
from scalewise.fit.result import FitResult
from scalewise.fit.uncertainty import robust_scale
from scalewise.forecast.fitted_rows import fitted_rows
from scalewise.forecast.repeats import (
    RunNoise,
    components,
    experiments,
    run_noise,
    runs_of,
    spread,
)
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

UNLIKELY = 0.05  # probability below which chance is no explanation
_PULLED_IN = 3.0  # robust standard deviations, as in the noise of a fit


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePart:
    """One source of scatter: standard deviation, interval, degrees of freedom, share of variance.

    ``sd`` is in log loss or in nats/token, as ``NoiseSplit.in_logs`` says. A part that was stated
    by the user and not estimated has no interval.
    """

    name: str
    sd: float
    low: float | None
    high: float | None
    degrees: int | None
    share: float | None
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LackTest:
    """Does the law miss the means of the experiments by more than their repeats explain?

    ``F`` is the mean square of the one over that of the other; ``p`` the probability of as large
    a ratio if the law were true.
    """

    F: float
    p: float
    degrees: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSplit:
    """The scatter about a law, split; ``unknown`` gives the reason for each part not told."""

    parts: tuple[NoisePart, ...]
    unknown: Mapping[str, str]
    test: LackTest | None
    run_noise: RunNoise | None
    verdict: str
    in_logs: bool
    level: float
    law: str
    points: int
    runs: int
    warnings: tuple[str, ...]

    def part(self, name: str) -> NoisePart:
        """The part of that name. Raises UnfitDataError with the reason if it is unknown."""
        for part in self.parts:
            if part.name == name:
                return part
        raise UnfitDataError(
            f"The part {name!r} is unknown: {self.unknown.get(name, 'there is none')}",
            hint=f"Known: {', '.join(part.name for part in self.parts)}.",
        )


def noise_split(
    result: FitResult, runs: object, *, rows: Rows = "finals", level: float = 0.9
) -> NoiseSplit:
    """Split the scatter of runs about a fitted law into run-to-run, evaluation and lack of fit.

    ``runs`` are those of the fit. Variances add: total**2 = run-to-run**2 + lack of fit**2, each
    residual pulled in to three robust standard deviations as in ``FitResult.noise``. Degrees of
    freedom are counted in runs, so checkpoints and branches of one run count once; that makes the
    test cautious. Column ``loss_se`` brings the error of the evaluation set.
    Raises UsageError if the runs are not those of the fit.
    """
    table = fitted_rows(result.law, runs, rows)
    if not np.array_equal(table.column(result.law.quantity), result.observed):
        raise UsageError(
            f"The fit was made on {result.points} other points than these {len(table)}.",
            hint="Give the runs that were fitted, with the same rows.",
        )
    free = len(result.theta) - len(result.fixed) - len(result.at_bound)
    degrees = max(result.runs - free, 1)
    whole = spread(max(result.noise, 1e-300), degrees, level)
    parts = [
        NoisePart(
            name="total", sd=result.noise, low=whole.low, high=whole.high, degrees=degrees,
            share=1.0, told=f"residuals about {result.law.key}, {free} constants free",
        )
    ]  # fmt: skip
    unknown: dict[str, str] = {}
    evaluation = _evaluation(result, table, parts, unknown)
    repeated, test = None, None
    try:
        repeated = run_noise(table, level=level, in_logs=result.objective.in_logs)
    except UnfitDataError as error:
        unknown["run-to-run"] = f"{error.message} {error.hint}"
        unknown["lack of fit"] = "Without repeats it cannot be told from run-to-run noise."
        if evaluation is not None and evaluation < result.noise:
            rest = float(np.sqrt(result.noise**2 - evaluation**2))
            share = (rest / result.noise) ** 2
            parts.append(NoisePart(
                name="run-to-run and lack of fit", sd=rest, low=None, high=None, degrees=None,
                share=share, told="the rest, if every loss had its own evaluation error",
            ))  # fmt: skip
    else:
        test = _against_repeats(result, table, repeated, free, parts, level)
    return NoiseSplit(
        parts=tuple(parts),
        unknown=unknown,
        test=test,
        run_noise=repeated,
        verdict=_verdict(test, evaluation, result.noise),
        in_logs=result.objective.in_logs,
        level=level,
        law=result.law.key,
        points=result.points,
        runs=result.runs,
        warnings=_warnings(table, repeated, evaluation),
    )


def _evaluation(
    result: FitResult, table: RunTable, parts: list[NoisePart], unknown: dict[str, str]
) -> float | None:
    """Root mean square of the stated errors of the losses, on the scale of the residuals."""
    if not table.has("loss_se") or result.law.quantity != "loss":
        unknown["evaluation"] = "The table has no loss_se, the standard error of each loss."
        return None
    error = table.column("loss_se")
    known = np.isfinite(error) & (error > 0)
    if not known.any():
        unknown["evaluation"] = "No loss_se is positive."
        return None
    scaled = error / table.column("loss") if result.objective.in_logs else error
    sd = float(np.sqrt(np.mean(scaled[known] ** 2)))
    share = min((sd / result.noise) ** 2, 1.0) if result.noise > 0 else None
    stated = f"loss_se of {int(known.sum())} of {len(table)} points"
    parts.append(NoisePart(
        name="evaluation", sd=sd, low=None, high=None, degrees=None, share=share,
        told=f"{stated}; at most, as errors on one evaluation set are largely shared",
    ))  # fmt: skip
    return sd


def _against_repeats(
    result: FitResult,
    table: RunTable,
    repeated: RunNoise,
    free: int,
    parts: list[NoisePart],
    level: float,
) -> LackTest:
    """Add the parts that repeats tell, and test the law against them."""
    from scipy.special import fdtrc

    residuals = result.residuals
    scale = robust_scale(residuals, free)
    if scale > 0:
        residuals = np.clip(residuals, -_PULLED_IN * scale, _PULLED_IN * scale)
    run = runs_of(table)
    alike = tuple(dict.fromkeys((*repeated.alike, *result.law.columns)))
    experiment = experiments(table, alike)
    size = np.bincount(experiment)
    mean = np.bincount(experiment, weights=residuals) / size
    inside, sets = len(table) - len(size), components(experiment, run)
    pure = float(np.sum((residuals - mean[experiment]) ** 2)) / max(inside, 1)
    between = float(np.sum(size * mean**2)) / max(len(size) - free, 1)
    several = len(table) > table.run_count
    first = max((sets if several else len(size)) - free, 1)
    second = max(table.run_count - sets, 1)
    F = between / max(pure, 1e-300)
    noise = spread(max(float(np.sqrt(pure)), 1e-300), second, level)
    total = parts[0]
    lack = float(np.sqrt(max(total.sd**2 - pure, 0.0)))
    variance = max(total.sd**2, 1e-300)
    parts += [
        NoisePart(
            name="run-to-run", sd=noise.sd, low=noise.low, high=noise.high, degrees=second,
            share=min(pure / variance, 1.0),
            told=f"{len(repeated.repeats)} experiments run more than once",
        ),
        # Ends that hold whichever ends the other two take: wider than they need be.
        NoisePart(
            name="lack of fit", sd=lack,
            low=float(np.sqrt(max((total.low or 0.0) ** 2 - noise.high**2, 0.0))),
            high=float(np.sqrt(max((total.high or 0.0) ** 2 - noise.low**2, 0.0))),
            degrees=first, share=lack**2 / variance, told="total less run-to-run",
        ),
    ]  # fmt: skip
    return LackTest(F=F, p=float(fdtrc(first, second, F)), degrees=(first, second))


def _verdict(test: LackTest | None, evaluation: float | None, total: float) -> str:
    if test is not None:
        told = f"F = {test.F:.3g} on {test.degrees[0]} and {test.degrees[1]} degrees, p = "
        told += f"{test.p:.2g}" if test.p >= 1e-4 else "below 0.0001"
        if test.p < UNLIKELY:
            return f"The law misses by more than run-to-run noise explains ({told})."
        if test.F > 1:
            return f"What the law misses can be run-to-run noise ({told})."
        return f"The runs scatter about the law no more than their repeats do ({told})."
    if evaluation is not None:
        times = total / evaluation
        return (
            f"Runs scatter about the law {times:.2g} times as far as their evaluation errors; "
            "without repeats the law and the seeds share the blame unsplit."
        )
    return "Without repeats the law and the seeds share the blame for the scatter unsplit."


def _warnings(
    table: RunTable, repeated: RunNoise | None, evaluation: float | None
) -> tuple[str, ...]:
    said = []
    if evaluation is not None and len(set(table.text("eval_set"))) == 1:
        said.append(
            "All losses were measured on one evaluation set, so most of its error moves every "
            "loss alike: it hides in E and does not show as scatter."
        )
    if repeated is not None:
        seeds = table.text("seed") if table.has("seed") else ()
        if not seeds:
            said.append(
                "There is no seed column: runs that agree in every other column were taken for "
                "repeats."
            )
        if repeated.spread.degrees < 5:
            said.append(
                f"Run-to-run noise rests on {repeated.spread.degrees} degrees of freedom: read its "
                "interval, not its value."
            )
        if repeated.trend is not None and (repeated.trend_p or 0.0) < UNLIKELY:
            said.append(
                f"Runs of higher loss scatter {repeated.trend:.2g} times as far between repeats as "
                "those of lower loss; one figure for all is an average."
            )
    return tuple(said)
