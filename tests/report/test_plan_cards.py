"""Cards about splitting compute: contours, serving, scarce tokens, the curve along compute."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.compute import accelerator_named
from scalewise.core.records import to_json
from scalewise.fit.storage import published_fit
from scalewise.plan.allocate import frontier
from scalewise.plan.contours import iso_loss
from scalewise.plan.data_constrained import allocate_repeated
from scalewise.plan.inference import InferenceOptimum, inference_optimum
from scalewise.plan.serving import Bill, Machines, ServingCost, bill
from scalewise.report.card import Card, card_data
from scalewise.report.cards.allocation import curve_card, frontier_card
from scalewise.report.cards.contours import contours_card
from scalewise.report.cards.data_constrained import data_constrained_card
from scalewise.report.cards.inference import inference_card
from scalewise.report.figures import svg
from scalewise.report.html import page
from scalewise.report.text import render
from tests.report import examples


def served(**asked: float) -> InferenceOptimum:
    return inference_optimum(examples.result(), inference_tokens=1e12, **asked)  # type: ignore[arg-type]


def billed(found: InferenceOptimum) -> tuple[Bill, Bill]:
    machines = Machines(
        training=accelerator_named("h100"), serving=accelerator_named("h100"), price=2.0
    )
    mine, other = (
        bill(
            training_flops=c.training_flops, serving_flops=c.serving_flops, cost=c.cost,
            serving=found.serving, machines=machines,
        )
        for c in (found.cheapest, found.compute_optimal)
    )  # fmt: skip
    return mine, other


def repeated() -> Card:
    made = published_fit("muennighoff2023")
    theta = np.array([made.theta[name] for name in made.law.constant_names])
    draws = theta * (1 + np.linspace(-0.05, 0.05, 5)[:, None] * [0.1, 1, 1, 0.1, 5, 5])
    fitted = replace(made, draws=draws, runs=5, ranges={"flops": (1e18, 1e21)}, warnings=())
    return data_constrained_card(allocate_repeated(fitted, 1e22, tokens_unique=25e9))


@pytest.fixture(scope="module")
def cards() -> dict[str, Card]:
    flops = np.geomspace(1e18, 1e22, 5)
    serving = served(loss=2.3)
    return {
        "contours": contours_card(iso_loss(examples.result())),
        "contours-published": contours_card(iso_loss(published_fit("besiroglu2024"))),
        "inference": inference_card(serving, asked="a loss of 2.3 nats/token"),
        "inference-billed": inference_card(serving, paid=billed(serving)),
        "curve": curve_card(frontier(examples.result(), flops)),
        "frontier": frontier_card(frontier(examples.result(), flops), examples.runs()),
        "repeated": repeated(),
    }


NAMES = ("contours", "contours-published", "inference", "inference-billed", "curve", "frontier",
         "repeated")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_card_has_a_sentence_a_json_twin_and_a_text(cards: dict[str, Card], name: str) -> None:
    card = cards[name]
    assert card.conclusion.endswith(".")
    assert "interval" in card.conclusion
    names = [column.name for column in card.table.columns]
    assert len(set(names)) == len(names)
    data = json.loads(to_json(card_data(card)))
    assert len(data["table"]["rows"]) == len(card.table.rows)
    text = render(card, width=100)
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize("name", ["contours", "inference", "inference-billed", "repeated"])
def test_no_bare_estimate_is_told(cards: dict[str, Card], name: str) -> None:
    conclusion = cards[name].conclusion
    assert "90% intervals" in conclusion
    assert "extrapolation" in conclusion
    assert "from 5 runs" in conclusion


@pytest.mark.parametrize("name", NAMES)
def test_the_figures_are_drawn(cards: dict[str, Card], name: str) -> None:
    card = cards[name]
    if card.figure is None:
        assert name in ("curve", "repeated")
    else:
        assert svg(card.figure, name=name).startswith("<svg")
    assert card.title in page([card], title="Plan", subtitle="", provenance={})


def test_a_law_of_fixed_growth_is_not_said_to_move_the_ratio() -> None:
    even = examples.TRUTH | {"alpha": 0.3, "beta": 0.3}
    draws = np.array([[even[name] for name in examples.CHINCHILLA.constant_names]] * 5)
    draws[:, 1] *= np.linspace(0.9, 1.1, 5)
    fitted = replace(examples.result(), theta=even, draws=draws)
    told = curve_card(frontier(fitted, np.geomspace(1e18, 1e22, 5))).conclusion
    assert "FLOP the best tokens per param stay at " in told
    assert told.endswith("(90% intervals): this law has one ratio for every budget.")


def test_the_ratio_is_told_as_a_curve_with_a_band(cards: dict[str, Card]) -> None:
    assert "no one ratio holds at every budget" in cards["curve"].conclusion
    figure = cards["frontier"].figure
    assert figure is not None
    panel = figure.panels[1]
    assert panel.title == "Tokens per param of the best split"
    (band,) = (s for s in panel.series if s.mark == "band")
    assert all(low < y < high for low, y, high in zip(band.low, band.y, band.high, strict=True))
    assert any("rule of thumb" in s.label for s in panel.series)


def test_published_constants_show_no_edges(cards: dict[str, Card]) -> None:
    row = cards["contours-published"].table.rows[0]
    assert row[2:4] == (None, None)
    assert "no intervals known" in cards["contours-published"].conclusion


def test_the_epochs_over_scarce_tokens_are_told_with_their_worth(cards: dict[str, Card]) -> None:
    card = cards["repeated"]
    assert card.conclusion.startswith("Over 25B unique tokens, for 9.")
    facts = {fact.name: fact.text for fact in card.facts}
    assert "epochs over fresh tokens; one more would add" in facts["worth of the epochs"]
    assert "lower" in facts["with unlimited tokens"]
    assert card.table.rows[-1][0] == "epochs"
    assert any("R_D and R_N" in caveat for caveat in card.caveats)


def test_hours_and_money_are_told_where_they_are_known(cards: dict[str, Card]) -> None:
    units = [row[1] for row in cards["inference-billed"].table.rows]
    assert units.count("GPU-hours") == 2
    assert "currency" in units
    assert "in your currency" in cards["inference-billed"].conclusion
    assert "GPU-hours" not in [row[1] for row in cards["inference"].table.rows]


def test_what_a_serving_flop_costs_is_in_the_rule() -> None:
    found = inference_optimum(
        examples.result(), loss=2.3, inference_tokens=1e12,
        cost=ServingCost(training_mfu=0.4, output_mfu=0.1),
    )  # fmt: skip
    facts = {fact.name: fact.text for fact in inference_card(found).facts}
    assert facts["rule"].endswith("a serving FLOP costs 4 training FLOPs")


def test_serving_nothing_is_drawn_without_a_line_of_serving() -> None:
    found = inference_optimum(examples.result(), loss=2.3, inference_tokens=0)
    figure = inference_card(found).figure
    assert figure is not None
    assert "serving" not in [s.label for s in figure.panels[0].series]
    assert svg(figure).startswith("<svg")
