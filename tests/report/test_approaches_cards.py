from __future__ import annotations

import json

import pytest

from scalewise.core.records import to_json
from scalewise.plan.approaches import approaches
from scalewise.plan.conventions import conventions
from scalewise.plan.isoflop import isoflop
from scalewise.report.card import Card, card_data
from scalewise.report.cards.approaches import approaches_card, isoflop_card
from scalewise.report.cards.conventions import conventions_card
from scalewise.report.html import page
from scalewise.report.text import render
from tests.plan.isoflop_runs import isoflop_runs, shaped


@pytest.fixture(scope="module")
def cards() -> dict[str, Card]:
    runs = isoflop_runs(noise=0.002)
    return {
        "approaches": approaches_card(approaches(runs, 1e23, bootstrap=20)),
        "isoflop": isoflop_card(isoflop(runs, bootstrap=20)),
        "conventions": conventions_card(conventions(shaped(), bootstrap=20)),
    }


@pytest.mark.parametrize("name", ["approaches", "isoflop", "conventions"])
def test_each_card_has_a_sentence_a_json_twin_and_a_text(cards: dict[str, Card], name: str) -> None:
    card = cards[name]
    assert card.conclusion.endswith(".")
    assert "90%" in card.conclusion
    data = json.loads(to_json(card_data(card)))
    assert len(data["table"]["rows"]) == len(card.table.rows)
    assert card.title in render(card, width=100)


def test_what_was_not_run_and_what_was_left_out_are_told(cards: dict[str, Card]) -> None:
    assert any(
        "1 envelope of training curves was not run" in c for c in cards["approaches"].caveats
    )
    assert any(fact.name == "where and why they differ" for fact in cards["approaches"].facts)


def test_the_conventions_carry_their_reasons_and_the_first_no_shift(cards: dict[str, Card]) -> None:
    rows = cards["conventions"].table.rows
    assert rows[0][6] is None
    assert all(isinstance(row[6], float) for row in rows[1:])
    facts = {fact.name: fact.text for fact in cards["conventions"].facts}
    assert "Kaplan's count" in facts[str(rows[0][0])]


def test_the_figures_are_drawn_on_a_page(cards: dict[str, Card]) -> None:
    html = page(list(cards.values()), title="Approaches", subtitle="", provenance={})
    assert html.count("<svg") >= 3
