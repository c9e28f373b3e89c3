from __future__ import annotations

import json
from dataclasses import replace

from scalewise.core.records import to_json
from scalewise.forecast.task_backtest import TaskBacktest
from scalewise.forecast.tasks import Task
from scalewise.report.card import card_data
from scalewise.report.cards.task_backtest import task_backtest_card
from scalewise.report.html import page
from scalewise.report.text import render
from tests.forecast.test_task_backtest import FOUND
from tests.report.examples import HOSTILE

CARD = task_backtest_card(FOUND)


def test_the_conclusion_counts_tasks_by_verdict_and_forecasts_inside() -> None:
    told = CARD.conclusion
    assert told.startswith("1 of 4 tasks can be forecast from smaller models (")
    for part in ("1 noise-limited", "1 at chance", "1 non-monotone", "inside the 90% interval"):
        assert part in told


def test_every_task_has_rows_and_the_doubted_ones_a_reason() -> None:
    names = [row[0] for row in CARD.table.rows]
    assert set(names) == {o.task.name for o in FOUND.outcomes}
    assert names.count("acc_quiz") == 2
    (guess,) = (row for row in CARD.table.rows if row[0] == "acc_guess")
    assert guess[1:5] == ("at chance", "none", 0, None)
    assert sum(text.startswith("acc_") for text in CARD.caveats) == 3


def test_it_can_be_read_as_text_page_and_json() -> None:
    data = json.loads(to_json(card_data(CARD)))
    columns = [column["name"] for column in data["table"]["columns"]]
    assert len(set(columns)) == len(columns)
    assert "off by" in render(CARD, width=100)
    assert CARD.title in page([CARD], title="t", subtitle="", provenance={})


def test_reasons_beyond_a_dozen_are_counted() -> None:
    doubted = next(o for o in FOUND.outcomes if o.task.name == "acc_guess")
    many = replace(FOUND, outcomes=(doubted,) * 15)
    assert task_backtest_card(many).caveats[-1].startswith("So have 3 more tasks")


def test_hostile_names_do_no_harm() -> None:
    outcome = replace(FOUND.outcomes[0], task=Task(name=HOSTILE, columns=("acc_quiz",)))
    found: TaskBacktest = replace(FOUND, outcomes=(outcome,))
    card = task_backtest_card(found)
    assert "\x1b" not in render(card, width=100)
    assert "<script>" not in page([card], title="t", subtitle="", provenance={})
