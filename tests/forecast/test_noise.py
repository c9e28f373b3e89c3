from __future__ import annotations

import numpy as np
import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.forecast.noise import NoiseSplit, noise_split
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.forecast.repeated_runs import repeated
from tests.shared_data import shared_table


def split(table: RunTable, **settings: object) -> NoiseSplit:
    return noise_split(fit("chinchilla", table, bootstrap=0, **settings), table)  # type: ignore[arg-type]


def test_a_true_law_misses_no_more_than_seeds_do() -> None:
    found = split(repeated(noise=0.004))
    assert found.part("run-to-run").sd == pytest.approx(0.004, rel=0.25)
    assert found.part("total").sd == pytest.approx(0.004, rel=0.25)
    assert found.part("lack of fit").low == 0.0
    assert found.test is not None
    assert found.test.p > 0.05


def test_a_law_that_misses_is_told_from_noise() -> None:
    found = split(repeated(noise=0.002, bend=0.01), objective="ls-log")
    assert found.part("run-to-run").sd == pytest.approx(0.002, rel=0.25)
    lack = found.part("lack of fit")
    assert lack.sd == pytest.approx(0.01, rel=0.3)
    assert lack.low is not None
    assert lack.low > 0.005
    assert found.verdict.startswith("The law misses by more than run-to-run noise explains (F = ")


def test_the_parts_add_up_in_variance() -> None:
    found = split(repeated(noise=0.003, bend=0.004))
    total, run, lack = (found.part(n).sd for n in ("total", "run-to-run", "lack of fit"))
    assert total**2 == pytest.approx(run**2 + lack**2)


def test_the_test_is_wrong_about_as_often_as_it_says() -> None:
    wrong = 0
    for seed in range(40):
        test = split(repeated(seeds=2, sizes=5, budgets=3, seed=seed), objective="ls-log").test
        assert test is not None
        wrong += test.p < 0.1
    assert wrong <= 9  # of 40, where 4 are expected: chance exceeds this once in 130


def test_without_repeats_parts_are_unknown_and_not_zero() -> None:
    found = split(repeated(seeds=1))
    assert set(found.unknown) == {"run-to-run", "lack of fit", "evaluation"}
    assert [part.name for part in found.parts] == ["total"]
    with pytest.raises(UnfitDataError, match="'run-to-run' is unknown: No two of 24 runs agree"):
        found.part("run-to-run")


def test_the_stated_error_of_the_evaluation_is_a_part_of_its_own() -> None:
    found = split(repeated(seeds=1, noise=0.01, loss_se=0.003))
    part = found.part("evaluation")
    assert part.low is None
    assert 0.001 < part.sd < 0.0015  # 0.003 nats of losses between 2 and 3.2
    rest = found.part("run-to-run and lack of fit")
    assert rest.sd**2 + part.sd**2 == pytest.approx(found.part("total").sd ** 2)
    assert any("one evaluation set" in warning for warning in found.warnings)


def test_few_repeats_and_absent_seeds_are_told() -> None:
    table = repeated(seeds=1)
    again = {name: [table.frame[name][0]] for name in ("params", "tokens")}
    rows = {name: table.column(name).tolist() for name in ("params", "tokens", "loss")}
    more = {**again, "loss": [rows["loss"][0] * 1.004]}
    found = split(read_runs({name: rows[name] + more[name] for name in rows}))
    assert any("rests on 1 degrees of freedom" in warning for warning in found.warnings)
    assert any("no seed column" in warning for warning in found.warnings)


def test_the_runs_must_be_those_of_the_fit() -> None:
    result = fit("chinchilla", repeated(seed=1), bootstrap=0)
    with pytest.raises(UsageError, match="made on 72 other points than these 72"):
        noise_split(result, repeated(seed=2))


def test_the_stored_intervals_of_gadre_give_the_evaluation_noise() -> None:
    """0.04 % of the loss on c4_val, from the authors' 95 % intervals over sequences."""
    table = read_runs(
        shared_table("gadre_overtraining/losses.parquet"),
        mapping={"loss_low95": "loss_lo95_seq", "loss_high95": "loss_hi95_seq"},
        where="eval_set == 'c4_val' and corpus == 'c4_original'",
    )
    assert np.all(table.column("loss_se") > 0)
    found = noise_split(fit("overtraining", table, bootstrap=0), table)
    assert found.part("evaluation").sd == pytest.approx(0.0004, rel=0.6)
    assert "run-to-run" in found.unknown
