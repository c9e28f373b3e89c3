"""The six-constant trajectory: inverses of each other, limits, schedules, units and draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalewise.core.errors import LawError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.storage import read_fit
from scalewise.forecast.trajectory import CONSTANTS, Trajectory
from scalewise.laws.catalogue import law_named
from tests.forecast.simulated_curves import TRUTH, curves

KAPLAN = Trajectory.kaplan2020()


def drawn(count: int = 40, spread: float = 0.01) -> Trajectory:
    """Kaplan's constants with draws around them."""
    centre = np.array([getattr(KAPLAN, name) for name in CONSTANTS])
    noise = np.random.default_rng(0).standard_normal((count, len(CONSTANTS)))
    return replace(KAPLAN, draws=centre * np.exp(spread * noise))


@given(
    size=st.floats(1e3, 1e12), step=st.floats(1.0, 1e8), batch=st.floats(1e2, 1e10),
    alpha_S=st.floats(0.3, 1.5), alpha_B=st.floats(0.1, 1.0),
)  # fmt: skip
@settings(max_examples=100)
def test_loss_and_steps_are_inverses(
    size: float, step: float, batch: float, alpha_S: float, alpha_B: float
) -> None:
    path = replace(KAPLAN, alpha_S=alpha_S, alpha_B=alpha_B)
    loss = path.loss(size, step, batch)
    assert loss >= path.floor(size)
    # An excess far below the floor cannot be told from it in 53 bits.
    if loss - path.floor(size) > 1e-5 * loss:
        assert path.steps(size, loss, batch) == pytest.approx(step, rel=1e-9)


def test_unlimited_batch_is_the_law_of_minimum_steps() -> None:
    step = np.geomspace(10, 1e7, 5)
    law = law_named("kaplan-steps")
    theta = read_fit("kaplan2020-steps").theta
    np.testing.assert_allclose(KAPLAN.loss(1e8, step), law.value(theta, N=1e8, S=step), rtol=1e-14)
    np.testing.assert_allclose(KAPLAN.loss(1e8, step, 1e30), KAPLAN.loss(1e8, step), rtol=1e-12)


def test_small_batches_spend_the_fewest_tokens() -> None:
    tokens = 1e-3 * KAPLAN.steps(1e8, 3.0, 1e-3)
    assert tokens == pytest.approx(KAPLAN.tokens_min(1e8, 3.0), rel=1e-6)


def test_the_critical_batch_doubles_steps_tokens_and_compute() -> None:
    batch = KAPLAN.critical_batch(3.0)
    steps = KAPLAN.steps(1e8, 3.0, batch)
    assert steps == pytest.approx(2 * KAPLAN.steps_min(1e8, 3.0))
    assert batch * steps == pytest.approx(2 * KAPLAN.tokens_min(1e8, 3.0))
    flops = 6 * 1e8 * batch * steps
    assert KAPLAN.flops_min_of(flops, batch, 3.0) == pytest.approx(KAPLAN.flops_min(1e8, 3.0))
    assert KAPLAN.steps_min_of(steps, batch, 3.0) == pytest.approx(steps / 2)


def test_arguments_broadcast_and_scalars_give_floats() -> None:
    losses = KAPLAN.loss(np.array([[1e7], [1e8]]), np.array([1e3, 1e4, 1e5]), 2**19)
    assert np.shape(losses) == (2, 3)
    assert type(KAPLAN.loss(1e8, 1e4, 2**19)) is float
    assert np.asarray(losses)[1, 1] == pytest.approx(KAPLAN.loss(1e8, 1e4, 2**19), rel=1e-14)


def test_the_local_critical_batch_is_the_slope_of_tokens_over_steps() -> None:
    low, high = 2.999, 3.001
    rise = KAPLAN.tokens_min(1.5e9, low) - KAPLAN.tokens_min(1.5e9, high)
    run = KAPLAN.steps_min(1.5e9, low) - KAPLAN.steps_min(1.5e9, high)
    assert KAPLAN.local_critical_batch(1.5e9, 3.0) == pytest.approx(rise / run, rel=1e-4)


def test_a_schedule_of_one_batch_cut_in_stages_ends_where_one_stage_does() -> None:
    cut = KAPLAN.loss_through(1e8, [(2**19, 1e3), (2**19, 4e3), (2**19, 5e3)])
    assert cut[-1] == pytest.approx(KAPLAN.loss(1e8, 1e4, 2**19), rel=1e-12)
    assert np.all(np.diff(cut) < 0)


def test_a_schedule_takes_sizes_as_an_array_and_an_unlimited_batch() -> None:
    sizes = np.array([1e7, 1e9])
    losses = KAPLAN.loss_through(sizes, [(2**18, 1e3), (np.inf, 1e4)])
    assert losses.shape == (2, 2)
    first = KAPLAN.loss_through(1e9, [(2**18, 1e3), (np.inf, 1e4)])
    np.testing.assert_allclose(losses[:, 1], first, rtol=1e-12)


def test_larger_batches_last_beat_larger_batches_first_at_equal_tokens_and_steps() -> None:
    up = KAPLAN.loss_through(1e9, [(2**17, 2e4), (2**21, 2e4)])[-1]
    down = KAPLAN.loss_through(1e9, [(2**21, 2e4), (2**17, 2e4)])[-1]
    assert up < down


def test_counting_loss_in_bits_scales_losses_and_leaves_steps() -> None:
    factor = 1 / np.log(2)
    bits = drawn().to_units(factor)
    assert bits.loss(1e8, 1e4, 2**19) == pytest.approx(factor * KAPLAN.loss(1e8, 1e4, 2**19))
    assert bits.steps(1e8, 3.0 * factor, 2**19) == pytest.approx(KAPLAN.steps(1e8, 3.0, 2**19))
    for ours, theirs in zip(
        bits.bounds(lambda t: t.loss(1e8, 1e4, 2**19)),
        drawn().bounds(lambda t: t.loss(1e8, 1e4, 2**19)),
        strict=True,
    ):
        assert ours == pytest.approx(factor * theirs)
    assert bits.ranges["loss"] == pytest.approx((3 * factor, 10 * factor))


def test_the_interval_of_an_answer_is_that_of_its_draws_one_by_one() -> None:
    path, sizes = drawn(count=21), np.array([1e7, 1e9])
    low, high = path.bounds(lambda t: t.loss(sizes, 1e4, 2**19), level=0.75)
    one_by_one = [
        replace(KAPLAN, **dict(zip(CONSTANTS, draw, strict=True))).loss(sizes, 1e4, 2**19)
        for draw in path.draws
    ]
    ordered = np.sort(np.array(one_by_one), axis=0)
    np.testing.assert_allclose(low, ordered[2], rtol=1e-12)
    np.testing.assert_allclose(high, ordered[18], rtol=1e-12)


def test_published_constants_have_no_interval() -> None:
    low, high = KAPLAN.bounds(lambda t: t.floor(1e9))
    assert low == high == KAPLAN.floor(1e9)
    assert "no interval is known" in KAPLAN.warnings[0]


def test_draws_that_cannot_reach_a_loss_take_steps_without_end() -> None:
    near = 1.001 * float(KAPLAN.floor(1e9))
    low, high = drawn().bounds(lambda t: t.steps_min(1e9, near))
    assert low < KAPLAN.steps_min(1e9, near)
    assert high == np.inf


def test_a_wild_draw_does_not_spoil_the_interval_of_the_others() -> None:
    path = drawn()
    draws = path.draws.copy()
    draws[7] = np.nan
    spoilt = replace(path, draws=draws)
    assert len(spoilt.draws) == len(draws) - 1
    low, high = spoilt.bounds(lambda t: t.loss(1e9, 1e4, 2**19))
    assert low < KAPLAN.loss(1e9, 1e4, 2**19) < high


def test_a_loss_at_the_floor_is_refused_with_floor_and_value() -> None:
    floor = float(KAPLAN.floor(1.5e9))
    with pytest.raises(
        LawError, match=r"A loss of 2\.2 nats/token is out of reach of 1\.5e\+09 .* 2\.2753"
    ):
        KAPLAN.steps(1.5e9, [3.0, 2.2], 2**19)
    with pytest.raises(LawError, match="out of reach"):
        KAPLAN.flops_min(1.5e9, floor)
    assert np.isfinite(KAPLAN.steps_min(1.5e9, floor * (1 + 1e-9)))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: KAPLAN.loss(-1.0, 1e3, 1e5), r"params_nonembed=-1 must be positive and finite"),
        (lambda: KAPLAN.loss(1e8, np.array([1e3, 0.0])), "step=0 must be positive and finite"),
        (lambda: KAPLAN.loss(1e8, 1e3, float("nan")), "batch_tokens=nan must be positive"),
        (lambda: KAPLAN.critical_batch(np.inf), "loss=inf must be positive and finite"),
        (lambda: KAPLAN.flops_min_of(1e20, np.inf, 3.0), "batch_tokens=inf must be positive and"),
        (lambda: KAPLAN.loss_through(1e8, [(1e5, 0.0)]), "steps=0 must be positive"),
        (lambda: KAPLAN.bounds(lambda t: t.floor(1e8), level=90), "level=90 is not a probability"),
    ],
)  # fmt: skip
def test_values_that_are_no_counts_are_refused(ask: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ask()


def test_constants_that_are_none_are_refused() -> None:
    with pytest.raises(LawError, match=r"S_c=-1\.0 is no constant of a trajectory"):
        replace(KAPLAN, S_c=-1.0)


def test_doubts_name_what_leaves_the_range_behind_the_constants() -> None:
    (doubt,) = KAPLAN.doubts(params_nonembed=1e9, loss=2.5)
    assert doubt.startswith("loss lies x1.2 outside the range 3 to 10")
    assert KAPLAN.doubts(params_nonembed=1e9, loss=3.5) == ()
    # 3 as a report prints it: a count or loss of the range itself, rounded.
    assert KAPLAN.doubts(params_nonembed=1.502e9, loss=2.999) == ()


def test_a_trajectory_of_two_fits_pairs_their_draws() -> None:
    law, theta = law_named("kaplan-steps"), read_fit("kaplan2020-steps").theta
    N, S = (v.ravel() for v in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(2e3, 1e5, 5)))
    noise = np.exp(0.002 * np.random.default_rng(1).standard_normal(N.size))
    runs = {"params_nonembed": N, "steps_min": S, "loss": noise * law.value(theta, N=N, S=S)}
    steps = fit(law, runs, bootstrap=30)
    batch = read_fit("kaplan2020-critical-batch-appendix-a")
    path = Trajectory.of(steps, batch)
    assert path.draws.shape == (30, 6)
    assert path.N_c == steps.theta["N_c"]
    assert np.all(path.draws[:, CONSTANTS.index("B_star")] == 2.1e8)
    low, high = path.bounds(lambda t: t.loss(1e9, 1e5, 2**19))
    assert low < KAPLAN.loss(1e9, 1e5, 2**19) < high
    assert path.ranges["params_nonembed"] == pytest.approx((1e6, 1e8))


def test_a_fit_of_another_law_is_refused() -> None:
    with pytest.raises(LawError, match="needs a fit of 'kaplan-steps'; this is one of 'chinchill"):
        Trajectory.of(read_fit("besiroglu2024"), read_fit("kaplan2020-critical-batch-appendix-a"))


# A floor, and a critical batch that goes by tokens ------------------------------------------------

FLOORED = replace(KAPLAN, E=1.2)
BY_TOKENS = replace(KAPLAN, critical_by="tokens", B_star=30.0, alpha_B=1 / 0.45)


@pytest.mark.parametrize("path", [FLOORED, BY_TOKENS], ids=["floor", "tokens"])
def test_every_form_answers_both_ways_alike(path: Trajectory) -> None:
    step, batch = np.geomspace(30, 1e7, 7)[:, None], 2.0 ** np.array([12, 19, 26])
    loss = path.loss(1e8, step, batch)
    again = np.asarray(path.steps(1e8, loss, batch))
    np.testing.assert_allclose(again, np.broadcast_to(step, (7, 3)), rtol=1e-9)
    least = np.asarray(path.steps_min_of(step, batch, loss))
    np.testing.assert_allclose(least, path.steps_min(1e8, loss), rtol=1e-9)
    unlimited = path.loss(1e8, 1e4)
    assert unlimited == path.floor(1e8) + (path.S_c / 1e4) ** path.alpha_S


@pytest.mark.parametrize("path", [FLOORED, BY_TOKENS], ids=["floor", "tokens"])
def test_every_form_has_its_critical_batch_between_fewest_tokens_and_fewest_steps(
    path: Trajectory,
) -> None:
    loss = path.loss(1e8, 1e4, 2**19)
    fewest, tokens = path.steps_min(1e8, loss), path.tokens_min(1e8, loss)
    assert path.critical_batch(loss, 1e8) == pytest.approx(tokens / fewest)
    assert 1e-3 * path.steps(1e8, loss, 1e-3) == pytest.approx(tokens, rel=1e-3)
    up, down = (path.loss(1e8, 1e4 * f, 2**19) for f in (0.999, 1.001))
    slope = (path.tokens_min(1e8, down) - path.tokens_min(1e8, up)) / (
        path.steps_min(1e8, down) - path.steps_min(1e8, up)
    )
    assert path.local_critical_batch(1e8, loss) == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("path", [FLOORED, BY_TOKENS], ids=["floor", "tokens"])
def test_every_form_follows_a_schedule(path: Trajectory) -> None:
    cut = path.loss_through(1e8, [(2**19, 1e3), (2**19, 4e3), (2**19, 5e3)])
    assert cut[-1] == pytest.approx(path.loss(1e8, 1e4, 2**19), rel=1e-12)


def test_a_floor_is_added_to_the_loss_of_every_size() -> None:
    assert FLOORED.floor(1e9) == pytest.approx(1.2 + KAPLAN.floor(1e9))
    assert FLOORED.loss(1e9, 1e4) == pytest.approx(1.2 + KAPLAN.loss(1e9, 1e4))
    bits = FLOORED.to_units(1 / np.log(2))
    assert bits.loss(1e8, 1e4, 2**19) == pytest.approx(FLOORED.loss(1e8, 1e4, 2**19) / np.log(2))


def test_a_critical_batch_by_tokens_is_that_of_the_tokens_and_keeps_its_unit() -> None:
    loss = BY_TOKENS.loss(1e8, 1e4, 2**19)
    batch = BY_TOKENS.critical_batch(loss, 1e8)
    assert batch == pytest.approx(30.0 * BY_TOKENS.tokens_min(1e8, loss) ** 0.45)
    bits = BY_TOKENS.to_units(1 / np.log(2))
    assert bits.critical_batch(loss / np.log(2), 1e8) == pytest.approx(batch)
    with pytest.raises(UsageError, match="a power of the tokens seen: a loss alone has none"):
        BY_TOKENS.critical_batch(loss)


def test_steps_by_tokens_stay_endless_where_a_draw_cannot_reach_a_loss() -> None:
    near = 1.001 * float(BY_TOKENS.floor(1e9))
    path = replace(BY_TOKENS, draws=np.array([[1e14, 0.077, 2.1e3, 0.76, 30.0, 2.2]] * 3))
    low, high = path.bounds(lambda t: t.steps(1e9, near, 2**19))
    assert low == high == np.inf


def test_draws_of_a_power_of_tokens_that_outgrows_them_are_dropped() -> None:
    good = [8e13, 0.077, 2.1e3, 0.76, 30.0, 2.2]
    draws = np.array([good, [*good[:5], 0.9], good])
    assert len(replace(BY_TOKENS, draws=draws).draws) == 2
    with pytest.raises(LawError, match=r"alpha_B=0\.9 is no constant of a trajectory"):
        replace(BY_TOKENS, alpha_B=0.9)


@pytest.mark.parametrize(
    ("law", "path"),
    [("trajectory", TRUTH), ("trajectory-floor", replace(TRUTH, E=1.4, N_c=1e9, alpha_N=0.25)),
     ("trajectory-tokens", replace(TRUTH, critical_by="tokens", B_star=30.0, alpha_B=1 / 0.45))],
)  # fmt: skip
def test_a_joint_fit_becomes_the_trajectory_behind_its_curves(law: str, path: Trajectory) -> None:
    result = fit(law, curves(path, point=1e-4), rows="all", bootstrap=5)
    found = Trajectory.from_fit(result)
    assert found.critical_by == path.critical_by
    assert found.loss(1e9, 1e5, 2**20) == pytest.approx(path.loss(1e9, 1e5, 2**20), rel=1e-3)
    given = {"params_nonembed": 1e9, "step": 1e5, "batch_tokens": 2**20}
    assert found.loss(*given.values()) == pytest.approx(result.predict(**given).loss, rel=1e-12)
    assert found.draws.shape == (5, 7 if "floor" in law else 6)
    low, high = found.bounds(lambda t: t.loss(1e9, 1e5, 2**20))
    assert low < high
    assert found.ranges["loss"] == (result.observed.min(), result.observed.max())


def test_a_fit_of_curves_by_another_law_is_refused() -> None:
    with pytest.raises(
        LawError, match=r"fit of one of 'trajectory', .* this is one of 'chinchilla'"
    ):
        Trajectory.from_fit(read_fit("besiroglu2024"))


def test_the_published_trajectory_is_that_of_its_parts() -> None:
    found = Trajectory.from_fit(read_fit("kaplan2020-trajectory"))
    assert found.loss(1.5e9, 1e5, 2**19) == KAPLAN.loss(1.5e9, 1e5, 2**19)
    assert len(found.draws) == 0
