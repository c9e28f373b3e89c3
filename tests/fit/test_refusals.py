"""Questions that a fit refuses, each with the fact, the value and the mend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from scalewise.core.errors import LawError, RunDataError, ScalewiseError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from tests.fit.simulated_runs import simulated, take


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"objective": "mse"}, UsageError, r"No objective is named 'mse'\. Known.*huber-log, lad"),
        ({"objective": "ls", "delta": 0.1}, UsageError, r"delta=0\.1 was given.*'ls'.*leave delta"),
        ({"delta": 0.0}, UsageError, r"delta=0 must be positive\. Use objective lad-log"),
        ({"delta": float("nan")}, UsageError, r"delta=nan must be positive"),
        ({"bootstrap": -1}, UsageError, r"bootstrap=-1 is negative"),
        ({"bounds": {"gamma": (0, 1)}}, LawError, r"has no constant 'gamma'\. It has E, A, B"),
        ({"fixed": {"gamma": 1.0}}, LawError, r"has no constant 'gamma'\. It has E, A, B"),
        ({"bounds": {"alpha": (1, 0)}}, LawError, r"alpha has bounds \(1, 0\)\. Lower bound first"),
        ({"bounds": {"alpha": (0, float("nan"))}}, LawError, r"alpha has bounds \(0, nan\)"),
        ({"bounds": {"A": (-5, -1)}}, LawError, r"A is at most -1, and an amplitude cannot be neg"),
        ({"fixed": {"A": -3.0}}, LawError, r"A is at most -3.*give a value above 0"),
        ({"fixed": {"alpha": float("nan")}}, LawError, r"alpha is fixed at nan\. Give a finite"),
        ({"weights": np.ones(3)}, RunDataError, r"shape \(3,\) and least value 1\. Give 30 finite"),
        ({"weights": np.array([])}, RunDataError, r"weights have shape \(0,\)\. Give 30 finite"),
        ({"weights": np.full(30, np.nan)}, RunDataError, r"least value nan\. Give 30 finite"),
        ({"weights": -np.ones(30)}, RunDataError, r"least value -1\. Give 30.*none negative"),
        ({"weights": np.zeros(30)}, RunDataError, r"No usable point is left of 30.*weight 0"),
        ({"weights": "trust"}, RunDataError, r"no column 'trust'"),
    ],
)
def test_a_malformed_question_is_refused(
    options: Mapping[str, Any], kind: type[ScalewiseError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        fit("chinchilla", simulated(), **options)


def test_an_unknown_law_names_the_known_ones() -> None:
    with pytest.raises(LawError, match=r"No law is named 'chinchila'\. Did you mean 'chinchilla'"):
        fit("chinchila", simulated())


def test_fewer_points_than_free_constants_are_too_few() -> None:
    few = take(simulated(), np.arange(4))
    with pytest.raises(UnfitDataError, match=r"'chinchilla' has 5 free constants.*are 4 points\."):
        fit("chinchilla", few)
    assert fit("chinchilla", few, fixed={"alpha": 0.34, "beta": 0.36}, bootstrap=0).points == 4


@pytest.mark.parametrize("column", ["eval_set", "tokenizer"])
def test_losses_that_cannot_be_compared_are_refused(column: str) -> None:
    mixed: dict[str, Any] = {**simulated(), column: ["c4"] * 15 + ["pile"] * 15}
    text = rf"mix 2 values of {column}: 'c4', 'pile'.*where=\"{column} == 'c4'\""
    with pytest.raises(UnfitDataError, match=text):
        fit("chinchilla", mixed)


@pytest.mark.parametrize("column", ["loss", "params"])
def test_a_negative_value_is_refused_with_its_row(column: str) -> None:
    runs = simulated()
    runs[column] = np.where(np.arange(30) == 3, -1.0, runs[column])
    text = rf'{column} is negative at 1 point, first -1 in row 4\..*where="{column} > 0"'
    with pytest.raises(RunDataError, match=text):
        fit("chinchilla", runs)


def test_rows_that_are_left_out_are_counted_aloud() -> None:
    runs = simulated()
    runs["loss"] = np.where(np.arange(30) == 3, np.nan, runs["loss"])
    runs["tokens"] = np.where(np.arange(30) == 4, 0.0, runs["tokens"])
    weights = np.where(np.arange(30) == 5, 0.0, 1.0)
    result = fit("chinchilla", runs, weights=weights, bootstrap=0)
    assert result.points == 27
    assert result.warnings == (
        "1 points have weight 0; left out of the fit.",
        "1 points lack tokens; left out of the fit.",
        "1 points lack loss; left out of the fit.",
    )
    kept = np.delete(np.arange(30), [3, 4, 5])
    alone = fit("chinchilla", take(simulated(), kept), bootstrap=0)
    assert result.theta == pytest.approx(alone.theta, rel=1e-9)


def test_a_law_of_a_column_that_is_not_there_names_what_is() -> None:
    runs = {"params": np.geomspace(1e6, 1e9, 5), "loss": np.linspace(4.0, 3.0, 5)}
    with pytest.raises(RunDataError, match="'power-flops' needs flops; the table has params") as e:
        fit("power-flops", runs)
    assert "--map flops=COLUMN" in e.value.hint


def test_the_runs_that_were_given_are_left_as_they_were() -> None:
    runs = simulated()
    before = {column: values.copy() for column, values in runs.items()}
    fit("chinchilla", runs, bootstrap=20)
    for column, values in before.items():
        np.testing.assert_array_equal(runs[column], values)


def test_runs_on_texts_that_differ_under_one_name_are_refused() -> None:
    table = {
        "params": np.geomspace(1e6, 1e8, 8),
        "loss": np.linspace(4.0, 3.0, 8),
        "corpus_fingerprint": ["aaaa"] * 4 + ["bbbb"] * 4,
    }
    with pytest.raises(UnfitDataError, match="2 values of corpus_fingerprint: 'aaaa', 'bbbb'"):
        fit("power", table)
