"""The task ladder of OLMo (arXiv:2412.04403, Apache-2.0) as run tables, one task at a time.

190M to 1.3B params fit the laws, 3.2B is held out; each size at 0.5 to 10 times 20 tokens per
param. A task's ``loss`` here is bits per byte of the correct answer, not nats per token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from scalewise.fit.engine import fit
from scalewise.forecast.downstream import fit_tasks
from scalewise.forecast.downstream_backtest import DownstreamBacktest, backtest_downstream
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

# Accuracy of guessing where it is not that of four choices.
_CHANCE = {"boolq": 0.5, "csqa": 0.2, "piqa": 0.5, "socialiqa": 1 / 3, "winogrande": 0.5}
_DENSER = "olmo-(190M|370M|760M|1B|3B)-1xC$"  # their "-rerun" is the same with more evaluations


@dataclass(frozen=True, slots=True)
class LadderTest:
    """Absolute errors of the held-out 3.2B models in one task, by way of forecasting."""

    task: str
    backtest: DownstreamBacktest
    direct: float
    ceiling: float  # the error of guessing that the law was held to

    @property
    def two_step(self) -> float:
        """Mean absolute error of the chain, in accuracy."""
        points = self.backtest.points
        return float(np.mean([abs(p.predicted_error - p.measured_error) for p in points]))

    @property
    def at_true_loss(self) -> float:
        """The same with the measured bits per byte plugged in."""
        points = self.backtest.points
        return float(np.mean([abs(p.error_at_true_loss - p.measured_error) for p in points]))

    @property
    def loss_error(self) -> float:
        """Mean absolute relative error of the bits per byte."""
        return float(np.mean([abs(p.loss_error) for p in self.backtest.points]))


@cache
def ladder(path: Path) -> pl.DataFrame:
    """The finished runs."""
    frame = pl.read_parquet(path)
    return frame.filter(pl.col("is_final") & ~pl.col("run_id").str.contains(_DENSER))


def tasks(path: Path) -> tuple[str, ...]:
    """The tasks, by the names that the ladder gives them."""
    columns = ladder(path).columns
    return tuple(c[4:].partition("_rc_5shot")[0] for c in columns if c.startswith("acc/"))


def task_table(path: Path, task: str) -> RunTable:
    """The runs with bits per byte of one task as loss, and its accuracy."""
    frame = ladder(path)
    (accuracy,) = (c for c in frame.columns if c.startswith(f"acc/{task}_rc"))
    return read_runs(
        frame.select(
            "run_id", "params", "tokens", "is_final",
            pl.col(f"bpb/{task}_rc_5shot_bpb").alias("loss"), pl.col(accuracy).alias("acc_task"),
        )
    )  # fmt: skip


def held_out_test(path: Path, task: str, *, bootstrap: int = 0) -> LadderTest:
    """Both steps fitted up to 1.3B and tested at 3.2B, beside a law of error by size and tokens."""
    table = task_table(path, task)
    small, large = table.where("params < 2B"), table.where("params > 2B")
    result = fit_tasks(
        fit("chinchilla", small, bootstrap=bootstrap), small, ["acc_task"],
        law="error-sigmoid", chance={"acc_task": _CHANCE.get(_family(task), 0.25)},
        bootstrap=bootstrap,
    )  # fmt: skip
    measured = 1 - large.column("acc_task")
    columns = {name: small.column(name) for name in ("params", "tokens")}
    direct = fit("chinchilla", {**columns, "loss": 1 - small.column("acc_task")}, bootstrap=0)
    at = direct.predict(params=large.column("params"), tokens=large.column("tokens"))
    return LadderTest(
        task=task,
        backtest=backtest_downstream(result, large, "acc_task"),
        ceiling=result.tasks["acc_task"].theta["eps"],
        direct=float(np.mean(np.abs(np.asarray(at.loss) - measured))),
    )


def _family(task: str) -> str:
    return task.partition("_")[0]
