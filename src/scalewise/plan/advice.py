"""What limits a forecast now, from measured effects, and what one more run would do about it.

Each limit is a number of the user's runs against a rule with its source, with what it does to the
forecast at the target: the forecast without it, or the interval with a run that mends it. They
are told in order of effect. Nothing is dropped or changed by it: that is for the reader to decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import ScalewiseError, UnfitDataError
from scalewise.fit.points import Rows
from scalewise.fit.priors import Prior
from scalewise.fit.result import FitResult
from scalewise.forecast.fitted_rows import fitted_rows
from scalewise.laws.catalogue import law_from
from scalewise.laws.law import Law
from scalewise.plan.additions import REFOUND, Addition, additions, told_half
from scalewise.plan.allocate import Interval
from scalewise.plan.diagnosis import Diagnosis, diagnose
from scalewise.plan.fit_limits import (
    LOOSE,
    choices,
    early_part,
    loose_constants,
    odd_size,
    scatter,
    unannealed,
)
from scalewise.plan.limits import (
    BEST,
    COARSE,
    Case,
    Check,
    Limit,
    Unknown,
    case_of,
    far_target,
    few_sizes,
    flat_tokens,
    narrow_sizes,
    range_limit,
    size_levels,
    sizes_limit,
    tokens_limit,
)
from scalewise.plan.optimum import size_of
from scalewise.plan.target import FitSettings, Target, size_column_of, target_at
from scalewise.runs.table import RunTable

CHECKS: tuple[Check, ...] = (
    few_sizes, narrow_sizes, flat_tokens, far_target, scatter, odd_size, unannealed, early_part,
    loose_constants, choices,
)  # fmt: skip
AFFORDABLE = 1.0  # times the compute of all runs so far, that the proposed run may cost
HELPS = 0.05  # share of the half width: a run that takes less away is not worth proposing
NEXT = 10.0  # times the compute of the largest run
_RESAMPLES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What limits the forecast at a target, largest effect first, and what would help.

    ``answer`` is None where the runs do not determine the law. ``clear`` was looked at and meets
    its rule, ``unknown`` says what the runs do not tell. ``half_width`` is of the logarithm of the
    answer. ``added`` are runs that would narrow it, as computed under the law.
    """

    target: Target
    answer: Interval | None
    half_width: float
    level: float
    law: str
    runs: int
    points: int
    limits: tuple[Limit, ...]
    clear: tuple[Limit, ...]
    unknown: Mapping[str, str]
    added: tuple[Addition, ...]
    seed: int
    sha256: str
    warnings: tuple[str, ...]

    @property
    def best(self) -> Addition | None:
        """The run that narrows the interval most, of those that cost no more than all so far."""
        found = [one for one in self.added if one.narrowing >= HELPS]
        cheap = [one for one in found if one.spent <= AFFORDABLE]
        return next(iter(cheap or found), None)

    @property
    def unsure(self) -> float:
        """The half width, or the most that a limit moves the forecast by if that is more."""
        return max([self.half_width, *(limit.effect or 0.0 for limit in self.limits)])

    @property
    def loose(self) -> tuple[str, ...]:
        """The constants that the runs leave open: no interval holds all that those allow."""
        found = (one.name.removeprefix(LOOSE) for one in self.limits if one.name.startswith(LOOSE))
        return tuple(found)

    @property
    def verdict(self) -> str:
        """What differences a forecast this unsure can show, in a sentence."""
        if self.answer is None:
            return "There is no forecast to defend: the runs do not determine the law."
        if not self.target.columns:
            return ""
        told = f"Recipes whose losses differ by less than {self.unsure:.1%} cannot be told apart"
        if loose := self.loose:
            return f"{told}, perhaps not by more either: the runs leave {', '.join(loose)} open."
        if self.unsure <= BEST:
            return f"{told}: as good as the {BEST:.0%} that published forecasts reach at best."
        if self.unsure <= COARSE:
            return f"{told}: more than the {BEST:.0%} that published forecasts reach at best."
        return f"{told}: even most of the changes that papers argue for stay hidden."

    def __str__(self) -> str:
        if not self.limits:
            return "Nothing that was looked at limits it beyond its rule."
        if self.answer is None:
            return "There is no forecast: the runs do not determine the law."
        worst, *others = self.limits
        told = f"Most limited by {worst.name}: {worst.told}"
        names = ", ".join(limit.name for limit in others)
        return f"{told}{f'; then {names}' if others else ''}."

    @property
    def help(self) -> str:
        """What would help most, in a sentence."""
        if self.answer is None:
            return "Runs that determine the law: mend the limits first."
        if not self.added:
            return "What one more run would do cannot be computed for a law of these inputs."
        best = self.best
        if best is None:
            most = self.added[0]
            return (
                f"No single run of those considered: the best, {most} ({most.kind}), takes "
                f"{most.narrowing:.1%} off the interval, computed under {self.law}; work on the "
                "limits."
            )
        now, then = (told_half(half, 2) for half in (self.half_width, best.half_width))
        low, high = REFOUND
        doubt = f"in simulated designs a refit found {low:g} to {high:g} times that half width"
        if self.loose:
            doubt = f"with {', '.join(self.loose)} open even that is a guess"
        return (
            f"{best} ({best.kind}) should narrow the interval from {now} to about {then} for "
            f"{best.spent:.2g} times the compute of all runs so far, computed under {self.law}; "
            f"{doubt}."
        )


def advise(
    found: Diagnosis | FitResult,
    runs: object = None,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    level: float = 0.9,
    rows: Rows = "finals",
) -> Advice:
    """What limits a forecast and what would help: of a diagnosis, or of a fit at a target.

    A fit takes ``params`` and ``tokens``, or ``flops``, and the ``runs`` it was made of; without
    them its own points stand in. A diagnosis has all of it. Of combined laws the leader is asked.
    Raises UnfitDataError if the runs do not determine the law; see ``unfit_advice``.
    """
    if isinstance(found, FitResult):
        own = runs is None
        table = points_table(found) if own else runs
        found = diagnose(
            found.law,
            table,
            params=params,
            tokens=tokens,
            flops=flops,
            level=level,
            rows="all" if own else rows,
            **settings_of(found),
        )
    case = case_of(found)
    told = [one for check in CHECKS for one in _checked(check, case)]
    measured = sorted(
        (one for one in told if isinstance(one, Limit)), key=lambda one: -(one.effect or 0.0)
    )
    return Advice(
        target=found.target,
        answer=found.influence.base,
        half_width=case.forecast.half,
        level=found.influence.level,
        law=found.result.law.key,
        runs=found.result.runs,
        points=found.result.points,
        limits=tuple(one for one in measured if one.limits),
        clear=tuple(one for one in measured if not one.limits),
        unknown={one.name: one.reason for one in told if isinstance(one, Unknown)},
        added=additions(case.forecast, case.table),
        seed=found.result.seed,
        sha256=found.result.sha256,
        warnings=found.influence.warnings,
    )


def _checked(check: Check, case: Case) -> Iterator[Limit | Unknown]:
    """What a check finds; one that a table cannot serve says so and does not end the others."""
    try:
        yield from check(case)
    except ScalewiseError as error:
        yield Unknown(name=check.__name__.replace("_", " "), reason=error.message)


def unfit_advice(
    law: Law | str,
    runs: object,
    why: UnfitDataError,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    level: float = 0.9,
    rows: Rows = "finals",
) -> Advice:
    """What keeps runs from determining a law, told from their design alone; ``why`` is the fit's.

    Every limit then has an effect without measure: there is no forecast.
    """
    law = law_from(law) if isinstance(law, str) else law
    table = fitted_rows(law, runs, rows)
    target = target_at(table, params=params, tokens=tokens, flops=flops)
    told = "there is no forecast to measure it by"
    found = [
        Limit(
            name="undetermined law", value=len(table), unit="points", fact=why.message, effect=None,
            told="no forecast", mend=why.hint,
            rule="a forecast needs constants that the runs determine", limits=True,
        )
    ]  # fmt: skip
    size = size_column_of(law, table)
    sizes = table.column(size)
    found.append(sizes_limit(len(size_levels(sizes)), size, None, told))
    if "params" in target.columns and table.has("params"):
        found.append(range_limit(table.column("params"), target.columns["params"], None, told))
    if "tokens" in law.columns and size != "tokens":
        found.append(tokens_limit(sizes, table.column("tokens"), table.run_count, None, told))
    return Advice(
        target=target,
        answer=None,
        half_width=float("inf"),
        level=level,
        law=law.key,
        runs=table.run_count,
        points=len(table),
        limits=tuple(one for one in found if one.limits),
        clear=tuple(one for one in found if not one.limits),
        unknown={},
        added=(),
        seed=0,
        sha256=table.sha256,
        warnings=(),
    )


def next_in_line(result: FitResult) -> dict[str, float]:
    """``params`` and ``tokens`` of ten times the largest run's compute at its tokens per param.

    A fit by params_nonembed keeps no params: they follow from the most FLOPs of its runs, 6 N D.
    Nothing for laws that take other inputs than size, tokens and compute, or predict no loss.

    >>> from scalewise.fit.storage import read_fit
    >>> next_in_line(read_fit("besiroglu2024"))
    {}
    """
    law = result.law
    size, columns = size_of(law), set(law.columns)
    if law.quantity != "loss" or size is None or not columns <= {size, "tokens", "flops"}:
        return {}
    if not result.points or (size != "params" and "flops" not in result.ranges):
        return {}
    symbols = {column: symbol for symbol, column in law.variables.items()}
    sizes, tokens = (result.inputs[symbols[c]] for c in (size, "tokens"))
    largest = int(np.argmax(sizes * tokens))
    params, seen = float(sizes[largest]), float(tokens[largest])
    if size != "params":
        params = max(params, result.ranges["flops"][1] / (6.0 * seen))
    step = float(np.sqrt(NEXT))
    return {"params": step * params, "tokens": step * seen}


def settings_of(result: FitResult) -> FitSettings:
    """The settings that a fit was made with, for fits like it."""
    goal = result.objective
    made: FitSettings = {
        "objective": goal.name,
        "delta": goal.delta if goal.name == "huber-log" else None,
        "bootstrap": max(len(result.draws), _RESAMPLES),
        "seed": result.seed,
    }
    if result.fixed:
        made["fixed"] = {name: result.theta[name] for name in result.fixed}
    if result.penalty is not None:
        made["priors"] = _priors(result)
    return made


def _priors(result: FitResult) -> dict[str, Prior]:
    """The priors of a fit in the units in which they were given."""
    assert result.penalty is not None  # noqa: S101 - asked for only where there are priors
    roles = {c.name: c.role for c in result.law.constants}
    stated = zip(result.penalty.names, result.penalty.mean, result.penalty.sd, strict=True)
    return {
        name: Prior(float(np.exp(mean)), float(sd * np.exp(mean)))
        if roles[name] == "amplitude"
        else Prior(float(mean), float(sd))
        for name, mean, sd in stated
    }


def points_table(result: FitResult) -> RunTable:
    """The points of a fit as a run table; what else the runs had is not in a fit."""
    from scalewise.runs.read import read_runs

    columns: dict[str, Any] = {
        column: result.inputs[symbol] for symbol, column in result.law.variables.items()
    }
    names = [f"run-{number}" for number in result.cluster]
    return read_runs({"run_id": names, **columns, result.law.quantity: result.observed})
