"""A fit, told: constants with intervals, how the optimum is known, and every doubt."""

from __future__ import annotations

import re

from scalewise.core.quantities import level_text
from scalewise.fit.result import FitResult, FitStatus
from scalewise.laws.law import QUANTITY_UNITS
from scalewise.report.card import Card, Cell, Column, Fact, Table
from scalewise.report.cards.doubts import (
    certificate_sentence,
    correlation_caveats,
    rests_on,
    search_caveats,
    spread_sentence,
)
from scalewise.report.cards.fit_figure import fit_figure
from scalewise.report.formats import clean, counted, listed, number, percent


def fit_card(result: FitResult, *, level: float = 0.9) -> Card:
    """A fit's constants, objective, certificate and status; of a combination, its leading law."""
    return Card(
        title=f"Fit of {result.law.key}"
        + (f" with {counted(len(result.rivals), 'more law')}" if result.rivals else ""),
        conclusion=_conclusion(result),
        facts=_facts(result),
        table=_constants(result, level),
        figure=fit_figure(result) if result.points else None,
        caveats=_caveats(result),
    )


def noise_text(result: FitResult) -> str:
    """One run's standard deviation around the law."""
    if result.objective.in_logs:
        return f"{percent(result.noise)} of {result.law.quantity}"
    unit = QUANTITY_UNITS[result.law.quantity]
    return f"{number(result.noise, 3)} {unit}"


def _data(result: FitResult) -> str:
    return f"{counted(result.points, 'point')} of {counted(result.runs, 'run')}"


def _conclusion(result: FitResult) -> str:
    key = result.law.key
    if not result.points:
        return f"{key} with published constants: {result.source}; no runs, so no interval."
    if result.status is FitStatus.NOT_IDENTIFIED:
        loose = listed(list(result.not_identified))
        return f"{key} cannot be trusted on {_data(result)}: {loose} not determined by the data."
    if result.status is FitStatus.MAX_ITERATIONS:
        return f"{key} on {_data(result)} did not converge: the constants are no optimum."
    what = f"{key} describes {_data(result)} to {noise_text(result)} (one standard deviation)"
    if result.rivals:
        what += f" and leads a combination of {len(result.members)} laws with {result.weight:.0%}"
    if result.status is FitStatus.AT_BOUND:
        return f"{what}; {listed(list(result.at_bound))} stopped at a bound."
    return f"{what}; the data determine all {len(result.theta) - len(result.fixed)} free constants."


def _facts(result: FitResult) -> tuple[Fact, ...]:
    law, goal = result.law, result.objective
    inputs = ", ".join(f"{symbol} = {column}" for symbol, column in law.variables.items())
    facts = [
        Fact("law", f"{law.quantity} = {law.formula}", "code"),
        Fact("fitted", f"{law.quantity} = {_substituted(result)}", "code"),
        Fact("inputs", inputs),
    ]
    if result.points:
        delta = f" (delta {number(goal.delta)})" if goal.name == "huber-log" else ""
        value = f"{goal.name}{delta} = {result.objective_value:.9g}, summed over points"
        facts += [Fact("data", _data_fact(result)), Fact("objective", value)]
    facts += [
        Fact("status", f"{result.status.name}: {result.status.value}")
        if result.points
        else Fact("status", "published, not fitted here"),
        Fact("search", certificate_sentence(result)),
    ]
    if result.points:
        facts += [
            Fact("noise", f"{noise_text(result)}, one run's standard deviation around the law"),
            Fact("intervals", _resampling(result)),
            Fact("spread", spread_sentence(result)),
            Fact("rests on", listed(rests_on(result))),
        ]
    if result.policy:
        facts.append(Fact("policy", result.policy))
    return tuple(facts)


def _data_fact(result: FitResult) -> str:
    checksum = f", sha256 {result.sha256[:12]}" if result.sha256 else ""
    return f"{_data(result)}, {clean(result.source, 120)}{checksum}"


def _resampling(result: FitResult) -> str:
    if not len(result.draws):
        return "none: no resamples were drawn"
    return f"{len(result.draws)} resamples, {result.resampling}, seed {result.seed}"


def _substituted(result: FitResult) -> str:
    """The formula with the constants' values in their places."""
    names = "|".join(sorted(map(re.escape, result.theta), key=len, reverse=True))
    return re.sub(rf"\b({names})\b", lambda m: number(result.theta[m[0]], 5), result.law.formula)


def _constants(result: FitResult, level: float) -> Table:
    edges = result.intervals(level)
    rows: list[tuple[Cell, ...]] = []
    for constant in result.law.constants:
        name = constant.name
        low, high = edges.get(name, (None, None)) if name not in result.fixed else (None, None)
        rows.append((
            name, result.theta[name], low, high, result.law.unit(name), _mark(result, name),
            constant.meaning,
        ))  # fmt: skip
    return Table(
        (
            Column("constant", format="code"), Column("value", format="number"),
            Column(f"{level_text(level)} low", format="number"),
            Column(f"{level_text(level)} high", format="number"), Column("unit"), Column("mark"),
            Column("meaning"),
        ),
        tuple(rows),
    )  # fmt: skip


def _mark(result: FitResult, name: str) -> str:
    marks = [
        mark
        for mark, names in (
            ("fixed", result.fixed),
            ("at bound", result.at_bound),
            ("not identified", result.not_identified),
        )
        if name in names
    ]
    if not result.points:
        marks.append("published")
    return ", ".join(marks) or "free"


def _caveats(result: FitResult) -> tuple[str, ...]:
    status = []
    if result.status in (FitStatus.NOT_IDENTIFIED, FitStatus.MAX_ITERATIONS):
        status = [result.status.value]
    others = [
        f"{rival.result.law.key}: {warning}"
        for rival in result.rivals
        for warning in rival.result.warnings
        if warning not in result.warnings
    ]
    found = [
        *status, *result.warnings, *result.interval_doubts, *correlation_caveats(result),
        *search_caveats(result), *others,
    ]  # fmt: skip
    return tuple(dict.fromkeys(found))
