"""Everything that can be asked of a fit before its answer is believed, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

from scalewise.core.errors import ScalewiseError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.points import Rows
from scalewise.fit.profile import Profile, profile
from scalewise.fit.result import FitResult
from scalewise.forecast.fitted_rows import fitted_rows
from scalewise.forecast.noise import NoiseSplit, noise_split
from scalewise.laws.catalogue import law_from
from scalewise.laws.law import Law
from scalewise.plan.influence import Influence, influence
from scalewise.plan.optimum import size_of
from scalewise.plan.sensitivity import Sensitivity, sensitivity
from scalewise.plan.target import FitSettings, Target, read, target_at
from scalewise.runs.table import RunTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A fit with its noise, its profiles, and what the answer at a target depends on.

    ``profiles`` begin with the loss at the target, then each free constant; ``skipped`` says which
    could not be traced. ``table``, ``rows`` and ``settings`` are what it was asked of.
    """

    result: FitResult
    target: Target
    noise: NoiseSplit
    profiles: tuple[Profile, ...]
    skipped: tuple[str, ...]
    influence: Influence
    sensitivity: Sensitivity
    table: RunTable
    rows: Rows
    settings: FitSettings


def diagnose(
    law: Law | str,
    runs: object,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    level: float = 0.9,
    rows: Rows = "finals",
    **settings: Unpack[FitSettings],
) -> Diagnosis:
    """Noise, profiles, influence and sensitivity of one law at one target, see those functions.

    Raises UnfitDataError if the runs do not determine the law, UsageError for half a target.
    """
    from scalewise.runs.read import read_runs

    if law == "auto":
        raise UsageError(
            "A diagnosis looks into one law, and 'auto' combines several.",
            hint="Name one, such as chinchilla.",
        )
    law = law_from(law) if isinstance(law, str) else law
    table = runs if isinstance(runs, RunTable) else read_runs(runs)
    used = fitted_rows(law, table, rows)
    target = target_at(used, params=params, tokens=tokens, flops=flops)
    result = fit(law, used, rows="all", **settings).required()
    profiles, skipped = _profiles(result, target, level)
    at = {"params": params, "tokens": tokens, "flops": flops}
    return Diagnosis(
        result=result,
        target=target,
        noise=noise_split(result, used, rows="all", level=level),
        profiles=profiles,
        skipped=skipped,
        influence=influence(law, table, level=level, rows=rows, **at, **settings),
        sensitivity=sensitivity(law, table, level=level, rows=rows, **at, **settings),
        table=table,
        rows=rows,
        settings=settings,
    )


def _profiles(
    result: FitResult, target: Target, level: float
) -> tuple[tuple[Profile, ...], tuple[str, ...]]:
    """The profile of the loss at the target, and of each constant that was fitted."""
    place: dict[str, Any] = target.columns_for(result.law)
    if not place:
        best = read(result, target, level=level).size
        assert best is not None  # noqa: S101 - `read` refuses a budget that a law cannot split
        place = {str(size_of(result.law)): best.value, "tokens": target.flops / (6.0 * best.value)}
    found, skipped = [], []
    try:
        found.append(profile(result, level=level, **place))
    except ScalewiseError as error:
        skipped.append(f"The loss at the target has no profile: {error.message}")
    for name in result.law.constant_names:
        if name not in result.fixed:
            try:
                found.append(profile(result, name, level=level))
            except ScalewiseError as error:
                skipped.append(f"{name} has no profile: {error.message}")
    return tuple(found), tuple(skipped)
