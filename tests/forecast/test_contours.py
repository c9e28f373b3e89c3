"""Contours of equal loss: recovery from curves, rates and seeds, and the doubts they must voice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.forecast.contours import Contours, batch_contours
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.forecast.simulated_curves import TRUTH, curves

SCAN = tuple((8e6, B) for B in 2.0 ** np.arange(15, 24))
LEVELS = (4.5, 4.2, 4.0, 3.8)


def scan(**settings: object) -> RunTable:
    return curves(designs=SCAN, **{"steps": (500.0, 2.5e5), **settings})  # type: ignore[arg-type]


def law_of(contours: Contours) -> dict[str, float]:
    return dict(contours.critical_batch_by_loss(bootstrap=0).theta)


def test_dense_curves_without_noise_give_steps_tokens_and_critical_batch_back() -> None:
    found = batch_contours(scan(points=400), losses=LEVELS, smoothing=0.0)
    for contour in found.contours:
        assert contour.scan.steps_min == pytest.approx(TRUTH.steps_min(8e6, contour.loss), rel=1e-4)
        assert contour.scan.tokens_min == pytest.approx(
            TRUTH.tokens_min(8e6, contour.loss), rel=1e-4
        )
    assert law_of(found) == pytest.approx({"B_star": 2.1e8, "alpha_B": 0.21}, rel=1e-3)
    assert found.warnings == ()


def test_smoothing_bends_sparse_curves_by_less_than_a_percent() -> None:
    found = batch_contours(scan(points=60))
    assert len(found.contours) == 15
    assert law_of(found) == pytest.approx({"B_star": 2.1e8, "alpha_B": 0.21}, rel=0.01)


def test_noise_is_smoothed_and_resampled_intervals_hold_the_truth() -> None:
    found = batch_contours(scan(points=60, point=0.002, run=0.001, seed=1))
    by_loss = found.critical_batch_by_loss()
    ends = by_loss.intervals()
    assert ends["alpha_B"][0] < 0.21 < ends["alpha_B"][1]
    assert ends["B_star"][0] < 2.1e8 < ends["B_star"][1]
    assert by_loss.resampling == "wild cluster bootstrap by run"
    assert by_loss.draws.shape == (300, 2)
    rough = batch_contours(scan(points=60, point=0.002, run=0.001, seed=1), smoothing=0.0)
    scatter = [np.median([c.scan.scatter for c in x.contours]) for x in (found, rough)]
    assert scatter[0] < 0.8 * scatter[1]


def test_contours_share_their_runs_so_that_more_levels_tell_nothing_new() -> None:
    for seed in range(4):
        table = scan(points=60, run=0.002, seed=seed)
        few, many = (
            np.ptp(
                batch_contours(table, losses=count).critical_batch_by_loss().intervals()["alpha_B"]
            )
            for count in (8, 30)
        )
        assert many > 0.75 * few  # of independent levels it would be half as wide


def test_intervals_of_a_scan_of_seven_batches_hold_the_truth_as_often_as_they_say() -> None:
    designs = tuple((8e6, B) for B in 2.0 ** np.arange(16, 23))
    held = []
    for seed in range(40):
        table = curves(
            designs=designs, steps=(1e3, 2.5e5), points=25, point=0.002, run=0.001, seed=seed
        )
        B_star, alpha_B = batch_contours(table).critical_batch_by_loss(seed=seed).draws.T
        low, high = np.quantile(B_star / 4.0 ** (1 / alpha_B), (0.05, 0.95))
        held.append(low < TRUTH.critical_batch(4.0) < high)
    assert 0.77 <= np.mean(held) <= 0.98  # weighed by their own scatter, contours hold it in 0.7


def test_a_critical_batch_by_tokens_comes_back_along_the_contours() -> None:
    truth = replace(TRUTH, critical_by="tokens", B_star=30.0, alpha_B=1 / 0.45)
    table = curves(truth, designs=SCAN, steps=(500.0, 2.5e5), points=400)
    result = batch_contours(table).critical_batch_by_tokens()
    # By tokens seen the contours are hyperbolas only nearly: their middle moves more slowly.
    assert result.theta["p"] == pytest.approx(0.4, rel=0.05)
    low, high = result.intervals()["p"]
    assert low < result.theta["p"] < high


def test_the_learning_rate_that_took_the_fewest_steps_counts_at_each_batch() -> None:
    good = scan(points=60)
    slow = good.frame.with_columns(step=good.frame["step"] * 1.5, run_id=good.frame["run_id"] + "s")
    slow = slow.with_columns(lr_peak=1e-4 + 0 * slow["step"])
    best = good.frame.with_columns(lr_peak=3e-4 + 0 * good.frame["step"])
    found = batch_contours(read_runs(best.vstack(slow)))
    assert found.contours[0].lr_peak == pytest.approx(3e-4)
    alone = batch_contours(good, losses=[c.loss for c in found.contours])
    for one, other in zip(found.contours, alone.contours, strict=True):
        np.testing.assert_allclose(one.steps, other.steps, rtol=1e-12)
    assert "the best learning rate is at the edge of those tried" in found.warnings[0]


def test_seeds_of_one_rate_are_averaged_and_not_picked_from() -> None:
    one, two = (scan(points=60, run=0.003, seed=s).frame for s in (1, 2))
    two = two.with_columns(run_id=two["run_id"] + "b")
    both = one.vstack(two).with_columns(lr_peak=3e-4 + 0.0 * one.vstack(two)["step"])
    found = batch_contours(read_runs(both), losses=[4.0]).contours[0]
    parts = [batch_contours(read_runs(f), losses=[4.0]).contours[0].steps for f in (one, two)]
    np.testing.assert_allclose(found.steps, np.sqrt(parts[0] * parts[1]), rtol=1e-12)


def test_levels_without_batches_on_both_sides_are_told_and_enter_no_law() -> None:
    few = curves(designs=[(8e6, B) for B in 2.0 ** np.arange(14, 19)], points=100)
    found = batch_contours(few)
    assert found.straddling == ()
    assert "15 of 15 contours, at losses" in found.warnings[-1]
    with pytest.raises(UnfitDataError, match="0 of 15 losses have batches a factor of 3"):
        found.critical_batch_by_loss()


def test_the_table_has_every_quantity_between_its_ends() -> None:
    found = batch_contours(scan(points=60, point=0.002, seed=3))
    table = found.columns(0.8)
    assert np.all(np.diff(table["loss"]) < 0)
    for name in ("steps_min", "tokens_min", "critical_batch_tokens"):
        assert np.all(table[f"{name}_low"] < table[name])
        assert np.all(table[name] < table[f"{name}_high"])
    assert set(table["batches"]) == {9}
    assert table["straddles"].sum() == len(found.straddling)


def test_a_table_that_cannot_carry_contours_is_refused() -> None:
    with pytest.raises(UnfitDataError, match=r"No size was trained at 4 batches; the most .* is 3"):
        batch_contours(curves(designs=SCAN[:3]))
    with pytest.raises(UnfitDataError, match=r"No loss is crossed by 4 batches of one size"):
        batch_contours(scan(), losses=[20.0])
    with pytest.raises(UsageError, match="0 losses are none"):
        batch_contours(scan(), losses=0)
    with pytest.raises(UsageError, match="smoothing=-1 is negative"):
        batch_contours(scan(), smoothing=-1.0)


def test_batches_that_share_no_loss_are_named() -> None:
    table = scan(points=60)
    early = (table.column("batch_tokens") > 2**15) | (table.column("step") < 1000)
    late = (table.column("batch_tokens") < 2**23) | (table.column("step") > 1e5)
    import polars as pl

    cut = read_runs(table.frame.filter(pl.Series(early & late)))
    words = r"No loss is crossed by every batch of 8M .* batch 32768 ends at .* batch 8\.38861e\+06"
    with pytest.raises(UnfitDataError, match=words):
        batch_contours(cut)
