"""Coverage and width of every kind of interval for the largest model of each public family.

    python benchmarks/calibration.py [--write] [--families gpt3]

Each family of ``public_families.py`` is cut by size as a backtest cuts it; the runs up to the cut
are fitted as ``scalewise fit`` does, and the end of the largest model beyond it is forecast. The
target of a family is its largest model, from the runs up to the last cut. Calibrated intervals are
scored leaving out the family and all that share a source with it. ``--write`` stores stated widths
and errors of all cuts in the package, which is what calibrates the intervals of ``auto``.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from public_families import FAMILIES, PublicFamily, is_present, runs_of

import scalewise
from scalewise.core.errors import ScalewiseError
from scalewise.core.records import atomic_write, to_json
from scalewise.fit.calibration import STATED_LEVEL
from scalewise.fit.result import FitResult
from scalewise.forecast.backtest import HeldOutPoint, Policy, held_out_points
from scalewise.forecast.calibration import Misses, calibrated_on
from scalewise.forecast.choose import choose
from scalewise.forecast.splits import Split, loss_rows, splits_by_size

PACKAGED = Path(scalewise.__file__).with_name("forecast") / "calibration.json"
METHODS = ("one law", "laws combined", "backtested", "calibrated")


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of the largest model beyond a cut, forecast by each method, in logs."""

    family: str
    group: str
    split: str
    is_target: bool
    missed: float
    half: dict[str, float]
    naive: float


def ends_of(family: PublicFamily) -> list[End]:
    table, how = loss_rows(runs_of(family))
    policy = Policy(estimation=how)
    found = []
    for split in splits_by_size(table):
        try:
            result = choose(split.fitted, policy=policy)
        except ScalewiseError as error:
            print(f"{family.name:<30}{split.label:<24} {error}", flush=True)
            continue
        found.append(_end(family, split, result))
    return [*found[:-1], replace(found[-1], is_target=True)] if found else []


def _end(family: PublicFamily, split: Split, result: FitResult) -> End:
    stated = replace(result, calibration=None)
    forms = {
        "one law": replace(stated, rivals=(), weight=1.0, spread=1.0),
        "laws combined": replace(stated, spread=1.0),
        "backtested": stated,
    }
    points = {name: _last(form, split) for name, form in forms.items()}
    last = points["backtested"]
    fitted = split.fitted.column("loss")
    return End(
        family=family.name,
        group=family.group,
        split=split.label,
        is_target=False,
        missed=float(abs(np.log(last.predicted / last.measured))),
        half={name: float(np.log(p.high / p.low) / 2) for name, p in points.items()},
        naive=float(abs(np.log(fitted.min() / last.measured))),
    )


def _last(result: FitResult, split: Split) -> HeldOutPoint:
    points = held_out_points(result, split.held_out, level=STATED_LEVEL)
    return max(points, key=lambda point: (point.params, point.tokens))


def misses_of(ends: Sequence[End]) -> Misses:
    return Misses(
        tuple(e.family for e in ends),
        tuple(e.group for e in ends),
        np.array([e.half["backtested"] for e in ends]),
        np.array([e.missed for e in ends]),
    )


def calibrated(ends: Sequence[End], level: float) -> np.ndarray:
    """Half-widths of each end by the calibration on all groups but its own."""
    misses = misses_of(ends)
    widths = np.empty(len(ends))
    for group in sorted(set(misses.group)):
        own = np.array([g == group for g in misses.group])
        learned = calibrated_on(misses.latest().without((group,)))
        widths[own] = learned.half_width(misses.stated[own], level)
    return widths


def report(ends: Sequence[End]) -> None:
    level = STATED_LEVEL
    missed = np.array([e.missed for e in ends])
    target = np.array([e.is_target for e in ends])
    half = {name: np.array([e.half[name] for e in ends]) for name in METHODS[:3]}
    half["calibrated"] = calibrated(ends, level)
    oracle = float(np.quantile(missed[target], level, method="higher"))
    print(
        f"\n{int(target.sum())} targets of {len({e.group for e in ends})} sources, "
        f"{len(ends)} held-out ends in all; median miss {np.median(missed[target]):.2%}, best seen "
        f"{np.median([e.naive for e in ends if e.is_target]):.2%}. An interval of one width that "
        f"holds {level:.0%} of the targets, found in hindsight: +-{oracle:.2%}\n"
    )
    print(f"{'interval of 90 %':<18}{'targets':>9}{'all ends':>10}{'median width':>14}"
          f"{'of oracle':>11}{'interval score':>16}")  # fmt: skip
    for name in METHODS:
        outside = np.maximum(missed - half[name], 0.0)[target]
        score = np.mean(2 * half[name][target] + 2 / (1 - level) * outside)
        middle = float(np.median(half[name][target]))
        print(
            f"{name:<18}{np.mean((missed <= half[name])[target]):>9.1%}"
            f"{np.mean(missed <= half[name]):>10.1%}{2 * middle:>14.2%}"
            f"{middle / oracle:>11.2f}{score:>16.4f}"
        )
    for other in (0.5, 0.8, 0.95):
        inside = missed <= calibrated(ends, other)
        print(f"calibrated at {other:.0%}: {np.mean(inside[target]):.1%} of targets, "
              f"{np.mean(inside):.1%} of all ends")  # fmt: skip
    short = [e.family for e, w in zip(ends, half["calibrated"], strict=True)
             if e.is_target and e.missed > w]  # fmt: skip
    print(f"calibrated intervals missed: {', '.join(short) or 'none'}")


def write(ends: Sequence[End]) -> None:
    record = {
        "made_by": "python benchmarks/calibration.py --write",
        "scalewise": scalewise.__version__,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "stated_level": STATED_LEVEL,
        "ends": [
            {
                "family": e.family,
                "group": e.group,
                "split": e.split,
                "stated": round(e.half["backtested"], 6),
                "missed": round(e.missed, 6),
            }
            for e in ends
        ],
    }
    atomic_write(PACKAGED, to_json(record) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--families", default="", help="only families whose name contains this")
    parser.add_argument("--write", action="store_true", help="store the result in the package")
    options = parser.parse_args()
    print(
        f"scalewise {scalewise.__version__}, python {platform.python_version()}, numpy "
        f"{version('numpy')}, {datetime.now(UTC):%Y-%m-%d}"
    )
    before = time.process_time()
    ends: list[End] = []
    for family in FAMILIES:
        if options.families not in family.name:
            continue
        if not is_present(family):
            print(f"{family.name:<30}absent: {family.file}")
            continue
        try:
            found = ends_of(family)
        except ScalewiseError as error:
            print(f"{family.name:<30}{error}", flush=True)
            continue
        for end in found:
            print(
                f"{end.family:<30}{end.split:<24}missed {end.missed:>7.2%}  stated "
                f"{end.half['backtested']:>7.2%}  one law {end.half['one law']:>7.2%}  naive "
                f"{end.naive:>7.2%}{'  target' if end.is_target else ''}",
                flush=True,
            )
        ends += found
    if len({e.group for e in ends}) > 10:
        report(ends)
        if options.write:
            write(ends)
    print(f"{time.process_time() - before:.0f} CPU-s")


if __name__ == "__main__":
    main()
