"""Which cards tell how to split compute: the approaches, the conventions, the compute plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalewise.core.errors import LawError, ScalewiseError, UnfitDataError

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.plan.approaches import Approaches
    from scalewise.plan.conventions import Conventions
    from scalewise.report.card import Card
    from scalewise.runs.table import RunTable

FEWEST = 2  # approaches that can disagree, conventions that can be compared


def conventions_or_why(table: RunTable, **settings: Any) -> tuple[Conventions | None, str]:
    """The exponent under each convention, or why there is none."""
    from scalewise.plan.conventions import conventions

    try:
        return conventions(table, **settings), ""
    except ScalewiseError as error:
        return None, str(error)


def approaches_chapter(
    found: Approaches, counted: Conventions | None, *, missing: str = ""
) -> list[Card]:
    """Every approach side by side, the isoFLOP profiles, and the exponent by convention."""
    from scalewise.plan.isoflop import IsoFlop
    from scalewise.report.cards.approaches import approaches_card, isoflop_card
    from scalewise.report.cards.conventions import conventions_card, no_conventions_card

    profiles = [isoflop_card(detail) for detail in found.details if isinstance(detail, IsoFlop)]
    told = no_conventions_card(missing) if counted is None else conventions_card(counted)
    return [approaches_card(found), *profiles, told]


def sizes_chapter(table: RunTable, result: FitResult, *, level: float, seed: int) -> list[Card]:
    """For a report on runs: the approaches and conventions, where there is something to compare."""
    from scalewise.plan.allocate import drawn_range
    from scalewise.plan.approaches import approaches

    try:
        found = approaches(table, drawn_range(result)[1], level=level, seed=seed)
    except ScalewiseError:
        # Runs without sizes or tokens, or of several evaluations: the health card says so.
        return []
    if len(found.entries) < FEWEST:
        return []
    counted, missing = conventions_or_why(table, level=level, seed=seed)
    cards = approaches_chapter(found, counted, missing=missing)
    return cards if counted is not None and len(counted.rows) >= FEWEST else cards[:-1]


def plane_chapter(result: FitResult) -> list[Card]:
    """Lines of equal loss; nothing for laws that do not trade size against tokens."""
    from scalewise.plan.contours import iso_loss
    from scalewise.report.cards.contours import contours_card

    try:
        return [contours_card(iso_loss(result))]
    except (LawError, UnfitDataError):
        return []
