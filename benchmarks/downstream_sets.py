"""Which tasks of public evaluations can be forecast from smaller models, how well, and which not.

    python benchmarks/downstream_sets.py [--only olmo] [--tasks]

Per table: tasks by verdict, then for those that a method could be fitted to the median absolute
error in points through the loss, from compute alone and of the better naive rule, and how many
held-out errors the 90 % intervals held. ``--tasks`` prints every task with its reason. The models
beyond 1/4, 1/16 and 1/64 of the most compute are forecast from the others. The evaluations are
read from ``../shared/data`` beside the checkout; those that are absent are named and left out.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import scalewise  # noqa: E402 - from this checkout
from scalewise.forecast.task_backtest import (  # noqa: E402
    TaskBacktest,
    TaskPoint,
    backtest_tasks,
)
from scalewise.forecast.task_methods import DIRECT, TWO_STEP  # noqa: E402
from scalewise.forecast.task_verdict import Verdict  # noqa: E402

FOLDER = ROOT.parent / "shared" / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluations:
    """One table of comparable models with what is known of its tasks, by column."""

    name: str
    frame: pl.DataFrame
    chance: Mapping[str, float]
    items: Mapping[str, float] = field(default_factory=dict)
    losses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of evaluations and how its tables are taken from it."""

    file: str
    tables: Callable[[Path], Iterator[Evaluations]]


# Questions in the public splits; the OLMo ladder's own, from the smallest step of its accuracies.
_OLMO_CHANCE = {"boolq": 0.5, "csqa": 0.2, "piqa": 0.5, "socialiqa": 1 / 3, "winogrande": 0.5}


def olmo(path: Path) -> Iterator[Evaluations]:
    """Finished models of the ladder; a task's loss is bits per byte of its right answers."""
    frame = pl.read_parquet(path).filter(
        pl.col("is_final")
        # Their "-rerun" is the same with more evaluations.
        & ~pl.col("run_id").str.contains("olmo-(190M|370M|760M|1B|3B)-1xC$")
    )
    columns = [c for c in frame.columns if c.startswith("acc/")]
    names = {c: c[4:].partition("_rc_5shot")[0] for c in columns}
    yield Evaluations(
        name="olmo-ladder",
        frame=frame,
        chance={c: _OLMO_CHANCE.get(name.partition("_")[0], 0.25) for c, name in names.items()},
        items={c: items for c in columns if (items := items_of(frame[c].to_numpy()))},
        losses={c: f"bpb/{name}_rc_5shot_bpb" for c, name in names.items()},
    )


def items_of(accuracy: np.ndarray, most: int = 20_000) -> int | None:
    """The fewest items that make every accuracy a whole number of right answers."""
    counts = np.arange(20, most)[:, None]
    right = counts * np.unique(accuracy[np.isfinite(accuracy)])
    whole = np.all(np.abs(right - np.round(right)) < 1e-6 * counts, axis=1)  # single precision
    found = np.flatnonzero(whole)
    return int(counts[found[0], 0]) if len(found) else None


def gadre(path: Path) -> Iterator[Evaluations]:
    """One table per training set; loss is on C4. Five tokens per param are off trend there."""
    known = pl.read_parquet(path.with_name("eval_metadata.parquet"))
    known = known.with_columns(column="acc_" + pl.col("eval_task"))
    frame = pl.read_parquet(path).filter(pl.col("token_multiplier") >= 10) if (
        "token_multiplier" in pl.read_parquet_schema(path)
    ) else pl.read_parquet(path).filter(pl.col("tokens") > 9.5 * pl.col("params"))  # fmt: skip
    frame = frame.rename({"loss_c4_val": "loss"})
    columns = [c for c in frame.columns if c.startswith("acc_")]
    of = {row["column"]: row for row in known.iter_rows(named=True) if row["column"] in columns}
    for (corpus,), rows in frame.group_by("data", maintain_order=True):
        yield Evaluations(
            name=f"gadre {str(corpus).removesuffix('_original')}",
            frame=rows,
            chance={
                c: row["random_baseline"] / 100
                for c, row in of.items()
                if row["random_baseline"] is not None
            },
            items={c: row["#datapoints"] for c, row in of.items() if row["#datapoints"]},
        )


_PYTHIA = {  # chance, questions
    "winogrande": (0.5, 1267), "lambada_openai": (0.0, 5153), "arc_easy": (0.25, 2376),
    "arc_challenge": (0.25, 1172), "piqa": (0.5, 1838), "logiqa": (0.25, 651),
    "sciq": (0.25, 1000), "wsc": (0.5, 104), "mmlu": (0.25, 14042),
}  # fmt: skip


def pythia(path: Path) -> Iterator[Evaluations]:
    """Four tables, by corpus and shots; loss is nats per word of LAMBADA's last words."""
    frame = pl.read_parquet(path).filter(
        ~pl.col("run_id").str.contains("tokBS") & (pl.col("tokens") > 0)
    )
    frame = frame.rename({"lambada_nll_per_word": "loss"}).select(
        "run_id", "params", "tokens", "flops", "is_final", "loss", "shots", "data",
        *(pl.col(f"{task}/acc").alias(f"acc_{task}") for task in _PYTHIA),
    )  # fmt: skip
    for (shots, corpus), rows in frame.group_by("shots", "data", maintain_order=True):
        yield Evaluations(
            name=f"pythia {shots}{' dedup' if 'dedup' in str(corpus) else ''}",
            frame=rows.drop("shots", "data"),
            chance={f"acc_{task}": chance for task, (chance, _) in _PYTHIA.items()},
            items={f"acc_{task}": items for task, (_, items) in _PYTHIA.items()},
        )


_OBSERVED = {  # chance (None: not that of a guess), questions
    "MMLU": (0.25, 14042), "ARC-C": (0.25, 1172), "HellaSwag": (0.25, 10042),
    "Winograd": (0.5, 1267), "TruthfulQA": (None, 817), "GSM8K": (0.0, 1319),
    "XWinograd": (0.5, None), "HumanEval": (0.0, 164),
}  # fmt: skip


def observed(path: Path) -> Iterator[Evaluations]:
    """Base models of 47 families with known compute: no loss, so from compute alone."""
    frame = pl.read_parquet(path).drop_nulls("flops")
    yield Evaluations(
        name="observational",
        frame=frame.select(
            "run_id", "params", "tokens", "flops", pl.lit(value=True).alias("is_final"),
            *(pl.col(task).alias(f"acc_{task}") for task in _OBSERVED),
        ),
        chance={f"acc_{t}": chance for t, (chance, _) in _OBSERVED.items() if chance is not None},
        items={f"acc_{t}": items for t, (_, items) in _OBSERVED.items() if items},
    )  # fmt: skip


SOURCES = (
    Source(file="olmo_ladder/downstream_ladder.parquet", tables=olmo),
    Source(file="gadre_overtraining/evals.parquet", tables=gadre),
    Source(file="pythia_evals/evals.parquet", tables=pythia),
    Source(file="observational_llms/benchmarks.parquet", tables=observed),
)


def scored(table: Evaluations, *, bootstrap: int = 100) -> TaskBacktest:
    return backtest_tasks(
        table.frame, chance=table.chance, items=table.items, losses=table.losses,
        bootstrap=bootstrap,
    )  # fmt: skip


def medians(found: TaskBacktest, verdicts: tuple[Verdict, ...] = ()) -> dict[str, float]:
    """Median over tasks of the mean absolute error, in points; the naive rule's at the same."""
    kept = [o for o in found.outcomes if not verdicts or o.verdict in verdicts]
    both = [
        o for o in kept
        if o.score_of(DIRECT).points
        and (o.score_of(TWO_STEP).points or not any(p.score_of(TWO_STEP).points for p in kept))
    ]  # fmt: skip
    if not both:
        return {}
    named = {
        TWO_STEP: [o.score_of(TWO_STEP).mean_abs_error for o in both],
        DIRECT: [o.score_of(DIRECT).mean_abs_error for o in both],
        "naive": [o.score_of(DIRECT).naive_error or np.nan for o in both],
    }
    return {name: 100 * float(np.median(values)) for name, values in named.items()}


def points_of(found: TaskBacktest, method: str) -> list[TaskPoint]:
    return [point for outcome in found.outcomes for point in outcome.score_of(method).points]


def line(name: str, found: TaskBacktest, seconds: float) -> str:
    counts = "".join(
        f"{len(found.with_verdict(v)):>{8 if v is Verdict.NOT_BETTER else 7}}" for v in Verdict
    )
    error = medians(found)
    errors = "".join(
        f"{error.get(m, np.nan):>9.2f}" if np.isfinite(error.get(m, np.nan)) else f"{'-':>9}"
        for m in (TWO_STEP, DIRECT, "naive")
    )
    coverage = ""
    for method in (TWO_STEP, DIRECT):
        points = points_of(found, method)
        inside = f"{np.mean([p.inside for p in points]):.0%} of {len(points)}" if points else "-"
        coverage += f"{inside:>13}"
    return f"{name:<22}{len(found.outcomes):>6}{counts}{errors}{coverage}  {seconds:.0f} s"


HEADER = (
    f"{'table':<22}{'tasks':>6}{'fore':>7}{'no gain':>8}{'noise':>7}{'chance':>7}{'turns':>7}"
    f"{'untest':>7}{'2-step':>9}{'direct':>9}{'naive':>9}{'in, 2-step':>13}{'in, direct':>13}"
)


def main() -> None:
    """Print a line per table, then what holds over all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="only tables whose name contains this")
    parser.add_argument("--tasks", action="store_true", help="print every task")
    options = parser.parse_args()
    print(
        f"scalewise {scalewise.__version__}, numpy {np.__version__}, Python "
        f"{platform.python_version()}, {platform.processor() or platform.machine()}, "
        f"{datetime.now(UTC):%Y-%m-%d}\n{HEADER}"
    )
    every = []
    for source in SOURCES:
        path = FOLDER / source.file
        if not path.exists():
            print(f"absent: {source.file}")
            continue
        for table in source.tables(path):
            if options.only not in table.name:
                continue
            begin = time.process_time()
            found = scored(table)
            print(line(table.name, found, time.process_time() - begin), flush=True)
            if options.tasks:
                for outcome in found.outcomes:
                    print(f"    {outcome.task.name:<42}{outcome.verdict.value:<28}{outcome.why}")
            every.append(found)
    for method in (TWO_STEP, DIRECT):
        points = [point for found in every for point in points_of(found, method)]
        if points:
            inside = np.mean([point.inside for point in points])
            print(f"{method}: {inside:.1%} of {len(points)} held-out errors inside 90 %")


if __name__ == "__main__":
    main()
