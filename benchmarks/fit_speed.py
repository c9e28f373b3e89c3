"""CPU time of a Chinchilla fit beside the original authors' method, on the same points.

    python benchmarks/fit_speed.py [--sample 450]

The method of Hoffmann et al. 2022 (sec. D.3), as Besiroglu et al. 2024 repeated it: L-BFGS-B with
finite differences from a grid of 4500 starts on the log-sum-exp form. ``--sample`` runs a random
part of the starts and extrapolates. The bootstrap is timed against BFGS with the analytic
gradient, one start per resample.

The 240 extracted points are read from ``../shared/data`` beside the checkout; without them as
many are simulated from the published constants, and the first line says which.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import scipy
from scipy.optimize import minimize

import scalewise
from scalewise.fit.engine import fit
from scalewise.laws.catalogue import published_named
from scalewise.runs.read import read_runs

Array = np.ndarray[Any, np.dtype[Any]]

POINTS = Path(__file__).resolve().parents[2] / "shared/data/chinchilla_epoch/points.parquet"
DELTA = 1e-3
GRID = ((0, 5, 10, 15, 20, 25), (0, 5, 10, 15, 20, 25), (-1, -0.5, 0, 0.5, 1),
        (0, 0.5, 1, 1.5, 2), (0, 0.5, 1, 1.5, 2))  # fmt: skip
AT_OPTIMUM = 1e-4  # share by which an objective may exceed the best to count as having reached it
TIMES = 20
RESAMPLES, REFERENCE_RESAMPLES = 4000, 100


def points() -> tuple[dict[str, Array], str]:
    """The 240 points that the authors kept, or as many simulated ones."""
    if POINTS.exists():
        frame = pl.read_parquet(POINTS)
        frame = frame.filter(pl.col("loss") < frame["loss"].sort(descending=True)[4])
        columns = {c: frame[c].to_numpy() for c in ("params", "tokens", "loss")}
        return columns, "240 points extracted by Besiroglu et al. 2024"
    law, published = published_named("besiroglu2024")
    rng = np.random.default_rng(0)
    N, C = np.exp(rng.uniform(np.log([[6e7], [1.5e18]]), np.log([[1.5e10], [1e22]]), (2, 240)))
    loss = law.value(published.theta, N=N, D=C / 6 / N) * np.exp(0.0075 * rng.standard_normal(240))
    return {"params": N, "tokens": C / 6 / N, "loss": loss}, "240 simulated points, seed 0"


def cpu(action: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process, and what the action returned."""
    before = time.process_time()
    result = action()
    return time.process_time() - before, result


class Reference:
    """The authors' objective in (a, b, e, alpha, beta), with A = exp(a) and so on."""

    def __init__(self, runs: Mapping[str, Array]) -> None:
        self.log_n, self.log_d, self.log_loss = (
            np.log(runs[c]) for c in ("params", "tokens", "loss")
        )

    def _terms(self, x: Array) -> tuple[Array, Array]:
        a, b, e, alpha, beta = x
        terms = np.stack(
            [a - alpha * self.log_n, b - beta * self.log_d, np.full_like(self.log_n, e)]
        )
        top = terms.max(axis=0)
        return terms, top + np.log(np.exp(terms - top).sum(axis=0))

    def value(self, x: Array) -> float:
        """The sum that is minimised."""
        _, total = self._terms(x)
        size = np.abs(total - self.log_loss)
        return float(np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2)).sum())

    def value_and_gradient(self, x: Array, weights: Array) -> tuple[float, Array]:
        """The weighted sum and its derivatives."""
        terms, total = self._terms(x)
        residual = total - self.log_loss
        size, share = np.abs(residual), np.exp(terms - total)
        rho = np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2))
        slope = weights * np.clip(residual, -DELTA, DELTA)
        by_n, by_d, by_e = share * slope
        gradient = [by_n.sum(), by_d.sum(), by_e.sum(), -by_n @ self.log_n, -by_d @ self.log_d]
        return float(weights @ rho), np.array(gradient)

    def search(self, starts: Array) -> Array:
        """The objective that each start ends at."""
        with np.errstate(all="ignore"):
            return np.array([minimize(self.value, x, method="L-BFGS-B").fun for x in starts])

    def resample(self, x: Array, count: int) -> None:
        """Refit ``count`` resamples of the points from ``x``."""
        rng = np.random.default_rng(42)
        n = len(self.log_n)
        for weights in rng.multinomial(n, np.full(n, 1 / n), size=count):
            minimize(self.value_and_gradient, x, args=(weights,), jac=True, method="BFGS")


def reference_starts(sample: int) -> Array:
    every = np.array(list(product(*GRID)), dtype=float)
    if sample >= len(every):
        return every
    return every[np.random.default_rng(0).choice(len(every), sample, replace=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sample", type=int, default=4500, help="starts of the reference to run")
    options = parser.parse_args()
    runs, source = points()
    print(f"{source}; {datetime.now(UTC):%Y-%m-%d}; {platform.machine()}, {os.cpu_count()} cores")
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"scalewise {scalewise.__version__}; CPU seconds of one process"
    )

    reading, table = cpu(lambda: read_runs(runs))
    first, ours = cpu(lambda: fit("chinchilla", table, bootstrap=0))
    times = [cpu(lambda: fit("chinchilla", table, bootstrap=0))[0] for _ in range(TIMES)]
    own = median(times)
    print(f"\nscalewise fit        {1e3 * own:8.1f} ms, median of {TIMES}")
    print(f"  first {1e3 * first:.1f}, least {1e3 * min(times):.1f}; reading {1e3 * reading:.1f}")
    agreeing, refined = ours.certificate.agreeing, ours.certificate.refined
    print(f"  objective {ours.objective_value:.12f}, {agreeing} of {refined} descents agree")

    reference = Reference(runs)
    starts = reference_starts(options.sample)
    spent, ends = cpu(lambda: reference.search(starts))
    whole = spent / len(starts) * 4500
    note = f", extrapolated from {len(starts)} starts" if len(starts) < 4500 else ""
    print(f"4500-start L-BFGS-B  {whole:8.1f} s{note}")
    best = min(float(np.nanmin(ends)), ours.objective_value)
    reached = float(np.mean(ends <= best * (1 + AT_OPTIMUM)))
    print(f"  objective {np.nanmin(ends):.12f}, {reached:.1%} of starts reach the optimum")
    print(f"ratio                {whole / own:8.0f} times less CPU")

    boot, _ = cpu(lambda: fit("chinchilla", table, bootstrap=RESAMPLES))
    theta = ours.theta
    logs = [np.log(theta[name]) for name in ("A", "B", "E")]
    x = np.array([*logs, theta["alpha"], theta["beta"]])
    theirs, _ = cpu(lambda: reference.resample(x, REFERENCE_RESAMPLES))
    theirs *= RESAMPLES / REFERENCE_RESAMPLES
    print(f"\n{RESAMPLES} resamples, ours  {boot - own:8.2f} s")
    ratio = theirs / (boot - own)
    print(f"  BFGS with gradient {theirs:8.2f} s, extrapolated from {REFERENCE_RESAMPLES}")
    print(f"ratio                {ratio:8.0f} times less CPU")


if __name__ == "__main__":
    main()
