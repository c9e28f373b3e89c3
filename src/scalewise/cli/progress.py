"""Progress of training on standard error: bars with the time left, or plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scalewise.cli.output import tell
from scalewise.runs.quote import bare

if TYPE_CHECKING:
    from scalewise.runs.spec import RunSpec
    from scalewise.train.progress import Progress

LINE_SECONDS = 10.0


@contextmanager
def training_progress(specs: Sequence[RunSpec]) -> Iterator[Callable[[Progress], None]]:
    """What to call with each event of the training of ``specs``."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    with _bars() as bars:
        yield _Bars(bars)


class _Lines:
    """A line when a run ends, and now and then while it goes on."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def __call__(self, event: Progress) -> None:
        now = time.monotonic()
        running = event.status == "running"
        if running and now - self._last.setdefault(event.run_id, now) < LINE_SECONDS:
            return
        self._last[event.run_id] = now
        loss = "" if event.loss is None else f", loss {event.loss:.4f}"
        detail = f" ({event.detail})" if event.detail else ""
        tell(
            f"{event.run_id}: {event.status}, {event.updates} of {event.total_updates} updates"
            f"{loss}{detail}"
        )


class _Bars:
    """One bar per run that has begun."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def __call__(self, event: Progress) -> None:
        if event.run_id not in self._tasks:
            # Braces and brackets in a name must not be read as markup.
            self._tasks[event.run_id] = self._bars.add_task(
                bare(event.run_id), total=event.total_updates, loss="", status=""
            )
        self._bars.update(
            self._tasks[event.run_id],
            completed=event.updates,
            loss="" if event.loss is None else f"loss {event.loss:.4f}",
            status="" if event.status == "running" else event.status,
        )


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}", markup=False),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[status]}", markup=False),
        console=Console(stderr=True),
    )
