"""``scalewise laws``: the catalogue."""

from __future__ import annotations

from typing import Any

import click

from scalewise.cli.output import Answer
from scalewise.cli.result_data import law_data
from scalewise.cli.verb import verb


def laws(*, name: str | None) -> Answer:
    """List the laws, or show one in full: formula, constants, units, source, published values.

    NAME is the key of a law, the name of published constants, or a formula.
    """
    from scalewise.laws.catalogue import LAWS, PUBLISHED, law_from

    if name is None:

        def cards() -> list[Any]:
            from scalewise.report.cards.laws import catalogue_cards

            return list(catalogue_cards(LAWS))

        return Answer(data={"laws": [law_data(law) for law in LAWS.values()]}, cards=cards)
    law = PUBLISHED[name][0] if name in PUBLISHED else law_from(name)

    def card() -> list[Any]:
        from scalewise.report.cards.laws import law_card

        return [law_card(law)]

    return Answer(data=law_data(law), cards=card)


command = verb(
    "laws",
    laws,
    (click.Argument(["name"], metavar="[NAME]", required=False),),
    examples=(
        "laws",
        "laws chinchilla",
        "laws deepseek2024-lr",
    ),
)
