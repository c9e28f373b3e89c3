"""Two-step forecasts on the OLMo task ladder (Bhagia et al. 2024, arXiv:2412.04403).

Fitted from 190M to 1.3B params, tested on the 3.2B models. The paper's headline, 2 points of
accuracy on average, is for larger targets; the numbers here are ours on the released ladder, held
so that a change which worsens them is seen. All tasks: ``benchmarks/olmo_two_step.py``.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.certified.olmo_tables import held_out_test, ladder, tasks
from tests.shared_data import shared_table

LADDER = "olmo_ladder/downstream_ladder.parquet"
# Mean absolute error of the 3.2B models in accuracy: two steps, at the true bits per byte, direct.
ERRORS = {
    "mmlu_humanities_test": (0.0047, 0.0032, 0.0142),
    "mmlu_other_test": (0.0081, 0.0092, 0.0209),
    "arc_easy_test": (0.0126, 0.0057, 0.0080),
    "piqa_val": (0.0068, 0.0094, 0.0093),
    "socialiqa_val": (0.0150, 0.0090, 0.0079),
    "hellaswag_val": (0.0434, 0.0107, 0.0368),
}


def test_the_ladder_has_five_sizes_by_five_budgets() -> None:
    frame = ladder(shared_table(LADDER))
    assert len(frame) == 25
    assert frame["params"].n_unique() == 5
    assert len(tasks(shared_table(LADDER))) == 20


@pytest.mark.parametrize("task", ERRORS)
def test_large_models_are_forecast_from_small_ones(task: str) -> None:
    two_step, at_true_loss, direct = ERRORS[task]
    found = held_out_test(shared_table(LADDER), task)
    assert found.two_step == pytest.approx(two_step, abs=5e-4)
    assert found.at_true_loss == pytest.approx(at_true_loss, abs=5e-4)
    assert found.direct == pytest.approx(direct, abs=5e-4)
    assert found.backtest.points[0].params > 3e9
    assert len(found.backtest.points) == 5


@pytest.mark.parametrize(
    ("task", "ceiling"), [("csqa_val", 0.8), ("socialiqa_val", 2 / 3), ("openbookqa_val", 0.75)]
)
def test_the_law_of_error_is_held_to_the_error_of_guessing(task: str, ceiling: float) -> None:
    found = held_out_test(shared_table(LADDER), task)
    assert found.ceiling == pytest.approx(ceiling, rel=1e-12)
    assert found.two_step < 0.02


def test_intervals_hold_most_of_the_large_models() -> None:
    covered = [
        held_out_test(shared_table(LADDER), task, bootstrap=60).backtest.coverage
        for task in ("mmlu_other_test", "piqa_val", "arc_easy_test", "socialiqa_val")
    ]
    assert np.mean(covered) >= 0.8
