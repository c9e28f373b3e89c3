from __future__ import annotations

import json
from dataclasses import replace

import pytest

from scalewise.core.records import to_json
from scalewise.fit.engine import fit
from scalewise.forecast.downstream import fit_tasks, predict_error
from scalewise.forecast.downstream_backtest import DownstreamBacktest
from scalewise.report.card import Card, card_data
from scalewise.report.cards.downstream import downstream_backtest_card, error_card, tasks_card
from scalewise.report.html import page
from scalewise.report.text import render
from tests.forecast.test_downstream import pilots
from tests.forecast.test_downstream_backtest import point
from tests.report.examples import HOSTILE

RUNS = pilots(noise=0.005, scatter=0.006)
RESULT = fit_tasks(
    fit("chinchilla", RUNS, objective="ls", bootstrap=40),
    {**RUNS, "acc_other": 0.9 - RUNS["err_quiz"]},
    ["err_quiz", "acc_other"],
    bootstrap=40,
)
TARGET = {"params": 7e9, "tokens": 1.4e11}
BACKTEST = DownstreamBacktest(
    task="quiz",
    points=(
        point(run_id="lucky", predicted_loss=2.4, predicted_error=0.501, error_at_true_loss=0.55),
        point(run_id="plain", predicted_error=0.52, error_at_true_loss=0.51, high=0.49),
        point(run_id="known", seen=True),
    ),
    level=0.9,
)


def cards() -> dict[str, Card]:
    return {
        "tasks": tasks_card(RESULT),
        "error": error_card(predict_error(RESULT, "err_quiz", **TARGET), TARGET),
        "stated": error_card(predict_error(RESULT, "err_quiz", loss=2.5), {"loss": 2.5}),
        "backtest": downstream_backtest_card(BACKTEST),
    }


CARDS = cards()


@pytest.mark.parametrize("name", CARDS)
def test_a_card_can_be_read_as_text_page_and_json(name: str) -> None:
    card = CARDS[name]
    assert card.conclusion.endswith(".")
    data = json.loads(to_json(card_data(card)))
    names = [column["name"] for column in data["table"]["columns"]]
    assert len(set(names)) == len(names)
    # A column as narrow as its name leaves no room for more than a hundred characters.
    assert max(len(line) for line in render(card, width=100).splitlines()) <= 125
    assert card.title in page([card], title="t", subtitle="", provenance={})


def test_the_tasks_are_told_with_law_range_and_source() -> None:
    card = CARDS["tasks"]
    assert [row[0] for row in card.table.rows] == ["err_quiz", "acc_other"]
    assert str(card.table.rows[0][1]).startswith("eps - k * exp(-gamma * L); eps=0.7")
    assert [fact.text for fact in card.facts] == ["error in err_quiz", "1 - accuracy in acc_other"]
    assert "rest on 15 runs or more" in card.conclusion
    assert card.figure is not None
    assert len(card.figure.panels[0].series) == 4


def test_one_task_alone_is_told_without_a_range() -> None:
    card = tasks_card(replace(RESULT, tasks={"err_quiz": RESULT.tasks["err_quiz"]}))
    assert "around the law, which rests on 15 runs." in card.conclusion


def test_doubts_about_a_task_reach_the_card() -> None:
    law = replace(RESULT.tasks["err_quiz"], warnings=("Shaky.",))
    card = tasks_card(replace(RESULT, tasks={"err_quiz": law}))
    assert card.caveats == ("err_quiz: Shaky.",)


def test_an_error_is_told_with_its_interval_its_reach_and_its_parts() -> None:
    card = CARDS["error"]
    for part in (
        "err_quiz at params=7B, tokens=140B",
        "90% interval",
        "extrapolation ×",
        "15 runs",
    ):
        assert part in card.conclusion
    both, loss, law = (float(str(row[3])) for row in card.table.rows)
    assert both > max(loss, law)
    assert "90% interval" in card.facts[0].text
    assert any("below the least of the runs behind the error law" in text for text in card.caveats)


def test_at_a_stated_loss_there_is_no_part_of_the_loss() -> None:
    card = CARDS["stated"]
    assert [row[0] for row in card.table.rows] == ["both steps", "the error law alone, loss known"]
    assert card.facts[0].text == "loss 2.5000 nats/token, as stated"


def test_a_good_number_out_of_luck_is_told_in_conclusion_row_and_caveat() -> None:
    card = CARDS["backtest"]
    assert "The error of 2 held-out runs was forecast to 2.10% on average" in card.conclusion
    assert "1 of 2 lie inside the 90% interval; 1 of them rests on two errors" in card.conclusion
    assert [row[0] for row in card.table.rows] == ["lucky", "plain"]
    assert [row[-1] for row in card.table.rows] == [True, False]
    assert "lucky: the +0.20% rests on two errors that cancel" in card.caveats[0]


def test_hostile_names_do_no_harm() -> None:
    backtest = replace(BACKTEST, task=HOSTILE, points=(point(run_id=HOSTILE),))
    result = replace(RESULT, tasks={HOSTILE: RESULT.tasks["err_quiz"]})
    told = [
        downstream_backtest_card(backtest),
        tasks_card(result),
        error_card(predict_error(result, HOSTILE, **TARGET), TARGET),
    ]
    for card in told:
        text = render(card, width=100)
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script>" not in page(told, title="t", subtitle="", provenance={})
