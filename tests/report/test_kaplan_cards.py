from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.records import to_json
from scalewise.core.shape import ModelShape
from scalewise.fit.storage import read_fit
from scalewise.forecast.trajectory import CONSTANTS, Trajectory
from scalewise.plan.compute_efficient import efficient_run
from scalewise.plan.overfitting import overfit
from scalewise.report.card import Card, card_data
from scalewise.report.cards.kaplan import efficient_card, flop_table_card, overfit_card
from scalewise.report.html import page
from scalewise.report.text import render

KAPLAN = Trajectory.kaplan2020()
XL = ModelShape(n_layer=48, d_model=1600, n_head=25, vocab_size=50257, context_length=1024)


def drawn() -> Trajectory:
    centre = np.array([getattr(KAPLAN, name) for name in CONSTANTS])
    noise = np.random.default_rng(0).standard_normal((60, len(CONSTANTS)))
    return replace(KAPLAN, draws=centre * np.exp(0.005 * noise))


@pytest.fixture(scope="module")
def cards() -> dict[str, Card]:
    found = overfit(
        read_fit("kaplan2020-overfit"), 1e9, 2e10, trajectory=KAPLAN, batch_tokens=2**19
    )
    return {
        "overfit": overfit_card(found),
        "efficient": efficient_card(efficient_run(KAPLAN, 8.64e19), KAPLAN),
        "flops": flop_table_card(XL),
    }


@pytest.mark.parametrize("name", ["overfit", "efficient", "flops"])
def test_each_card_has_a_sentence_a_json_twin_and_a_text(cards: dict[str, Card], name: str) -> None:
    card = cards[name]
    assert card.conclusion.endswith(".")
    assert "  " not in card.conclusion
    data = json.loads(to_json(card_data(card)))
    assert len(data["table"]["rows"]) == len(card.table.rows)
    assert card.title in render(card, width=100)
    assert card.conclusion.split(";")[0] in page([card], title="", subtitle="", provenance={})


def test_no_bare_estimate_is_told(cards: dict[str, Card]) -> None:
    for name in ("overfit", "efficient"):
        assert "no intervals known" in cards[name].conclusion
        assert "extrapolation ×" in cards[name].conclusion
    path = drawn()
    told = efficient_card(efficient_run(path, 8.64e19), path)
    assert "90% intervals" in told.conclusion
    assert " to " in told.conclusion
    assert all(row[3] < row[2] < row[4] for row in told.table.rows)  # type: ignore[operator]


def test_the_tokens_asked_about_are_told_only_where_they_are(cards: dict[str, Card]) -> None:
    assert "On 20B tokens the excess is 2.37%." in cards["overfit"].conclusion
    needed = overfit_card(overfit(read_fit("kaplan2020-overfit"), 1e9))
    assert "the excess is" not in needed.conclusion
    assert "extrapolation ×1.05 in tokens, from published constants" in needed.conclusion


def test_the_size_figure_starts_where_the_loss_can_be_reached(cards: dict[str, Card]) -> None:
    figure = cards["efficient"].figure
    assert figure is not None
    compute, steps = figure.panels[0].series
    assert min(compute.y) == pytest.approx(1.0, abs=1e-3)
    assert compute.x[int(np.argmin(compute.y))] == pytest.approx(1.0, abs=0.05)
    assert list(steps.y) == sorted(steps.y, reverse=True)


def test_the_totals_with_and_without_attention_and_head_are_told(cards: dict[str, Card]) -> None:
    facts = {fact.name: fact.text for fact in cards["flops"].facts}
    assert facts["training FLOP per token, 6 N"] == "8,847,360,000 (1 x 6 N)"
    assert facts["training FLOP per token, with both"] == "9,801,686,400 (1.108 x 6 N)"
    assert "10.8% more with attention and head" in cards["flops"].conclusion
