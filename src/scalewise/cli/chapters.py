"""Which cards tell a run table, a fit, or a forecast, and the page that holds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from scalewise.cli.output import provenance_of, tell, write_text
from scalewise.cli.tasks import task_cards
from scalewise.core.errors import LawError, UnfitDataError

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.forecast.backtest import Backtest
    from scalewise.forecast.holdout import HeldOutForecast
    from scalewise.report.card import Card
    from scalewise.runs.health import Finding
    from scalewise.runs.table import RunTable

_PUBLISHED_SIZE = 1e9  # params_nonembed of the local critical batch, where no runs are known


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
    from scalewise.report.cards.fit import fit_card
    from scalewise.report.cards.residuals import residuals_card

    residuals = [residuals_card(result)] if result.points else []
    return [fit_card(result), *residuals, *task_cards(result)]


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


def write_page(
    cards: Iterable[Card], out: str, *, title: str, sha256: str, subtitle: str = ""
) -> None:
    """One self-contained HTML page at ``out``; ``-`` is standard output."""
    from scalewise.report.html import page

    provenance = {k: v for k, v in provenance_of(data_sha256=sha256).items() if v is not None}
    text = page(tuple(cards), title=title, subtitle=subtitle, provenance=provenance)
    write_text(out, text)
    if out != "-":
        tell(f"Wrote {out}.")
