from __future__ import annotations

import pytest

from scalewise.runs.read import read_runs

RUNS = {"N": [1e6, 2e6], "L": [3.0, 2.9]}


def test_the_standard_error_of_a_loss_is_known_by_its_usual_names() -> None:
    table = read_runs({**RUNS, "val_loss_stderr": [0.01, 0.02]})
    assert table.column("loss_se").tolist() == [0.01, 0.02]


def test_the_standard_error_follows_from_the_ends_of_a_95_percent_interval() -> None:
    table = read_runs({**RUNS, "loss_lo95": [2.9, 2.8], "loss_hi95": [3.1, 3.0]})
    assert table.column("loss_se").tolist() == pytest.approx([0.0510213, 0.0510213])
    assert "loss_se = (loss_high95 - loss_low95) / 3.92" in table.assumptions


def test_a_given_standard_error_is_not_replaced() -> None:
    ends = {"loss_low95": [2.9, 2.8], "loss_high95": [3.1, 3.0]}
    assert read_runs({**RUNS, **ends, "loss_se": [0.3, 0.3]}).column("loss_se").tolist() == [
        0.3,
        0.3,
    ]
