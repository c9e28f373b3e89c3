"""Loss curves as a trajectory needs them: constant rate, constant batch, past the transient.

A trajectory holds for one learning rate kept up after warm-up. Rows of a decayed rate lie below
it, rows before a few warm-ups above it, and a run whose batch changes has no one batch to be
filed under. What is left out is counted and named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import RunDataError, UsageError
from scalewise.forecast.fitted_rows import kept_rows
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

WARMUPS = 2.0  # a curve begins after so many times its warm-up
_NEEDED = ("params_nonembed", "step", "batch_tokens", "loss")
_HELD = 0.99  # of the peak: a rate below has begun to decay, or not yet risen
_WENT_WRONG = ("diverg", "nan", "fail")  # words of a status; the health check looks for the same
_DECAYING = ("cosine", "linear", "inverse-sqrt", "exponential")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """One run's losses in nats/token by rising step; ``lr_peak`` is NaN where it is not known."""

    run_id: str
    params_nonembed: float
    batch_tokens: float
    lr_peak: float
    step: Array
    loss: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """The usable rows of a run table, and the curves they form, one per run."""

    table: RunTable
    curves: tuple[Curve, ...]
    left_out: tuple[str, ...]

    def thinned(self, points: int) -> Curves:
        """Each curve at the rows nearest to ``points`` steps evenly spaced in logs."""
        names = np.array(self.table.text("run_id"))
        step = self.table.column("step")
        keep = np.zeros(len(names), dtype=bool)
        for curve in self.curves:
            rows = np.flatnonzero(names == curve.run_id)
            rows = rows[np.argsort(step[rows], kind="stable")]
            keep[rows[_evenly(np.log(step[rows]), points)]] = True
        if keep.all():
            return self
        told = f"{int((~keep).sum())} rows between {points} steps of each curve, evenly in log step"
        table = kept_rows(self.table, keep)
        return replace(self, table=table, curves=_curves(table), left_out=(*self.left_out, told))


def read_curves(runs: object, *, warmups: float = WARMUPS, by_batch: bool = True) -> Curves:
    """The curves of a run table at constant rate, after ``warmups`` times their warm-up.

    Of rows that repeat a step of a run the last counts. With ``by_batch``, runs whose batch
    changes are left out. Raises RunDataError where a column is missing or nothing is left.

    >>> runs = {"run_id": ["a"] * 3, "params_nonembed": [1e6] * 3, "batch_tokens": [4096] * 3,
    ...         "step": [10, 100, 200], "loss": [6.0, 5.0, 4.5], "warmup_steps": [50] * 3}
    >>> found = read_curves(runs)
    >>> found.curves[0].step.tolist(), found.left_out
    ([100.0, 200.0], ('1 rows before 2 times their warm-up',))
    """
    from scalewise.runs.read import read_runs

    if not warmups >= 0:
        raise UsageError(f"warmups={warmups:g} is negative.", hint="2 is usual; 0 keeps all rows.")
    table = read_runs(runs)
    _require(table)
    keep, left_out = _usable(table, warmups, by_batch)
    if not keep.any():
        raise RunDataError(
            f"None of {len(table)} rows is usable: {'; '.join(left_out)}.",
            hint="A trajectory needs checkpoints of runs at a constant learning rate.",
        )
    kept = kept_rows(table, keep)
    return Curves(table=kept, curves=_curves(kept), left_out=left_out)


def _require(table: RunTable) -> None:
    missing = [name for name in _NEEDED if not table.has(name)]
    if missing:
        raise RunDataError(
            f"Loss curves need {', '.join(missing)}; the table has {', '.join(table.columns)}.",
            hint=f"Name the column that holds it: --map {missing[0]}=COLUMN.",
        )


def _usable(table: RunTable, warmups: float, by_batch: bool) -> tuple[Array, tuple[str, ...]]:
    """A mask of the rows to keep, and what the others are; each row is counted once."""
    keep, left_out = np.ones(len(table), dtype=bool), []

    def drop(which: Array, words: str) -> None:
        nonlocal keep
        if count := int((which & keep).sum()):
            left_out.append(f"{count} rows {words}")
            keep = keep & ~which

    drop(_failed(table), "of runs that diverged or failed")
    values = np.stack([table.column(name) for name in _NEEDED])
    drop(~np.all(np.isfinite(values) & (values > 0), axis=0), "without size, step, batch or loss")
    drop(_decayed(table), "at a decayed learning rate, which is another law")
    if table.has("warmup_steps"):
        begin = warmups * np.nan_to_num(table.column("warmup_steps"))
        drop(table.column("step") < begin, f"before {warmups:g} times their warm-up")
    drop(_elsewhere(table, keep), "measured on another text than the most")
    drop(_repeated(table, keep), "that a later row of the same step replaces")
    if by_batch:
        drop(_of_changing_batch(table, keep), "of runs whose batch changes")
    return keep, tuple(left_out)


def _failed(table: RunTable) -> Array:
    """All rows of the runs that a row says went wrong; one that still runs, or died, did not."""
    if not table.has("status"):
        return np.zeros(len(table), dtype=bool)
    names, which = np.unique(np.array(table.text("run_id")), return_inverse=True)
    words = [status.casefold() for status in table.text("status")]
    wrong = np.array([any(w in word for w in _WENT_WRONG) for word in words])
    return np.asarray((np.bincount(which[wrong], minlength=len(names)) > 0)[which])


def _decayed(table: RunTable) -> Array:
    decayed = np.zeros(len(table), dtype=bool)
    if table.has("is_annealed"):
        decayed |= np.nan_to_num(table.column("is_annealed")) > 0
    if table.has("lr") and table.has("lr_peak"):
        with np.errstate(invalid="ignore"):  # unknown rates count as held
            decayed |= table.column("lr") < _HELD * table.column("lr_peak")
    elif table.has("schedule"):
        words = table.text("schedule")
        decayed |= np.array([w.lower().startswith(_DECAYING) for w in words])
    return decayed


def _elsewhere(table: RunTable, keep: Array) -> Array:
    if not table.has("eval_set"):
        return np.zeros(len(table), dtype=bool)
    names, which = np.unique(np.array(table.text("eval_set")), return_inverse=True)
    return np.asarray(which != np.argmax(np.bincount(which[keep], minlength=len(names))))


def _repeated(table: RunTable, keep: Array) -> Array:
    import polars as pl

    rows = table.frame.select("run_id", "step").with_row_index("_row").filter(pl.Series(keep))
    last = rows.unique(subset=["run_id", "step"], keep="last")["_row"].to_numpy()
    repeated = keep.copy()
    repeated[last] = False
    return repeated


def _of_changing_batch(table: RunTable, keep: Array) -> Array:
    import polars as pl

    rows = table.frame.select("run_id", "batch_tokens").filter(pl.Series(keep))
    counts = rows.group_by("run_id").agg(pl.col("batch_tokens").n_unique())
    changing = set(counts.filter(pl.col("batch_tokens") > 1)["run_id"].to_list())
    return table.frame["run_id"].is_in(list(changing)).to_numpy()


def _curves(table: RunTable) -> tuple[Curve, ...]:
    names = np.array(table.text("run_id"))
    step, loss = table.column("step"), table.column("loss")
    size, batch = table.column("params_nonembed"), table.column("batch_tokens")
    rate = table.column("lr_peak") if table.has("lr_peak") else np.full(len(table), np.nan)
    found = []
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(step[rows], kind="stable")]
        first = rows[0]
        found.append(
            Curve(
                run_id=name, params_nonembed=float(size[first]), batch_tokens=float(batch[first]),
                lr_peak=float(rate[first]), step=step[rows], loss=loss[rows],
            )
        )  # fmt: skip
    return tuple(found)


def _evenly(x: Array, count: int) -> Array:
    """Places of the values nearest to ``count`` evenly spaced ones; ``x`` rises."""
    if len(x) <= count:
        return np.arange(len(x))
    wanted = np.linspace(x[0], x[-1], count)
    after = np.clip(np.searchsorted(x, wanted), 1, len(x) - 1)
    is_before = wanted - x[after - 1] < x[after] - wanted
    return np.where(is_before, after - 1, after)
