"""The runs as the page shows them: a table, their curves, their health, and what each decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from scalewise.core.errors import ScalewiseError
from scalewise.fit.result import FitResult
from scalewise.forecast.fitted_rows import fitted_rows
from scalewise.plan.advice import next_in_line, settings_of
from scalewise.plan.leave_out import Scale, each_run_out
from scalewise.plan.target import answer, read, target_at
from scalewise.report.formats import clean
from scalewise.report.interactive.fit_facts import rounded
from scalewise.runs.health import Finding
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

MOST_ROWS = 2000
MOST_CURVE_POINTS = 20_000
_PER_CURVE = 150
_MOST_TOUCHED = 40  # runs that a finding names
_SHOWN = (
    "run_id", "family", "corpus", "params", "params_nonembed", "tokens", "flops", "step",
    "batch_tokens", "lr_peak", "seed", "loss", "error", "status",
)  # fmt: skip


def run_facts(table: RunTable, findings: Iterable[Finding]) -> dict[str, Any]:
    """The finished models one by one, the curves behind them, and what is wrong with them."""
    finals = table.finals()
    columns = [name for name in _SHOWN if finals.has(name)]
    shown = finals.frame.head(MOST_ROWS)
    rows = {
        name: rounded(shown[name].cast(float).to_numpy(), 9)
        if shown[name].dtype.is_numeric()
        else [None if v is None else clean(str(v)) for v in shown[name].to_list()]
        for name in columns
    }
    return {
        "source": clean(table.source),
        "sha256": table.sha256,
        "rows": len(table),
        "runs": table.run_count,
        "finals": len(finals),
        "columns": columns,
        "values": rows,
        "assumptions": [clean(text) for text in table.assumptions],
        "curves": _curves(table),
        "findings": [_finding(table, each) for each in findings],
    }


def _finding(table: RunTable, found: Finding) -> dict[str, Any]:
    touched = (
        table.frame["run_id"].gather([row - 1 for row in found.rows]).unique(maintain_order=True)
    )
    return {
        "severity": found.severity, "name": found.name, "fact": found.fact, "mend": found.mend,
        "rows": len(found.rows), "runs": [clean(str(v)) for v in touched.head(_MOST_TOUCHED)],
        "touched": len(touched),
    }  # fmt: skip


def _curves(table: RunTable) -> dict[str, Any] | None:
    """Loss along each run with checkpoints, thinned to what a screen can show."""
    along = next((name for name in ("tokens", "step") if table.has(name)), None)
    if along is None or not table.has("loss"):
        return None
    rows = _unannealed(table)
    # Runs of one row have no curve, and a table may hold hundreds of thousands of these.
    rows = rows.filter(rows["run_id"].is_duplicated())
    groups = rows.partition_by("run_id", maintain_order=True)
    per = int(np.clip(MOST_CURVE_POINTS // max(len(groups), 1), 8, _PER_CURVE))
    curves, total, drawn = [], 0, 0
    for group in groups:
        x, y = (np.asarray(group[name].cast(float).to_numpy(), float) for name in (along, "loss"))
        usable = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
        order = np.argsort(x[usable], kind="stable")
        x, y = x[usable][order], y[usable][order]
        if len(x) < 2:
            continue
        keep = _evenly_in_logs(x, per)
        total, drawn = total + len(x), drawn + len(keep)
        facts = {
            name: float(group[name].drop_nulls()[0])
            for name in ("params", "params_nonembed", "batch_tokens")
            if name in group.columns and group[name].null_count() < group.height
        }
        curves.append(
            {
                "run": clean(str(group["run_id"][0])),
                "x": rounded(x[keep]),
                "y": rounded(y[keep]),
                **facts,
            }
        )
    if not curves:
        return None
    return {"along": along, "curves": curves, "points": total, "drawn": drawn}


def _unannealed(table: RunTable) -> Any:
    """The rows along the curves; decayed ends, which lie below them, only where all rows are."""
    import polars as pl

    if not table.has("is_annealed"):
        return table.frame
    decayed = pl.col("is_annealed").fill_null(value=False)
    return table.frame.filter(~decayed | decayed.all().over("run_id"))


def _evenly_in_logs(x: Array, most: int) -> Array:
    if len(x) <= most:
        return np.arange(len(x))
    wanted = np.geomspace(x[0], x[-1], most)
    return np.unique(np.clip(np.searchsorted(x, wanted), 0, len(x) - 1))


def fitted_table(result: FitResult, runs: RunTable | None) -> tuple[RunTable, bool] | None:
    """The rows behind a fit, and whether the runs that were given are they.

    Without matching runs a table is made of the fit's own points, its runs numbered.
    """
    if not result.points:
        return None
    for rows in ("finals", "all") if runs is not None else ():
        try:
            table = fitted_rows(result.law, runs, rows)
        except ScalewiseError:
            continue
        same = len(table) == result.points
        if same and np.allclose(table.column(result.law.quantity), result.observed, rtol=1e-9):
            return table, True
    columns = {column: result.inputs[s] for s, column in result.law.variables.items()}
    names = [f"run {i + 1}" for i in result.cluster]
    made = {"run_id": names, **columns, result.law.quantity: result.observed}
    return read_runs(made), False


def effects(result: FitResult, table: RunTable, *, level: float) -> dict[str, Any] | None:
    """The forecast of the next run in line without each run; None where there is no such target."""
    asked = next_in_line(result)
    if not asked or result.rivals:
        result = result.combined_with((), weight=1.0, spread=result.spread)
    if not asked:
        return None
    try:
        target = target_at(table, **asked)
        centre = answer(read(result, target, level=level), target)
        half = 0.5 * float(np.log(centre.high / centre.low)) if centre.low > 0 else 0.0
        scale = Scale(target=target, centre=centre.value, half=half)
        found, unknown = each_run_out(result, table, scale, settings_of(result))
    except ScalewiseError:
        return None
    return {
        "law": result.law.key,
        "target": str(target),
        "base": {"value": centre.value, "low": centre.low, "high": centre.high},
        "unknown": unknown,
        "runs": {
            clean(r.label): {"value": r.value, "shift": r.shift, "doubt": r.doubt} for r in found
        },
    }
