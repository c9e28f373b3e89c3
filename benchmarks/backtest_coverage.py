"""How well each law, and auto, would have forecast the larger runs of public tables.

    python benchmarks/backtest_coverage.py [--tables gadre] [--level 0.9]

Each table is one set of finished models, measured on one evaluation set, out of ``../shared/data``
beside the checkout; tables that are absent are named and left out. Where a source repeats a size
and token count at several learning rates or batches, the best of them stands for the pair.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

import scalewise
from scalewise.core.errors import ScalewiseError
from scalewise.forecast.backtest import NAIVE, Backtest, LawScore, Policy
from scalewise.forecast.choose import AUTO, backtest
from scalewise.runs.read import read_runs

FOLDER = Path(__file__).resolve().parents[2] / "shared/data"
FINAL = pl.col("is_final")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTable:
    """Which rows of a file are comparable finished models.

    ``best_of`` names the columns that a tuned setting is unique by. ``nonembed`` says that the
    file counts parameters without embeddings as well.
    """

    name: str
    file: str
    rows: pl.Expr
    best_of: tuple[str, ...] = ()
    nonembed: bool = False


def _gadre(corpus: str) -> PublicTable:
    return PublicTable(
        name=f"gadre {corpus}",
        file="gadre_overtraining/losses.parquet",
        # Five tokens per param are off trend in the paper, which leaves them out as well.
        rows=(pl.col("data") == corpus)
        & (pl.col("eval_set") == "c4_val")
        & (pl.col("token_multiplier") >= 10),
        nonembed=True,
    )


def _isoflop(experiment: str) -> PublicTable:
    rows = pl.col("experiment").str.starts_with(experiment) & ~pl.col("outlier")
    file = "isoflops_openathena/compiled.parquet"
    return PublicTable(name=f"isoflop {experiment}", file=file, rows=rows)


def _xlstm(subset: str) -> PublicTable:
    rows = (pl.col("subset") == subset) & pl.col("completed") & (pl.col("seed") == 0)
    rows &= pl.col("loss") < 5  # three runs diverged, at 7.6 and more
    file = "xlstm_isoflop/runs.parquet"
    return PublicTable(
        name=f"xlstm {subset}", file=file, rows=rows, best_of=("params", "tokens"), nonembed=True
    )


TABLES = (
    PublicTable(
        name="chinchilla", file="chinchilla_epoch/points.parquet", rows=pl.col("loss") < 3.446
    ),
    *(_gadre(corpus) for corpus in ("c4_original", "rpj", "rw_original")),
    *(
        PublicTable(
            name=f"porian {corpus}",
            file="porian_isoflop/isoflop_points.parquet",
            rows=FINAL & (pl.col("config") == f"{corpus}/base/short/chinchilla/standard/val"),
        )
        for corpus in ("owt2", "rw")
    ),
    *(
        _isoflop(name)
        for name in (
            "llama_3__exp_loss", "marin_202603__nemotron", "marin_202603__comma",
            "marin_202603__dclm",
        )
    ),
    *(
        _xlstm(name)
        for name in (
            "isoflop_llama_ctx2048", "isoflop_llama_ctx8192", "isoflop_llama_ctx16384",
            "isoflop_mlstm_ctx16384",
        )
    ),
    PublicTable(
        name="datablations, one epoch",
        file="datablations/final_points.parquet",
        rows=(pl.col("epochs") <= 1) & (pl.col("set") == "paper182"),
    ),
    PublicTable(
        name="misfitting v1", file="misfitting/runs_v1.parquet", rows=FINAL,
        best_of=("params", "tokens"), nonembed=True,
    ),
    PublicTable(
        name="misfitting v2", file="misfitting/runs_v2.parquet", rows=FINAL,
        best_of=("params", "tokens"), nonembed=True,
    ),
    PublicTable(
        name="gemstones, cooled down", file="gemstones/losses.parquet",
        rows=FINAL & (pl.col("subset") == "cool_end"),
    ),
    PublicTable(
        name="clark, dense", file="clark_routing/curves.parquet",
        rows=FINAL & (pl.col("router_type") == "Dense"), best_of=("params", "tokens"),
    ),
    PublicTable(
        name="gpt3", file="gpt3_curves/curves.parquet",
        rows=FINAL & (pl.col("eval_set") == "val"),
    ),
    PublicTable(
        name="olmo ladder", file="olmo_ladder/losses_ladder.parquet",
        rows=FINAL & (pl.col("eval_set") == "c4_en"), nonembed=True,
    ),
    PublicTable(
        name="steplaw, dense", file="steplaw/dense.parquet", rows=FINAL,
        best_of=("params", "tokens_nominal"),
    ),
)  # fmt: skip


def frame_of(table: PublicTable) -> pl.DataFrame:
    """The comparable rows under canonical names, without those that lack a number."""
    kept = pl.read_parquet(FOLDER / table.file).filter(table.rows)
    kept = kept.with_columns(pl.col("loss").cast(pl.Float64).fill_nan(None)).drop_nulls(
        ["params", "tokens", "loss"]
    )
    if table.best_of:
        kept = kept.sort("loss").unique(list(table.best_of), keep="first", maintain_order=True)
    names = ["run_id", "params", "tokens", "loss"]
    return kept.select(*names, *(["params_nonembed"] if table.nonembed else []))


def scored(table: PublicTable, policy: Policy) -> tuple[Backtest, int]:
    frame = frame_of(table)
    return backtest(read_runs(frame), policy=policy), len(frame)


def single_laws(result: Backtest) -> Iterator[LawScore]:
    return (s for s in result.scores if s.points and s.law not in (AUTO, *NAIVE))


def line(name: str, result: Backtest, runs: int, seconds: float) -> str:
    by_law = {s.law: s for s in result.scores}
    auto, best = by_law[AUTO], min(single_laws(result), key=lambda s: s.mean_abs_error)
    naive = min(by_law[rule].mean_abs_error for rule in NAIVE)
    if auto.coverage is None:
        return f"{name:<32}{runs:>5}{len(result.splits):>4}  auto: {auto.status}"
    return (
        f"{name:<32}{runs:>5}{len(result.splits):>4}{len(auto.points):>5}"
        f"{auto.mean_abs_error:>8.2%}{best.mean_abs_error:>8.2%}{naive:>8.2%}"
        f"{auto.bias:>8.2%}{auto.coverage:>7.0%}{auto.mean_width:>8.4f}{auto.interval_score:>8.4f}"
        f"{best.coverage:>7.0%}{best.interval_score:>8.4f}  {best.law} ({seconds:.1f} s)"
    )


HEADER = (
    f"{'table':<32}{'runs':>5}{'cut':>4}{'pts':>5}{'auto':>8}{'best':>8}{'naive':>8}{'bias':>8}"
    f"{'cover':>7}{'width':>8}{'score':>8}{'cover':>7}{'score':>8}  best single law, in hindsight"
)


def totals(results: list[Backtest]) -> Iterator[str]:
    autos = [s for r in results for s in r.scores if s.law == AUTO and s.points]
    for what in ("mean_abs_error", "coverage", "mean_width", "interval_score"):
        values = [getattr(s, what) for s in autos]
        counts = [len(s.points) for s in autos]
        yield (
            f"{what:<16} auto, by table {np.mean(values):.4f}, by point "
            f"{np.average(values, weights=counts):.4f}, median {np.median(values):.4f}"
        )
    best = [min(s.mean_abs_error for s in single_laws(r)) for r in results]
    naive = [min(s.mean_abs_error for s in r.scores if s.law in NAIVE) for r in results]
    yield f"{'mean_abs_error':<16} best single law {np.mean(best):.4f}, naive {np.mean(naive):.4f}"
    laws = sorted({s.law for r in results for s in single_laws(r)})
    for law in laws:
        mine = [s for r in results for s in single_laws(r) if s.law == law]
        error = np.mean([s.mean_abs_error for s in mine])
        coverage = np.mean([s.coverage for s in mine if s.coverage is not None])
        yield f"  {law:<34} {len(mine):>3} tables, error {error:.4f}, coverage {coverage:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", default="", help="only tables whose name contains this")
    parser.add_argument("--level", type=float, default=0.9)
    options = parser.parse_args()
    print(
        f"scalewise {scalewise.__version__}, python {platform.python_version()}, numpy "
        f"{np.__version__}, {datetime.now(UTC):%Y-%m-%d}; intervals of {options.level:.0%}\n"
    )
    print(HEADER)
    results = []
    for table in TABLES:
        if options.tables not in table.name:
            continue
        if not (FOLDER / table.file).exists():
            print(f"{table.name:<32} absent: {table.file}")
            continue
        before = time.process_time()
        try:
            result, runs = scored(table, Policy(level=options.level))
        except ScalewiseError as error:
            print(f"{table.name:<32} {error}")
            continue
        print(line(table.name, result, runs, time.process_time() - before), flush=True)
        results.append(result)
    if results:
        print()
        print("\n".join(totals(results)))


if __name__ == "__main__":
    main()
