from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import RunDataError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.forecast.design import Design, designs
from scalewise.forecast.mappers import map_here, map_processes
from scalewise.forecast.policy import CHOSHEN2024, DEFAULT, FINALS
from scalewise.forecast.study import Study, families_of, study
from scalewise.forecast.study_cell import IDENTIFIED, Cell
from scalewise.laws.catalogue import LAWS
from scalewise.report.cards.study import study_card
from scalewise.runs.read import read_runs
from tests.forecast.study_families import SIZES, family

TWO = {"even": family(), "noisy": family(noise=0.02, seed=3, sizes=SIZES[:5])}


@pytest.fixture(scope="module")
def found() -> Study:
    """Two families under two policies, all models, half and all of training."""
    return study(TWO, policies=[DEFAULT, CHOSHEN2024], shares=(0.5, 1.0))


def cell_of(found: Study, **wanted: Any) -> Cell:
    (cell,) = (c for c in found.cells if all(getattr(c, k) == v for k, v in wanted.items()))
    return cell


def test_every_design_of_every_family_has_a_cell_under_every_setting(found: Study) -> None:
    expected = 2 * 2 * (4 + 3)  # policies, shares, 2..5 of 6 sizes and 2..4 of 5
    assert len(found.cells) == expected
    assert found.frame.height == expected
    assert found.families == ("even", "noisy")
    assert found.settings == (
        ("chinchilla", "huber-log", "default"),
        ("chinchilla", "ls", "choshen2024"),
    )


def test_no_cell_is_blank_without_a_reason(found: Study) -> None:
    thin = study(TWO, models=[2, 3, 9], shares=(0.02, 0.05, 1.0), policies=[CHOSHEN2024, FINALS])
    for cell in (*found.cells, *thin.cells):
        if cell.status != "converged":
            assert cell.reason, cell
        if cell.mean_abs_error is None:
            assert cell.status not in ("converged", "at bound", "not identified")
    assert {c.status for c in thin.cells} >= {"too few sizes", "too few points", "not identified"}


def test_a_cell_is_what_fitting_and_scoring_by_hand_gives(found: Study) -> None:
    cell = cell_of(found, family="even", policy="default", models=4, share=1.0)
    table = TWO["even"]
    small = table.where("params < 4e8")
    result = fit("chinchilla", DEFAULT.points(LAWS["chinchilla"], small), bootstrap=0)
    target = table.where("params > 1e9 and tokens >= 0.7e11")
    off = (
        result.predict(params=target.column("params"), tokens=target.column("tokens")).value
        / target.column("loss")
        - 1
    )
    assert cell.mean_abs_error == pytest.approx(np.abs(off).mean(), rel=1e-3)
    assert cell.bias == pytest.approx(off.mean(), abs=1e-6)
    assert cell.last_error == pytest.approx(off[-1], abs=1e-6)
    assert cell.target_points == len(target)
    assert cell.theta == pytest.approx(dict(result.theta), rel=1e-2)


def test_the_naive_rules_know_the_fitted_points_alone(found: Study) -> None:
    cell = cell_of(found, family="even", policy="default", models=4, share=0.5)
    table = TWO["even"]
    seen = table.where("params < 4e8 and tokens <= 0.501e11")
    target = table.where("params > 1e9 and tokens >= 0.7e11").column("loss")
    most = seen.where("params > 2e8 and tokens >= 0.499e11").column("loss")[0]
    assert cell.best_seen_error == pytest.approx(np.mean(seen.column("loss").min() / target - 1))
    assert cell.most_compute_error == pytest.approx(np.mean(most / target - 1))
    assert cell.mean_abs_error is not None
    assert cell.naive_error is not None
    assert cell.skill == pytest.approx(1 - cell.mean_abs_error / cell.naive_error)


def test_a_design_costs_six_times_size_times_tokens_of_each_fitted_run(found: Study) -> None:
    cell = cell_of(found, family="even", policy="default", models=3, share=0.5)
    assert cell.fitted_flops == pytest.approx(6 * 0.5e11 * sum(SIZES[:3]))
    assert cell.scale_up == pytest.approx(SIZES[-1] / SIZES[2])


def test_two_sizes_are_told_not_to_be_identified(found: Study) -> None:
    cell = cell_of(found, family="even", policy="default", models=2, share=1.0)
    assert cell.status == "not identified"
    assert "alpha" in cell.reason
    assert not cell.is_identified
    assert cell.mean_abs_error is not None


def test_windows_vary_how_far_the_target_lies() -> None:
    found = study({"even": TWO["even"]}, models=[3], order="windows")
    factors = [cell.scale_up for cell in found.cells]
    assert factors == pytest.approx([SIZES[-1] / size for size in SIZES[2:-1]])


def test_the_targets_own_beginning_can_be_what_is_fitted() -> None:
    borrowed = {"A": 400.0, "alpha": 0.34}
    found = study({"even": TWO["even"]}, order="own", shares=(0.5,), fixed=borrowed)
    (cell,) = found.cells
    assert cell.scale_up == 1.0
    assert cell.mean_abs_error is not None
    assert cell.mean_abs_error < 0.01
    assert {name: cell.theta[name] for name in borrowed} == pytest.approx(borrowed)


def test_a_beginning_alone_is_fitted_by_the_law_that_one_size_determines() -> None:
    (cell,) = study({"even": TWO["even"]}, order="own", shares=(0.5,)).cells
    assert (cell.law, cell.is_identified) == ("power-tokens", True)
    named = study({"even": TWO["even"]}, laws=["chinchilla"], order="own", shares=(0.5,)).cells
    assert not named[0].is_identified


def test_one_model_is_enough_with_borrowed_constants() -> None:
    found = study(
        {"even": TWO["even"]}, models=[1], order="windows", fixed={"A": 400.0, "alpha": 0.34}
    )
    assert [cell.status in IDENTIFIED for cell in found.cells] == [True] * 5


def test_objectives_replace_the_policys_own() -> None:
    found = study({"even": TWO["even"]}, models=[5], objectives=["ls", "lad-log"])
    assert [cell.objective for cell in found.cells] == ["ls", "lad-log"]


def test_bounds_of_constants_that_a_law_has_not_are_no_matter() -> None:
    found = study({"even": TWO["even"]}, laws=["power-flops"], policies=[CHOSHEN2024], models=[5])
    assert found.cells[0].is_identified


def test_a_law_that_lacks_a_column_has_cells_that_say_so() -> None:
    found = study(TWO, laws=["chinchilla", "kaplan-params"], models=[4])
    lacking = [cell for cell in found.cells if cell.law == "kaplan-params"]
    assert len(lacking) == 2
    assert all("params_nonembed" in cell.reason for cell in lacking)
    assert {cell.status for cell in lacking} == {"not fitted"}


def test_families_that_cannot_be_studied_are_left_out_with_a_reason() -> None:
    perplexity = family(seed=1).frame.with_columns(loss=30.0)
    families = {
        "small": family(sizes=SIZES[:2]),
        "perplexity": read_runs(perplexity),
        "sizeless": read_runs({"tokens": [1e9], "loss": [3.0]}),
        "even": TWO["even"],
    }
    found = study(families, models=[3])
    assert found.families == ("even",)
    assert "2 sizes; to fit 2 and forecast one takes 3" in found.skipped["small"]
    assert "above 10 it is no loss in nats" in found.skipped["perplexity"]
    assert "no params to order them by" in found.skipped["sizeless"]
    with pytest.raises(UnfitDataError, match="None of the 1 families can be studied"):
        study({"small": families["small"]})


def test_processes_give_the_same_table_to_the_last_bit(found: Study) -> None:
    again = study(TWO, policies=[DEFAULT, CHOSHEN2024], shares=(0.5, 1.0), mapper=map_processes(2))
    assert again.cells == found.cells


def test_a_cached_study_computes_only_what_is_new(tmp_path: Path, found: Study) -> None:
    first = study(TWO, shares=(0.5, 1.0), cache=tmp_path)
    assert first.computed == 2
    again = study(TWO, shares=(0.5, 1.0), policies=[DEFAULT, CHOSHEN2024], cache=tmp_path)
    assert again.computed == 2
    assert again.cells == found.cells
    other = {**TWO, "noisy": family(noise=0.02, seed=4, sizes=SIZES[:5])}
    assert study(other, shares=(0.5, 1.0), cache=tmp_path).computed == 1
    assert study(TWO, shares=(1.0,), cache=tmp_path).computed == 2
    assert study(TWO, shares=(0.5, 1.0), tail=0.8, cache=tmp_path).computed == 2
    borrowed = {"A": 400.0, "alpha": 0.34}
    assert study(TWO, shares=(0.5, 1.0), fixed=borrowed, cache=tmp_path).computed == 2
    renamed = replace(DEFAULT, cut_share=0.2)
    assert study(TWO, shares=(0.5, 1.0), policies=[renamed], cache=tmp_path).computed == 2


def test_a_study_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    def stops_after_one(work: Callable[[Any], str], items: Sequence[Any]) -> Iterator[Any]:
        yield from map_here(work, items[:1])
        raise KeyboardInterrupt

    told: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        study(TWO, models=[4], mapper=stops_after_one, cache=tmp_path)
    resumed = study(TWO, models=[4], cache=tmp_path, on_chunk=lambda *done: told.append(done))
    assert resumed.computed == 1
    assert told == [(1, 2), (2, 2)]
    assert resumed.cells == study(TWO, models=[4]).cells


@pytest.mark.parametrize("damage", ["", "{", '{"chunk": "other", "cells": []}', "[]"])
def test_a_damaged_file_of_the_cache_is_computed_anew(tmp_path: Path, damage: str) -> None:
    whole = study(TWO, models=[4], cache=tmp_path)
    path = sorted(tmp_path.iterdir())[0]
    path.write_text(damage)
    again = study(TWO, models=[4], cache=tmp_path)
    assert again.computed == 1
    assert again.cells == whole.cells
    assert json.loads(path.read_text())["chunk"] == path.stem


def test_the_cheapest_design_is_the_cheapest_of_those_that_came_near(found: Study) -> None:
    for answer in found.cheapest((0.15, 0.02, 1e-9)):
        near = [
            cell
            for cell in found.cells
            if cell.family == answer.family
            and cell.is_identified
            and (cell.mean_abs_error or 0.0) <= answer.threshold
        ]
        if answer.cell is None:
            assert not near
            assert answer.threshold == 1e-9
            assert answer.closest is not None
            assert answer.closest > answer.threshold
        else:
            assert answer.cell.fitted_flops == min(c.fitted_flops or 0.0 for c in near)


def test_means_over_families_weigh_each_family_the_same() -> None:
    found = study(TWO, models=[3, 4], order="windows")
    for by in ("models", "scale_up"):
        for mean in found.macro(by):
            assert mean.by == by
            assert mean.families <= mean.cells
    three = [c for c in found.cells if c.models == 3]
    own = [
        np.mean([c.mean_abs_error for c in three if c.family == name]) for name in ("even", "noisy")
    ]
    assert found.macro()[0].mean_abs_error == pytest.approx(np.mean(own))
    assert [m.bin for m in found.macro("scale_up")] == ["2-4", "8-16", "16-32"]
    with pytest.raises(UsageError, match="no means by 'age'"):
        found.macro("age")


def test_means_over_families_are_at_one_share_of_training(found: Study) -> None:
    whole = [c for c in found.cells if c.models == 3 and c.policy == "default"]
    for share, told in ((1.0, found.macro()), (0.5, found.macro(share=0.5))):
        errors = [c.mean_abs_error or 0.0 for c in whole if c.share == share]
        (mean,) = (m for m in told if m.bin == "3" and m.policy == "default")
        assert mean.cells == len(errors) == 2
        assert mean.mean_abs_error == pytest.approx(np.mean(errors))


def test_the_frame_has_the_constants_in_columns(found: Study) -> None:
    frame = found.frame
    assert {"theta.E", "theta.alpha", "fitted_flops", "reason"} <= set(frame.columns)
    assert frame["theta.E"][5] == found.cells[5].theta["E"]
    assert frame["theta.E"].null_count() == 0
    assert frame["models"].dtype.is_integer()


def test_a_table_falls_apart_into_its_families() -> None:
    table = family(family=["a"] * 90 + ["b"] * 60 + [None] * 30)
    parts = families_of(table)
    assert {name: len(part) for name, part in parts.items()} == {"a": 90, "b": 60}
    assert [len(part) for part in families_of(family()).values()] == [180]
    with pytest.raises(RunDataError, match="no column 'lineage'"):
        families_of(table, "lineage")


def test_many_sizes_are_tried_at_the_strides_of_the_authors() -> None:
    assert [d.models for d in designs(43)] == [2, 10, 18, 26, 34, 42]
    assert [d.models for d in designs(61)] == [2, 12, 22, 32, 42, 52]
    assert [d.models for d in designs(20)] == list(range(2, 20))


def test_a_number_of_models_beyond_the_family_has_one_design() -> None:
    assert designs(4, models=[7], order="windows") == (Design(models=7, first=0, share=1.0),)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shares": [0.0]}, "0 is not a share of training"),
        ({"shares": [1.5]}, "1.5 is not a share of training"),
        ({"models": [0]}, "models=0 is below 1"),
        ({"order": "largest"}, "no order 'largest'"),
        ({"tail": 0.0}, "tail=0 is not a share of training"),
        ({"policies": [DEFAULT, DEFAULT]}, "Two policies have one name: default, default"),
        ({"objectives": ["mse"]}, "No objective is named 'mse'"),
    ],
)
def test_questions_that_mean_nothing_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        study(TWO, **change)


def test_an_infinite_loss_is_neither_fitted_nor_scored() -> None:
    table = TWO["even"]
    loss = table.column("loss").copy()
    loss[[40, -1]] = np.inf  # of a fitted size, and the target's last
    frame = table.frame
    spoiled = replace(table, frame=frame.with_columns(loss=loss))
    without = replace(table, frame=frame.filter(np.isfinite(loss)))
    found, expected = (study({"even": t}, models=[5]).cells[0] for t in (spoiled, without))
    assert found.mean_abs_error == expected.mean_abs_error
    assert found.target_points == expected.target_points


def test_errors_at_checkpoints_that_were_fitted_are_told_to_be_none_of_a_forecast() -> None:
    fixed = {"A": 400.0, "alpha": 0.34}
    found = study({"even": TWO["even"]}, order="own", shares=(0.3, 0.7, 1.0), fixed=fixed)
    assert [found.is_forecast(cell) for cell in found.cells] == [True, False, False]
    assert "from 70% on hold checkpoints by which it is scored" in found.warnings[0]
    assert {answer.closest for answer in found.cheapest()} == {found.cells[0].mean_abs_error}
    assert found.warnings[0] in study_card(found).caveats
    assert not study({"even": TWO["even"]}, models=[3], shares=(1.0,)).warnings


def test_a_family_of_one_size_has_its_own_beginning() -> None:
    alone = family(sizes=[1e9])
    fixed = {"A": 400.0, "alpha": 0.34}
    (cell,) = study({"alone": alone}, order="own", shares=(0.5,), fixed=fixed).cells
    assert cell.mean_abs_error is not None


def test_smoothing_sees_nothing_of_what_came_after_a_designs_end() -> None:
    calm = replace(DEFAULT, name="calm", smoothing=1.0)
    table = TWO["even"]
    late = table.column("tokens") > 0.501e11
    later = np.where(late, table.column("loss") * 1.3, table.column("loss"))
    other = replace(table, frame=table.frame.with_columns(loss=later))
    found, moved = (
        study({"even": t}, models=[5], shares=(0.5,), policies=[calm]).cells[0]
        for t in (table, other)
    )
    assert found.theta == moved.theta
    rough = study({"even": table}, models=[5], shares=(0.5,)).cells[0]
    assert found.theta != rough.theta


def test_smoothing_the_whole_of_training_is_what_a_fit_under_the_policy_does() -> None:
    calm = replace(DEFAULT, name="calm", smoothing=1.0)
    table = TWO["even"]
    cell = study({"even": table}, models=[5], policies=[calm]).cells[0]
    small = table.where("params < 2e9")
    result = fit("chinchilla", calm.points(LAWS["chinchilla"], small), bootstrap=0)
    assert cell.theta == pytest.approx(dict(result.theta), rel=1e-2)


def test_constants_that_are_all_held_still_need_a_point() -> None:
    held = {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28}
    (cell,) = study({"even": TWO["even"]}, models=[3], shares=(1e-6,), fixed=held).cells
    assert cell.status == "too few points"


def test_a_cache_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="taken' cannot be made a folder"):
        study({"even": TWO["even"]}, models=[3], cache=tmp_path / "taken")
