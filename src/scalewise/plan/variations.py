"""The choices that a fit makes, each changed in turn: what a table of sensitivity is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import ScalewiseError
from scalewise.fit.points import Rows
from scalewise.fit.result import FitResult
from scalewise.fit.uncertainty import robust_scale
from scalewise.forecast.candidates import candidates
from scalewise.forecast.fitted_rows import fitted_rows, kept_rows
from scalewise.laws.catalogue import LAWS, PARAM_COUNTS, on_count
from scalewise.laws.law import Law
from scalewise.plan.optimum import SIZES, size_of, trades
from scalewise.plan.target import FitSettings, Target
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

DROPPED = (1, 2, 5, 10, 20)  # largest losses; Besiroglu et al. 2024 dropped 5 of 245
MOST_DROPPED = 0.1  # of the points
OUTLYING = (3.0, 5.0)  # robust standard deviations
LEAST_TRAINED = 0.05  # of the points
OBJECTIVES = ("huber-log", "lad-log", "ls-log", "ls")
DELTAS = (1e-4, 1e-3, 1e-2, 1e-1)  # Gemstones, Hoffmann et al. 2022, optiscale, near least squares
FACTORS = ("outlier rule", "objective", "delta", "counting", "rows", "law")
_LEVELS = 3
_GIVEN = 0.01  # relative difference from which given flops count otherwise than 6 N D


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One choice changed, still to be fitted: the law, the rows and the settings to fit with."""

    factor: str
    label: str
    law: Law
    table: RunTable
    settings: FitSettings


def changes(
    start: Change, result: FitResult, whole: RunTable, rows: Rows, target: Target
) -> Iterator[Change]:
    """Every choice that the table lets vary, one at a time, from ``start`` and its ``result``.

    ``whole`` is the table that the fitted ``rows`` were taken from.
    """
    yield from _outliers(start, result)
    yield from _objectives(start, result)
    yield from _counts(start)
    other: Rows = "all" if rows == "finals" else "finals"
    also = fitted_rows(start.law, _on_same_text(whole, start.table), other)
    if len(also) != len(start.table):
        label = "every checkpoint" if other == "all" else "finished models only"
        yield replace(start, factor="rows", label=label, table=also)
    own: FitSettings = {**start.settings, "bounds": None, "fixed": None, "priors": None}
    for law in _laws(start.law, start.table, target):
        yield replace(start, factor="law", label=law.key, law=law, settings=own)


def _outliers(start: Change, result: FitResult) -> Iterator[Change]:
    """The outlier rules that drop at least one point and at most a tenth."""
    table, count = start.table, len(start.table)
    largest = np.argsort(-table.column(start.law.quantity), kind="stable")
    dropped: list[tuple[str, Array]] = [
        (f"drop the {k} largest losses" if k > 1 else "drop the largest loss", largest[:k])
        for k in DROPPED
        if k <= max(MOST_DROPPED * count, 1)
    ]
    residuals = np.abs(result.residuals)
    scale = robust_scale(residuals, len(result.theta))
    for limit in OUTLYING:
        far = np.flatnonzero(residuals > limit * scale) if scale > 0 else residuals[:0].astype(int)
        dropped.append((f"drop {len(far)} beyond {limit:g} robust sd", far))
    size = size_of(start.law)
    if size and len(np.unique(ratio := table.column("tokens") / table.column(size))) > 1:
        few = np.argsort(ratio, kind="stable")[: int(np.ceil(LEAST_TRAINED * count))]
        dropped.append((f"drop the {LEAST_TRAINED:.0%} least tokens per param", few))
    for label, lost in dropped:
        if len(lost):
            keep = np.ones(count, dtype=bool)
            keep[lost] = False
            yield replace(start, factor="outlier rule", label=label, table=kept_rows(table, keep))


def _objectives(start: Change, result: FitResult) -> Iterator[Change]:
    name, delta = result.objective.name, result.objective.delta
    for other in OBJECTIVES:
        if other != name:
            changed: FitSettings = {**start.settings, "objective": other, "delta": None}
            yield replace(start, factor="objective", label=other, settings=changed)
    if name != "huber-log":
        return
    for value in DELTAS:
        if not np.isclose(value, delta):
            changed = {**start.settings, "delta": value}
            yield replace(start, factor="delta", label=f"delta {value:g}", settings=changed)


def _counts(start: Change) -> Iterator[Change]:
    """Other counts of size, and of compute where the law uses it."""
    own = next((column for column in start.law.columns if column in PARAM_COUNTS), None)
    for column in SIZES:
        if own and column != own and start.table.has(column):
            law = on_count(start.law, column)
            yield replace(
                start, factor="counting", label=f"{column} for {own}", law=law,
                table=fitted_rows(law, start.table, "all"),
            )  # fmt: skip
    if "flops" in start.law.columns and all(start.table.has(c) for c in ("params", "tokens")):
        import polars as pl

        nominal = 6.0 * start.table.column("params") * start.table.column("tokens")
        if not np.allclose(start.table.column("flops"), nominal, rtol=_GIVEN):
            frame = start.table.frame.with_columns(pl.Series("flops", nominal))
            recut = replace(start.table, frame=frame)
            yield replace(start, factor="counting", label="flops = 6 params tokens", table=recut)


def _on_same_text(whole: RunTable, table: RunTable) -> RunTable:
    """The rows measured on the evaluation sets of ``table``: others cannot be compared."""
    if not table.has("eval_set"):
        return whole
    kept = set(table.text("eval_set"))
    return kept_rows(whole, np.array([name in kept for name in whole.text("eval_set")]))


def _laws(law: Law, table: RunTable, target: Target) -> list[Law]:
    """Other loss laws on the same count that the columns allow and that can answer."""
    own = next((column for column in law.columns if column in SIZES), "params")
    pool: dict[str, Law] = {}
    for other in LAWS.values():
        if size_of(other) and trades(other):
            stated = on_count(other, own)
            if all(_varied(table, column) for column in stated.columns):
                pool[stated.formula] = stated
    if target.columns:
        try:
            for other in candidates(table):
                if set(other.columns) <= {own, "tokens", "flops"}:
                    pool.setdefault(other.formula, other)
        except ScalewiseError:
            pass  # no law qualifies: there is none to add
    return [other for formula, other in pool.items() if formula != law.formula]


def _varied(table: RunTable, column: str) -> bool:
    return table.has(column) and len(np.unique(table.column(column))) >= _LEVELS


def omitted(tried: set[str], result: FitResult) -> dict[str, str]:
    """Why a factor is not among those ``tried``."""
    reasons = {
        "outlier rule": "no rule drops a point",
        "delta": f"{result.objective.name} has none",
        "counting": "the table has one parameter count only",
        "rows": "there are no other checkpoints on the same evaluation set",
        "law": "no other law can answer from these columns",
    }
    return {factor: reasons[factor] for factor in FACTORS if factor not in tried}
