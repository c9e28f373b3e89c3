from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalewise.core.errors import LawError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.plan.target import Target, answer, answers, nonembed, read, target_at
from scalewise.runs.read import read_runs
from tests.forecast.ladders import ladder
from tests.plan.isoflop_runs import shaped


def test_a_target_is_a_model_or_a_budget_and_never_half_of_both() -> None:
    runs = ladder()
    assert target_at(runs, flops=1e24).asked == "tokens_per_param"
    model = target_at(runs, params=7e9, tokens=2e12)
    assert model.asked == "loss"
    assert model.flops == pytest.approx(8.4e22)
    for half in ({"params": 7e9}, {"params": 7e9, "flops": 1e24}, {}):
        with pytest.raises(UsageError, match="A target is params and tokens, or flops"):
            target_at(runs, **half)
    with pytest.raises(UsageError, match=r"tokens=-1\.0 must be positive"):
        target_at(runs, params=7e9, tokens=-1.0)


def test_the_share_of_embeddings_is_carried_to_the_target() -> None:
    table = shaped()
    sizes = table.column("params"), table.column("params_nonembed")
    largest = int(np.argmax(sizes[0]))
    assert nonembed(table, sizes[0][largest]) == pytest.approx(sizes[1][largest], rel=1e-3)
    assert nonembed(table, 1e12) == pytest.approx(1e12, rel=0.01)


def test_a_reading_agrees_with_the_fit_that_it_reads() -> None:
    result = fit("chinchilla", ladder(), bootstrap=20)
    model = target_at(ladder(), params=7e9, tokens=2e12)
    found = read(result, model)
    assert answer(found, model).value == result.predict(params=7e9, tokens=2e12).loss
    assert found.exponent is not None
    alpha, beta = result.theta["alpha"], result.theta["beta"]
    assert found.exponent.value == pytest.approx(beta / (alpha + beta))
    assert found.exponent.low <= found.exponent.value <= found.exponent.high


def test_what_backtests_found_missing_widens_the_exponent() -> None:
    result = fit("chinchilla", ladder(), bootstrap=20)
    budget = Target(columns={}, flops=1e24)
    plain, wide = (read(replace(result, spread=s), budget).exponent for s in (1.0, 3.0))
    assert plain is not None
    assert wide is not None
    assert wide.value == plain.value
    assert wide.value - wide.low == pytest.approx(3 * (plain.value - plain.low))
    assert wide.high - wide.value == pytest.approx(3 * (plain.high - plain.value))


@pytest.mark.parametrize(
    "target",
    [Target(columns={}, flops=1e24), Target(columns={"params": 7e9, "tokens": 2e12}, flops=8.4e22)],
    ids=["budget", "model"],
)
def test_many_constants_are_read_as_one_is(target: Target) -> None:
    result = fit("chinchilla", ladder(), bootstrap=20)
    theta = {name: result.draws[:, i] for i, name in enumerate(result.law.constant_names)}
    many = answers(result.law, theta, target)
    one = answers(result.law, {name: values[7] for name, values in theta.items()}, target)
    assert many.shape == (20,)
    assert one[0] == pytest.approx(many[7])
    centre = answers(result.law, result.theta, target)[0]
    assert centre == pytest.approx(answer(read(result, target), target).value)


def test_a_law_of_size_alone_cannot_split_a_budget() -> None:
    result = fit("power", ladder(budgets=1), bootstrap=20)
    with pytest.raises(LawError, match="no trade-off"):
        read(result, Target(columns={}, flops=1e24))
    assert read(result, Target(columns={"params": 7e9, "tokens": 1e12}, flops=1e24)).size is None


def test_runs_that_show_no_price_of_tokens_give_no_best_size() -> None:
    sizes = np.geomspace(1e7, 1e9, 9)
    runs = read_runs({
        "params": np.repeat(sizes, 3), "tokens": np.tile([1e9, 4e9, 1.6e10], 9),
        "loss": np.repeat(1.8 + 480 / sizes**0.35, 3),
    })  # fmt: skip
    result = fit("chinchilla", runs, bootstrap=0, fixed={"B": 0.0, "beta": 0.5})
    with pytest.raises(UnfitDataError, match="least at a size of inf"):
        read(result, Target(columns={}, flops=1e24))
