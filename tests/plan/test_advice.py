from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError
from scalewise.fit.engine import fit
from scalewise.fit.priors import Prior
from scalewise.fit.profile import profile
from scalewise.fit.result import t_quantile
from scalewise.forecast.fitted_rows import fitted_rows
from scalewise.forecast.noise import noise_split
from scalewise.laws.catalogue import LAWS
from scalewise.plan.additions import additions, forecaster, told_half
from scalewise.plan.advice import (
    Advice,
    advise,
    next_in_line,
    points_table,
    settings_of,
    unfit_advice,
)
from scalewise.plan.diagnosis import Diagnosis, diagnose
from scalewise.plan.fit_limits import early_part, loose_constants, odd_size, scatter, unannealed
from scalewise.plan.influence import influence
from scalewise.plan.limits import (
    Check,
    Limit,
    Unknown,
    case_of,
    few_sizes,
    flat_tokens,
    narrow_sizes,
    token_factor,
)
from scalewise.plan.target import FitSettings, read, target_at
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.forecast.ladders import TRUTH
from tests.forecast.repeated_runs import repeated
from tests.plan.isoflop_runs import shaped
from tests.shared_data import shared_table

FAR: dict[str, Any] = {"params": 7e9, "tokens": 1.4e11}


LADDER = list(np.geomspace(1e7, 2e9, 7))
RATIOS = [5.0, 20, 80, 320]


def grid(sizes: list[float], ratios: list[float], *, noise: float = 0.003) -> RunTable:
    """Every size on every number of tokens per param."""
    N, R = (np.array(v).reshape(-1) for v in np.meshgrid(sizes, ratios, indexing="ij"))
    off = np.exp(noise * np.random.default_rng(0).standard_normal(len(N)))
    loss = LAWS["chinchilla"].value(TRUTH, N=N, D=N * R) * off
    names = [f"run-{i}" for i in range(len(N))]
    return read_runs({"run_id": names, "params": N, "tokens": N * R, "loss": loss})


@pytest.fixture(scope="module")
def looked_into() -> Diagnosis:
    return diagnose("chinchilla", grid(LADDER, RATIOS), objective="ls-log", bootstrap=40, **FAR)


@pytest.fixture(scope="module")
def sound(looked_into: Diagnosis) -> Advice:
    return advise(looked_into)


Told = Callable[..., dict[str, Limit | Unknown]]


@pytest.fixture
def told(looked_into: Diagnosis) -> Told:
    """What some checks find on another table, with its own fit and the ladder's sensitivity."""

    def found(table: RunTable, *checks: Check, **at: Any) -> dict[str, Limit | Unknown]:
        rows, target = at.pop("rows", "finals"), {**FAR, **at}
        bounds = target.pop("bounds", None)
        settings: FitSettings = {"objective": "ls-log", "bootstrap": 40, "bounds": bounds}
        used = fitted_rows(LAWS["chinchilla"], table, rows)
        result = fit("chinchilla", used, rows="all", **settings)
        case = case_of(
            replace(
                looked_into,
                result=result,
                target=target_at(used, **target),
                noise=noise_split(result, used, rows="all"),
                influence=influence("chinchilla", table, rows=rows, **target, **settings),
                profiles=(profile(result, "E"),),
                table=table,
                rows=rows,
                settings=settings,
            )
        )
        return {one.name: one for check in checks for one in check(case)}

    return found


def limit(one: Limit | Unknown) -> Limit:
    assert isinstance(one, Limit)
    return one


def effect_of(one: Limit | Unknown) -> float:
    effect = limit(one).effect
    assert effect is not None
    return effect


def test_a_sound_ladder_is_not_limited_by_its_design(sound: Advice) -> None:
    names = {one.name for one in sound.limits}
    assert names.isdisjoint({"few sizes", "narrow sizes", "flat tokens", "early part"})
    assert {"few sizes", "narrow sizes", "flat tokens"} <= {one.name for one in sound.clear}
    assert set(sound.unknown) >= {"noise between seeds", "un-annealed points"}


def test_limits_come_by_effect_and_each_has_its_number_mend_and_rule(sound: Advice) -> None:
    for some in (sound.limits, sound.clear):
        effects = [one.effect or 0.0 for one in some]
        assert effects == sorted(effects, reverse=True)
        for one in some:
            assert np.isfinite(one.value)
            assert one.fact.endswith(".")
            assert one.mend
            assert one.rule


def test_four_sizes_of_a_narrow_range_are_told_with_what_one_more_would_do(told: Told) -> None:
    table = grid([1e8, 1.5e8, 2e8, 3e8], RATIOS)
    found = told(table, few_sizes, narrow_sizes, params=7e10, tokens=1.4e12)
    few, narrow = limit(found["few sizes"]), limit(found["narrow sizes"])
    assert few.limits
    assert few.value == 4
    assert "missed by 8.6% on average" in few.fact
    assert narrow.limits
    assert narrow.value == pytest.approx(7e10 / 3e8)
    assert "Sizes span ×3" in narrow.fact
    assert effect_of(narrow) > effect_of(few)
    assert "size half way to the target" in narrow.told


def test_tokens_in_step_with_size_are_flat(told: Told) -> None:
    flat = limit(told(grid(LADDER, [20, 26]), flat_tokens)["flat tokens"])
    assert flat.limits
    assert flat.value < 2
    assert effect_of(flat) > 0
    assert "±" in flat.told or "×/÷" in flat.told


@pytest.mark.parametrize(
    ("tokens", "factor"),
    [([2e9] * 4, 1.0), ([2e8, 4e8, 8e8, 16e8], 1.0), ([1e9, 8e9, 1e9, 8e9], 7.2)],
)
def test_the_token_factor_is_that_at_equal_size(tokens: list[float], factor: float) -> None:
    sizes = np.array([1e7, 2e7, 4e7, 8e7])
    assert token_factor(sizes, np.array(tokens)) == pytest.approx(factor, rel=0.5)


def test_a_spoiled_size_is_the_odd_one_and_nobody_drops_it(told: Told) -> None:
    table = grid(LADDER, RATIOS)
    sizes, loss = table.column("params"), table.column("loss").copy()
    loss[np.isclose(sizes, LADDER[3])] *= 1.05
    table = replace(table, frame=table.frame.with_columns(loss=loss))
    odd = limit(told(table, odd_size)["odd size"])
    assert "Without the size 141M (4 points)" in odd.fact
    assert "do not drop it" in odd.mend


def test_repeats_split_the_scatter_into_seeds_and_lack_of_fit(told: Told) -> None:
    found = told(repeated(seeds=3, sizes=6, budgets=3), scatter)
    assert set(found) == {"noise between seeds", "lack of fit"}
    assert limit(found["noise between seeds"]).value > limit(found["lack of fit"]).value
    assert effect_of(found["noise between seeds"]) > effect_of(found["lack of fit"]) >= 0
    bent = told(repeated(seeds=3, sizes=6, budgets=3, bend=0.03), scatter)
    assert limit(bent["lack of fit"]).limits
    assert "more seeds will not help" in limit(bent["lack of fit"]).mend


def test_scatter_without_repeats_is_told_unsplit(told: Told) -> None:
    found = told(grid(LADDER, RATIOS), scatter)
    assert set(found) == {"noise between seeds", "scatter"}
    assert isinstance(found["noise between seeds"], Unknown)
    assert "other seeds" in limit(found["scatter"]).mend


def test_running_models_among_finished_ones_are_measured_by_leaving_them_out(told: Told) -> None:
    table = grid(LADDER, RATIOS)
    hot = np.tile([True, False, False, True, False, True, True], 4)
    loss = np.where(hot, table.column("loss") * 1.03, table.column("loss"))
    columns = {"loss": loss, "is_annealed": ~hot, "is_final": np.ones(len(hot), bool)}
    mixed = replace(table, frame=table.frame.with_columns(**columns))
    found = limit(told(mixed, unannealed)["un-annealed points"])
    assert found.limits
    assert found.value == hot.sum()
    assert effect_of(found) > 0.005
    assert "the interval would be" in found.told
    assert isinstance(told(table, unannealed)["un-annealed points"], Unknown)


def test_the_beginning_of_curves_is_cut_to_see_what_it_does(told: Told) -> None:
    rows = [
        {"run_id": f"n{N:g}", "params": N, "tokens": D, "step": D / 1e6, "schedule": "constant",
         "loss": float(LAWS["chinchilla"].value(TRUTH, N=N, D=D)) * (1 + 2e8 / D) ** 0.2}
        for N in np.geomspace(1e7, 1e9, 6) for D in np.geomspace(2e8, 2e10, 12)
    ]  # fmt: skip
    found = told(read_runs(rows), early_part, unannealed, rows="all")
    assert set(found) == {"early part"}  # under a constant rate no point is un-annealed
    early = limit(found["early part"])
    assert "of the first" in early.fact
    assert effect_of(early) > 0.001


def test_a_constant_at_its_bound_is_a_limit_with_the_forecast_at_its_other_end(
    told: Told,
) -> None:
    found = told(grid(LADDER, RATIOS), loose_constants, bounds={"E": (1.75, 10.0)})
    loose = limit(found["loose E"])
    assert "stopped at its bound, 1.75" in loose.fact
    assert "--fix" in loose.mend
    assert told(grid(LADDER, RATIOS), loose_constants) == {}


def test_the_verdict_names_the_difference_that_can_be_seen(sound: Advice) -> None:
    assert sound.unsure >= sound.half_width
    quiet = replace(sound, limits=())
    for half, word in ((0.03, "as good as the 4%"), (0.1, "more than the 4%"), (0.4, "hidden")):
        assert word in replace(quiet, half_width=half).verdict
    assert str(quiet) == "Nothing that was looked at limits it beyond its rule."


@pytest.mark.parametrize(("params", "tokens"), [(6e9, 1.2e11), (1e9, 2e12), (2e10, 4e11)])
def test_the_narrowing_of_one_more_run_agrees_with_the_fit_that_has_it(
    params: float, tokens: float
) -> None:
    # Least squares on many runs: the linear update must match the interval of the larger fit.
    table = grid(list(np.geomspace(1e7, 1e9, 9)), [5.0, 12, 30, 80, 200], noise=0.004)
    target = target_at(table, params=2e10, tokens=4e11)
    small = fit("chinchilla", table, objective="ls-log", bootstrap=600)
    loss = float(small.law.value(small.theta, N=params, D=tokens))
    one = {"run_id": "extra", "params": params, "tokens": tokens, "loss": loss}
    rows = table.frame.select("run_id", "params", "tokens", "loss").to_dicts()
    large = fit("chinchilla", read_runs([*rows, one]), objective="ls-log", bootstrap=600)
    now, then = (forecaster(result, target) for result in (small, large))
    assert now.with_run({"params": params, "tokens": tokens}) == pytest.approx(then.half, rel=0.08)
    assert now.with_run({"params": params, "tokens": tokens}) < now.half


def test_runs_that_could_be_added_come_by_what_they_take_away(sound: Advice) -> None:
    taken = [one.narrowing for one in sound.added]
    assert taken == sorted(taken, reverse=True)
    assert all(0 <= one.narrowing < 1 for one in sound.added)
    larger = [one for one in sound.added if "larger" in one.kind]
    assert all(one.params < FAR["params"] for one in larger)
    best = sound.best
    assert best is None or best.narrowing >= 0.05
    if best is not None:
        assert "should narrow the interval from" in sound.help
    assert "computed under chinchilla" in sound.help


def test_where_constants_are_open_neither_verdict_nor_help_promises_anything(sound: Advice) -> None:
    steady = replace(sound, limits=(), half_width=0.03, added=(replace(sound.added[0], spent=0.1),))
    assert "a refit found 0.7 to 1.5 times that half width" in steady.help
    open_ = replace(sound.clear[0], name="loose E", limits=True, effect=0.01)
    doubted = replace(steady, limits=(open_,))
    assert doubted.loose == ("E",)
    assert "as good as" not in doubted.verdict
    assert "perhaps not by more either: the runs leave E open" in doubted.verdict
    assert "with E open even that is a guess" in doubted.help


def test_a_costly_run_is_proposed_only_where_no_cheap_one_helps(sound: Advice) -> None:
    one = sound.added[0]
    cheap = replace(one, kind="cheap", spent=0.2, narrowing=0.1)
    dear = replace(one, kind="dear", spent=5.0, narrowing=0.4)
    tiny = replace(one, kind="tiny", spent=0.1, narrowing=0.01)
    assert replace(sound, added=(dear, cheap, tiny)).best == cheap
    assert replace(sound, added=(dear, tiny)).best == dear
    assert replace(sound, added=(tiny,)).best is None
    assert "No single run" in replace(sound, added=(tiny,)).help


def test_a_budget_is_advised_on_too(looked_into: Diagnosis) -> None:
    result, table = looked_into.result, grid(LADDER, RATIOS)
    found = forecaster(result, target_at(table, flops=1e22))
    assert found.noise == 0
    assert found.known == found.half
    assert additions(found, table)[0].narrowing > 0


def test_a_fit_is_advised_on_with_its_own_settings_and_points(sound: Advice) -> None:
    table = grid(LADDER, RATIOS)
    result = fit("chinchilla", table, objective="ls-log", fixed={"E": 1.7}, bootstrap=120, seed=3)
    assert settings_of(result) == {
        "objective": "ls-log", "delta": None, "bootstrap": 120, "seed": 3, "fixed": {"E": 1.7},
    }  # fmt: skip
    assert points_table(result).run_count == len(table)
    own = advise(fit("chinchilla", table, objective="ls-log", bootstrap=40), **FAR)
    assert own.answer is not None
    assert sound.answer is not None
    assert own.answer.value == pytest.approx(sound.answer.value, rel=1e-9)


def test_priors_come_back_in_the_units_in_which_they_were_given() -> None:
    priors = {"E": Prior(1.7, 0.1), "A": Prior(400.0, 80.0)}
    result = fit("chinchilla", grid(LADDER, RATIOS), priors=priors, bootstrap=0)
    stated = settings_of(result)["priors"]
    assert stated is not None
    for name, prior in priors.items():
        assert stated[name].mean == pytest.approx(prior.mean)
        assert stated[name].sd == pytest.approx(prior.sd)


def test_the_next_run_in_line_has_ten_times_the_compute_of_the_largest() -> None:
    table = grid([1e7, 3e7, 1e8, 3e8], [5, 20, 80])
    result = fit("chinchilla", table, bootstrap=0)
    target = next_in_line(result)
    assert target["params"] * target["tokens"] == pytest.approx(10 * 3e8 * 3e8 * 80)
    assert target["tokens"] / target["params"] == pytest.approx(80)


def test_a_law_of_non_embedding_params_has_the_same_next_run_in_line() -> None:
    table = shaped()
    result = fit("chinchilla@params_nonembed", table, bootstrap=0)
    asked = next_in_line(result)
    assert asked == pytest.approx(next_in_line(fit("chinchilla", table, bootstrap=0)))
    assert read(result, target_at(table, **asked)).loss.value > 0
    assert next_in_line(replace(result, ranges={})) == {}


def test_runs_that_determine_no_law_are_advised_on_by_their_design() -> None:
    table = grid(LADDER, [20.0])
    frame = table.frame.with_columns(tokens=np.full(7, 2e10))
    flat = replace(table, frame=frame)
    with pytest.raises(UnfitDataError) as caught:
        diagnose("chinchilla", flat, **FAR)
    found = unfit_advice("chinchilla", flat, caught.value, **FAR)
    assert found.answer is None
    assert [one.name for one in found.limits] == ["undetermined law", "flat tokens"]
    assert "every run saw 20B tokens" in found.limits[1].fact
    assert found.best is None
    assert "no forecast to defend" in found.verdict


def test_half_widths_are_told_as_percentages_until_they_are_factors() -> None:
    assert told_half(0.0312, 2) == "±3.12%"
    assert told_half(float("inf")) == "without end"


def test_a_table_without_tokens_has_no_runs_to_add(looked_into: Diagnosis) -> None:
    found = forecaster(looked_into.result, looked_into.target)
    assert additions(found, read_runs({"params": [1e6, 2e6], "loss": [4.0, 3.9]})) == ()


def test_on_chinchilla_the_badly_trained_points_and_the_objective_move_the_forecast() -> None:
    table = read_runs(shared_table("chinchilla_epoch/points.parquet"))
    found = advise(diagnose("chinchilla", table, params=7e10, tokens=1.4e12, bootstrap=60))
    names = [one.name for one in found.limits]
    assert {"choice of objective", "early part", "choice of outlier rule"} <= set(names)
    assert {"few sizes", "narrow sizes", "flat tokens"} <= {one.name for one in found.clear}


def test_on_gpt3_ends_alone_the_tokens_are_flat() -> None:
    path = shared_table("gpt3_curves/curves.parquet")
    table = read_runs(path, where="eval_set == 'val' and params < 20B")
    with pytest.raises(UnfitDataError) as caught:
        diagnose("chinchilla", table, params=1.75e11, tokens=3e11, bootstrap=60)
    found = unfit_advice("chinchilla", table, caught.value, params=1.75e11, tokens=3e11)
    assert "flat tokens" in [one.name for one in found.limits]


def test_a_new_run_teaches_a_fit_of_absolute_deviations_less(looked_into: Diagnosis) -> None:
    plain = case_of(looked_into).forecast
    goal = replace(plain.result.objective, delta=1e-9)
    robust = replace(plain, result=replace(plain.result, objective=goal))
    columns = target_at(looked_into.table, params=2e9, tokens=1e11).columns
    assert plain.with_run(columns) < robust.with_run(columns) < plain.half


def test_a_new_run_that_tells_nothing_of_the_answer_still_tells_of_the_noise(
    looked_into: Diagnosis,
) -> None:
    found = replace(case_of(looked_into).forecast, gradient=np.zeros(5))
    result = found.result
    degrees = min(result.points - 5, result.runs - 1)
    ratio = t_quantile(0.95, degrees + 1) / t_quantile(0.95, degrees)
    columns = target_at(looked_into.table, params=2e9, tokens=1e11).columns
    assert found.with_run(columns) == pytest.approx(np.hypot(found.known, found.noise * ratio))
