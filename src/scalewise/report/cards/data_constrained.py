"""What a budget is best spent on when unique tokens are scarce, told."""

from __future__ import annotations

from dataclasses import replace

from scalewise.core.quantities import format_count
from scalewise.plan.data_constrained import DataConstrained
from scalewise.report.card import Card, Fact
from scalewise.report.cards.allocation import allocation_card, edges, told
from scalewise.report.formats import number, percent


def data_constrained_card(found: DataConstrained) -> Card:
    """The allocation over scarce tokens: epochs, what they are worth, what the shortage costs."""
    plain = allocation_card(found.allocation)
    own, free = found.allocation, found.unlimited
    unique = format_count(found.tokens_unique)
    epochs = told(found.epochs, lambda v: number(v, 3))
    row = ("epochs", "ratio", found.epochs.value, *edges(found.epochs))
    worth = () if found.worth is None else (Fact("worth of the epochs", _worth(found)),)
    return replace(
        plain,
        title="Compute-optimal allocation over scarce tokens",
        conclusion=f"Over {unique} unique tokens, for {epochs} epochs, {plain.conclusion}",
        facts=(
            Fact("unique tokens", f"{unique}, seen {epochs} times"),
            *worth,
            Fact(
                "with unlimited tokens",
                f"{format_count(free.params.value)} {free.size} and "
                f"{format_count(free.tokens.value)} tokens would reach "
                f"{told(free.loss, lambda v: f'{v:.4f}')} nats/token, "
                f"{own.loss.value - free.loss.value:.4f} lower",
            ),
            *plain.facts,
        ),
        table=replace(
            plain.table,
            rows=(*plain.table.rows, row),
            row_formats=(*plain.table.row_formats, "number"),
        ),
        caveats=(
            *found.warnings,
            *plain.caveats[len(own.warnings) :],
            "How fast repeated tokens lose their worth is poorly known: the constants R_D and R_N "
            "are often flat or unbounded on published runs. Look at their profile before relying "
            "on many epochs.",
        ),
    )


def _worth(found: DataConstrained) -> str:
    assert found.worth is not None and found.next_epoch is not None  # noqa: S101, PT018 - checked
    return (
        f"as much as {told(found.worth, lambda v: number(v, 3))} epochs over fresh tokens; one "
        f"more would add {told(found.next_epoch, percent)} of a fresh one"
    )
