from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.plan.isoflop import found_budgets, isoflop
from scalewise.plan.profiles import Method
from scalewise.runs.read import read_runs
from tests.plan.isoflop_runs import EXPONENT, best_size, isoflop_runs


def vertex_errors(method: Method, *, drift: float = 0.0) -> np.ndarray:
    found = isoflop(isoflop_runs(drift=drift), method=method, bootstrap=0)
    return np.array([np.log(v.params.value / best_size(v.flops)) for v in found.vertices])


def test_budgets_are_found_in_the_data() -> None:
    found = isoflop(isoflop_runs(), bootstrap=0)
    assert [v.flops for v in found.vertices] == pytest.approx(list(np.geomspace(1e18, 1e21, 7)))
    assert "7 budgets were found in the data." in found.warnings


def test_scattered_points_make_no_budget() -> None:
    assert not len(found_budgets(np.geomspace(1e18, 1e21, 12)))


def test_the_bias_corrected_vertex_is_exact_where_the_parabola_is_biased() -> None:
    parabola, additive = vertex_errors("parabola"), vertex_errors("additive")
    assert parabola.mean() == pytest.approx(-0.055, abs=0.003)
    assert np.abs(additive).max() < 1e-3


def test_sampling_off_the_optimum_bends_the_parabola_but_not_the_corrected_profile() -> None:
    assert np.ptp(vertex_errors("parabola", drift=0.5)) > 0.02
    assert np.abs(vertex_errors("additive", drift=0.5)).max() < 5e-3


def test_the_interpolated_vertex_is_close_without_any_shape() -> None:
    assert np.abs(vertex_errors("interpolated")).max() < 0.02


def test_exponents_of_size_and_tokens_are_recovered_and_sum_to_one() -> None:
    found = isoflop(isoflop_runs(noise=0.003), method="additive", bootstrap=100)
    a, b = found.params.exponent, found.tokens.exponent
    assert a.low < EXPONENT < a.high
    assert a.high - a.low < 0.05
    assert a.value + b.value == pytest.approx(1.0, abs=1e-9)
    assert found.params.at(1e22).low < best_size(1e22) < found.params.at(1e22).high


def test_a_minimum_at_the_edge_of_the_sampled_sizes_is_left_out_by_name() -> None:
    runs = isoflop_runs()
    large = best_size(1e21)
    cut = read_runs(
        runs.frame.filter(~((runs.frame["flops"] > 9e20) & (runs.frame["params"] < large * 1.3)))
    )
    found = isoflop(cut, budgets=list(np.geomspace(1e18, 1e21, 7)), bootstrap=0)
    (gone,) = found.left_out
    assert gone.flops == pytest.approx(1e21)
    assert "smallest size sampled" in gone.reason or "4 are needed" in gone.reason
    assert len(found.vertices) == 6
    assert any("1e21 is left out" in text for text in found.warnings)


def test_too_few_bracketed_budgets_are_refused_with_the_reasons() -> None:
    runs = isoflop_runs().where("flops < 4e18")
    with pytest.raises(UnfitDataError, match="2 of 2 budgets bracket their lowest loss"):
        isoflop(runs, bootstrap=0)


def test_a_tolerance_beyond_half_a_decade_is_refused() -> None:
    with pytest.raises(UsageError, match="tolerance=1 decades"):
        isoflop(isoflop_runs(), tolerance=1)


def test_resampling_is_seeded_and_widens_with_noise() -> None:
    runs = isoflop_runs(noise=0.005)
    one, same, other = (isoflop(runs, method="additive", bootstrap=50, seed=s) for s in (1, 1, 2))
    assert one.vertices[0].params == same.vertices[0].params
    assert one.vertices[0].params.low != other.vertices[0].params.low
    quiet = isoflop(isoflop_runs(noise=0.0005), method="additive", bootstrap=50, seed=1)

    def width(found: object) -> float:
        vertex = found.vertices[3].params  # type: ignore[attr-defined]
        return float(np.log(vertex.high / vertex.low))

    assert width(one) > 2 * width(quiet)


def test_mixed_evaluation_sets_are_refused() -> None:
    frame = isoflop_runs().frame
    import polars as pl

    mixed = frame.with_columns(
        eval_set=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("a")).otherwise(pl.lit("b"))
    )
    with pytest.raises(UnfitDataError, match="mixes 2 values of eval_set"):
        isoflop(read_runs(mixed))


def test_a_budget_named_twice_counts_once() -> None:
    budgets = list(np.geomspace(1e18, 1e21, 7))
    once, twice = (isoflop(isoflop_runs(), budgets=b, bootstrap=0) for b in (budgets, budgets * 2))
    assert len(twice.vertices) == len(once.vertices)
    assert twice.params.slope == once.params.slope
