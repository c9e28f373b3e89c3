"""Downstream tasks in a run table: which column is meant, its error, and how far beyond chance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from scalewise.core.errors import RunDataError, UsageError
from scalewise.runs.columns import nearest
from scalewise.runs.quote import listed
from scalewise.runs.read import read_runs

if TYPE_CHECKING:
    from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Tasks = Sequence[str] | Mapping[str, str | Sequence[str]]

# Gadre et al. 2024 keep the tasks that a model of 154M params beats chance in by more than this.
CLEAR_GAIN = 0.10
_ERROR = re.compile(r"(?:^|[^a-z])err(?:or)?(?:[^a-z]|$)")
_ACCURACY = re.compile(r"(?:^|[^a-z])acc(?:uracy)?(?:[^a-z]|$)")
_SPREAD = re.compile(r"std|(?:^|[^a-z])(?:se|ci)(?:[^a-z]|$)")  # acc_stderr is no accuracy
_PREFIX = re.compile(r"^(?:err(?:or)?|acc(?:uracy)?)[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A downstream task, or a mean over several: its columns, and chance accuracy if known."""

    name: str
    columns: tuple[str, ...]
    chance: float | None = None

    @property
    def source(self) -> str:
        """How the error is taken from the columns, in words."""
        kinds = {_is_accuracy(column) for column in self.columns}
        of = " and ".join(
            text for kind, text in ((True, "1 - accuracy"), (False, "error")) if kind in kinds
        )
        if len(self.columns) == 1:
            return f"{of} in {self.columns[0]}"
        return f"mean of {of} over {len(self.columns)} columns: {', '.join(self.columns)}"


def tasks_of(
    table: RunTable, tasks: Tasks, chance: Mapping[str, float] | None = None
) -> tuple[Task, ...]:
    """The tasks that are meant: each a column, or a name with the columns to average.

    A column may be given without its prefix (``arc_easy`` for ``acc_arc_easy``), several by a
    pattern (``acc_*``). ``chance`` is by task or by column; that of a mean is the mean of its
    columns', if all are known. Raises RunDataError for an unknown column and UsageError for a
    chance accuracy outside [0, 1) or of nothing that is asked for.
    """
    given = tasks if isinstance(tasks, Mapping) else {name: name for name in tasks}
    if not given:
        raise UsageError("No task is named.", hint="Name the columns that hold error or accuracy.")
    known = dict(chance or {})
    for name, value in known.items():
        if not 0 <= value < 1:
            raise UsageError(
                f"The chance accuracy of {name} is {value:g}, which is not in [0, 1).",
                hint="Give it as a share: 0.25 for four choices.",
            )
    found, used = [], set()
    for name, words in given.items():
        columns = columns_of(table, [words] if isinstance(words, str) else words)
        levels = [known.get(column) for column in columns]
        used |= {name, *columns} & set(known)
        level = known.get(name)
        if level is None and None not in levels:
            level = float(np.mean(np.array(levels, dtype=float)))
        found.append(Task(name=name, columns=columns, chance=level))
    if unused := [name for name in known if name not in used]:
        names = [*given, *(column for task in found for column in task.columns)]
        raise UsageError(
            f"A chance accuracy is given for {listed(unused)}, which is no task here.",
            hint=f"{nearest(unused[0], names)}Tasks: {listed(list(given))}.",
        )
    return tuple(found)


def columns_of(table: RunTable, words: Sequence[str]) -> tuple[str, ...]:
    """The columns of error or accuracy that the words mean, each once."""
    able = [c for c in table.columns if _is_error(c) or _is_accuracy(c)]
    found: list[str] = []
    for word in words:
        if word in table.columns:
            matches = [word]
        elif "*" in word:
            matches = [column for column in able if fnmatchcase(column, word)]
        else:
            matches = [column for column in able if stem_of(column) == word.casefold()]
        if not matches or ("*" not in word and len(matches) > 1):
            raise _no_column(word, matches, able)
        found += matches
    for column in found:
        if not (_is_error(column) or _is_accuracy(column)):
            raise RunDataError(
                f"The name of column {column!r} does not say whether it holds error or accuracy.",
                hint=f"Name it err_{column} or acc_{column}.",
            )
    return tuple(dict.fromkeys(found))


def _no_column(word: str, matches: Sequence[str], able: Sequence[str]) -> RunDataError:
    if matches:
        return RunDataError(
            f"Task {word!r} could be {listed(matches)}.", hint="Give the name of the column."
        )
    near = nearest(word, [*able, *map(stem_of, able)])
    there = (
        f"Columns of error or accuracy: {listed(able)}."
        if able
        else "The table has no column of error (err_...) or accuracy (acc_...)."
    )
    return RunDataError(f"There is no column for task {word!r}.", hint=f"{near}{there}")


def with_error(table: RunTable, task: Task) -> RunTable:
    """The table with the task's error as its ``error``."""
    import polars as pl

    cells = pl.Series("error", task_errors(table, task)).fill_nan(None)
    return replace(table, frame=table.frame.with_columns(cells))


def task_errors(table: RunTable, task: Task) -> Array:
    """The task's error in every row; NaN where any of its columns is missing.

    Raises RunDataError if a cell is outside [0, 1].
    """
    return np.asarray(np.stack([_errors(table, column) for column in task.columns]).mean(axis=0))


def _errors(table: RunTable, column: str) -> Array:
    if not table.has(column):  # a column of nothing has no kind
        return np.full(len(table), np.nan)
    values = table.column(column)
    outside = np.flatnonzero((values < 0) | (values > 1))
    if len(outside):
        percent = np.nanmax(values) > 1.5 and np.nanmin(values) >= 0 and np.nanmax(values) <= 100
        raise RunDataError(
            f"{column} is {values[outside[0]]:g} in row {outside[0] + 1} and outside [0, 1] in "
            f"{len(outside)} of {len(values)} rows.",
            hint="It looks like percent: divide the column by 100."
            if percent
            else "Error and accuracy are shares: correct the column.",
        )
    return 1.0 - values if _is_accuracy(column) else values


def stem_of(column: str) -> str:
    """A column's name without the prefix that says error or accuracy, in small letters."""
    return _PREFIX.sub("", column.casefold())


def _is_error(column: str) -> bool:
    name = column.casefold()
    return bool(_ERROR.search(name)) and not _SPREAD.search(name)


def _is_accuracy(column: str) -> bool:
    name = column.casefold()
    return bool(_ACCURACY.search(name)) and not (_ERROR.search(name) or _SPREAD.search(name))


def gains_over_chance(
    runs: object, chance: Mapping[str, float], *, at: str | None = None
) -> dict[str, float]:
    """By how much the best run beats chance accuracy in each task of ``chance``, by task.

    ``at`` is a condition on the runs that count, such as ``"params < 200M"``.
    """
    table = read_runs(runs, where=at)
    gains = {}
    for task in tasks_of(table, list(chance), chance):
        errors = task_errors(table, task)
        if not np.isfinite(errors).any():
            raise RunDataError(f"Task {task.name!r} has no values.", hint="Leave it out.")
        gains[task.name] = 1.0 - float(np.nanmin(errors)) - chance[task.name]
    return gains


def tasks_above_chance(
    runs: object,
    chance: Mapping[str, float],
    *,
    at: str | None = None,
    margin: float = CLEAR_GAIN,
) -> tuple[str, ...]:
    """The tasks of ``chance`` (accuracy of guessing, by task) that some run clearly beats.

    Kept if best accuracy - chance > ``margin`` over the runs ``at`` a condition. With the runs of
    154M params and 0.10 that is how Gadre et al. 2024 (2403.08540, sec. 3) come from 46 tasks to
    17. The best of many runs is above chance by luck alone, so a small margin keeps noise.

    >>> runs = {"params": [1e8, 1e8], "acc_a": [0.30, 0.52], "acc_b": [0.24, 0.27]}
    >>> tasks_above_chance(runs, {"acc_a": 0.25, "acc_b": 0.25})
    ('acc_a',)
    """
    gains = gains_over_chance(runs, chance, at=at)
    return tuple(name for name, gain in gains.items() if gain > margin)
