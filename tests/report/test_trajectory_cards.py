from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from scalewise.core.compute import accelerator_named
from scalewise.forecast.contours import Contours
from scalewise.forecast.fitted_contours import fitted_contours
from scalewise.forecast.loss_curve import predict_curve
from scalewise.forecast.on_track import OnTrack, on_track
from scalewise.forecast.trajectory import Trajectory
from scalewise.plan.batch import Fleet, batch_tradeoff
from scalewise.plan.cheapest_batch import cheapest_batch
from scalewise.plan.reachable import unreachable
from scalewise.report.card import Card, Series
from scalewise.report.cards.critical_batch import contours_card, critical_batch_card
from scalewise.report.cards.on_track import on_track_card
from scalewise.report.cards.steps import (
    cheapest_card,
    frontier_card,
    steps_card,
    unreachable_card,
)
from scalewise.report.cards.trajectory import curve_card, curves_card, thinned
from scalewise.report.figures import NARROW, WIDE, svg
from scalewise.report.text import render
from scalewise.runs.read import read_runs
from tests.forecast.trajectory_runs import BATCHES, SIZES, drawn, fitted, log_text

KAPLAN = Trajectory.kaplan2020()
STAGES = ((2**18, 20_000.0), (2**20, 40_000.0))
FLEET = Fleet(
    accelerator=accelerator_named("h100"), gpus=64, mfu=0.4, batch_tokens=2**20, price=2.0
)


def series(card: Card, panel: int = 0) -> tuple[Series, ...]:
    assert card.figure is not None
    return card.figure.panels[panel].series


def labelled(card: Card, label: str, panel: int = 0) -> Series:
    return next(s for s in series(card, panel) if s.label == label)


def on_track_of(tmp: str) -> OnTrack:
    import io

    import polars as pl

    stages = ((2**18, 60_000.0),)
    log = read_runs(pl.read_csv(io.StringIO(tmp)))
    return on_track(fitted(), log, stages=stages, params_nonembed=6e8)


def every_card() -> dict[str, Card]:
    result = fitted()
    trajectory = Trajectory.from_fit(result)
    contours = fitted_contours(result)
    found = batch_tradeoff(trajectory, 6e8, 2.9, batch_tokens=2**20, fleet=FLEET)
    cheapest = cheapest_batch(trajectory, 6e8, 2.9, fleet=FLEET, days=0.1)
    return {
        "curve": curve_card(predict_curve(trajectory, 6e8, STAGES, result=result)),
        "curves": curves_card(result),
        "contours": contours_card(contours),
        "critical batch": critical_batch_card(trajectory, 6e8, contours.contours),
        "steps": steps_card(found, runs=result.runs),
        "frontier": frontier_card(found),
        "cheapest": cheapest_card(cheapest, FLEET, level=0.9),
        "unreachable": unreachable_card(unreachable(trajectory, 6e8, 2.0), runs=result.runs),
        "on track": on_track_card(on_track_of(log_text())),
    }


def test_every_card_can_be_shown_as_text_and_drawn_wide_and_narrow() -> None:
    for name, card in every_card().items():
        text = render(card, ascii_only=True)
        assert card.title in text, name
        assert "nan" not in text, name
        if card.figure is not None:
            for layout in (WIDE, NARROW):
                assert svg(card.figure, layout=layout).startswith("<svg"), name


def test_a_forecast_says_its_end_its_interval_and_its_reach() -> None:
    result = fitted()
    curve = predict_curve(Trajectory.from_fit(result), 6e8, STAGES, result=result)
    card = curve_card(curve)
    assert f"end at {curve.loss[-1]:.4f} nats/token after 60k steps and 47.2B tokens" in (
        card.conclusion
    )
    assert "90% interval" in card.conclusion
    assert "×10 in params_nonembed, from 11 runs" in card.conclusion
    steps = [row[0] for row in card.table.rows]
    assert 20_000.0 in steps
    assert steps[-1] == 60_000.0
    assert 12 <= len(steps) <= 13


def test_published_constants_claim_no_band() -> None:
    card = curve_card(predict_curve(KAPLAN, 1.5e9, [(2**19, 1e5)]))
    assert "no interval known" in card.conclusion
    assert not any(s.mark == "band" for s in series(card))
    assert all(row[-1] is None for row in card.table.rows)


def test_a_live_run_is_drawn_on_its_forecast() -> None:
    curve = predict_curve(KAPLAN, 1.5e9, [(2**19, 1e5)])
    step = np.arange(1000.0, 50_000.0, 100.0)
    card = curve_card(curve, (step, np.full(len(step), 3.0)))
    points = labelled(card, "this run")
    assert len(points.x) <= 61
    assert points.x[-1] == step[-1]
    assert points.group != labelled(card, "forecast").group


def test_thinning_keeps_the_last_point_and_spreads_over_log_steps() -> None:
    step = np.arange(1.0, 10_001.0)
    at = thinned(step, 20)
    assert at[-1] == len(step) - 1
    ratios = [step[b] / step[a] for a, b in pairwise(at[5:])]
    assert max(ratios) < 2
    assert thinned(step[:5], 20).tolist() == [0, 1, 2, 3, 4]


def test_the_curves_behind_a_fit_are_told_one_by_one() -> None:
    card = curves_card(fitted())
    assert len(card.table.rows) == len(SIZES) + len(BATCHES) - 1
    assert "11 curves of 5 sizes and 7 batches" in card.conclusion
    assert all(0 < float(row[-1] or 0) < 0.01 for row in card.table.rows)
    assert card.figure is not None
    assert [p.title for p in card.figure.panels] == [
        "10M params_nonembed, by batch", "131k tokens per batch, by size",
    ]  # fmt: skip


def test_the_critical_batch_is_drawn_with_its_band_and_what_was_measured() -> None:
    result = fitted()
    contours = fitted_contours(result)
    card = critical_batch_card(Trajectory.from_fit(result), 6e8, contours.contours)
    line = labelled(card, "critical batch")
    assert list(line.y) == sorted(line.y, reverse=True)
    measured = labelled(card, "measured")
    assert len(measured.x) == len(contours.straddling)
    at = np.interp(measured.x, line.x, line.y)
    assert np.median(np.abs(np.log(measured.y) - np.log(at))) < 0.15
    local = labelled(card, "local, of 600M")
    assert all(b > a for a, b in zip(line.y, local.y, strict=True))


def test_a_scan_that_does_not_straddle_is_drawn_hollow_and_counted_out() -> None:
    found = fitted_contours(fitted())
    first, *rest = found.contours
    beyond = replace(first, scan=replace(first.scan, straddles=False))
    card = critical_batch_card(KAPLAN, 6e8, [beyond, *rest])
    assert labelled(card, "extrapolated scan").hollow
    told = contours_card(Contours(contours=(beyond, *rest), warnings=("A doubt.",)))
    assert f"{len(rest)} of {len(rest) + 1} loss levels" in told.conclusion
    assert "the others are extrapolations and enter no law" in told.conclusion
    assert told.caveats == ("A doubt.",)


def test_equal_loss_points_lie_on_their_hyperbolas() -> None:
    card = contours_card(fitted_contours(fitted()))
    for points, line in zip(series(card)[::2], series(card)[1::2], strict=True):
        batch, drawn_batch = (np.log(s.x) - np.log(s.y) for s in (points, line))
        at = np.interp(batch, drawn_batch, np.log(line.y))
        assert np.max(np.abs(np.log(points.y) - at)) < 0.1
        assert points.group == line.group


def test_a_critical_batch_by_tokens_is_that_of_the_size() -> None:
    trajectory = Trajectory.from_fit(fitted("trajectory-tokens"))
    card = critical_batch_card(trajectory, 6e8)
    assert all(np.isfinite(float(row[1] or 0)) for row in card.table.rows)
    assert "No loss levels were measured here" in card.caveats[-1]


def test_steps_to_a_loss_are_told_with_the_trade_off() -> None:
    found = batch_tradeoff(KAPLAN, 1.5e9, 2.6, batch_tokens=2**19)
    card = steps_card(found)
    assert "in at least 9.23k steps and 20.5B tokens" in card.conclusion
    assert "critical batch of 2.22M tokens" in card.conclusion
    doubling = next(fact.text for fact in card.facts if fact.name == "doubling")
    assert doubling == (
        "doubling the batch from 524k tokens saves 40.4% of the time and costs 19.1% more compute"
    )
    wide = steps_card(batch_tradeoff(drawn(), 1.5e9, 2.6), runs=9, spread=1.5)
    interval = next(fact.text for fact in wide.facts if fact.name == "interval")
    assert "of the constants; the noise of one run is not in it, not widened ×1.5" in interval
    names = [row[0] for row in card.table.rows]
    assert names.count("critical_batch_tokens") == names.count("local critical batch") == 1
    assert "batch 524k: steps" in names
    assert any("loss lies" in caveat for caveat in card.caveats)


def test_the_figure_marks_the_least_of_each_and_the_batch() -> None:
    card = frontier_card(batch_tradeoff(drawn(), 1.5e9, 2.8, batch_tokens=2**19))
    assert card.figure is not None
    assert "steps are ×2 the fewest and tokens ×2" in card.figure.conclusion
    assert {s.label for s in series(card, 0) if s.label} == {
        "every batch", "the least of each", "critical batch", "batch 524k",
    }  # fmt: skip
    assert sum(s.mark == "band" for s in series(card, 1)) == 2


def test_a_loss_without_an_upper_end_is_drawn_without_a_band() -> None:
    card = frontier_card(batch_tradeoff(drawn(), 1.5e9, 2.278))
    assert not any(s.mark == "band" for s in series(card, 1))
    assert "∞" in render(card)


def test_the_cheapest_batch_says_how_surely_it_keeps_the_deadline() -> None:
    found = cheapest_batch(drawn(), 1.5e9, 2.8, fleet=FLEET, days=0.1)
    card = cheapest_card(found, FLEET, level=0.9)
    assert "within 0.1 days at a batch of" in card.conclusion
    assert "keeps it in 95.0% of the resamples" in card.caveats[0]
    waiting = cheapest_batch(drawn(), 1.5e9, 2.8, fleet=FLEET, day_price=20_000)
    told = cheapest_card(waiting, FLEET, level=0.9)
    assert "with a day of waiting at 20000" in told.conclusion
    assert "cost with waiting" in [row[0] for row in told.table.rows]


def test_an_unreachable_loss_is_told_with_its_floor() -> None:
    card = unreachable_card(unreachable(KAPLAN, 1.5e9, 2.2))
    assert "never reach 2.2 nats/token: the floor of that size is 2.2753" in card.conclusion
    assert "the smallest that does has 2.32B" in card.conclusion
    never = unreachable_card(unreachable(replace(KAPLAN, E=1.7), 1.5e9, 1.6))
    assert "no size reaches it" in never.conclusion


@pytest.mark.parametrize(
    ("off", "verdict"),
    [(0.0, "is on track"), (0.03, "has left the 90% band for good: from step")],
)
def test_a_live_run_is_told_on_track_or_not(off: float, verdict: str) -> None:
    card = on_track_card(on_track_of(log_text(off=off, from_step=6000)))
    assert verdict in card.conclusion
    assert [row[0] for row in card.table.rows] == ["planned", "projected"]
    end = labelled(card, "projected end")
    assert end.x == (60_000.0,)
    assert end.low[0] < end.y[0] < end.high[0]
