from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.forecast.policy import (
    CHOSHEN2024,
    DEFAULT,
    FINALS,
    POLICIES,
    EstimationPolicy,
    Window,
    policy_named,
)
from scalewise.laws.catalogue import LAWS
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

CHINCHILLA = LAWS["chinchilla"]
EVERY = EstimationPolicy(name="every", cut_share=0.0, cut_warmups=0.0, weight="point")


def curves(**columns: object) -> RunTable:
    """Two runs: a long one of ten checkpoints, and one half as long of five."""
    tokens = [*(1e9 * np.arange(1, 11)), *(1e9 * np.arange(1, 6))]
    return read_runs(
        {
            "run_id": ["long"] * 10 + ["short"] * 5,
            "params": [1e8] * 10 + [1e7] * 5,
            "tokens": tokens,
            "loss": [3.0 + 1e9 / t for t in tokens],
            **columns,
        }
    )


def kept_tokens(policy: EstimationPolicy, table: RunTable | None = None) -> dict[str, list[float]]:
    """Billions of tokens of the points that a policy keeps, by run."""
    points = policy.points(CHINCHILLA, table or curves())
    found: dict[str, list[float]] = {}
    for N, D in zip(points.inputs["N"], points.inputs["D"], strict=True):
        found.setdefault("long" if N == 1e8 else "short", []).append(float(D) / 1e9)
    return found


def test_without_cuts_every_checkpoint_counts() -> None:
    assert {run: len(t) for run, t in kept_tokens(EVERY).items()} == {"long": 10, "short": 5}


def test_finals_are_the_last_checkpoint_of_each_run() -> None:
    assert kept_tokens(FINALS) == {"long": [10], "short": [5]}


def test_an_absolute_cut_leaves_out_what_has_at_most_so_many_tokens() -> None:
    found = kept_tokens(replace(EVERY, cut_tokens=3e9))
    assert found == {"long": [4, 5, 6, 7, 8, 9, 10], "short": [4, 5]}


def test_a_relative_cut_is_a_share_of_each_run_or_of_the_longest() -> None:
    own = replace(EVERY, cut_share=0.4)
    assert kept_tokens(own) == {"long": [4, 5, 6, 7, 8, 9, 10], "short": [2, 3, 4, 5]}
    assert kept_tokens(replace(own, window="fitted"))["short"] == [4, 5]


def test_a_cut_by_warmup_leaves_alone_the_runs_whose_warmup_is_unknown() -> None:
    table = curves(warmup_steps=[300] * 10 + [None] * 5, batch_tokens=[1e7] * 15)
    found = kept_tokens(replace(EVERY, cut_warmups=2.0), table)
    assert found == {"long": [6, 7, 8, 9, 10], "short": [1, 2, 3, 4, 5]}


def test_choshen_et_al_drop_the_checkpoints_with_the_most_tokens_of_all() -> None:
    found = kept_tokens(replace(CHOSHEN2024, cut_tokens=0.0))
    assert found == {"long": [1, 2, 3, 4, 5, 6, 7, 8, 9], "short": [1, 2, 3, 4, 5]}


def test_a_share_of_training_ends_at_a_share_of_the_longest_run() -> None:
    tokens, run = curves().column("tokens"), np.repeat([0, 1], [10, 5])
    half = EVERY.keeps(tokens, run, share=0.5)
    assert tokens[half].max() == 5e9
    assert CHOSHEN2024.keeps(10 * tokens, run, share=0.5).sum() == 3 + 3  # 20B, 30B and 40B


def test_a_share_of_training_moves_the_relative_cut_with_it() -> None:
    tokens, run = curves().column("tokens"), np.repeat([0, 1], [10, 5])
    kept = replace(EVERY, cut_share=0.5).keeps(tokens, run, share=0.6)
    assert (tokens[kept] / 1e9).tolist() == [3, 4, 5, 6, 3, 4, 5]


def test_finished_models_beyond_the_share_of_training_are_not_there_yet() -> None:
    assert FINALS.keeps(np.array([1e9, 1e10]), np.array([0, 1]), share=0.5).tolist() == [
        True,
        False,
    ]


def test_every_run_weighs_the_same_however_densely_it_was_logged() -> None:
    points = DEFAULT.points(CHINCHILLA, curves())
    weight = [points.weights[points.cluster == run].sum() for run in range(2)]
    assert weight[0] == pytest.approx(weight[1])
    assert points.weights.mean() == pytest.approx(1.0)
    assert np.all(EVERY.points(CHINCHILLA, curves()).weights == 1.0)


def test_what_was_cut_is_told() -> None:
    points = replace(EVERY, cut_tokens=3e9).points(CHINCHILLA, curves())
    assert points.left_out == ("6 checkpoints before the cut of policy 'every'",)


def test_a_cut_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UnfitDataError, match="leaves none of 15 checkpoints; the longest run has"):
        replace(EVERY, cut_tokens=1e12).points(CHINCHILLA, curves())


def test_annealed_checkpoints_alone_need_to_be_known() -> None:
    only = replace(EVERY, annealed="only")
    with pytest.raises(UnfitDataError, match="no run says which those are"):
        only.points(CHINCHILLA, curves())
    marked = curves(is_annealed=[False] * 9 + [True] + [False] * 4 + [True])
    assert kept_tokens(only, marked) == {"long": [10], "short": [5]}


def test_smoothing_leaves_a_power_of_tokens_as_it_is_and_calms_noise() -> None:
    tokens = np.geomspace(1e9, 1e11, 60)
    noise = np.exp(0.05 * np.random.default_rng(0).standard_normal(60))
    table = {"run_id": ["a"] * 60, "params": [1e8] * 60, "tokens": tokens}
    calm = replace(EVERY, smoothing=0.5)
    straight = calm.prepared(read_runs({**table, "loss": tokens**-0.1}))
    assert straight.column("loss") == pytest.approx(tokens**-0.1, rel=1e-12)
    noisy = calm.prepared(read_runs({**table, "loss": tokens**-0.1 * noise}))
    off = np.log(noisy.column("loss") * tokens**0.1)
    assert off[5:-5].std() < 0.6 * np.log(noise)[5:-5].std()
    assert "window of 0.5 e-folds" in noisy.assumptions[-1]


def test_smoothing_keeps_runs_apart() -> None:
    table = read_runs(
        {
            "run_id": ["a", "a", "a", "b", "b", "b"],
            "tokens": [1e9, 1.1e9, 1.2e9] * 2,
            "loss": [2.0, 2.0, 2.0, 4.0, 4.0, 4.0],
        }
    )
    smooth = replace(EVERY, smoothing=2.0).prepared(table)
    assert smooth.column("loss") == pytest.approx([2, 2, 2, 4, 4, 4])


def test_runs_that_differ_by_their_seed_alone_become_one() -> None:
    table = read_runs(
        {
            "run_id": ["a0", "a0", "a1", "a1", "b0", "b0"],
            "params": [1e7, 1e7, 1e7, 1e7, 1e8, 1e8],
            "tokens": [1e9, 2e9] * 3,
            "seed": [0, 0, 1, 1, 0, 0],
            "loss": [3.0, 2.0, 3.2, 2.4, 1.0, 0.9],
        }
    )
    averaged = replace(EVERY, seeds="averaged").prepared(table)
    assert averaged.text("run_id") == ("a0", "a0", "b0", "b0")
    assert averaged.column("loss") == pytest.approx([3.1, 2.2, 1.0, 0.9])
    assert "6 rows became 4" in averaged.assumptions[-1]


def test_points_without_an_input_of_the_law_do_not_shift_the_others() -> None:
    table = curves(params=[1e8, None] + [1e8] * 8 + [1e7] * 5)
    found = kept_tokens(replace(EVERY, cut_tokens=1.5e9), table)
    assert found == {"long": [3, 4, 5, 6, 7, 8, 9, 10], "short": [2, 3, 4, 5]}


@given(st.floats(0, 0.9), st.floats(0.05, 1.0), st.sampled_from(["run", "fitted"]))
def test_a_stronger_cut_and_less_training_never_keep_more(
    cut: float, share: float, window: Window
) -> None:
    tokens, run = curves().column("tokens"), np.repeat([0, 1], [10, 5])
    policy = replace(EVERY, cut_share=cut, window=window)
    weaker = replace(policy, cut_share=cut / 2)
    kept = policy.keeps(tokens, run, share=share)
    assert not np.any(kept & ~weaker.keeps(tokens, run, share=share))
    assert not np.any(kept & (tokens > share * tokens.max() * (1 + 1e-6)))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)
def test_a_policy_survives_the_way_to_another_process_and_says_what_it_does(
    policy: EstimationPolicy,
) -> None:
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301
    assert str(policy).startswith(f"{policy.name}: ")
    assert policy_named(policy.name) is policy


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cut_share": 1.0}, "cut_share=1 is not a share of a run"),
        ({"cut_tokens": -1.0}, "cut_tokens=-1 is not 0 or more"),
        ({"smoothing": float("inf")}, "smoothing=inf is not 0 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        replace(EVERY, **change)  # type: ignore[arg-type]


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no estimation policy 'mine'.* default, finals, choshen"):
        policy_named("mine")


def test_the_authors_policy_says_itself() -> None:
    assert str(CHOSHEN2024) == (
        "choshen2024: checkpoints of more than 10B tokens, without the last; every point counts "
        "the same; ls; losses in nats per token"
    )


@pytest.mark.parametrize("column", ["loss", "tokens", "params"])
def test_an_infinite_cell_is_left_out_and_does_not_shift_the_others(column: str) -> None:
    table = curves()
    values = table.column(column).copy()
    values[3] = np.inf
    found = kept_tokens(replace(EVERY, cut_tokens=1.5e9), curves(**{column: values}))
    assert found == {"long": [2, 3, 5, 6, 7, 8, 9, 10], "short": [2, 3, 4, 5]}


def test_rows_that_cannot_be_used_are_counted_among_what_is_left_out() -> None:
    loss = curves().column("loss").copy()
    loss[:2] = [np.nan, np.inf]
    points = EVERY.points(CHINCHILLA, curves(loss=loss))
    assert points.left_out == ("2 rows lack a positive loss or tokens",)


def test_averaging_seeds_keeps_an_annealed_end_apart_from_its_trunk() -> None:
    table = read_runs(
        {
            "run_id": ["a", "a", "b", "b"],
            "params": [1e8] * 4,
            "tokens": [1e9] * 4,
            "is_annealed": [False, True] * 2,
            "seed": [0, 0, 1, 1],
            "loss": [3.4, 3.0, 3.6, 3.2],
        }
    )
    averaged = replace(EVERY, seeds="averaged").prepared(table)
    assert averaged.column("loss") == pytest.approx([3.5, 3.1])
    assert averaged.text("run_id") == ("a", "a")


@pytest.mark.parametrize("other", [{"seed": [7, 7]}, {"seed": [0, 1], "d_model": [64, 128]}])
def test_runs_that_differ_by_more_than_their_seed_stay_apart(other: dict[str, list[int]]) -> None:
    table = read_runs(
        {"run_id": ["a", "b"], "params": [1e8] * 2, "tokens": [1e9] * 2, "loss": [3.0, 3.4],
         "decay": [0.0, 0.1], **other}
    )  # fmt: skip
    averaged = replace(EVERY, seeds="averaged").prepared(table)
    assert averaged.column("loss").tolist() == [3.0, 3.4]
    assert averaged.text("run_id") == ("a", "b")


def test_finished_models_of_one_trunk_count_as_they_do_without_a_policy() -> None:
    ends = {"is_final": [False] * 4 + [True] + [False] * 4 + [True] + [False] * 4 + [True]}
    points = FINALS.points(CHINCHILLA, curves(**ends))
    assert len(points) == 3
    assert points.weights.tolist() == [1.0] * 3


@pytest.mark.parametrize("name", ["rows", "window", "weight", "annealed", "seeds"])
def test_a_word_that_no_setting_knows_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}='all' is unknown"):
        replace(EVERY, **{name: "all"})  # type: ignore[arg-type]


def test_smoothing_averages_the_neighbours_within_half_a_window() -> None:
    tokens = 1e9 * np.exp(0.1 * np.arange(7))
    loss = np.array([4.0, 3.0, 3.5, 2.5, 3.2, 2.2, 2.4])
    calm = replace(EVERY, smoothing=0.3)
    smooth = calm.smoothed(tokens, loss, np.zeros(7, dtype=int))
    triples = [np.exp(np.log(loss[i - 1 : i + 2]).mean()) for i in range(1, 6)]
    assert smooth == pytest.approx([loss[0], *triples, loss[-1]])
    shuffled = np.array([3, 0, 6, 1, 5, 2, 4])
    again = calm.smoothed(tokens[shuffled], loss[shuffled], np.zeros(7, dtype=int))
    assert again == pytest.approx(smooth[shuffled])
