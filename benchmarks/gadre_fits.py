"""CPU time of the 24 fits of Gadre et al. 2024, and how far every printed cell is from ours.

    python benchmarks/gadre_fits.py [--repeat 5]

Three training sets by eight evaluation sets, five runs each, by least squares (arXiv:2403.08540).
Reading the tables is not timed. ``scipy`` is the authors' way: Levenberg-Marquardt from 128 starts.
The runs are read from ``../shared/data`` beside the checkout, the cells from the tests.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy
from scipy.optimize import curve_fit

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.certified.gadre_tables import (  # noqa: E402
    CORPORA,
    FIVE,
    MEANS,
    loss_errors,
    losses,
    mean_errors,
    printed_cells,
)

import scalewise  # noqa: E402 - from this checkout
from scalewise.fit.engine import fit  # noqa: E402

FOLDER = ROOT.parent / "shared" / "data" / "gadre_overtraining"
LOSSES, EVALS = FOLDER / "losses.parquet", FOLDER / "evals.parquet"
EVAL_SETS = (
    "c4_val", "openlm", "paloma_c4_en", "paloma_redpajama", "paloma_falcon-refinedweb",
    "paloma_dolma_100_programing_languages", "paloma_ptb", "de-en",
)  # fmt: skip
Runs = dict[str, Any]


def main() -> None:
    """Print the times of the 24 fits together, then the deviations of the cells by figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    print(
        f"scalewise {scalewise.__version__}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"Python {platform.python_version()}, {platform.processor() or platform.machine()}, "
        f"{datetime.now(UTC):%Y-%m-%d}"
    )
    tables = [five_runs(corpus, name) for corpus, name in product(CORPORA, EVAL_SETS)]
    fit("overtraining", tables[0], objective="ls", bootstrap=0)  # imports and caches
    for label, work in ways().items():
        seconds, squares = timed(work, tables, repeat if "scipy" not in label else 1)
        print(f"{label:34s} {seconds:7.3f} CPU-s for 24 fits, sum of squares {squares:.9e}")
    for figure, (count, worst) in deviations().items():
        print(f"{figure}: {count} cells, largest deviation from the printed {worst:.4f} points")


def five_runs(corpus: str, eval_set: str) -> Runs:
    """The five fitted runs, as arrays."""
    table = losses(LOSSES, corpus, eval_set).where(FIVE)
    return {name: table.column(name) for name in ("params", "tokens", "loss")}


def ways() -> dict[str, Callable[[Runs], float]]:
    """Ways of fitting one table, each giving the sum of squares that it reached."""

    def ours(bootstrap: int) -> Callable[[Runs], float]:
        return lambda runs: (
            fit("overtraining", runs, objective="ls", bootstrap=bootstrap).objective_value
        )

    return {
        "ours, no intervals": ours(0),
        "ours, 300 resamples": ours(300),
        "scipy, 128 starts": from_128_starts,
    }


def from_128_starts(runs: Runs) -> float:
    """The released code's way: curve_fit from a grid of starts, the lowest residual kept."""

    def law(at: Any, A: float, B: float, exponent: float, E: float) -> Any:
        return E + A * at[0] ** exponent + B * at[1] ** exponent

    inputs = np.stack([runs["params"], runs["tokens"]])
    amplitudes, best = (100.0, 300.0, 1000.0, 3000.0), np.inf
    for start in product(amplitudes, amplitudes, (-0.1, -0.3), (0.0, 1.0, 2.0, 10.0)):
        try:
            theta, _ = curve_fit(law, inputs, runs["loss"], p0=start, maxfev=10_000)
        except RuntimeError:
            continue
        best = min(best, float(np.sum((law(inputs, *theta) - runs["loss"]) ** 2)))
    return best


def timed(work: Callable[[Runs], float], tables: list[Runs], repeat: int) -> tuple[float, float]:
    """Median CPU time over all tables, and the sum of what they reached."""
    times, total = [], 0.0
    for _ in range(repeat):
        begin = time.process_time()
        total = sum(work(runs) for runs in tables)
        times.append(time.process_time() - begin)
    return median(times), total


def deviations() -> dict[str, tuple[int, float]]:
    """By figure: how many cells, and the farthest from the printed number in points."""
    found: dict[str, tuple[int, float]] = {}
    for cell in printed_cells():
        place = (cell.params, cell.multiplier)
        if cell.quantity in MEANS:
            percent = 100 * mean_errors(EVALS, cell.corpus, cell.quantity)[place].relative_error
        else:
            percent = loss_errors(LOSSES, cell.corpus, cell.quantity)[place]
        count, worst = found.get(cell.figure, (0, 0.0))
        found[cell.figure] = (count + 1, max(worst, abs(abs(percent) - cell.printed)))
    return found


if __name__ == "__main__":
    main()
