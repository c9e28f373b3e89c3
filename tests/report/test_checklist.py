from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from scalewise.core.records import to_json
from scalewise.fit.engine import fit
from scalewise.fit.priors import Prior
from scalewise.fit.storage import read_fit, write_fit
from scalewise.forecast.choose import backtest
from scalewise.report.card import card_data
from scalewise.report.cards.checklist import Item, checklist_card, checklist_items
from scalewise.report.html import page
from scalewise.report.text import render
from scalewise.runs.example import settled_runs
from scalewise.runs.read import read_runs
from scalewise.runs.stated import ends_assumed, stated
from scalewise.runs.table import RunTable
from tests.report.examples import HOSTILE, result, runs


@pytest.fixture(scope="module")
def example() -> tuple[Item, ...]:
    table = settled_runs()
    return checklist_items(fit("chinchilla", table, bootstrap=40), table)


def text_of(item: Item) -> str:
    return ". ".join(item.stated)


def test_there_are_nine_items_in_the_order_of_the_checklist(example: tuple[Item, ...]) -> None:
    assert [item.number for item in example] == list(range(1, 10))
    assert [item.name.split()[0] for item in example] == [
        "form", "counts", "shapes,", "models", "evaluation", "points", "objective",
        "uncertainty", "code,",
    ]  # fmt: skip
    assert all(item.stated for item in example)


def test_a_ladder_that_logs_everything_leaves_only_smoothing_and_hold_out_open(
    example: tuple[Item, ...],
) -> None:
    open_ = [text for item in example for text in item.missing]
    assert [text.split(":")[0] for text in open_] == ["smoothing", "hold-out"]


def test_each_item_holds_the_facts_of_the_fit_and_of_its_runs(example: tuple[Item, ...]) -> None:
    form, counts, recipe, models, evaluation, excluded, search, unsure, artefacts = map(
        text_of, example
    )
    assert "loss = E + A / N**alpha + B / D**beta, with N = params and D = tokens" in form
    assert "No constant was held" in form
    assert "embeddings included" in counts
    assert "params_nonembed" in counts
    assert "d_model 16 to 176" in recipe
    assert "44 of 44 rows are finished models" in recipe
    assert "44 points of 11 runs, 8 sizes" in models
    assert "seeds: 3 values: '0', '1', '2'" in models
    assert "nats/token" in evaluation
    assert "where step >= 2000: 143 of 319 rows kept" in excluded
    assert "finals: 44 of 143 rows kept" in excluded
    assert "huber-log, delta 0.001, on log loss" in search
    assert "refined starts" in search
    assert "40 resamples" in unsure
    assert "sha256" in artefacts
    assert "beta = 0.5640" in artefacts


def test_a_bare_table_is_told_which_columns_to_add() -> None:
    bare = read_runs({"N": [1e7, 3e7, 1e8] * 3, "D": [1e9] * 3 + [4e9] * 3 + [1.6e10] * 3,
                      "L": [3.9, 3.6, 3.4, 3.6, 3.3, 3.1, 3.4, 3.1, 2.9]})  # fmt: skip
    items = checklist_items(fit("chinchilla", bare, bootstrap=0), bare)
    missing = " ".join(text for item in items for text in item.missing)
    for column in ("params_nonembed", "lr_peak", "schedule", "seed", "eval_set", "tokenizer",
                   "smoothing", "--bootstrap 300"):  # fmt: skip
        assert column in missing
    assert "taken for the last checkpoint of each run" in text_of(items[2])


def test_held_constants_and_priors_are_stated_with_where_they_come_from() -> None:
    made = fit(
        "chinchilla", runs(), fixed={"beta": "besiroglu2024"}, priors={"E": Prior(1.8, 0.1, "GPT")},
        bootstrap=0,
    )  # fmt: skip
    form, search = (text_of(checklist_items(made, runs())[i]) for i in (0, 6))
    assert "Held: beta = 0.36" in form
    assert "arXiv:2404.10102" in form
    assert "E: prior 1.8 ± 0.1 (GPT)" in form
    assert "Priors on E" in search


def test_a_hold_out_is_stated_with_its_error() -> None:
    table = settled_runs()
    tested = backtest(table, ["chinchilla", "power"])
    items = checklist_items(fit("chinchilla", table, bootstrap=30), table, tested=tested)
    assert f"{tested.scores[0].law} missed by" in text_of(items[7])
    assert not items[7].missing


def test_a_fit_file_keeps_what_its_run_table_said(tmp_path: Path) -> None:
    table = settled_runs()
    made = fit("chinchilla", table, bootstrap=30)
    write_fit(replace(made, facts=stated(table.finals())), tmp_path / "fit.json")
    again = read_fit(tmp_path / "fit.json")
    assert checklist_items(again) == checklist_items(made, table)


def test_a_fit_without_its_table_says_what_is_not_known() -> None:
    card = checklist_card(result())
    assert "not stated by the runs" in card.conclusion
    assert len({row[0] for row in card.table.rows} - {""}) == 9


def test_the_card_can_be_copied_as_markdown_from_the_page() -> None:
    card = checklist_card(result(), runs())
    html = page([card], title="Fit")
    assert "Copy as Markdown" in html
    assert "1. **form and variables**: loss = E + A / N\\*\\*alpha" in card.markdown
    assert "   - [ ] seeds: a column seed" in card.markdown
    assert card.markdown.count("\n1. ") + card.markdown.count("\n9. ") == 2
    data = json.loads(to_json(card_data(card)))
    assert len(data["table"]["rows"]) == len(card.table.rows)
    assert "Checklist" in render(card)


def test_foreign_text_stays_text_in_the_markdown_and_on_the_page() -> None:
    table = replace(runs(), frame=runs().frame.with_columns(eval_set=_hostile()))
    card = checklist_card(result(), table)
    assert "<script" not in page([card], title="Fit")
    assert "\x1b" not in card.markdown
    assert "\u202e" not in card.markdown


def _hostile() -> pl.Expr:
    return pl.lit(HOSTILE)


def test_what_a_source_leaves_out_is_no_fact_of_its_table() -> None:
    facts = stated(read_runs({"N": [1e6, 2e6], "loss": [4.0, 3.8]}))
    assert {"eval_set", "seed", "schedule", "lr_peak", "tokens", "left out"}.isdisjoint(facts)
    assert facts["loss"].startswith("L, held-out cross-entropy in nats/token")


def test_ends_that_the_source_names_are_not_assumed() -> None:
    rows = {"run_id": ["a", "a"], "N": [1e6, 1e6], "D": [1e8, 2e8], "loss": [4.0, 3.8]}
    assert ends_assumed(read_runs(rows))
    assert not ends_assumed(read_runs({**rows, "is_final": [False, True]}))
    assert ends_assumed(read_runs({**rows, "is_final": [False, False]}))


def test_rows_that_were_filtered_are_told_with_their_number() -> None:
    table: RunTable = settled_runs().without(["pilot-d16-s0"])
    facts = stated(table)
    assert "step >= 2000: 143 of 319 rows kept" in facts["left out"]
    assert "rows left out" in facts["left out"]
