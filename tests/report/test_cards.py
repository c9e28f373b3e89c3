from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from scalewise.core.records import to_json
from scalewise.fit.engine import fit
from scalewise.fit.result import FitStatus
from scalewise.fit.search import Certificate
from scalewise.fit.storage import published_fit
from scalewise.plan.allocate import allocate, frontier
from scalewise.report.card import Column, Series, Table, card_data
from scalewise.report.cards.allocation import allocation_card, curve_card, frontier_card
from scalewise.report.cards.doubts import certificate_sentence
from scalewise.report.cards.fit import fit_card
from scalewise.report.cards.health import health_card
from scalewise.report.cards.held_out import held_out_card
from scalewise.report.cards.prediction import prediction_card
from scalewise.report.cards.residuals import residuals_card
from scalewise.report.cards.runs import runs_card
from tests.report import examples

CARDS = examples.cards()


@pytest.mark.parametrize("name", CARDS)
def test_a_card_has_a_json_twin(name: str) -> None:
    card = CARDS[name]
    data = json.loads(to_json(card_data(card)))
    assert data["conclusion"] == card.conclusion
    assert data["caveats"] == list(card.caveats)
    assert len(data["table"]["rows"]) == len(card.table.rows)
    names = [column["name"] for column in data["table"]["columns"]]
    assert len(set(names)) == len(names)
    assert all(set(row) == set(names) for row in data["table"]["rows"])


@pytest.mark.parametrize("name", CARDS)
def test_a_conclusion_is_a_whole_sentence(name: str) -> None:
    conclusion = CARDS[name].conclusion
    assert conclusion.endswith(".")
    assert "  " not in conclusion
    assert "nan" not in conclusion.split()


@pytest.mark.parametrize("name", ["prediction", "allocation", "held-out"])
def test_no_bare_estimate_is_told(name: str) -> None:
    conclusion = CARDS[name].conclusion
    assert "90%" in conclusion
    assert "xtrapolation" in conclusion
    assert "runs" in conclusion


def test_a_level_is_written_to_the_digits_that_were_asked_for() -> None:
    result, budgets = examples.result(), np.geomspace(1e18, 1e22, 5)
    cards = [
        fit_card(result, level=0.999),
        prediction_card(result.predict(params=1e9, tokens=1e10, level=0.999), {"params": 1e9}),
        allocation_card(allocate(result, 1e20, level=0.999)),
        curve_card(frontier(result, budgets, level=0.999)),
        frontier_card(frontier(result, budgets, level=0.999)),
    ]
    for card in cards:
        text = to_json(card_data(card)).replace("(100%)", "")
        assert "99.9%" in text, card.title
        assert "100%" not in text, card.title


def test_no_card_rounds_a_level_by_itself() -> None:
    rounded = [
        path.name
        for path in Path(str(files("scalewise.report"))).rglob("*.py")
        if "level:.0%" in path.read_text("utf-8")
    ]
    assert rounded == []


def test_the_table_keeps_numbers_as_numbers() -> None:
    first = CARDS["fit"].table.rows[0]
    assert first[:2] == ("E", 1.8)
    assert first[2] == pytest.approx(1.8 * (1 - 0.0072), rel=1e-3)


def test_the_certificate_is_a_sentence() -> None:
    assert certificate_sentence(examples.result()) == (
        "14 of 16 refined starts out of 256 screened agree; next basin +3.10%"
    )


def test_strong_correlations_are_named() -> None:
    few, correlated = CARDS["fit"].caveats
    assert "5 resamples cannot tell the ends" in few
    assert "A and alpha (+0.987)" in correlated


def test_a_lone_start_at_the_optimum_is_a_caveat() -> None:
    lone = Certificate(screened=256, refined=16, agreeing=1)
    card = fit_card(examples.result(certificate=lone))
    assert any("Only 1 of 16 starts" in caveat for caveat in card.caveats)


def test_a_combination_tells_its_laws_weights_spread_and_their_warnings() -> None:
    card = CARDS["fit-combined"]
    facts = {fact.name: fact.text for fact in card.facts}
    assert facts["rests on"] == "chinchilla (62%) and overtraining (38%)"
    assert "×1.4" in facts["spread"]
    assert "overtraining: eta stopped at its bound." in card.caveats
    marks = {row[0]: row[5] for row in card.table.rows}
    assert marks["E"] == "at bound"
    assert marks["beta"] == "fixed"


@pytest.mark.parametrize("status", [FitStatus.NOT_IDENTIFIED, FitStatus.MAX_ITERATIONS])
def test_a_failed_fit_says_so_first(status: FitStatus) -> None:
    card = fit_card(examples.result(status=status, not_identified=("A", "alpha")))
    assert "cannot be trusted" in card.conclusion or "did not converge" in card.conclusion
    assert status.value in card.caveats


def test_published_constants_have_no_interval_and_say_so() -> None:
    published = published_fit("besiroglu2024")
    card = fit_card(published)
    assert "no interval" in card.conclusion
    assert card.figure is None
    given = {"params": 7e9, "tokens": 2e12}
    told = prediction_card(published.predict(**given), given)
    assert "no interval known" in told.conclusion
    assert "extrapolation unknown" in told.conclusion
    assert told.table.rows[0][3:] == (None, None, None)
    assert any(fact.text.startswith("none:") for fact in told.facts)
    assert "no intervals known" in allocation_card(allocate(published, 1e22)).conclusion
    line = frontier_card(frontier(published, np.geomspace(1e20, 1e22, 5)))
    assert "no interval known" in line.conclusion


def test_a_far_forecast_warns_of_its_reach() -> None:
    assert any("×41.3" in caveat for caveat in CARDS["prediction"].caveats)


def test_many_predictions_make_many_rows() -> None:
    params = np.array([1e9, 7e9])
    made = examples.result().predict(params=params, tokens=2e12)
    card = prediction_card(made, {"params": params, "tokens": 2e12})
    assert [row[0] for row in card.table.rows] == [1e9, 7e9]
    assert all(row[3] < row[2] < row[4] for row in card.table.rows)  # type: ignore[operator]


def test_healthy_runs_are_told_in_a_sentence() -> None:
    card = health_card(examples.runs(), ())
    assert "checks passed on 15 rows of 5 runs" in card.conclusion
    assert not card.caveats


def test_errors_of_health_are_caveats() -> None:
    assert "1 error, 1 warning and 1 note" in CARDS["health"].conclusion
    assert len(CARDS["health"].caveats) == 1


def test_a_law_that_failed_is_told_with_its_reason() -> None:
    assert "kaplan-overfit was not scored: no params_nonembed." in CARDS["backtest"].caveats


def test_held_out_models_outside_the_interval_are_named() -> None:
    forecast = examples.held_out()
    shifted = tuple(replace(p, low=1.0, high=1.1) for p in forecast.auto.points)
    card = held_out_card(replace(forecast, auto=replace(forecast.auto, points=shifted)))
    assert "0 of 2 lie inside" in card.conclusion
    assert any("2 held-out models fell outside" in caveat for caveat in card.caveats)


def test_a_drift_of_residuals_is_found() -> None:
    base = examples.result()
    exact = np.asarray(base.law.value(base.theta, **base.inputs))
    wide = {"N": np.geomspace(1e6, 1e9, 15), "D": np.full(15, 1e10)}
    tilt = np.exp(0.02 * np.linspace(-1, 1, 15))
    drifting = replace(base, inputs=wide, observed=np.asarray(base.law.value(TH, **wide)) * tilt)
    assert "Residuals drift with params" in residuals_card(drifting).conclusion
    settled = residuals_card(replace(base, observed=exact))
    assert "No drift was found" in settled.conclusion


TH = examples.TRUTH


def test_a_table_without_sizes_is_still_told() -> None:
    from scalewise.runs.read import read_runs

    rows = [{"run_id": str(i), "flops": 10.0**i, "loss": 5.0 - 0.1 * i} for i in range(1, 9)]
    card = runs_card(read_runs(rows))
    assert len(card.table.rows) == 1
    assert card.figure is None


def test_many_sizes_are_told_in_ranges() -> None:
    from scalewise.runs.read import read_runs

    rows = [
        {"run_id": str(i), "params": 1e6 * 1.1**i, "tokens": 1e9, "loss": 4.0 - 0.01 * i}
        for i in range(80)
    ]
    assert len(runs_card(read_runs(rows)).table.rows) == 10


@pytest.mark.parametrize("law", ["power", "power-tokens", "kaplan-compute", "E + A / N**a + k / D"])
def test_every_shape_of_law_gets_a_figure(law: str) -> None:
    found = fit(law, examples.runs(), bootstrap=20)
    card = fit_card(found)
    assert card.figure is not None
    assert len(card.figure.panels) == 2
    assert residuals_card(found).figure is not None


def test_a_table_with_ragged_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells in a table of 1 columns"):
        Table((Column("a"),), ((1, 2),))


def test_a_series_with_unequal_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        Series(mark="points", x=(1.0, 2.0), y=(1.0,))
