"""Tables with far more rows than points: the same answer, found on a sample first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalewise.fit.engine import fit
from scalewise.fit.points import points_of
from scalewise.fit.search import LARGE
from scalewise.laws.catalogue import law_named, published_named

Array = np.ndarray[Any, np.dtype[Any]]


def table(count: int, seed: int = 0) -> dict[str, Array]:
    law, published = published_named("besiroglu2024")
    rng = np.random.default_rng(seed)
    N, D = np.exp(rng.uniform(np.log([[1e7], [1e8]]), np.log([[1e10], [1e12]]), (2, count)))
    loss = law.value(published.theta, N=N, D=D) * np.exp(0.01 * rng.standard_normal(count))
    return {"run_id": np.arange(count), "params": N, "tokens": D, "loss": loss}


def test_rows_repeated_many_times_move_no_constant_and_no_interval() -> None:
    once = table(300)
    often = {name: np.tile(values, 20) for name, values in once.items()}
    plain = fit("chinchilla", once, bootstrap=100)
    found = fit("chinchilla", often, rows="all", bootstrap=100)
    assert len(often["loss"]) > LARGE
    assert found.theta == pytest.approx(plain.theta, rel=1e-7)
    assert found.objective_value == pytest.approx(20 * plain.objective_value)
    assert (found.points, found.runs) == (300, 300)
    assert found.warnings == ("6,000 rows repeat 300 points, which count so many times.",)
    np.testing.assert_allclose(found.draws, plain.draws, rtol=1e-4)


def test_points_of_different_runs_are_never_merged() -> None:
    once = table(30)
    often = {name: np.tile(values, 2) for name, values in once.items()}
    assert len(points_of(law_named("chinchilla"), often, rows="all").merged()) == 30
    often["run_id"] = np.arange(60)
    assert len(points_of(law_named("chinchilla"), often, rows="all").merged()) == 60


def test_a_search_that_begins_on_a_sample_ends_on_every_point() -> None:
    runs = table(3 * LARGE)
    found = fit("chinchilla", runs, bootstrap=0)
    law = found.law
    for name, step in (("E", 1e-5), ("A", 0.05), ("B", 0.5), ("alpha", 1e-5), ("beta", 1e-5)):
        for sign in (-1, 1):
            near = {**found.theta, name: found.theta[name] + sign * step}
            residuals = np.log(law.value(near, N=runs["params"], D=runs["tokens"]) / runs["loss"])
            assert found.objective.total(residuals, np.ones(len(residuals))) > found.objective_value
    assert found.certificate.agreeing <= found.certificate.refined
    assert found.points == 3 * LARGE


def test_with_very_many_points_intervals_come_from_the_covariance() -> None:
    runs = table(LARGE)
    often = {name: np.tile(values, 2) for name, values in runs.items()}
    often["tokens"] = often["tokens"] * np.repeat([1.0, 1.0001], LARGE)
    few = fit("chinchilla", often, rows="all", bootstrap=200)
    many = fit("chinchilla", often, rows="all", bootstrap=3000)
    assert few.resampling == "pairs bootstrap by run"
    assert many.resampling == "normal approximation, clustered by run"
    np.testing.assert_allclose(few.draws.std(axis=0), many.draws.std(axis=0), rtol=0.25)
