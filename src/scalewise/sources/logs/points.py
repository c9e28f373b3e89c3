"""Scalars gathered step by step, and made into one sorted table where the last write wins."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.limits import MAX_CELLS, MAX_METRICS, MAX_NAME

if TYPE_CHECKING:
    import polars as pl

WALL_TIME = "wall_time"
_MOST_STEP = 2**62


class Points:
    """Scalars of one run, 16 bytes each.

    >>> points = Points()
    >>> points.add(1, "loss", 3.0)
    >>> points.add_row(1, {"loss": 2.9, "lr": 0.1})
    >>> frame = points.frame()
    >>> frame.rows(), points.lost()
    ([(1, 2.9, 0.1)], {'overwritten points': 1})
    """

    def __init__(self) -> None:
        self._metrics: dict[str, tuple[array[int], array[float]]] = {}
        self._overwritten = 0
        self._odd = 0

    def __len__(self) -> int:
        return sum(len(steps) for steps, _ in self._metrics.values())

    def metric(self, name: str) -> tuple[array[int], array[float]]:
        """The steps and values of a metric, to append to; for loops that must be fast.

        Steps are integers below 2**62. Raises RunDataError past `MAX_METRICS` names.
        """
        found = self._metrics.get(name)
        if found is None:
            if len(self._metrics) >= MAX_METRICS:
                raise RunDataError(
                    f"A run logs more than {MAX_METRICS} metrics.",
                    hint="Export the metrics that are needed as CSV.",
                )
            found = self._metrics.setdefault(metric_name(name), (array("q"), array("d")))
        return found

    def columns(self) -> Iterator[tuple[array[int], array[float]]]:
        """Steps and values of every metric."""
        yield from self._metrics.values()

    def add(self, step: int, metric: str, value: float) -> None:
        """One scalar; a step that is no ordinary count is left out and counted."""
        if not -1 <= step < _MOST_STEP:
            self._odd += 1
            return
        steps, values = self.metric(metric)
        steps.append(step)
        try:
            values.append(value)
        except OverflowError:
            values.append(float("inf") if value > 0 else float("-inf"))

    def add_row(self, step: int, values: Mapping[str, float]) -> None:
        """Several scalars of one step."""
        for metric, value in values.items():
            self.add(step, metric, value)

    def lost(self) -> dict[str, int]:
        """What `frame` left out, for `Log.lost`; empty if nothing."""
        told = {"overwritten points": self._overwritten, "points at odd steps": self._odd}
        return {name: count for name, count in told.items() if count}

    def frame(self) -> pl.DataFrame:
        """One row per step, sorted; of points that share step and metric the last is kept.

        Raises RunDataError if steps times metrics pass `MAX_CELLS`.
        """
        import polars as pl

        columns = {
            name: (np.frombuffer(steps, np.int64), np.frombuffer(values, np.float64))
            for name, (steps, values) in self._metrics.items()
            if len(steps)
        }
        every = _distinct([steps for steps, _ in columns.values()])
        if len(every) * len(columns) > MAX_CELLS:
            raise RunDataError(
                f"A run logs {len(columns)} metrics at {len(every)} steps; at most {MAX_CELLS} "
                "cells are read.",
                hint="Export the metrics that are needed as CSV.",
            )
        series = [pl.Series("step", every, pl.Int64)]
        self._overwritten = 0
        for name, (steps, values) in columns.items():
            cells, count = _placed(every, steps, values)
            self._overwritten += 0 if name == WALL_TIME else count
            series.append(cells.alias(name))
        return pl.DataFrame(series)


def metric_name(name: str) -> str:
    r"""A metric's name as a column can have it: bounded, no NUL, no half of a character pair.

    A metric called ``step`` is not the step of the log, which may count something else.

    >>> metric_name("step"), metric_name("a\x00b")
    ('logged.step', 'ab')
    """
    text = name[:MAX_NAME].replace("\x00", "").encode("utf-8", "replace").decode()
    return "logged.step" if text == "step" else text


def _distinct(steps: list[np.ndarray]) -> np.ndarray:
    """All steps, sorted, once each; metrics logged together share an array and cost nothing."""
    every = np.zeros(0, np.int64)
    for one in steps:
        if len(one) == len(every) and np.array_equal(one, every):
            continue
        every = np.union1d(every, one)
    return every


def _placed(every: np.ndarray, steps: np.ndarray, values: np.ndarray) -> tuple[pl.Series, int]:
    """A metric on all steps, empty where not logged, and how many points were written over."""
    import polars as pl

    if len(steps) == len(every) and np.array_equal(steps, every):
        return pl.Series(values.copy()), 0
    cells = np.zeros(len(every))
    logged = np.zeros(len(every), bool)
    where = np.searchsorted(every, steps)
    # Assignment through repeated indices keeps the last: later writes win.
    cells[where] = values
    logged[where] = True
    return pl.Series(cells).set(pl.Series(~logged), None), len(steps) - int(logged.sum())


def without_step(values: Mapping[str, float]) -> pl.DataFrame:
    """The points of a log without steps, such as an evaluation: one row, its step null."""
    import polars as pl

    series = [pl.Series(metric_name(name), [float(value)]) for name, value in values.items()]
    return pl.DataFrame([pl.Series("step", [None], pl.Int64), *series])
