"""The grid of Choshen et al. 2024 end to end: CPU time, the same table everywhere, and our default.

    OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 python benchmarks/choshen_grid.py [--quick]

Their protocol over 46 families, every number of models, a tenth to all of training, with their cut
of 10B tokens and without it; theirs took 240 CPU seconds per 1000 laws (spec of the data, 2-core
VM). Then the same in two processes and on a Ray of two workers, which must give identical cells;
``--quick`` leaves that out. Last, held-out errors of our default policy beside theirs on the nine
identifiable families, with the naive rules.

Reads ``colpret/perf_slim.csv.gz`` of ``../shared/data`` beside the checkout.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

import scalewise
from scalewise.forecast.backtest import Policy, held_out_points
from scalewise.forecast.choose import choose
from scalewise.forecast.mappers import map_here, map_processes
from scalewise.forecast.policy import CHOSHEN2024, DEFAULT
from scalewise.forecast.splits import loss_rows, split_at
from scalewise.forecast.study import Study, families_of, study
from scalewise.forecast.study_cell import Cell
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from scalewise.train.ray_map import map_ray

RUNS = Path(__file__).resolve().parents[2] / "shared/data/colpret/perf_slim.csv.gz"
COLUMNS = {"run_id": "model", "params": "N", "tokens": "D", "loss": "perf"}
SHARES = tuple(i / 10 for i in range(1, 11))
POLICIES = (CHOSHEN2024, replace(CHOSHEN2024, name="nocut", cut_tokens=0.0))
THEIRS = 240.0  # CPU seconds per 1000 laws
NINE = (
    "OPT", "OPT in ln", "gpt3", "chinchilla", "pythia", "pythia-deduped", "pythia-v0",
    "pythia-deduped-v0", "pythia-intervention-deduped", "t5-pile",
)  # fmt: skip


def frame() -> pl.DataFrame:
    table = pl.read_csv(RUNS, infer_schema_length=None)
    return table.filter(pl.col("family") != "")


def grid(mapper: Any = map_here) -> Study:
    """All that their script does: read, take apart, fit and score."""
    families = families_of(read_runs(frame(), mapping=COLUMNS))
    return study(families, policies=POLICIES, shares=SHARES, mapper=mapper)


def cpu(action: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU seconds of this process, wall seconds, and what the action returned."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    result = action()
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, time.perf_counter() - begun, result


def machine() -> str:
    model = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    threads = ", ".join(
        f"{name}={os.environ.get(name, 'unset')}"
        for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {model}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; python {platform.python_version()}, numpy {np.__version__}, "
        f"scalewise {scalewise.__version__}; {threads}"
    )


def speed() -> Study:
    spent, wall, found = cpu(grid)
    fitted = sum(bool(cell.theta) for cell in found.cells)
    scored = sum(cell.mean_abs_error is not None for cell in found.cells)
    per_thousand = 1000 * spent / fitted
    print(
        f"{len(found.families)} families, {len(found.cells)} cells, {fitted} laws fitted, {scored} "
        f"scored: {spent:.1f} CPU s ({wall:.1f} s of wall)\n"
        f"1000 laws end to end: {per_thousand:.1f} CPU s, theirs {THEIRS:.0f}: "
        f"{THEIRS / per_thousand:.0f} times less"
    )
    return found


def everywhere(found: Study) -> None:
    for name, mapper in (("two processes", map_processes(2)), ("Ray, two workers", map_ray())):
        _, wall, other = cpu(partial(grid, mapper))
        print(f"{name}: {wall:.1f} s of wall, identical: {other.cells == found.cells}")


def nine() -> dict[str, RunTable]:
    table = frame()
    opt = table.filter(pl.col("family") == "OPT").with_columns(
        pl.lit("OPT in ln").alias("family"), pl.col("perf").log()
    )
    every = families_of(read_runs(pl.concat([table, opt]), mapping=COLUMNS))
    return {name: every[name] for name in NINE}


def leaderboard() -> None:
    """All smaller models, the last 30 % of the largest."""
    found = study(nine(), policies=(CHOSHEN2024, DEFAULT))
    print(f"\n{'family':28} {'theirs':>8} {'one law':>8} {'auto':>8} {'ratio':>6} {'inside':>7} "
          f"{'best seen':>10} {'most compute':>13}  laws of auto")  # fmt: skip
    rows: dict[str, tuple[float, float, float]] = {}
    for family, table in nine().items():
        cells = {c.policy: c for c in found.cells if c.family == family}  # the last: most models
        theirs, ours = error(cells["choshen2024"]), cells["default"]
        auto, inside, laws = automatic(table)
        rows[family] = (theirs, error(ours), auto)
        print(
            f"{family:28} {theirs:8.2%} {error(ours):8.2%} {auto:8.2%} {auto / theirs:6.2f} "
            f"{inside:7.0%} {ours.best_seen_error:10.2%} {ours.most_compute_error:13.2%}  {laws}"
        )
    # Perplexity is no loss: our default converts it at the door, theirs does not.
    as_published = {**rows, "OPT in ln": (rows["OPT"][0], *rows["OPT in ln"][1:])}
    for label, told in (
        ("theirs of OPT in ln", rows),
        ("theirs of OPT as they had it", as_published),
    ):
        nine_of = [values for name, values in told.items() if name != "OPT"]
        for i, what in ((1, "one law, chinchilla"), (2, "auto")):
            ratios = [values[i] / values[0] for values in nine_of]
            print(f"{what}, {label}: lower in {sum(r < 1 for r in ratios)} of {len(ratios)}, "
                  f"median ratio {median(ratios):.2f}")  # fmt: skip


def automatic(table: RunTable) -> tuple[float, float, str]:
    """Mean error and coverage of what ``scalewise fit`` forecasts for the same held-out rows."""
    usable, how = loss_rows(table, DEFAULT)
    split = split_at(usable, float(np.unique(usable.column("params"))[-2]))
    result = choose(split.fitted, policy=Policy(estimation=how))
    points = held_out_points(result, split.held_out, level=0.9)
    return (
        float(np.mean([abs(p.relative_error) for p in points])),
        float(np.mean([p.inside for p in points])),
        ", ".join(member.law.key for _, member in result.members),
    )


def error(cell: Cell) -> float:
    return float("inf") if cell.mean_abs_error is None else cell.mean_abs_error


def main() -> None:
    print(machine())
    found = speed()
    if "--quick" not in sys.argv:
        everywhere(found)
    leaderboard()


if __name__ == "__main__":
    main()
