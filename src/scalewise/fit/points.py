"""The numbers a fit works on: inputs by symbol, observations, weights and who belongs together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import RunDataError, UnfitDataError
from scalewise.core.flops import training_flops
from scalewise.laws.law import Law
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Rows = Literal["finals", "all"]

_MUST_AGREE = ("eval_set", "tokenizer", "corpus_fingerprint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """What one law needs of a run table. Arrays have one entry per point."""

    inputs: Mapping[str, Array]  # by symbol of the law
    observed: Array
    weights: Array
    cluster: Array  # which run each point belongs to, numbered from 0 without gaps
    flops: Array | None
    counts: Mapping[str, Array] = field(default_factory=dict)  # size and tokens, used or not
    sha256: str
    source: str
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.observed)

    @property
    def runs(self) -> int:
        """How many independent runs the points come from."""
        return len(np.unique(self.cluster))

    def take(self, keep: Array) -> Points:
        """The points selected by a mask or by indices."""
        return replace(
            self,
            inputs={symbol: values[keep] for symbol, values in self.inputs.items()},
            observed=self.observed[keep],
            weights=self.weights[keep],
            cluster=np.unique(self.cluster[keep], return_inverse=True)[1],
            flops=None if self.flops is None else self.flops[keep],
            counts={column: values[keep] for column, values in self.counts.items()},
        )

    def merged(self) -> Points:
        """These points with equal ones of one run as one, whose weight is their sum.

        No objective can tell the two apart, and a table that repeats its rows is fitted as
        quickly as one that does not.
        """
        import polars as pl

        columns = {**self.inputs, "": self.observed, "#": self.cluster}
        frame = pl.DataFrame({name: np.ascontiguousarray(v) for name, v in columns.items()})
        group = frame.select(pl.struct(pl.all()).rank("dense") - 1).to_series().to_numpy()
        _, first = np.unique(group, return_index=True)
        if len(first) == len(group):
            return self
        total = np.bincount(group, weights=self.weights)
        return replace(self.take(first), weights=total)


def points_of(
    law: Law,
    runs: object,
    *,
    weights: str | Array | None = None,
    rows: Rows = "finals",
) -> Points:
    """Take from a run table what a law needs; points that were taken before are as they are.

    ``runs`` is a RunTable, anything ``read_runs`` reads, or a mapping of equally long arrays by
    column. ``rows="finals"`` keeps the finished models, ``"all"`` every checkpoint.
    Points with a missing or zero input are left out, and said so; negative ones are an error.
    """
    if isinstance(runs, Points):
        return runs
    table = runs if isinstance(runs, RunTable) else _table(runs)
    if rows == "finals":
        table = table.finals()
    _require_columns(law, table)
    columns = {symbol: table.column(column) for symbol, column in law.variables.items()}
    observed = table.column(law.quantity)
    weight = _weights(table, weights)
    _refuse_mixtures(table)
    keep, left_out = _usable(law, {**columns, law.quantity: observed}, weight)
    points = Points(
        inputs=columns,
        observed=observed,
        weights=weight,
        cluster=_clusters(table),
        flops=_flops(table),
        counts=_counts(table),
        sha256=table.sha256,
        source=table.source,
        left_out=left_out,
    ).take(keep)
    if not len(points):
        raise RunDataError(
            f"No usable point is left of {len(observed)} for law {law.key!r}.",
            hint=f"{'; '.join(left_out) or 'The table is empty'}: fill in the cells or read other "
            "runs.",
        )
    return points


def ranges_of(law: Law, points: Points) -> dict[str, tuple[float, float]]:
    """Least and most of what a law was fitted to, by column, with what its runs had beside it."""
    columns = {column: points.inputs[symbol] for symbol, column in law.variables.items()}
    if points.flops is not None:
        columns.setdefault("flops", points.flops)
    unheard = _unheard(law, points.counts)
    if unheard is not None and np.isfinite(points.counts[unheard]).all():
        columns[unheard] = points.counts[unheard]
    return {column: (float(x.min()), float(x.max())) for column, x in columns.items()}


def _unheard(law: Law, counts: Mapping[str, Array]) -> str | None:
    """What a law of loss leaves out that its runs had: it holds at their value of it alone."""
    others = {("flops",): "", ("params",): "tokens", ("params_nonembed",): "tokens",
              ("tokens",): "params"}  # fmt: skip
    if law.quantity != "loss" or law.columns not in others or len(counts) < 3:
        return None
    other = counts.get(others[law.columns])
    one = other is not None and len(np.unique(other[np.isfinite(other)])) == 1
    return others[law.columns] if one else "tokens_per_param"


def _require_columns(law: Law, table: RunTable) -> None:
    """Say what a law lacks, and how to name it; counts are never taken for one another."""
    missing = [c for c in (*law.columns, law.quantity) if not table.has(c)]
    if not missing:
        return
    present = [c for c in ("params", "params_nonembed", "tokens", "flops", "step") if table.has(c)]
    raise RunDataError(
        f"Law {law.key!r} needs {', '.join(missing)}; the table has "
        f"{', '.join(present) or 'none of the counts'}.",
        hint=f"Name the column that holds it: --map {missing[0]}=COLUMN, or use another law.",
    )


def _table(runs: object) -> RunTable:
    from scalewise.runs.read import read_runs

    return read_runs(runs)


def _weights(table: RunTable, weights: str | Array | None) -> Array:
    if weights is None:
        return np.ones(len(table))
    values = table.column(weights) if isinstance(weights, str) else np.asarray(weights, dtype=float)
    if values.shape != (len(table),) or not np.all(values >= 0) or not np.all(np.isfinite(values)):
        least = f" and least value {np.min(values):g}" if values.size else ""
        raise RunDataError(
            f"The weights have shape {values.shape}{least}.",
            hint=f"Give {len(table)} finite weights, none negative.",
        )
    return values


def _refuse_mixtures(table: RunTable) -> None:
    for column in _MUST_AGREE:
        if not table.has(column):
            continue
        values = sorted(str(v) for v in table.frame[column].drop_nulls().unique().to_list())
        if len(values) > 1:
            shown = ", ".join(repr(v[:40]) for v in values[:4])
            raise UnfitDataError(
                f"The points mix {len(values)} values of {column}: {shown}; their losses cannot "
                "be compared.",
                hint=f"Choose one, for example with where=\"{column} == '{values[0][:40]}'\".",
            )


def _usable(law: Law, columns: Mapping[str, Array], weight: Array) -> tuple[Array, tuple[str, ...]]:
    keep = weight > 0
    left_out = []
    if not keep.all():
        left_out.append(f"{int((~keep).sum())} points have weight 0")
    names = {**dict(law.variables), law.quantity: law.quantity}
    for symbol, values in columns.items():
        negative = np.flatnonzero(values < 0)
        if len(negative):
            raise RunDataError(
                f"{names[symbol]} is negative at {len(negative)} "
                f"point{'s' if len(negative) > 1 else ''}, first "
                f"{values[negative[0]]:g} in row {negative[0] + 1}.",
                hint=f'Correct it, or leave these out with where="{names[symbol]} > 0".',
            )
        bad = ~np.isfinite(values) | (values == 0)
        if (bad & keep).any():
            left_out.append(f"{int((bad & keep).sum())} points lack {names[symbol]}")
            keep = keep & ~bad
    return keep, tuple(left_out)


def _clusters(table: RunTable) -> Array:
    if not table.has("run_id"):
        return np.arange(len(table))
    return table.frame["run_id"].rank("dense").to_numpy().astype(int) - 1


def _flops(table: RunTable) -> Array | None:
    if table.has("flops"):
        return table.column("flops")
    if table.has("params") and table.has("tokens"):
        return training_flops(table.column("params"), table.column("tokens"))
    return None


def _counts(table: RunTable) -> dict[str, Array]:
    found = {name: table.column(name) for name in ("params", "tokens") if table.has(name)}
    if len(found) == 2:
        with np.errstate(divide="ignore", invalid="ignore"):
            found["tokens_per_param"] = found["tokens"] / found["params"]
    return found
