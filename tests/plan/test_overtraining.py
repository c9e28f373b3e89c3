from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import LawError, RunDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult, Rival
from scalewise.fit.storage import published_fit
from scalewise.laws.catalogue import LAWS
from scalewise.plan.allocate import allocate
from scalewise.plan.overtraining import compute_ratio, optimal_multiplier

TRUTH = {"E": 1.7, "A": 120.0, "B": 200.0, "eta": 0.125}


def runs(noise: float) -> dict[str, Any]:
    N = np.repeat(np.geomspace(1e7, 1e9, 5), 3)
    D = N * np.tile([5.0, 30.0, 200.0], 5)
    off = np.exp(noise * np.random.default_rng(0).standard_normal(15))
    loss = LAWS["overtraining"].value(TRUTH, N=N, D=D) * off
    return {"params": N, "tokens": D, "loss": loss}


def fitted(noise: float, bootstrap: int) -> FitResult:
    return fit("overtraining", runs(noise), objective="ls", bootstrap=bootstrap)


def test_the_best_multiplier_is_that_of_every_optimal_allocation() -> None:
    result = fitted(0.003, 60)
    best = optimal_multiplier(result)
    for flops in (1e19, 1e24):
        assert allocate(result, flops).tokens_per_param.value == pytest.approx(best.value)


def test_the_interval_holds_the_truth_and_grows_with_spread_and_level() -> None:
    result = fitted(0.003, 100)
    best = optimal_multiplier(result)
    assert best.low < (200.0 / 120.0) ** 4 < best.high
    wider = optimal_multiplier(replace(result, spread=2.0))
    assert wider.low < best.low < best.high < wider.high
    assert np.log(wider.high / best.value) == pytest.approx(2 * np.log(best.high / best.value))
    assert optimal_multiplier(result, level=0.5).high < best.high


def test_without_resamples_the_interval_has_no_width() -> None:
    best = optimal_multiplier(fitted(0.0, 0))
    assert (best.low, best.high) == pytest.approx((best.value, best.value), rel=1e-12)
    assert best.value == pytest.approx((200.0 / 120.0) ** 4, rel=1e-3)


def test_the_law_is_found_among_rivals_and_missed_elsewhere() -> None:
    other = published_fit("besiroglu2024")
    rival = Rival(weight=0.3, result=fitted(0.0, 0))
    mixed = other.combined_with((rival,), weight=0.7, spread=1.0)
    assert optimal_multiplier(mixed).value == pytest.approx((200.0 / 120.0) ** 4, rel=1e-3)
    with pytest.raises(LawError, match="'chinchilla' has no single best number of tokens"):
        optimal_multiplier(other)
    with pytest.raises(UsageError, match=r"level=1 is not"):
        optimal_multiplier(rival.result, level=1.0)


def test_compute_is_compared_with_all_runs_together() -> None:
    table = runs(0.0)
    spent = float(np.sum(6 * table["params"] * table["tokens"]))
    assert compute_ratio(table, 100 * spent) == pytest.approx(100.0)
    with pytest.raises(UsageError, match="flops=0"):
        compute_ratio(table, 0.0)
    table["tokens"] = [None, *table["tokens"][1:]]
    with pytest.raises(RunDataError, match="1 of 15 runs lack flops"):
        compute_ratio(table, 1e24)
