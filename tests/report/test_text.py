"""The text view. Its layout is fixed: goldens live in tests/goldens.

After a wanted change, write them anew with ``SCALEWISE_WRITE_GOLDENS=1 pytest tests/report`` and
read the difference before it is kept.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from scalewise.report.card import Card, Column, Table
from scalewise.report.text import WIDTH, can_show, render
from tests.report.examples import HOSTILE, cards

GOLDENS = Path(__file__).parents[1] / "goldens"
CARDS = cards()


@pytest.mark.parametrize("name", CARDS)
def test_the_text_of_a_card_stays_as_it_was(name: str) -> None:
    text = render(CARDS[name]) + "\n"
    golden = GOLDENS / f"{name}.txt"
    if os.environ.get("SCALEWISE_WRITE_GOLDENS"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CARDS)
def test_no_line_is_longer_than_a_hundred_columns(name: str) -> None:
    assert max(map(len, render(CARDS[name]).splitlines())) <= WIDTH


@pytest.mark.parametrize("name", CARDS)
def test_every_caveat_is_shown(name: str) -> None:
    words = " ".join(render(CARDS[name]).split())
    for caveat in CARDS[name].caveats:
        assert " ".join(caveat.split()) in words


@pytest.mark.parametrize("name", CARDS)
def test_colour_only_adds_escapes(name: str) -> None:
    coloured = render(CARDS[name], colour=True)
    assert "\x1b[1m" in coloured
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[33m"):
        coloured = coloured.replace(code, "")
    plain = render(CARDS[name])
    assert coloured == plain
    assert "\x1b" not in plain


@pytest.mark.parametrize("name", CARDS)
def test_a_plain_terminal_gets_ascii_only(name: str) -> None:
    assert render(CARDS[name], ascii_only=True).isascii()


def test_a_narrow_terminal_is_kept_to() -> None:
    lines = render(CARDS["prediction"], width=60).splitlines()
    assert max(map(len, lines)) <= 60


def test_a_column_of_words_is_wrapped_before_numbers_are() -> None:
    table = Table((Column("law"), Column("value", format="number")), (("word " * 40, 1234.5),))
    text = render(Card(title="T", conclusion="C.", table=table), width=50)
    assert "1234.5" in text
    assert max(map(len, text.splitlines())) <= 50


def test_units_shared_by_columns_are_said_once() -> None:
    assert render(CARDS["held-out"]).count("nats/token") == 1


def test_hostile_names_cannot_move_the_terminal() -> None:
    card = replace(
        CARDS["held-out"],
        title=HOSTILE,
        table=Table((Column("run"),), ((HOSTILE,),)),
        caveats=(HOSTILE,),
    )
    text = render(card)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31m" in text


def test_an_encoding_is_tried_before_it_is_trusted() -> None:
    assert can_show("utf-8")
    assert not can_show("ascii")
    assert not can_show("no such encoding")
    assert not can_show(None)
