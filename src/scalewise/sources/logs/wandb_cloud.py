"""W&B's server, asked through W&B's own package: every step of every run, never a sample.

W&B signs in by itself (``wandb login``, its environment variables); no key is asked for, read or
repeated here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from scalewise.core.errors import RunDataError, UsageError
from scalewise.core.optional import require
from scalewise.runs.quote import bare, quoted
from scalewise.sources.logs.config import flattened
from scalewise.sources.logs.log import Log, State, Wanted
from scalewise.sources.logs.points import WALL_TIME, Points
from scalewise.sources.logs.wandb import scalars

CLOUD = "wandb:"  # begins an address: wandb:ENTITY/PROJECT or wandb:ENTITY/PROJECT/RUN

_PAGE = 10_000  # rows asked for at once
_SECRET = re.compile(r"\b(?:[0-9a-f]{40}|local-[0-9a-f]{32,}|wandb_v\d_\w{16,})\b")
_STATES: Mapping[str, State] = {
    "finished": "finished", "failed": "failed", "killed": "failed", "crashed": "running or crashed",
    "running": "running or crashed", "preempted": "running or crashed",
    "preempting": "running or crashed",
}  # fmt: skip


class Run(Protocol):
    """What is used of ``wandb.apis.public.Run``."""

    id: str
    name: str
    state: str
    config: Mapping[str, Any]

    def scan_history(
        self, keys: list[str] | None = None, page_size: int = 1000
    ) -> Iterable[Mapping[str, Any]]:
        """Every row of the history; ``history`` would give a sample of 500."""


class Api(Protocol):
    """What is used of ``wandb.Api``."""

    def runs(self, path: str) -> Iterable[Run]:
        """The runs of a project."""

    def run(self, path: str) -> Run:
        """One run."""


def read_project(
    address: str, *, wanted: Wanted | None = None, api: Api | None = None
) -> list[Log]:
    """The runs of ``wandb:ENTITY/PROJECT``, or the one of ``wandb:ENTITY/PROJECT/RUN``.

    Raises UsageError for another address, MissingExtraError without the ``wandb`` extra, and
    RunDataError if the server refuses or holds no such thing.
    """
    parts = address.removeprefix(CLOUD).strip("/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UsageError(
            f"{quoted(address)} does not name a W&B project.",
            hint="Write wandb:ENTITY/PROJECT, or wandb:ENTITY/PROJECT/RUN for one run.",
        )
    api = api or _api()
    path = "/".join(parts)
    logs = []
    with _Told(path):
        found = api.runs(path) if len(parts) == 2 else [api.run(path)]
        logs = [_log(run, path, wanted) for run in found]
    if not logs:
        raise RunDataError(
            f"The W&B project {bare(path)} holds no runs.", hint="Check its name and entity."
        )
    return logs


def _api() -> Api:
    package = require("wandb", extra="wandb", why="to read from W&B's server")
    with _Told("the server"):
        made: Api = package.Api()
    return made


class _Told:
    """Whatever W&B raises, as an error of this package, without anything that looks like a key."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, RunDataError):
            said = _SECRET.sub("***", str(error) or type(error).__name__)
            raise RunDataError(
                f"W&B did not give {bare(self.path)}: {bare(said, 160)}.",
                hint="Check the address; sign in with `wandb login`.",
            ) from None


def _log(run: Run, path: str, wanted: Wanted | None) -> Log:
    points = Points()
    count = 0
    for count, row in enumerate(run.scan_history(page_size=_PAGE), start=1):
        step = row.get("_step")
        step = int(step) if isinstance(step, (int, float)) and abs(step) < 2**62 else count - 1
        for name, value in _numbers(row):
            if wanted is None or name == WALL_TIME or wanted(name):
                points.add(step, name, value)
    frame = points.frame()
    return Log(
        run_id=run.id,
        name=run.name or run.id,
        kind="wandb",
        source=f"{CLOUD}{path}",
        points=frame,
        config=flattened({k: v for k, v in run.config.items() if not k.startswith("_")}),
        lost=points.lost(),
        state=_STATES.get(run.state, "unknown"),
    )


def _numbers(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in row.items():
        if key == "_timestamp":
            yield from scalars(WALL_TIME, value)
        elif not key.startswith("_"):
            # The server spells what JSON lacks as text.
            odd = value in ("NaN", "Infinity", "-Infinity") if isinstance(value, str) else False
            yield from scalars(key, float(value) if odd else value)
