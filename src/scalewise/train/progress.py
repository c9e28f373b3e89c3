"""What a run in training tells about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["running", "ok", "diverged", "crashed", "busy", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is.

    ``running`` it is being trained; ``ok`` and ``diverged`` it has ended and will not be trained
    again; ``crashed`` its process died, ``busy`` another process holds it, ``failed`` an error
    stopped it: these three are taken up again by the next call.
    """

    run_id: str
    status: Status
    updates: int  # optimizer updates made, on trunk and branches
    total_updates: int
    loss: float | None = None  # latest validation loss, nats/token
    detail: str = ""


OnProgress = Callable[[Progress], None]
