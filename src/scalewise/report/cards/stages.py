"""An estimation in stages, told: what each found, and the floor of every size."""

from __future__ import annotations

from scalewise.core.quantities import format_count, level_text
from scalewise.fit.result import FitResult, FitStatus
from scalewise.forecast.asymptotes import asymptotes
from scalewise.forecast.stage_notes import NOT_POSSIBLE
from scalewise.report.card import Card, Column, Table
from scalewise.report.formats import counted, listed


def stage_cards(result: FitResult, *, level: float = 0.9) -> list[Card]:
    """The stages of a fit and the floors that they led to; nothing for a fit made at once."""
    if not result.stages:
        return []
    told = [stages_card(result)]
    is_known = result.status in (FitStatus.CONVERGED, FitStatus.AT_BOUND)
    return [*told, floors_card(result, level=level)] if is_known else told


def stages_card(result: FitResult) -> Card:
    """What each stage found, or why it was not possible."""
    lacking = [name for name, told in result.stages.items() if told.startswith(NOT_POSSIBLE)]
    conclusion = f"{result.law.key} was estimated in {counted(len(result.stages), 'stage')}"
    if len(lacking) == len(result.stages):
        conclusion = f"{result.law.key} was fitted at once: its stages were not possible"
    elif lacking:
        conclusion += f", of which {listed(lacking)} {'was' if len(lacking) == 1 else 'were'} not "
        conclusion += "possible on these runs"
    return Card(
        title="Stages of the estimation",
        conclusion=f"{conclusion}.",
        table=Table((Column("stage"), Column("found")), tuple(result.stages.items())),
    )


def floors_card(result: FitResult, *, level: float = 0.9) -> Card:
    """The loss that each size converges to, beside the loss where its runs ended."""
    floors = asymptotes(result, level=level)
    share, last = level_text(level), floors[-1]
    return Card(
        title="Floor of each size",
        conclusion=(
            f"The largest size, {format_count(last.params_nonembed)} params_nonembed, converges to "
            f"{last.floor:.4f} nats/token; its runs end {last.excess:.1%} above that."
        ),
        table=Table(
            (
                Column("params_nonembed", format="count"), Column("floor", "nats/token", "loss"),
                Column(f"{share} low", "nats/token", "loss"),
                Column(f"{share} high", "nats/token", "loss"),
                Column("without a law of size", "nats/token", "loss"),
                Column("last loss", "nats/token", "loss"), Column("above floor", format="percent"),
            ),
            tuple(
                (each.params_nonembed, each.floor, each.low, each.high, each.own_floor,
                 each.last_loss, each.excess)
                for each in floors
            ),
        ),
        caveats=(
            "The last loss of a run is not converged: read for a floor, it would make floors fall "
            "too slowly with size.",
        ),
    )  # fmt: skip
