"""What a run in training tells about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
