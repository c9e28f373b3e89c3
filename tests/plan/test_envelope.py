from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.plan.envelope import envelope, pareto
from scalewise.runs.read import read_runs
from tests.plan.isoflop_runs import EXPONENT, curves, isoflop_runs, loss_of


def test_the_envelope_of_training_curves_recovers_the_exponent() -> None:
    found = envelope(curves(), grid=400, bootstrap=60)
    a = found.params.exponent
    assert a.value == pytest.approx(EXPONENT, abs=0.02)
    assert a.low < EXPONENT < a.high
    assert a.value + found.tokens.exponent.value == pytest.approx(1.0, abs=0.01)
    assert found.source == "curves"


def test_budgets_where_the_ladder_ends_are_left_out() -> None:
    found = envelope(curves(), grid=400, bootstrap=0)
    assert found.sizes.min() > 1e7 * 1.01
    assert found.sizes.max() < 1e10 / 1.01
    assert "left out because no smaller or no larger model" in found.warnings[0]


def test_the_grid_goes_from_where_the_first_run_begins_to_where_the_last_one_ends() -> None:
    runs = curves()
    flops = runs.column("flops")
    whole = np.linspace(np.log(flops.min()), np.log(flops.max()), 400)
    found = np.log(envelope(runs, grid=400, bootstrap=0).flops)
    nearest = np.abs(found[:, None] - whole).min(axis=1)
    assert nearest.max() < 1e-9
    firsts = [flops[runs.column("params") == n].min() for n in np.unique(runs.column("params"))]
    assert found.min() < np.log(max(firsts))


def test_at_each_budget_the_lowest_curve_wins() -> None:
    found = envelope(curves(checkpoints=200), grid=50, bootstrap=0)
    for flops, size, loss in zip(found.flops, found.sizes, found.losses, strict=True):
        others = [
            loss_of(n, flops / 6 / n)
            for n in np.geomspace(1e7, 1e10, 12)
            if 0.3 * n <= flops / 6 / n <= 3000 * n
        ]
        assert loss == pytest.approx(min(others), rel=1e-3)
        assert loss == pytest.approx(loss_of(size, flops / 6 / size), rel=1e-3)


def test_smoothing_flattens_noise_between_checkpoints() -> None:
    rng = np.random.default_rng(0)
    rough = curves(checkpoints=60).frame
    noisy = read_runs(
        rough.with_columns(loss=rough["loss"] * np.exp(0.01 * rng.normal(size=len(rough))))
    )
    plain, smooth = (envelope(noisy, grid=200, smoothing=s, bootstrap=0) for s in (0.0, 3.0))
    assert smooth.params.scatter < plain.params.scatter


def test_checkpoints_before_the_end_of_their_run_are_a_caveat() -> None:
    assert any("learning rate" in text for text in envelope(curves(), bootstrap=0).warnings)


def test_tables_without_curves_are_refused_with_the_way_out() -> None:
    with pytest.raises(UnfitDataError, match=r"0 runs have two checkpoints or more.*approach 2"):
        envelope(isoflop_runs())


def test_the_proxy_says_that_it_is_one() -> None:
    found = pareto(isoflop_runs(), bootstrap=30)
    assert found.source == "finals"
    assert found.warnings[0].startswith("A proxy for approach 1")
    assert found.params.exponent.value == pytest.approx(EXPONENT, abs=0.1)
    assert (np.diff(found.losses) < 0).all()
