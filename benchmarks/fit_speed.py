"""CPU time of our own fits beside the limits they are to keep.

    python benchmarks/fit_speed.py

One Chinchilla fit to 240 points under each objective; 4000 resamples of it, solved to
convergence, whose standard errors are compared with certified ones; and a table of 10,000 points
written out a hundred times, as checkpoints are, with the memory it takes. Other packages are
timed by ``peers.py``.

The 240 extracted points are read from ``../shared/data`` beside the checkout; without them as
many are simulated from the published constants, and the first line says which.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

import scalewise
from scalewise.fit.engine import fit
from scalewise.fit.objective import objective_named
from scalewise.fit.points import points_of
from scalewise.fit.search import descend
from scalewise.fit.space import space_of
from scalewise.laws.catalogue import published_named
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

POINTS = Path(__file__).resolve().parents[2] / "shared/data/chinchilla_epoch/points.parquet"
TIMES = 20
RESAMPLES = 4000
CHUNK = 400  # resamples descended together: their arrays stay in a core's cache
# Of 4000 converged resamples of the authors' own draws, Besiroglu et al. 2024.
CERTIFIED = {"A": 124.494, "B": 1293.169, "E": 0.02566, "alpha": 0.01540, "beta": 0.02059}


def points() -> tuple[dict[str, Array], str]:
    """The 240 points that the authors kept, or as many simulated ones."""
    if POINTS.exists():
        frame = pl.read_parquet(POINTS)
        frame = frame.filter(pl.col("loss") < frame["loss"].sort(descending=True)[4])
        columns = {c: frame[c].to_numpy() for c in ("params", "tokens", "loss")}
        return columns, "240 points extracted by Besiroglu et al. 2024"
    return simulated(240), "240 simulated points, seed 0"


def simulated(count: int) -> dict[str, Array]:
    """Points off the constants of Besiroglu et al. 2024 by as much as theirs are."""
    law, published = published_named("besiroglu2024")
    rng = np.random.default_rng(0)
    N, C = np.exp(rng.uniform(np.log([[6e7], [1.5e18]]), np.log([[1.5e10], [1e22]]), (2, count)))
    loss = law.value(published.theta, N=N, D=C / 6 / N)
    return {
        "params": N,
        "tokens": C / 6 / N,
        "loss": loss * np.exp(0.0075 * rng.standard_normal(count)),
    }


def cpu(action: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process and its children, and what the action returned."""
    before = _spent()
    result = action()
    return _spent() - before, result


def _spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def machine() -> str:
    """The date and what the numbers were measured on."""
    model = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {model}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; python {platform.python_version()}, numpy {np.__version__}, "
        f"scalewise {scalewise.__version__}; CPU seconds"
    )


def point_fits(table: RunTable) -> None:
    for objective in ("huber-log", "lad-log", "ls-log", "ls"):

        def action(objective: str = objective) -> Any:
            return fit("chinchilla", table, objective=objective, bootstrap=0)

        first, result = cpu(action)
        times = [cpu(action)[0] for _ in range(TIMES)]
        agreeing, refined = result.certificate.agreeing, result.certificate.refined
        print(
            f"{objective:10} {1e3 * median(times):7.1f} ms of {TIMES} (least "
            f"{1e3 * min(times):.1f}, first {1e3 * first:.1f}), objective "
            f"{result.objective_value:.12g}, {agreeing} of {refined} descents agree"
        )


def certified_resamples(table: RunTable) -> None:
    """Refit the authors' own draws, each to convergence."""
    result = fit("chinchilla", table, bootstrap=0)
    data, goal = points_of(result.law, table), objective_named("huber-log")
    space = space_of(result.law, data, goal, bounds={}, fixed={})
    drawn = np.random.RandomState(42).choice(len(data), size=(RESAMPLES, len(data)))
    weights = np.stack([np.bincount(rows, minlength=len(data)) for rows in drawn]).astype(float)
    observed, begin = goal.observed(data.observed), space.q_of(result.theta)

    def action() -> Any:
        found = [
            descend(space, np.tile(begin, (len(w), 1)), observed, w, warm=True)
            for w in np.split(weights, RESAMPLES // CHUNK)
        ]
        return np.concatenate([f.q for f in found]), sum(int(f.converged.sum()) for f in found)

    spent, (q, converged) = cpu(action)
    theta = space.theta(q)
    print(f"\n{RESAMPLES} resamples {spent:7.2f} s, {converged} converged")
    for name, certified in CERTIFIED.items():
        error = theta[name].std(ddof=1)
        print(
            f"  standard error of {name:5} {error:10.5g}, {error / certified - 1:+.2%} of certified"
        )


def many_rows() -> None:
    """A million rows that repeat 10,000 points."""
    table = {name: np.tile(values, 100) for name, values in simulated(10_000).items()}
    spent, result = cpu(lambda: fit("chinchilla", table, rows="all", bootstrap=0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{result.points} rows {spent:11.2f} s, {peak:.2f} GiB at most in this process")


def main() -> None:
    runs, source = points()
    print(f"{source}; {machine()}")
    reading, table = cpu(lambda: read_runs(runs))
    print(f"reading    {1e3 * reading:7.1f} ms")
    point_fits(table)
    certified_resamples(table)
    many_rows()


if __name__ == "__main__":
    main()
