"""What the user says about logs, in a file that the tool proposes and the user corrects.

::

    [columns]            # a column of a run table, and the metric or table column that it is
    loss = "val/loss"
    tokens = "train/tokens_seen"

    [constants]          # what holds for every run
    batch_tokens = 524288

    [runs."baseline-2"]  # what holds for one run, by its run_id
    params = "124M"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scalewise.core.errors import RunDataError, ScalewiseError, UsageError
from scalewise.core.quantities import parse_quantity
from scalewise.runs.columns import COLUMNS, nearest
from scalewise.runs.quote import bare, quoted
from scalewise.sources.logs.limits import read_bytes

Value = float | str
_TABLES = ("columns", "constants", "runs")
_MOST_BYTES = 4 * 2**20
# What only a row has; a run has no such constant.
_BY_ROW = frozenset({"run_id", "loss", "train_loss", "tokens", "step", "is_final"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Columns by metric, constants of all runs, and constants by run; empty says nothing."""

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Value] = field(default_factory=dict)
    runs: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def of_run(self, run_id: str, name: str = "") -> dict[str, Value]:
        """The constants of one run, its own before those of all."""
        return {**self.constants, **self.runs.get(name, {}), **self.runs.get(run_id, {})}


def read_corrections(path: str | Path) -> Corrections:
    """Read a mapping file. Raises RunDataError if it is unreadable, UsageError if malformed."""
    name = bare(str(path), 200)
    try:
        tree = tomllib.loads(read_bytes(Path(path), _MOST_BYTES).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunDataError(
            f"{name} is not TOML: {bare(str(error), 120)}.",
            hint="`scalewise runs LOGS --propose FILE` writes one to correct.",
        ) from error
    return corrections_from(tree, name=name)


def corrections_from(tree: Mapping[str, object], *, name: str = "the mapping") -> Corrections:
    """Check a mapping that was read from a file or written as a dictionary.

    >>> corrections_from({"constants": {"batch_tokens": "0.5M"}}).constants
    {'batch_tokens': 500000.0}
    """
    for key in tree:
        if key not in _TABLES:
            raise UsageError(
                f"{name} has {quoted(key)}, which a mapping has not.",
                hint=f"{nearest(key, list(_TABLES))}It has [columns], [constants] and "
                '[runs."NAME"].',
            )
    columns = _table(tree, "columns", name)
    for column, metric in columns.items():
        _known(column, name)
        if not isinstance(metric, str) or not metric:
            raise UsageError(
                f"[columns] of {name} has {column} = {quoted(metric)}.",
                hint=f'Name a metric, such as {column} = "val/loss".',
            )
    runs = _table(tree, "runs", name)
    return Corrections(
        columns={column: str(metric) for column, metric in columns.items()},
        constants=_constants(_table(tree, "constants", name), f"[constants] of {name}"),
        runs={
            run: _constants(_table(runs, run, name), f"[runs.{quoted(run)}] of {name}")
            for run in runs
        },
    )


def _table(tree: Mapping[str, object], key: str, name: str) -> Mapping[str, object]:
    value = tree.get(key, {})
    if not isinstance(value, Mapping):
        raise UsageError(
            f"{name} has {key} = {quoted(value)}, not a table.", hint=f"Write it as [{key}]."
        )
    return value


def _known(column: str, where: str) -> None:
    if column not in COLUMNS:
        raise UsageError(
            f"{where} names {quoted(column)}, which is no column of a run table.",
            hint=f"{nearest(column, [*COLUMNS])}Known: {', '.join(COLUMNS)}.",
        )


def _constants(table: Mapping[str, object], where: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for column, value in table.items():
        _known(column, where)
        if column in _BY_ROW:
            raise UsageError(
                f"{where} gives {column} one value, {quoted(value)}; each row has its own.",
                hint="Name the metric that it is, under [columns].",
            )
        found[column] = _constant(column, value, where)
    return found


def _constant(column: str, value: object, where: str) -> Value:
    kind = COLUMNS[column].kind
    if kind == "text" and isinstance(value, str):
        return value
    if kind == "flag" and isinstance(value, bool):
        return float(value)
    if kind == "number" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind == "number" and isinstance(value, str):
        try:
            return parse_quantity(value, name=column, allow_zero=True)
        except ScalewiseError as error:
            raise UsageError(f"{where}: {error.message}", hint=error.hint) from error
    raise UsageError(
        f"{where} has {column} = {quoted(value)}, which is not a {kind}.",
        hint='Numbers may be written 524288, 1e9 or "124M"; text stands in quotation marks.',
    )
