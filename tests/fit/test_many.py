"""Many tables fitted side by side get the answers that each would get alone."""

from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.fit.engine import fit, fit_many
from scalewise.fit.priors import Prior
from tests.fit.simulated_runs import simulated

TABLES = [simulated(sizes=4 + i % 3, budgets=3 + i % 2, noise=0.01, seed=i) for i in range(6)]


@pytest.mark.parametrize("objective", ["huber-log", "ls-log", "lad-log", "ls"])
def test_tables_of_unequal_length_are_fitted_as_if_alone(objective: str) -> None:
    together = fit_many("chinchilla", TABLES, objective=objective, bootstrap=0)
    assert [result.points for result in together] == [len(t["loss"]) for t in TABLES]
    for table, found in zip(TABLES, together, strict=True):
        alone = fit("chinchilla", table, objective=objective, bootstrap=0)
        assert found.objective_value == pytest.approx(alone.objective_value, rel=1e-9)
        assert found.theta == pytest.approx(alone.theta, rel=1e-5)
        assert found.status is alone.status


def test_intervals_and_priors_are_those_of_the_table_itself() -> None:
    options = {"priors": {"E": Prior(1.7, 0.05)}, "bootstrap": 40, "seed": 3}
    together = fit_many("chinchilla", TABLES[:2], **options)  # type: ignore[arg-type]
    for table, found in zip(TABLES, together, strict=False):
        alone = fit("chinchilla", table, **options)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.draws, alone.draws, rtol=1e-4)
        assert found.provenance == {"E": "prior 1.7 ± 0.05"}


def test_more_tables_than_are_searched_together_all_come_back_in_order() -> None:
    tables = [{"params": [1e6, 1e7, 1e8, 1e9], "loss": [4 + k, 3.2 + k, 2.7 + k, 2.4 + k]}
              for k in np.linspace(0, 1, 70)]  # fmt: skip
    found = fit_many("power", tables, objective="ls", bootstrap=0)
    offsets = [result.theta["E"] for result in found]
    assert len(found) == 70
    assert np.all(np.diff(offsets) > 0)


def test_a_table_too_small_for_the_law_is_refused() -> None:
    with pytest.raises(UnfitDataError, match="5 free constants and there are 3 points"):
        fit_many("chinchilla", [TABLES[0], {k: v[:3] for k, v in TABLES[1].items()}])
    assert fit_many("chinchilla", []) == []
