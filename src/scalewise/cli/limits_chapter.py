"""Which cards tell what limits a forecast, and what a published fit must state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import ScalewiseError, UnfitDataError

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.forecast.backtest import Backtest
    from scalewise.plan.advice import Advice
    from scalewise.report.card import Card
    from scalewise.runs.table import RunTable


def limits_chapter(
    result: FitResult, table: RunTable | None = None, *, level: float = 0.9
) -> list[Card]:
    """What limits a forecast of the next run in line; nothing for laws of other inputs."""
    from scalewise.plan.advice import advise, next_in_line, unfit_advice
    from scalewise.report.cards.advice import advice_cards

    target: dict[str, Any] = next_in_line(result)
    if not target:
        return []
    try:
        return list(advice_cards(advise(result, table, **target, level=level)))
    except UnfitDataError as error:
        if table is None:
            return []
        found = unfit_advice(result.law, table, error, **target, level=level)
        return list(advice_cards(found))
    except ScalewiseError:
        return []  # a law that cannot answer at that target: the fit's own card says so


def checklist_chapter(
    result: FitResult, table: RunTable | None = None, tested: Backtest | None = None
) -> list[Card]:
    """The nine things that a published fit must state; nothing for constants without runs."""
    from scalewise.report.cards.checklist import checklist_card

    if not result.points:
        return []
    return [checklist_card(result, table, tested=tested)]


def advice_data(found: Advice) -> dict[str, Any]:
    """Advice: fields by name, with the sentences that its card concludes with."""
    from dataclasses import asdict

    return {
        "conclusion": str(found),
        "verdict": found.verdict,
        "would_help_most": found.help,
        "half_width": found.half_width,
        "limits": [asdict(one) for one in found.limits],
        "within_rule": [asdict(one) for one in found.clear],
        "unknown": dict(found.unknown),
        "one_more_run": [asdict(one) for one in found.added],
        "best": None if found.best is None else asdict(found.best),
    }


def checklist_data(items: tuple[Any, ...]) -> list[Mapping[str, Any]]:
    """The items of a checklist."""
    from dataclasses import asdict

    return [asdict(item) for item in items]
