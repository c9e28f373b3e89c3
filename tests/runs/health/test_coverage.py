"""What the health checks say of runs that cover too little to tell a law."""

from __future__ import annotations

import numpy as np

from scalewise.runs.health import check_health
from scalewise.runs.read import read_runs
from tests.runs.health.test_health import findings


def test_the_steps_of_one_curve_without_a_size_are_not_runs() -> None:
    columns = {"step": list(range(100, 1300, 100)), "loss": np.linspace(4.0, 3.0, 12)}
    assert "of unknown size" in findings(columns)["checkpoints taken for runs"].fact
    assert "checkpoints taken for runs" not in findings(columns | {"run_id": ["a"] * 12})


def test_a_loss_that_is_the_same_at_every_size_is_told() -> None:
    columns = {"params": [1e7, 3e7, 1e8, 3e8], "tokens": [2e8, 6e8, 2e9, 6e9]}
    (found,) = [f for f in check_health(read_runs({**columns, "loss": [2.5] * 4}))
                if f.name == "one value of loss"]  # fmt: skip
    assert found.severity == "warning"
    assert found.fact.startswith("The loss is 2.5 in all 4 finished models")
    varied = check_health(read_runs({**columns, "loss": [2.5, 2.5, 2.5, 2.4]}))
    repeated = check_health(
        read_runs({"params": [1e7] * 3, "tokens": [1e9] * 3, "loss": [2.5] * 3})
    )
    assert not [f for f in (*varied, *repeated) if f.name == "one value of loss"]


def test_too_few_sizes_are_counted_in_good_english() -> None:
    one = check_health(read_runs({"params": [1e7] * 3, "tokens": [1e9] * 3, "loss": [2, 3, 4]}))
    two = check_health(read_runs({"params": [1e7, 2e7], "tokens": [1e9] * 2, "loss": [2, 3]}))
    facts = [f.fact for f in (*one, *two) if f.name == "fewer than three sizes"]
    assert facts[0].startswith("There is 1 value of params; ")
    assert facts[1].startswith("There are 2 different values of params; ")


def test_without_a_scale_the_columns_that_were_not_understood_are_named() -> None:
    (found,) = [f for f in check_health(read_runs({"modelsize": [1e7], "loss": [2.5]}))
                if f.name == "no scale"]  # fmt: skip
    assert found.fact.endswith("; not understood: 'modelsize'.")
