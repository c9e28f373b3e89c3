"""Which cards tell a run table, a fit or a forecast, in the order in which they are read.

The command line and the dashboard ask for the same chapters here, so both tell the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalewise.core.errors import LawError, ScalewiseError, UnfitDataError

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.forecast.backtest import Backtest
    from scalewise.forecast.holdout import HeldOutForecast
    from scalewise.plan.approaches import Approaches
    from scalewise.plan.conventions import Conventions
    from scalewise.report.card import Card
    from scalewise.runs.health import Finding
    from scalewise.runs.table import RunTable

FEWEST = 2  # approaches that can disagree, conventions that can be compared
_PUBLISHED_SIZE = 1e9  # params_nonembed of the local critical batch, where no runs are known


def forecast_chapters(
    result: FitResult,
    table: RunTable | None = None,
    tested: Backtest | None = None,
    *,
    level: float = 0.9,
    seed: int = 0,
    advised: bool = True,
) -> list[Card]:
    """Everything that a fit leads to: how to spend compute, what limits that, and the checklist.

    ``table`` are the runs behind the fit and ``tested`` their backtest, where they are known.
    ``advised`` says whether to tell what limits the forecast, which takes many fits.
    """
    sizes = [] if table is None else sizes_chapter(table, result, level=level, seed=seed)
    return [
        *allocation_chapter(result, table),
        *plane_chapter(result),
        *sizes,
        *(limits_chapter(result, table, level=level) if advised else []),
        *checklist_chapter(result, table, tested),
    ]


def runs_chapter(table: RunTable, findings: tuple[Finding, ...]) -> list[Card]:
    """What was read and how healthy it is."""
    from scalewise.report.cards.health import health_card
    from scalewise.report.cards.runs import runs_card

    return [runs_card(table), health_card(table, findings)]


def backtest_chapter(outcome: Backtest) -> list[Card]:
    """How every law did on runs held out."""
    from scalewise.report.cards.backtest import backtest_card

    return [backtest_card(outcome)]


def fit_chapter(result: FitResult) -> list[Card]:
    """The constants, what the law leaves unexplained, and the laws of downstream tasks."""
    from scalewise.report.cards.downstream import tasks_card
    from scalewise.report.cards.fit import fit_card
    from scalewise.report.cards.residuals import residuals_card

    residuals = [residuals_card(result)] if result.points else []
    return [fit_card(result), *residuals, *([tasks_card(result)] if result.tasks else [])]


def trajectory_chapter(result: FitResult) -> list[Card]:
    """Curves, contours of equal loss and the critical batch; nothing for laws without a batch."""
    from scalewise.forecast.fitted_contours import fitted_contours
    from scalewise.forecast.trajectory import Trajectory
    from scalewise.report.cards.critical_batch import contours_card, critical_batch_card
    from scalewise.report.cards.stages import stage_cards
    from scalewise.report.cards.trajectory import curves_card

    try:
        found = Trajectory.from_fit(result)
    except LawError:
        return []
    size = found.ranges.get("params_nonembed", (_PUBLISHED_SIZE,))[-1]
    if not result.points:
        return [critical_batch_card(found, size)]
    try:
        measured = fitted_contours(result)
    except UnfitDataError:
        return [*stage_cards(result), curves_card(result), critical_batch_card(found, size)]
    return [
        *stage_cards(result), curves_card(result), contours_card(measured),
        critical_batch_card(found, size, measured.contours),
    ]  # fmt: skip


def held_out_chapter(forecast: HeldOutForecast) -> list[Card]:
    """What was forecast of the runs set aside, beside what they reached."""
    from scalewise.report.cards.held_out import held_out_card, held_out_scores_card

    return [held_out_card(forecast), held_out_scores_card(forecast)]


def allocation_chapter(
    result: FitResult, table: RunTable | None = None, *, flops: float | None = None
) -> list[Card]:
    """How to spend compute; nothing for laws that do not trade size against tokens."""
    from scalewise.plan.allocate import allocate, frontier
    from scalewise.report.cards.allocation import allocation_card, frontier_card

    try:
        line = frontier(result, _budgets(result, flops))
        cards = [] if flops is None else [allocation_card(allocate(result, flops))]
    except LawError:
        return []
    return [*cards, frontier_card(line, table)]


def _budgets(result: FitResult, flops: float | None) -> Any:
    """The axis of the frontier: from the smallest run to the budget asked about."""
    import numpy as np

    from scalewise.plan.allocate import drawn_range

    return np.geomspace(*drawn_range(result, flops), num=41)


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
