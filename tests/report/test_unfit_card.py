"""The card of runs that lead to no forecast."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.report.cards.unfit import unfit_card
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

ERROR = UnfitDataError("The runs have too few sizes.", hint="Add runs of other sizes.")


def runs(*sizes: float, ratio: float = 20.0) -> RunTable:
    N = np.array(sizes)
    return read_runs({
        "run_id": [f"r{i}" for i in range(len(N))], "params": N, "tokens": ratio * N,
        "loss": 2 + 300 / N**0.3,
    })  # fmt: skip


@pytest.mark.parametrize("sizes", [(1e7,), (1e7, 4e7), (1e7, 4e7, 1.6e8)])
def test_the_wanted_runs_complete_four_sizes_over_a_factor_of_thirty(
    sizes: tuple[float, ...],
) -> None:
    card = unfit_card(runs(*sizes), ERROR)
    wanted = [row[0] for row in card.table.rows]
    assert len(wanted) == 4 - len(sizes)
    assert all(isinstance(n, float) and n < sizes[0] for n in wanted)  # the cheapest are smaller
    assert sizes[-1] / min(float(str(n)) for n in wanted) >= 29
    for n, tokens, flops in card.table.rows:
        assert tokens == pytest.approx(20 * float(str(n)), rel=0.05)
        assert flops == pytest.approx(6 * float(str(n)) * float(str(tokens)))


def test_the_conclusion_names_the_runs_and_what_they_cost() -> None:
    card = unfit_card(runs(1e7, 4e7), ERROR)
    assert card.conclusion == (
        "The runs have too few sizes. So few sizes cannot separate the least loss (E) from the "
        "price of size (A); the cheapest runs that would: 3.7M on 74M tokens, 1.3M on 26M tokens, "
        "1.85e15 FLOP, 0.90% of what the runs took."
    )
    assert card.caveats == ("Add runs of other sizes.",)


def test_below_tiny_models_there_are_larger_ones() -> None:
    rows = unfit_card(runs(1e4, 2e4), ERROR).table.rows
    assert [row[0] for row in rows] > [2e4, 2e4]


def test_runs_of_enough_sizes_or_without_sizes_are_told_the_fact_alone() -> None:
    for table in (
        runs(1e6, 1e7, 1e8, 1e9),
        read_runs({"run_id": ["a"], "flops": [1e18], "loss": [3.0]}),
    ):
        card = unfit_card(table, ERROR)
        assert (card.conclusion, card.table.rows) == ("The runs have too few sizes.", ())
