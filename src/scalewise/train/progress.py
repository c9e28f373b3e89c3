"""What a run in training tells about itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scalewise.core.records import to_json
from scalewise.runs.spec import RunSpec
from scalewise.train.schedule import total_updates

Status = Literal["running", "ok", "diverged", "crashed", "busy", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is.

    ``running``: it is being trained. ``ok`` and ``diverged``: it has ended and will not be
    trained again. ``crashed``: its process died; ``busy``: another process holds it; ``failed``:
    an error stopped it. These three are taken up again by the next call.
    """

    run_id: str
    status: Status
    updates: int  # optimizer updates made, on trunk and branches
    total_updates: int
    loss: float | None = None  # a validation loss just measured, nats/token
    detail: str = ""


OnProgress = Callable[[Progress], None]


def stopped(spec: RunSpec, status: Status, detail: str) -> Progress:
    """The event of a run that was stopped from outside its training loop."""
    return Progress(
        run_id=spec.run_id,
        status=status,
        updates=0,
        total_updates=total_updates(spec),
        detail=detail,
    )


def progress_to_json(event: Progress) -> str:
    """An event as a line of JSON."""
    return to_json(event)


def progress_from_json(text: str) -> Progress:
    """The event that `progress_to_json` wrote.

    >>> event = Progress(run_id="d8", status="ok", updates=9, total_updates=9, loss=1.5)
    >>> progress_from_json(progress_to_json(event)) == event
    True
    """
    return Progress(**json.loads(text))
