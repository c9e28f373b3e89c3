"""Our default forecast of large public models from small ones, against what they measured.

    python benchmarks/forecast_table.py [--only gpt3]

Each study fits ``auto``, as ``scalewise fit`` does, to the smaller runs of a public family and
forecasts the loss of its larger ones. Where intervals are calibrated on public families, those of
a study leave out its own family and all that share a source with it. ``best seen`` forecasts the
lowest loss of the fitted runs, ``most compute`` that of the fitted run with most compute.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.public_families import (  # noqa: E402
    FAMILIES,
    PublicFamily,
    is_present,
    runs_of,
)

import scalewise  # noqa: E402 - from this checkout
from scalewise.core.compute import PF_DAY  # noqa: E402
from scalewise.core.quantities import format_count  # noqa: E402
from scalewise.fit.result import FitResult  # noqa: E402
from scalewise.fit.storage import read_fit  # noqa: E402
from scalewise.forecast.backtest import (  # noqa: E402
    NAIVE,
    HeldOutPoint,
    held_out_points,
    naive_points,
)
from scalewise.forecast.calibration import calibration  # noqa: E402
from scalewise.forecast.choose import choose  # noqa: E402
from scalewise.forecast.splits import Split  # noqa: E402
from scalewise.runs.table import RunTable  # noqa: E402

LEVEL = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Which runs of a public family are fitted, and which are forecast.

    ``published`` are relative errors that the family's paper prints, by tokens per param of the
    target rounded to a whole; ``law`` are published constants k and p of ``k * PF-days**-p``,
    ``constants`` the name of a published set: their errors at the target are computed here.
    """

    name: str
    family: str
    fitted: str
    targets: str
    source: str = ""
    published: Mapping[int, float] = field(default_factory=dict)
    law: tuple[float, float] | None = None
    constants: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One target: what was forecast of it, what the naive rules say, and what was published."""

    study: Study
    point: HeldOutPoint
    naive: Mapping[str, float]
    published: float | None
    runs: int
    reach: float


_GADRE_FIVE = (
    "(params in (10569312, 78914048, 153677376, 411616256) and tokens_per_param < 21 "
    "and tokens_per_param > 19) or (params == 10569312 and tokens_per_param > 319 "
    "and tokens_per_param < 321)"
)
_GADRE_TWO = "(params > 1B and tokens_per_param > 639) or params > 6B"
_GADRE_PRINTED = {640: 0.007, 20: 0.007}  # printed without a sign; reproduced as +0.71, +0.73 %
_GADRE = "Gadre et al. 2024, arXiv:2403.08540, fig. 1: their law, least squares on the 5 runs"

STUDIES = (
    Study(
        name="Gadre, RedPajama, the paper's 5 runs", family="gadre-rpj",
        fitted=_GADRE_FIVE, targets=_GADRE_TWO, source=_GADRE, published=_GADRE_PRINTED,
    ),
    Study(
        name="Gadre, RedPajama, all up to 411M", family="gadre-rpj",
        fitted="params < 500M", targets=_GADRE_TWO, source=_GADRE, published=_GADRE_PRINTED,
    ),
    Study(
        # The isoFLOP curves up to 1e21, the largest of their compute levels below a tenth of it.
        name="Chinchilla, up to 1.2e21 FLOP", family="chinchilla",
        fitted="flops < 1.2e21", targets="flops > 4e21",
        source="Besiroglu et al. 2024, arXiv:2404.10102: fitted to all 240, the target included",
        constants="besiroglu2024",
    ),
    Study(
        name="OLMo ladder, up to 1.3B", family="olmo-ladder",
        fitted="params < 2B", targets="params > 3B",
    ),
    Study(
        name="GPT-3, up to 13B", family="gpt3",
        fitted="params < 20B", targets="params > 100B and is_final",
        source="Brown et al. 2020, arXiv:2005.14165, fig. 3.1: L = 2.57 C**-0.048, C in PF-days",
        law=(2.57, 0.048),
    ),
    Study(
        name="Clark, dense, up to 370M", family="clark-dense",
        fitted="params < 500M", targets="params > 1B and is_final",
    ),
    Study(
        name="Step Law, best cells, 4 sizes", family="steplaw",
        fitted="params < 1B", targets="params > 1B",
    ),
)  # fmt: skip


def family_of(study: Study) -> PublicFamily:
    return next(family for family in FAMILIES if family.name == study.family)


def rows_of(study: Study) -> tuple[Row, ...]:
    """The study's targets in the order of their params and tokens."""
    whole = runs_of(family_of(study))
    fitted, held_out = whole.where(study.fitted), whole.where(study.targets)
    result = _honest(choose(fitted), study.family)
    points = held_out_points(result, held_out, level=LEVEL)
    most = float(fitted.column("flops").max())
    split = Split(
        label=study.name,
        fitted=_ends(fitted),
        held_out=held_out,
        max_fitted_flops=most,
        max_target_flops=float(held_out.column("flops").max()),
    )
    naive = {rule: [point.relative_error for point in naive_points(rule, split)] for rule in NAIVE}
    return tuple(
        Row(
            study=study,
            point=point,
            naive={rule: naive[rule][i] for rule in NAIVE},
            published=_published(study, point),
            runs=fitted.run_count,
            reach=point.flops / most,
        )
        for i, point in enumerate(points)
    )


def _honest(result: FitResult, family: str) -> FitResult:
    """The result with intervals whose calibration has not seen the family."""
    if result.calibration is None:
        return result
    return replace(result, calibration=calibration(without=(family,)))


def _ends(table: RunTable) -> RunTable:
    """Naive rules go by finished models: a noisy checkpoint may lie below the end of its run."""
    return table.finals()


def _published(study: Study, point: HeldOutPoint) -> float | None:
    if study.constants:
        fitted = read_fit(study.constants).predict(params=point.params, tokens=point.tokens)
        return float(fitted.loss / point.measured - 1)
    if study.law is not None:
        k, p = study.law
        return float(k * (point.flops / PF_DAY) ** -p / point.measured - 1)
    return study.published.get(round(point.tokens / point.params))


def line(row: Row) -> str:
    point = row.point
    low, high = point.low / point.measured - 1, point.high / point.measured - 1
    best, most = (row.naive[rule] for rule in NAIVE)
    said = "" if row.published is None else f"{row.published:+.1%}"
    target = f"{format_count(point.params)} x {format_count(point.tokens)}"
    return (
        f"{row.study.name:<38}{row.runs:>5}  {target:<18}{row.reach:>7.1f}{point.measured:>9.4f}"
        f"{point.relative_error:>+9.2%}  {low:>+7.2%} {high:>+7.2%}  "
        f"{'in' if point.inside else 'OUT':<4}{best:>+9.2%}{most:>+9.2%}{said:>9}"
    )


HEADER = (
    f"{'study':<38}{'runs':>5}  {'target':<18}{'reach':>7}{'loss':>9}{'error':>9}  "
    f"{'90% from':>8} {'to':>6}  {'':<5}{'best':>8}{'most':>9}{'publ.':>9}"
)


def main() -> None:
    """Print a line per target, then how often the intervals held and naive rules were beaten."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="only studies whose name contains this")
    only = parser.parse_args().only.casefold()
    print(
        f"scalewise {scalewise.__version__}, numpy {np.__version__}, Python "
        f"{platform.python_version()}, {platform.processor() or platform.machine()}, "
        f"{datetime.now(UTC):%Y-%m-%d}\n{HEADER}"
    )
    begin = time.process_time()
    rows: list[Row] = []
    for study in STUDIES:
        if only not in study.name.casefold():
            continue
        if not is_present(family_of(study)):
            print(f"{study.name:<38}absent: {family_of(study).file}")
            continue
        found = rows_of(study)
        rows += found
        for row in found:
            print(line(row), flush=True)
    if rows:
        print(_summary(rows))
    for source in dict.fromkeys(study.source for study in STUDIES if study.source):
        print(f"publ.: {source}")
    print(f"{time.process_time() - begin:.1f} CPU-s")


def _summary(rows: list[Row]) -> str:
    errors = np.array([abs(row.point.relative_error) for row in rows])
    naive = np.array([[abs(row.naive[rule]) for rule in NAIVE] for row in rows])
    beaten = int(np.sum(errors < naive.min(axis=1)))
    inside = sum(row.point.inside for row in rows)
    return (
        f"{len(rows)} targets: median |error| {np.median(errors):.2%}, naive "
        f"{np.median(naive.min(axis=1)):.2%}; better than both naive rules on {beaten}; "
        f"{inside} inside the {LEVEL:.0%} interval"
    )


if __name__ == "__main__":
    main()
