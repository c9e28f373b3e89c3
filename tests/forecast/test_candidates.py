"""Which laws a table can carry, and under which parameter count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import LawError, UnfitDataError
from scalewise.forecast.candidates import candidates
from scalewise.laws.catalogue import LAWS, on_count
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

N = np.repeat([1e7, 1e8, 1e9, 1e10], 3)
D = np.tile([1e9, 1e10, 1e11], 4)


def table(**columns: Any) -> RunTable:
    size = len(next(iter(columns.values())))
    return read_runs({**columns, "loss": np.linspace(4, 2, size)})


def keys(runs: RunTable) -> list[str]:
    return [law.key for law in candidates(runs)]


def test_sizes_and_tokens_together_carry_the_laws_of_both() -> None:
    found = keys(table(params=N, tokens=D))
    assert {"chinchilla", "overtraining", "power-flops"} <= set(found)
    assert not {"power", "power-tokens"} & set(found)  # each would leave out what varies


def test_one_token_count_carries_only_laws_of_size() -> None:
    assert keys(table(params=N, tokens=np.full(12, 1e10))) == ["power-flops", "power"]


def test_one_size_carries_only_laws_of_tokens() -> None:
    assert keys(table(params=np.full(12, 1e8), tokens=np.geomspace(1e9, 1e11, 12))) == [
        "power-flops",
        "power-tokens",
    ]


def test_two_values_of_tokens_are_too_few_for_a_law_of_tokens() -> None:
    found = keys(table(params=N, tokens=np.tile([1e9, 1e10], 6)))
    assert "chinchilla" not in found
    assert "power-flops" in found


def test_both_parameter_counts_are_tried_when_both_are_known() -> None:
    found = keys(table(params=N, params_nonembed=0.8 * N, tokens=D))
    assert {"chinchilla", "chinchilla@params_nonembed"} <= set(found)
    assert {"kaplan-overfit", "kaplan-overfit@params"} <= set(found)


def test_runs_that_differ_in_nothing_carry_no_law() -> None:
    text = r"No law can be told apart.*: 1 value of params, 1 value of tokens\..*name a law"
    with pytest.raises(UnfitDataError, match=text):
        candidates(table(params=np.full(5, 1e8), tokens=np.full(5, 1e9)))


def test_named_laws_are_taken_as_they_are() -> None:
    runs = table(params=N, tokens=D)
    mine = LAWS["kaplan-params"]
    assert [law.key for law in candidates(runs, ["power", mine])] == ["power", "kaplan-params"]
    with pytest.raises(LawError, match=r"No law is named 'powr'\. Did you mean 'power'"):
        candidates(runs, ["powr"])


def test_a_law_on_another_count_keeps_its_formula_and_says_so_in_its_key() -> None:
    law = on_count(LAWS["chinchilla"], "params_nonembed")
    assert law.key == "chinchilla@params_nonembed"
    assert law.formula == LAWS["chinchilla"].formula
    assert law.columns == ("params_nonembed", "tokens")
    assert law.published == ()  # those hold for the other count
    assert law.unit("A") == "nats/token * params_nonembed**alpha"


def test_a_law_on_its_own_count_is_itself() -> None:
    assert on_count(LAWS["chinchilla"], "params") is LAWS["chinchilla"]
