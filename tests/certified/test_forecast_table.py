"""The default forecast on public families, as `benchmarks/README.md` states it.

The whole table: ``benchmarks/forecast_table.py``.
"""

from __future__ import annotations

import pytest
from benchmarks.forecast_table import STUDIES, Row, Study, family_of, rows_of

from scalewise.forecast.backtest import NAIVE
from tests.shared_data import shared_table

# Signed relative errors of the forecast loss, targets by params and tokens.
ERRORS = {
    "Gadre, RedPajama, the paper's 5 runs": (0.024, -0.020),
    "Gadre, RedPajama, all up to 411M": (0.003, -0.001),
    "Chinchilla, up to 1.2e21 FLOP": (0.030, 0.007),
    "OLMo ladder, up to 1.3B": (-0.015, -0.011, -0.011, -0.011, -0.011),
    "GPT-3, up to 13B": (-0.008,),
    "Clark, dense, up to 370M": (0.015,),
    "Step Law, best cells, 4 sizes": (-0.008, 0.000),
}
# Targets that naive rules or intervals got right or wrong against the rest of the table.
MISSED = {("Chinchilla, up to 1.2e21 FLOP", 0)}
NAIVE_IS_BETTER = {("Step Law, best cells, 4 sizes", 0)}


@pytest.fixture(scope="module", params=STUDIES, ids=lambda study: study.name)
def study(request: pytest.FixtureRequest) -> Study:
    found: Study = request.param
    shared_table(family_of(found).file)
    return found


@pytest.fixture(scope="module")
def rows(study: Study) -> tuple[Row, ...]:
    return rows_of(study)


def test_the_large_models_are_forecast_as_closely_as_stated(
    study: Study, rows: tuple[Row, ...]
) -> None:
    errors = [row.point.relative_error for row in rows]
    assert errors == pytest.approx(ERRORS[study.name], abs=0.003)


def test_intervals_hold_what_the_table_says(study: Study, rows: tuple[Row, ...]) -> None:
    missed = {(study.name, i) for i, row in enumerate(rows) if not row.point.inside}
    assert missed == {place for place in MISSED if place[0] == study.name}


def test_forecasts_beat_both_naive_rules_where_stated(study: Study, rows: tuple[Row, ...]) -> None:
    worse = {
        (study.name, i)
        for i, row in enumerate(rows)
        if abs(row.point.relative_error) >= min(abs(row.naive[rule]) for rule in NAIVE)
    }
    assert worse == {place for place in NAIVE_IS_BETTER if place[0] == study.name}


def test_published_errors_are_those_of_the_papers(study: Study, rows: tuple[Row, ...]) -> None:
    published = [row.published for row in rows]
    if study.law is not None:  # 2.57 * (3.147e23 / 8.64e19)**-0.048 = 1.7337 against 1.7926
        assert published == pytest.approx([-0.0329], abs=5e-4)
    elif study.constants:
        assert published == pytest.approx([0.025, 0.003], abs=5e-4)
    elif study.published:
        assert published == [0.007, 0.007]
    else:
        assert set(published) == {None}
