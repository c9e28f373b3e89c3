"""The run table: tidy rows, one per run, checkpoint and evaluation set, and how they were read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scalewise.core.errors import RunDataError
from scalewise.core.quantities import format_count, format_flops
from scalewise.runs.columns import COLUMNS, nearest
from scalewise.runs.quote import bare, listed, quoted

if TYPE_CHECKING:
    import polars as pl

KEY = ("run_id", "tokens", "eval_set", "is_annealed")
PROGRESS = ("tokens", "step")
SIZES = ("params", "params_nonembed", "params_active")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RunTable:
    """Runs under canonical column names, with their source and all that was assumed.

    ``mapping`` gives each canonical column its source column. ``sha256`` is that of the content
    of ``frame``: equal for equal rows in equal order, whatever file they came from.
    """

    frame: pl.DataFrame
    source: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    sha256: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", content_sha256(self.frame))

    def __len__(self) -> int:
        return self.frame.height

    def __repr__(self) -> str:
        return f"<RunTable {len(self)} rows of {self.run_count} runs from {bare(self.source)}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self)[1:-1])}</p>{self.frame._repr_html_()}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, canonical ones first."""
        return tuple(self.frame.columns)

    @property
    def run_count(self) -> int:
        """How many runs the rows belong to."""
        return self.frame["run_id"].n_unique()

    def has(self, name: str) -> bool:
        """Whether the column is there and holds anything."""
        return name in self.frame.columns and self.frame[name].null_count() < len(self)

    def column(self, name: str) -> NDArray[np.float64]:
        """A column as float64; missing cells are NaN, flags 0 or 1.

        Raises RunDataError if it is absent or holds text.
        """
        import polars as pl

        self._require(name)
        if self.frame.schema[name] == pl.String:
            raise RunDataError(
                f"Column {name!r} holds text, such as {quoted(self.frame[name].first())}.",
                hint="Use .text(name), or .frame[name].",
            )
        return np.asarray(self.frame[name].cast(pl.Float64).to_numpy(), dtype=np.float64)

    def text(self, name: str) -> tuple[str, ...]:
        """A column as text, missing cells empty. Raises RunDataError if it is absent."""
        import polars as pl

        self._require(name)
        return tuple(self.frame[name].cast(pl.String).fill_null("").to_list())

    def where(self, expr: str) -> RunTable:
        """The rows for which a condition holds; how many were left out is recorded.

        ``params < 1B and tokens_per_param >= 20``, ``corpus == 'c4'``, ``not (seed == 3)``,
        ``run_id in ('a', 'b')``, ``is_final``. Raises FormulaError if it is not such a condition,
        RunDataError if it holds for no row.
        """
        from scalewise.runs.where import condition

        kept = self.frame.filter(condition(expr, self.frame))
        if kept.is_empty():
            raise RunDataError(
                f"No row satisfies {quoted(expr, 200)}; the table has {len(self)}.",
                hint="Loosen the condition; a missing cell satisfies no comparison.",
            )
        return self._with(kept, f"where {bare(expr, 200)}: {kept.height} of {len(self)} rows kept")

    def measured(self, *names: str) -> RunTable:
        """The rows in which each of some columns is a finite number above 0.

        How many were left out is recorded. Raises RunDataError if none is left.
        """
        import polars as pl

        columns = [self.column(name) for name in names]
        usable = np.all([np.isfinite(values) & (values > 0) for values in columns], axis=0)
        kept = self.frame.filter(pl.Series(usable))
        if kept.is_empty():
            raise RunDataError(
                f"No row has a finite number above 0 in {' and '.join(names)}; the table has "
                f"{len(self)}.",
                hint="Map the columns that hold them, or read other runs.",
            )
        note = f"measured {', '.join(names)}: {kept.height} of {len(self)} rows kept"
        return self if kept.height == len(self) else self._with(kept, note)

    def finals(self) -> RunTable:
        """The rows of finished models; without any, the last checkpoint of each run.

        Runs that are left out because they did not finish are counted in the assumptions.
        """
        import polars as pl

        from scalewise.runs.derive import last_checkpoints

        if self.has("is_final") and self.frame["is_final"].any():
            kept = self.frame.filter(pl.col("is_final").fill_null(value=False))
            note = f"finals: {kept.height} of {len(self)} rows kept"
            if lost := self.run_count - kept["run_id"].n_unique():
                note += f"; {lost} runs have no finished model"
        else:
            kept = self.frame[last_checkpoints(self.frame)]
            note = f"finals: no row is final; the last checkpoints, {kept.height} rows, stand in"
        return self if kept.height == len(self) else self._with(kept, note)

    def without(self, run_ids: Iterable[str]) -> RunTable:
        """The table without some runs. Raises RunDataError if one of them is not in it."""
        import polars as pl

        names = [run_ids] if isinstance(run_ids, str) else list(run_ids)
        known = set(self.frame["run_id"].to_list())
        if unknown := [name for name in names if name not in known]:
            raise RunDataError(
                f"There is no run {listed(unknown)}.",
                hint=f"{nearest(unknown[0], sorted(known))}Runs: {listed(sorted(known))}.",
            )
        kept = self.frame.filter(~pl.col("run_id").is_in(names))
        return self._with(kept, f"without {listed(names)}: {len(self) - kept.height} rows left out")

    def deduplicated(self) -> RunTable:
        """One row per run, tokens, evaluation set and annealing: the last written one wins.

        How many rows were overwritten is recorded in the assumptions.
        """
        earlier = self.overwritten()
        if not earlier.any():
            return self
        note = f"deduplicated by {', '.join(self.key)}: {earlier.sum()} earlier rows dropped"
        return self._with(self.frame.filter(~earlier), note)

    def overwritten(self) -> NDArray[np.bool_]:
        """Which rows a later row of the same key replaces; rows of unknown progress never."""
        import polars as pl

        progress = [name for name in self.key if name in PROGRESS]
        if not progress:
            return np.zeros(len(self), dtype=bool)
        rows = self.frame.select(self.key).with_columns(
            pl.col(progress).cast(pl.Float64).fill_nan(None)
        )
        known = rows.select(pl.any_horizontal(pl.col(progress).is_not_null())).to_series()
        last = rows.with_row_index("_row").unique(subset=list(self.key), keep="last")
        earlier = known.to_numpy().copy()
        earlier[last["_row"].to_numpy()] = False
        return np.asarray(earlier)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that together name a row; ``step`` is one where tokens are not all known."""
        frame = self.frame
        counted = "tokens" in frame.columns and not frame["tokens"].null_count()
        names = KEY if counted else (*KEY, "step")
        return tuple(name for name in names if name in frame.columns)

    def describe(self) -> str:
        """What was read and assumed, as plain text safe for a terminal."""
        sizes = next((name for name in SIZES if self.has(name)), None)
        counted = f", {self.frame[sizes].n_unique()} sizes" if sizes else ""
        lines = [
            f"source   {bare(self.source, 200)}",
            f"rows     {len(self)} in {self.run_count} runs{counted}",
            f"sha256   {self.sha256}",
        ]
        renamed = [f"{n} <- {bare(s)}" for n, s in self.mapping.items() if n != s]
        lines += _section("columns", renamed)
        ranges = (_range(self.frame[name]) for name in COLUMNS if self.has(name))
        lines += _section("ranges", [line for line in ranges if line])
        lines += _section("kept as they are", [bare(n) for n in self.columns if n not in COLUMNS])
        lines += _section("assumed", [bare(text, 300) for text in self.assumptions])
        return "\n".join(lines)

    def _require(self, name: str) -> None:
        if name not in self.frame.columns:
            raise RunDataError(
                f"The run table has no column {quoted(name)}.",
                hint=f"{nearest(name, self.frame.columns)}Columns: "
                f"{listed(self.frame.columns, 40)}.",
            )

    def _with(self, frame: pl.DataFrame, note: str) -> RunTable:
        return replace(self, frame=frame, assumptions=(*self.assumptions, note))


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines)] if lines else []


def _range(series: pl.Series) -> str:
    """One line on what a canonical column spans, in its unit."""
    import polars as pl

    column = COLUMNS[series.name]
    missing = f", {n} missing" if (n := series.null_count()) else ""
    if series.dtype == pl.Boolean:
        return f"{series.name:<17}{series.sum()} of {len(series)} rows{missing}"
    if series.dtype == pl.String:
        words = series.drop_nulls().unique(maintain_order=True).to_list()
        return f"{series.name:<17}{listed(words, 4)}{missing}"
    values = series.cast(pl.Float64).drop_nulls()
    finite = values.filter(values.is_finite())
    if finite.is_empty():
        return f"{series.name:<17}no finite value{missing}"
    show = _SHOWN.get(column.unit, lambda value: f"{value:.6g}")
    bounds = finite.to_numpy()
    low, high = show(float(bounds.min())), show(float(bounds.max()))
    span = low if low == high else f"{low} to {high}"
    odd = f", {n} not finite" if (n := len(values) - len(finite)) else ""
    unit = f" {column.unit}" if column.unit not in ("", "count") else ""
    return f"{series.name:<17}{span}{unit}{missing}{odd}"


_SHOWN = {
    "count": format_count,
    "tokens": format_count,
    "steps": format_count,
    "FLOP": format_flops,
}


def content_sha256(frame: pl.DataFrame) -> str:
    """SHA-256 of names and cells, columns in alphabetical order, numbers as float64.

    The same for a table read from CSV, JSONL or Parquet: an integer and the float equal to it
    count as one, and so do a column of nothing and its absence.
    """
    import polars as pl

    digest = hashlib.sha256()
    for name in sorted(frame.columns):
        cells = frame[name]
        empty = cells.is_null()
        if empty.all():
            continue
        is_text = cells.dtype == pl.String
        kind = "text" if is_text else "number"
        digest.update(f"{len(name.encode())}:{name}:{kind}:{frame.height}:".encode())
        digest.update(np.packbits(empty.to_numpy()).tobytes())
        if is_text:
            texts = cells.drop_nulls()
            lengths = texts.str.len_bytes().cast(pl.String)
            digest.update((lengths + ":" + texts).str.join("").item().encode())
            continue
        values = cells.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0
        # One bit pattern for every NaN and one for both zeros.
        values = np.where(np.isnan(values), np.nan, values)
        digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return digest.hexdigest()
