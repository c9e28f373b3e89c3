from __future__ import annotations

import json
from dataclasses import replace

import pytest

from scalewise.core.records import to_json
from scalewise.plan.advice import advise
from scalewise.plan.allocate import Interval
from scalewise.plan.diagnosis import Diagnosis, diagnose
from scalewise.plan.influence import influence
from scalewise.report.card import Card, card_data
from scalewise.report.cards.advice import additions_card, advice_card
from scalewise.report.cards.diagnosis import diagnosis_cards
from scalewise.report.cards.influence import influence_card
from scalewise.report.cards.noise import noise_card
from scalewise.report.cards.profiles import profiles_card
from scalewise.report.cards.sensitivity import sensitivity_card
from scalewise.report.html import page
from scalewise.report.text import render
from tests.forecast.ladders import ladder
from tests.forecast.repeated_runs import repeated


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    runs = repeated(seeds=2, sizes=5, budgets=3)
    return diagnose("chinchilla", runs, params=7e9, tokens=1e12, bootstrap=30)


@pytest.fixture(scope="module")
def cards(found: Diagnosis) -> tuple[Card, ...]:
    return diagnosis_cards(found, advise(found))


def test_each_card_has_a_sentence_a_json_twin_and_a_text(cards: tuple[Card, ...]) -> None:
    titles = ["What limits this forecast", "What one more run would do"]
    assert [c.title for c in cards] == [*titles, "Noise", "Profiles", "Influence", "Sensitivity"]
    for card in cards:
        assert card.conclusion.endswith(".")
        assert "90%" in card.conclusion or card.title == titles[1]
        data = json.loads(to_json(card_data(card)))
        assert len(data["table"]["rows"]) == len(card.table.rows)
        assert card.title in render(card, width=100)


def test_the_figures_are_drawn_on_a_page(cards: tuple[Card, ...]) -> None:
    html = page(list(cards), title="Diagnosis", subtitle="", provenance={})
    assert html.count("<svg") >= 4


def test_the_profile_of_the_answer_comes_before_those_of_the_constants(found: Diagnosis) -> None:
    names = [profile.name for profile in found.profiles]
    assert names[0].startswith("loss at params=7B")
    assert names[1:] == ["E", "A", "B", "alpha", "beta"]
    assert not found.skipped


def test_an_endless_profile_is_in_the_conclusion(found: Diagnosis) -> None:
    endless = replace(found.profiles[1], high=float("inf"), high_end="open")
    card = profiles_card((found.profiles[0], endless), skipped=("beta has no profile: x.",))
    assert card.conclusion.endswith("Without a limit on one side or both: E.")
    assert "beta has no profile: x." in card.caveats
    assert "∞" in render(card, width=100)


def test_what_is_unknown_is_a_row_without_numbers_and_a_caveat() -> None:
    plain = diagnose("chinchilla", repeated(seeds=1, sizes=5, budgets=3), flops=1e22, bootstrap=30)
    card = noise_card(plain.noise)
    assert ("run-to-run", None, None, None, None, None, "unknown") in card.table.rows
    assert any(c.startswith("Unknown, not zero: run-to-run. No two") for c in card.caveats)


def test_a_size_that_cannot_be_spared_is_a_caveat_and_a_run_that_decides_is_named() -> None:
    few = influence("chinchilla", ladder(sizes=3), flops=1e22, bootstrap=30)
    assert any("the rest do not determine the law" in c for c in influence_card(few).caveats)
    whole = influence("chinchilla", ladder(), flops=1e22, bootstrap=30)
    decisive = replace(whole.each_run[0], shift=1.7)
    card = influence_card(replace(whole, each_run=(decisive,), screened_out=3))
    assert (
        "(+1.70 half widths); 2 of 8 such fits move by more than the half width" in card.conclusion
    )
    assert "decides the answer" in [row[-1] for row in card.table.rows]
    assert any(caveat.startswith("3 runs were not refitted") for caveat in card.caveats)


def test_doubtful_rows_keep_their_remark_and_failed_ones_stay_blank(found: Diagnosis) -> None:
    first, second, *rest = found.sensitivity.variants
    failed = replace(first, reading=None, doubt="too few points")
    doubtful = replace(second, doubt="the runs reject this law")
    card = sensitivity_card(replace(found.sensitivity, variants=(failed, doubtful, *rest)))
    rows = {row[1]: row for row in card.table.rows}
    assert rows[first.label][2:8] == (None,) * 6
    assert rows[second.label][-1] == "the runs reject this law"
    assert card.figure is not None
    assert first.label not in card.figure.panels[0].y.categories


def test_a_row_without_an_interval_shows_none(found: Diagnosis) -> None:
    first, *rest = found.sensitivity.variants
    assert first.reading is not None
    flat = replace(first.reading, loss=Interval(value=2.0, low=2.0, high=2.0))
    variants = (replace(first, reading=flat), *rest)
    rows = sensitivity_card(replace(found.sensitivity, variants=variants)).table.rows
    assert rows[1][2:5] == (2.0, None, None)


def test_limits_are_rows_with_their_rules_as_facts(found: Diagnosis) -> None:
    advice = advise(found)
    card = advice_card(advice)
    assert [row[0] for row in card.table.rows] == [one.name for one in advice.limits]
    assert {fact.name for fact in card.facts} >= {f"rule: {one.name}" for one in advice.limits}
    assert card.facts[-1].name == "would help most"
    assert "nothing was dropped or changed" in card.caveats[-1]
    clear = advice_card(replace(advice, limits=()))
    assert "Nothing that was looked at limits it" in clear.conclusion


def test_large_effects_are_told_as_factors_and_endless_ones_in_words(found: Diagnosis) -> None:
    advice = advise(found)
    one = (*advice.limits, *advice.clear)[0]
    wide = (replace(one, effect=None), replace(one, effect=1.1), replace(one, effect=0.031))
    rows = advice_card(replace(advice, limits=wide)).table.rows
    assert [row[1] for row in rows] == ["no measure", "×/÷3", "3.10%"]


def test_one_more_run_is_a_row_with_its_cost(found: Diagnosis) -> None:
    advice = advise(found)
    rows = additions_card(advice).table.rows
    assert len(rows) == len(advice.added)
    assert [row[4] for row in rows] == [one.spent for one in advice.added]
    assert all("±" in str(row[5]) for row in rows)
