"""Leave-one-family-out: forecasts from one size, or from a run's own start, against what came.

    python benchmarks/borrowed.py [--families gpt3] [--level 0.9]

Per public family (its whole group left out of what is borrowed): the last loss of the largest
size from each smaller size alone, at most eight of them, and the end of the largest run from its
first 30 and 50 %. ``families`` borrows from all other groups, ``paper`` holds A and alpha as
Choshen et al. do, under the default policy. The score is log forecast over measured.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from public_families import FAMILIES, PublicFamily, is_present, runs_of

import scalewise
from scalewise.core.errors import ScalewiseError
from scalewise.forecast.borrowed import predict_from_one
from scalewise.forecast.policy import DEFAULT
from scalewise.runs.table import RunTable

MOST_SIZES = 8
SHARES = (0.3, 0.5)
METHODS = {"families": "families", "paper": "choshen2024"}


@dataclass(frozen=True, slots=True)
class Task:
    """What is forecast from which rows: ``factor`` is the scale-up, of size or of tokens."""

    kind: str
    factor: float
    runs: RunTable
    params: float
    tokens: float
    measured: float


@dataclass(frozen=True, slots=True)
class Score:
    """How one forecast met what came; ``error`` and ``width`` are of log loss."""

    family: str
    group: str
    method: str
    kind: str
    factor: float
    error: float
    inside: bool
    width: float


def tasks(public: PublicFamily, table: RunTable) -> Iterator[Task]:
    """The forecasts that a family can score."""
    size, tokens, loss = (table.column(name) for name in ("params", "tokens", "loss"))
    largest = float(size.max())
    last = float(tokens[size == largest].max())
    measured = float(np.median(loss[(size == largest) & (tokens >= 0.97 * last)]))
    small = np.unique(size[size < 0.9 * largest])
    if len(small) > MOST_SIZES:
        small = small[np.linspace(0, len(small) - 1, MOST_SIZES).round().astype(int)]
    for one in small:
        runs = table.where(f"params == {one:.17g}")
        yield Task("size", largest / one, runs, largest, last, measured)
    own = table.where(f"params == {largest:.17g}")
    if public.is_curve and own.run_count == 1:
        for share in SHARES:
            if (own.column("tokens") <= share * last).sum() >= 3:
                runs = own.where(f"tokens <= {share * last:.17g}")
                yield Task(f"first {share:.0%}", 1 / share, runs, largest, last, measured)


def scores(public: PublicFamily, level: float) -> Iterator[Score]:
    known = {each.name for each in FAMILIES if not each.apart}
    for task in tasks(public, runs_of(public)):
        for method, borrow in METHODS.items():
            leaves_out = (public.name,) if method == "families" and public.name in known else ()
            try:
                found = predict_from_one(
                    task.runs, params=task.params, tokens=task.tokens, borrow=borrow,
                    policy=DEFAULT, level=level, without=leaves_out,
                )  # fmt: skip
            except ScalewiseError as error:
                print(f"  {public.name}, {method}, {task.kind} x{task.factor:.3g}: {error.message}")
                continue
            yield Score(
                public.name, public.group, method, task.kind, task.factor,
                float(np.log(found.loss / task.measured)),
                found.low <= task.measured <= found.high,
                float(np.log(found.high / found.low)),
            )  # fmt: skip


def line(name: str, found: Sequence[Score]) -> str:
    parts = [f"{name:<30}"]
    for method in METHODS:
        mine = [s for s in found if s.method == method]
        if not mine:
            parts.append(f"{'-':>42}")
            continue
        error = [abs(s.error) for s in mine]
        parts.append(
            f"{len(mine):>5}{np.median(error):>8.2%}{np.mean(error):>8.2%}"
            f"{np.mean([s.inside for s in mine]):>7.0%}{np.median([s.width for s in mine]):>8.3f}"
        )
    return "   ".join(parts)


def averaged(found: Sequence[Score], by: Callable[[Score], str]) -> float:
    """Coverage with every value of ``by`` counting once."""
    keys = sorted({by(s) for s in found})
    return float(np.mean([np.mean([s.inside for s in found if by(s) == key]) for key in keys]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--families", default="", help="only families whose name contains this")
    parser.add_argument("--level", type=float, default=0.9)
    options = parser.parse_args()
    print(
        f"scalewise {scalewise.__version__}, python {platform.python_version()}, numpy "
        f"{np.__version__}, {datetime.now(UTC):%Y-%m-%d}; intervals of {options.level:.0%}"
    )
    began = time.process_time()
    found: list[Score] = []
    for public in FAMILIES:
        if public.apart or options.families not in public.name:
            continue
        if not is_present(public):
            print(f"{public.name:<30}absent: {public.file}")
            continue
        found += scores(public, options.level)
    each = "    n  median    mean  cover   width"
    print(f"\n{'':<30}   {'families':<36}   paper's A and alpha\n{'':<30}   {each}   {each}")
    for name in dict.fromkeys(s.family for s in found):
        for kind in ("size", "first"):
            mine = [s for s in found if s.family == name and s.kind.startswith(kind)]
            if mine:
                print(line(f"{name}, {'a size' if kind == 'size' else 'its start'}", mine))
    print()
    edges = (1, 2, 4, 8, 16, 32, float("inf"))
    sizes = [s for s in found if s.kind == "size"]
    for low, high in pairwise(edges):
        mine = [s for s in sizes if low < s.factor <= high]
        if mine:
            print(line(f"from {low:g} to {high:g} x smaller", mine))
    print(line("every smaller size", sizes))
    both = {(s.family, s.factor) for s in sizes if s.method == "paper"}
    print(line("where both can be made", [s for s in sizes if (s.family, s.factor) in both]))
    for share in SHARES:
        print(
            line(
                f"first {share:.0%} of the run", [s for s in found if s.kind[6:] == f"{share:.0%}"]
            )
        )
    for method in METHODS:
        mine = [s for s in sizes if s.method == method]
        print(
            f"{len({s.family for s in mine})} families in {len({s.group for s in mine})} groups, "
            f"coverage of {method}: every family once {averaged(mine, lambda s: s.family):.1%}, "
            f"every group once {averaged(mine, lambda s: s.group):.1%}"
        )
    print(f"{time.process_time() - began:.0f} CPU-s")


if __name__ == "__main__":
    main()
