"""Two-step forecasts of task accuracy on the OLMo ladder, against a direct law of error.

    python benchmarks/olmo_two_step.py [--bootstrap 100]

Per task: bits per byte of the correct answer by size and tokens (chinchilla), then error by bits
per byte (error-sigmoid, its ceiling held at the error of guessing), both fitted from 190M to 1.3B
params and tested on the 3.2B models. ``direct`` fits the same additive law to the error itself.
The runs are read from ``../shared/data`` beside the checkout.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.certified.olmo_tables import held_out_test, tasks  # noqa: E402

import scalewise  # noqa: E402 - from this checkout

RUNS = ROOT.parent / "shared" / "data" / "olmo_ladder" / "downstream_ladder.parquet"


def main() -> None:
    """Print one line per task and their means, errors in points of accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--bootstrap", type=int, default=100)
    bootstrap = parser.parse_args().bootstrap
    print(
        f"scalewise {scalewise.__version__}, numpy {np.__version__}, Python "
        f"{platform.python_version()}, {platform.processor() or platform.machine()}, "
        f"{datetime.now(UTC):%Y-%m-%d}"
    )
    begin = time.process_time()
    print(f"{'task':28s} two-step  true bpb  direct  bpb off  inside 90%  cancel")
    rows = []
    for task in tasks(RUNS):
        found = held_out_test(RUNS, task, bootstrap=bootstrap)
        lucky = len(found.backtest.cancelling) / len(found.backtest.points)
        row = (
            100 * found.two_step, 100 * found.at_true_loss, 100 * found.direct,
            100 * found.loss_error, found.backtest.coverage, lucky,
        )  # fmt: skip
        rows.append(row)
        print(_line(task, row))
    print(_line("mean", tuple(np.mean(rows, axis=0))))
    print(f"{time.process_time() - begin:.1f} CPU-s")


def _line(name: str, row: tuple[float, ...]) -> str:
    two, true, direct, loss, inside, lucky = row
    return (
        f"{name:28s} {two:8.2f}  {true:8.2f}  {direct:6.2f}  {loss:6.2f}%  {inside:10.0%}  "
        f"{lucky:6.0%}"
    )


if __name__ == "__main__":
    main()
