"""The released runs of Gadre et al. 2024 (arXiv:2403.08540, MIT) as run tables, and its figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.forecast.downstream import fit_tasks
from scalewise.forecast.downstream_backtest import ErrorPoint, backtest_downstream
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

FIGURES = Path(__file__).with_name("gadre_figures.txt")
CORPORA = ("c4_original", "rpj", "rw_original")
MULTIPLIERS = (10, 20, 40, 80, 160, 320, 640)
SIZES = {
    "0.011B": 10_569_312, "0.079B": 78_914_048, "0.154B": 153_677_376, "0.411B": 411_616_256,
    "1.4B": 1_439_795_200, "6.9B": 6_889_410_560,
}  # fmt: skip
FIVE = (
    "(params in (10569312, 78914048, 153677376, 411616256) and token_multiplier == 20) "
    "or (params == 10569312 and token_multiplier == 320)"
)
SIX = f"({FIVE}) or (params == 1439795200 and token_multiplier == 20)"
SEVENTEEN = tuple(
    f"acc_{task}"
    for task in (
        "arc_easy", "bigbench_cs_algorithms", "bigbench_dyck_languages", "bigbench_novel_concepts",
        "bigbench_operators", "bigbench_qa_wikidata", "boolq", "commonsense_qa", "copa", "coqa",
        "hellaswag", "hellaswag_zeroshot", "lambada_openai", "piqa", "pubmed_qa_labeled", "squad",
        "winograd",
    )
)  # fmt: skip
MEANS = {"err17": SEVENTEEN, "err46": ("acc_*",)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One printed relative error, in percent."""

    figure: str
    corpus: str
    quantity: str  # an evaluation set, err17 or err46
    params: int
    multiplier: int
    printed: float
    fitted: bool


def printed_cells() -> tuple[Cell, ...]:
    """Every cell of the figures, in the order of the file."""
    return tuple(_cells(FIGURES.read_text().splitlines()))


def _cells(lines: list[str]) -> Iterator[Cell]:
    head: tuple[str, str, str] = ("", "", "")
    for line in lines:
        words = line.split()
        if line.startswith("#") or not words:
            continue
        if not line.startswith(" "):
            head = (words[0], words[1], words[2])
            continue
        for multiplier, text in zip(MULTIPLIERS, words[1:], strict=True):
            if text != "-":
                value = float(text.rstrip("*"))
                yield Cell(*head, SIZES[words[0]], multiplier, value, text.endswith("*"))


def losses(path: Path, corpus: str, eval_set: str) -> RunTable:
    """The runs trained on a corpus with their loss on one evaluation set."""
    frame = pl.read_parquet(path)
    kept = frame.filter((pl.col("data") == corpus) & (pl.col("eval_set") == eval_set))
    return read_runs(kept)


def evaluations(path: Path, corpus: str | None = None) -> RunTable:
    """The runs trained on a corpus, or all, with loss on C4 and accuracy in 46 tasks."""
    frame = pl.read_parquet(path)
    if corpus is not None:
        frame = frame.filter(pl.col("data") == corpus)
    return read_runs(frame, mapping={"loss": "loss_c4_val"})


def loss_law(table: RunTable, *, bootstrap: int = 0) -> FitResult:
    """The law of five runs, as the authors fit it: least squares on loss."""
    return fit("overtraining", table.where(FIVE), objective="ls", bootstrap=bootstrap)


@cache
def chain(path: Path, corpus: str) -> FitResult:
    """The laws of loss and of the two mean errors, as the authors fit them."""
    table = evaluations(path, corpus)
    return fit_tasks(loss_law(table), table, MEANS, where=SIX, bootstrap=0)


@cache
def loss_errors(path: Path, corpus: str, eval_set: str) -> dict[tuple[int, int], float]:
    """Relative error of the predicted loss in percent, by size and multiplier."""
    table = losses(path, corpus, eval_set)
    columns: dict[str, Any] = {name: table.column(name) for name in ("params", "tokens")}
    relative = np.asarray(loss_law(table).predict(**columns).loss) / table.column("loss") - 1
    return dict(zip(_places(table), (100 * relative).tolist(), strict=True))


@cache
def mean_errors(path: Path, corpus: str, task: str) -> dict[tuple[int, int], ErrorPoint]:
    """Forecasts of a mean error beside the truth, by size and multiplier."""
    table = evaluations(path, corpus)
    found = backtest_downstream(chain(path, corpus), table, task, columns=MEANS[task])
    return dict(zip(_places(table), found.points, strict=True))


def _places(table: RunTable) -> list[tuple[int, int]]:
    params, multiplier = table.column("params"), table.column("token_multiplier")
    return [(int(n), int(m)) for n, m in zip(params, multiplier, strict=True)]
