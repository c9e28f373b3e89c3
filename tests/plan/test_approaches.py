from __future__ import annotations

import pytest

from scalewise.core.errors import UsageError
from scalewise.fit.storage import published_fit
from scalewise.plan.approaches import approaches
from tests.plan.isoflop_runs import EXPONENT, best_size, isoflop_runs


def test_all_approaches_that_the_data_allow_run_and_the_rest_say_why_not() -> None:
    found = approaches(isoflop_runs(noise=0.002), 1e23, bootstrap=40)
    assert [e.key for e in found.entries] == ["pareto", "parabola", "additive", "law"]
    (missing,) = found.not_run
    assert missing.key == "envelope"
    assert "two checkpoints" in missing.reason
    law = found.entries[-1]
    assert law.a.value == pytest.approx(EXPONENT, abs=0.03)
    assert law.params.low < best_size(1e23) < law.params.high
    assert found.extrapolation == pytest.approx(100, rel=0.01)


def test_the_disagreement_says_where_and_by_how_much() -> None:
    found = approaches(isoflop_runs(noise=0.002), 1e23, bootstrap=40)
    assert "In the middle of the data (3.16e19 FLOP)" in found.disagreement
    assert "100 times beyond the runs" in found.disagreement
    assert "a factor of" in found.disagreement


def test_a_law_from_elsewhere_disagrees_and_the_reason_is_told() -> None:
    found = approaches(
        isoflop_runs(noise=0.001), 1e23, result=published_fit("hoffmann2022"), bootstrap=40
    )
    assert "The intervals do not overlap." in found.disagreement
    assert "The law shares one E, A and B" in found.disagreement


def test_a_law_in_another_count_is_not_compared() -> None:
    found = approaches(
        isoflop_runs(), 1e22, result=published_fit("kaplan2020-overfit"), bootstrap=0
    )
    law = next(n for n in found.not_run if n.key == "law")
    assert "counts params_nonembed, not params" in law.reason


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="flops=0 is no compute budget"):
        approaches(isoflop_runs(), 0)
