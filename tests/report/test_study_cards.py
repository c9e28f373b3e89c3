from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.forecast.policy import CHOSHEN2024, DEFAULT
from scalewise.forecast.study import Study
from scalewise.forecast.study_cell import Cell
from scalewise.forecast.study_map import EqualCompute, error_map, maps_of
from scalewise.report.card import Card, card_data
from scalewise.report.cards.study import cheapest_card, means_card, study_card
from scalewise.report.cards.study_maps import CLASSES, map_card
from scalewise.report.figures import NARROW, WIDE, Layout, svg
from scalewise.report.html import page
from scalewise.report.text import render
from tests.report.examples import HOSTILE

SETTING = ("chinchilla", "huber-log", "default")
SIZES = (1e8, 2e8, 4e8, 8e8, 1.6e9)


def cell(family: str, models: int, share: float, error: float | None, **changes: object) -> Cell:
    """A cell of ``models`` smallest sizes whose largest training is 1e11 tokens."""
    first = int(changes.get("first", 0))  # type: ignore[call-overload]
    sizes = SIZES[first : first + models]
    known: dict[str, object] = {
        "family": family, "law": SETTING[0], "objective": SETTING[1], "policy": SETTING[2],
        "models": models, "first": first, "share": share,
        "status": "converged" if models > 2 else "not identified",
        "reason": "" if models > 2 else "two sizes", "points": 40, "runs": models,
        "fitted_params": sizes[-1], "target_params": SIZES[-1], "scale_up": SIZES[-1] / sizes[-1],
        "fitted_flops": 6 * share * 1e11 * sum(sizes), "target_points": 9,
        "mean_abs_error": error, "bias": error, "last_error": error, "best_seen_error": 0.12,
        "most_compute_error": 0.14, "skill": None if error is None else 1 - error / 0.12,
        "theta": {} if error is None else {"E": 1.7},
    }  # fmt: skip
    return Cell(**(known | changes))  # type: ignore[arg-type]


def made(order: str = "smallest", name: str = "alpha") -> Study:
    """Two families: errors fall with models and share; one cell could not be scored."""
    cells = []
    for i, family in enumerate((name, "beta")):
        for models in (2, 3, 4):
            for share in (0.5, 1.0):
                error = 0.3 / models**2 / share * (1 + i)
                cells.append(cell(family, models, share, error))
    cells.append(
        cell("beta", 4, 0.1, None, status="too few points", reason="3 points for 5 constants")
    )
    if order == "windows":
        cells = [
            cell(name, k, 1.0, 0.02 * k, first=first) for k in (2, 3) for first in range(5 - k)
        ]
    return Study(
        cells=tuple(cells), skipped={"tiny": "It has 2 sizes."}, policies=(DEFAULT, CHOSHEN2024),
        tail=0.7, order=order, sha256="0" * 64, families=(name, "beta"),  # type: ignore[arg-type]
    )  # fmt: skip


def rows_of(card: Card) -> list[dict[str, Any]]:
    """The table of a card as JSON has it."""
    data: dict[str, Any] = dict(card_data(card))
    return list(data["table"]["rows"])


def cards(found: Study) -> list[Card]:
    return [
        study_card(found),
        *(map_card(maps, "default") for maps in maps_of(found, SETTING, most=6)),
        cheapest_card(found, found.cheapest()),
        means_card(found, found.macro(), found.macro("scale_up")),
    ]


def test_the_card_tells_the_widest_design_of_each_family_beside_the_naive_rules() -> None:
    card = study_card(made())
    rows = rows_of(card)
    assert [(row["family"], row["models"]) for row in rows] == [("alpha", 4), ("beta", 4)]
    assert rows[0]["mean |error|"] == pytest.approx(0.3 / 16)
    assert rows[0]["best seen"] == 0.12
    assert "misses the largest model by 2.81% in the median of 2 families" in card.conclusion
    assert "beats both naive rules in 2 (12 fits in 13 cells)" in card.conclusion
    assert card.caveats == ("tiny is left out: It has 2 sizes.",)
    assert any(fact.text == str(CHOSHEN2024) for fact in card.facts)


def test_errors_that_the_runs_do_not_determine_are_told_as_such() -> None:
    pairs = [c for c in made().cells if c.models == 2]
    found = Study(
        cells=tuple(pairs), skipped={}, policies=(DEFAULT,), tail=0.7, order="smallest",
        sha256="", families=("alpha", "beta"),
    )  # fmt: skip
    card = study_card(found)
    assert "constants of 2 families are not determined" in card.caveats[0]
    assert card.figure is not None
    assert any(series.hollow for series in card.figure.panels[0].series)
    assert all(answer.cell is None for answer in found.cheapest())


def test_a_map_has_a_tile_per_design_in_the_class_of_its_error() -> None:
    found = error_map(made(), SETTING, "alpha", by="share")
    assert found.models == (2, 3, 4)
    assert found.rows == (1.0, 0.5)
    assert found.errors[0] == pytest.approx((0.3 / 4, 0.3 / 9, 0.3 / 16))
    assert found.identified == ((False, True, True), (False, True, True))
    panel = map_card([found], "default").figure.panels[0]  # type: ignore[union-attr]
    tiles = {
        (x, y): (text, series.label)
        for series in panel.series
        if series.mark == "tiles"
        for x, y, text in zip(series.x, series.y, series.texts, strict=True)
    }
    assert tiles == {
        (0.0, 0.0): ("7.5?", "5 to 10%"), (1.0, 0.0): ("3.3", "2 to 5%"),
        (2.0, 0.0): ("1.9", "up to 2%"), (0.0, 1.0): ("15.0?", "10 to 15%"),
        (1.0, 1.0): ("6.7", "5 to 10%"), (2.0, 1.0): ("3.8", "2 to 5%"),
    }  # fmt: skip


def test_lines_of_equal_compute_pass_between_the_designs_that_cost_more_and_less() -> None:
    shares = (1.0, 0.5, 0.25, 0.125)
    cells = tuple(cell("alpha", k, share, 0.1) for k in (2, 3, 4) for share in shares)
    found = error_map(replace(made(), cells=cells), SETTING, by="share")
    assert [line.flops for line in found.lines] == [1e20, 2e20]
    for line in found.lines:
        for column, row in line.points:
            at = 6e11 * sum(SIZES[: found.models[int(column)]]) * 0.5**row
            assert at == pytest.approx(line.flops)


def test_a_map_of_windows_goes_by_scale_up() -> None:
    ((found,),) = maps_of(made("windows"), SETTING, most=6)
    assert found.by == "scale_up"
    assert found.rows == (2.0, 4.0, 8.0)
    assert found.errors[2] == pytest.approx((0.04, None))
    assert all(isinstance(line, EqualCompute) for line in found.lines)


def test_a_median_over_families_has_no_lines_of_equal_compute() -> None:
    (maps,) = maps_of(made(), SETTING, most=1)
    assert [found.families for found in maps] == [("alpha", "beta"), ("alpha",)]
    assert maps[0].lines == ()
    assert maps[0].errors[0][2] == pytest.approx(1.5 * 0.3 / 16)


def test_a_map_of_nothing_is_refused() -> None:
    with pytest.raises(UnfitDataError, match="No cell of gamma was scored under chinchilla"):
        error_map(made(), SETTING, "gamma", by="share")


def test_the_cheapest_designs_are_said_to_be_known_in_hindsight_alone() -> None:
    card = cheapest_card(made(), made().cheapest((0.05, 0.001)))
    rows = rows_of(card)
    assert (rows[0]["models"], rows[0]["share of training"]) == (3, 1.0)
    assert rows[1]["setting"] == "none came so near"
    assert rows[1]["mean |error|"] == pytest.approx(0.3 / 16)
    assert "in hindsight: 2 within 5.00%" in card.conclusion
    assert "no advice" in card.facts[0].text


def test_one_model_is_not_called_models() -> None:
    study = replace(made(), cells=(cell("alpha", 1, 1.0, 0.4), cell("alpha", 4, 1.0, 0.02)))
    told = means_card(study, study.macro(), study.macro("scale_up")).conclusion
    assert told.startswith("With 1 model the mean error over 1 family is 40.0%, with 4 it is ")


def test_means_go_by_models_and_by_scale_up() -> None:
    card = means_card(made(), made().macro(), made().macro("scale_up"))
    rows = rows_of(card)
    assert [row["bin"] for row in rows] == ["2", "3", "4", "1-2", "2-4", "4-8"]
    assert rows[0]["mean |error|"] == pytest.approx(1.5 * 0.3 / 4)


@pytest.mark.parametrize("order", ["smallest", "windows"])
@pytest.mark.parametrize("layout", [WIDE, NARROW], ids=lambda layout: layout.name)
def test_every_number_of_a_map_is_drawn_within_the_figure(layout: Layout, order: str) -> None:
    for card in cards(made(order)):
        if card.figure is None:
            continue
        root = ET.fromstring(svg(card.figure, layout=layout))  # noqa: S314
        shown = [element.text for element in root.iter("text")]
        for panel in card.figure.panels:
            for series in panel.series:
                assert set(series.texts) <= set(shown)
                assert not series.label or series.label in shown
            assert set(panel.y.categories) <= set(shown)


def test_a_hostile_family_name_stays_text() -> None:
    found = made(name=HOSTILE)
    text = page(cards(found), title="t")
    assert "<script>alert" not in text
    assert "\x1b" not in "".join(render(card) for card in cards(found))


def test_the_classes_of_errors_cover_every_error_once() -> None:
    assert list(CLASSES) == sorted(CLASSES)
    for error in (0.0, 1e-9, 0.02, 0.020001, 0.3, 2.0, 1e9):
        single = Study(
            cells=(cell("alpha", 3, 1.0, error),), skipped={}, policies=(DEFAULT,), tail=0.7,
            order="smallest", sha256="", families=("alpha",),
        )  # fmt: skip
        figure = map_card([error_map(single, SETTING, by="share")], "d").figure
        assert figure is not None
        assert sum(len(s.x) for s in figure.panels[0].series if s.mark == "tiles") == 1
