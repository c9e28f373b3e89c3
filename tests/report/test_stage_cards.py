from __future__ import annotations

from dataclasses import replace

from scalewise.fit.result import FitStatus
from scalewise.forecast.asymptotes import asymptotes
from scalewise.report.cards.stages import stage_cards, stages_card
from scalewise.report.text import render
from tests.forecast.trajectory_runs import SIZES, fitted

STAGES = {"curves": "275 points of 11 curves", "contours": "15 losses", "form": "trajectory"}


def test_a_fit_made_at_once_has_no_stages_to_tell() -> None:
    assert stage_cards(fitted()) == []


def test_each_stage_is_a_row_and_each_size_has_its_floor() -> None:
    stages, floors = stage_cards(replace(fitted(), stages=STAGES))
    assert stages.conclusion == "trajectory was estimated in 3 stages."
    assert stages.table.rows == tuple(STAGES.items())
    assert [row[0] for row in floors.table.rows] == list(SIZES)
    last = asymptotes(fitted())[-1]
    assert f"60M params_nonembed, converges to {last.floor:.4f} nats/token" in floors.conclusion
    assert "nan" not in render(floors)


def test_a_stage_that_was_not_possible_is_in_the_conclusion() -> None:
    lacking = STAGES | {"contours": "not possible: one batch"}
    one = stages_card(replace(fitted(), stages=lacking))
    assert one.conclusion.endswith(", of which contours was not possible on these runs.")
    alone = stages_card(replace(fitted(), stages={"curves": "not possible: no curves"}))
    assert alone.conclusion == "trajectory was fitted at once: its stages were not possible."


def test_floors_are_not_told_where_the_constants_are_not_determined() -> None:
    loose = replace(fitted(), stages=STAGES, status=FitStatus.NOT_IDENTIFIED)
    assert [card.title for card in stage_cards(loose)] == ["Stages of the estimation"]
