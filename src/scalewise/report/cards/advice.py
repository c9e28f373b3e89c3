"""What limits a forecast, told in order of effect, and what one more run would do about it."""

from __future__ import annotations

from math import exp

from scalewise.core.quantities import level_text
from scalewise.plan.additions import Addition, told_half
from scalewise.plan.advice import Advice
from scalewise.plan.limits import Limit
from scalewise.report.card import Card, Cell, Column, Fact, Table
from scalewise.report.formats import counted, number, percent

LARGE = 0.5  # effects from here on are told as factors


def advice_cards(found: Advice) -> tuple[Card, ...]:
    """The limits, and the runs that would help where any were considered."""
    return (advice_card(found), *((additions_card(found),) if found.added else ()))


def advice_card(found: Advice) -> Card:
    """What was measured, what it does to the forecast, and what to do next, worst first."""
    return Card(
        title="What limits this forecast",
        conclusion=_conclusion(found),
        facts=(
            Fact("asked", f"{found.target.asked.replace('_', ' ')} at {found.target}"),
            Fact("rests on", f"{found.law}, {counted(found.points, 'point')}, "
                 f"{counted(found.runs, 'run')}"),
            *((Fact("tells apart", found.verdict),) if found.verdict else ()),
            *(Fact(f"rule: {one.name}", one.rule) for one in found.limits),
            *((Fact("within its rule", _clear(found)),) if found.clear else ()),
            Fact("would help most", found.help),
        ),
        table=Table(
            (
                Column("limit"), Column("effect"),
                Column("measured"), Column("without it"), Column("what to do next"),
            ),
            tuple(_row(one) for one in found.limits),
        ),
        caveats=(
            *found.warnings,
            *(f"Unknown: {name}. {_sentence(why)}" for name, why in found.unknown.items()),
            *_provisos(found),
        ),
    )  # fmt: skip


def _provisos(found: Advice) -> tuple[str, ...]:
    if found.answer is None:
        return ()
    return (
        f"The interval is that of {found.law} alone, from these runs; a forecast that combines "
        "laws or was calibrated by others may be wider.",
        "Effects are of one thing at a time, on these runs; nothing was dropped or changed.",
    )


def _conclusion(found: Advice) -> str:
    told = [] if found.answer is None else [_answer(found)]
    return " ".join([*told, str(found)])


def _answer(found: Advice) -> str:
    assert found.answer is not None  # noqa: S101 - asked for only where there is one
    write = found.target.told
    return (
        f"{write(found.answer.value)} {found.target.unit} at {found.target} "
        f"({level_text(found.level)} interval {write(found.answer.low)} to "
        f"{write(found.answer.high)}, "
        f"{told_half(found.half_width)}, from {counted(found.runs, 'run')})."
    )


def _row(one: Limit) -> tuple[Cell, ...]:
    return (one.name, _effect(one.effect), one.fact, one.told, one.mend)


def _effect(effect: float | None) -> str:
    """An effect as a share of the answer, or as a factor where it is large."""
    if effect is None:
        return "no measure"
    return percent(effect) if effect < LARGE else f"×/÷{number(exp(effect), 3)}"


def _clear(found: Advice) -> str:
    """What was looked at and meets its rule, with the effect that it has all the same."""
    if found.answer is None:
        return ", ".join(one.name for one in found.clear)
    return ", ".join(f"{one.name} ({_effect(one.effect)})" for one in found.clear)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def additions_card(found: Advice) -> Card:
    """The interval with one run more, for each run that was considered."""
    return Card(
        title="What one more run would do",
        conclusion=found.help,
        facts=(
            Fact("asked", f"{found.target.asked.replace('_', ' ')} at {found.target}"),
            Fact("computed", f"by the linearised covariance of {found.law}, before any training; "
                 "it assumes that the law is true and that the noise stays as it is"),
        ),
        table=Table(
            (
                Column("one run more"), Column("params", "", "count"),
                Column("tokens", "", "count"), Column("FLOP", "", "flops"),
                Column("cost", "all runs so far", "factor"),
                Column("half width"),
                Column("narrower by", "", "percent"),
            ),
            tuple(_addition(one) for one in found.added),
        ),
    )  # fmt: skip


def _addition(one: Addition) -> tuple[Cell, ...]:
    return (
        one.kind, one.params, one.tokens, one.flops, one.spent, told_half(one.half_width, 2),
        one.narrowing,
    )  # fmt: skip
