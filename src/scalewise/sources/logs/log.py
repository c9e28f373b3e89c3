"""What every log reader hands over: the scalars of one run as they were logged, not yet understood.

A reader knows a format. What a metric means is decided once, for all formats, in `understand`;
a reader says so only where its format leaves no doubt (`Log.meanings`, `Log.facts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import polars as pl

State = Literal["finished", "running or crashed", "failed", "unknown"]
Wanted = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a format says that one of its metrics is.

    ``column`` is a column of a run table (`scalewise.runs.columns.COLUMNS`), or the name of an
    extra one. ``eval_set`` names what the measure was taken on, where that is a validation set or
    a task. ``scale`` turns the logged unit into the column's (1e15 for petaFLOP). ``note`` tells
    what the user must know, such as how a training loss is smoothed.
    """

    column: str
    eval_set: str = ""
    scale: float = 1.0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One value that holds for a whole run, and where it was found or how it follows."""

    value: float | str
    how: str
    confidence: Literal["logged", "derived", "assumed"] = "logged"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Log:
    """The scalars of one run.

    Attributes:
        run_id: the identity that the tool gives the run. A format without one uses the path of
            the run's folder, ``folder.as_posix()``; it is shortened later. Logs of one kind with
            equal ``run_id`` are one run that was resumed, in the order of their units.
        name: what people call the run; the last part of ``run_id`` where there is nothing better.
        kind: ``key`` of the reader.
        source: the path, or the address, that it was read from.
        config: settings under dotted keys, values as the tool kept them.
        points: one row per logged step, sorted and unique: ``step`` (Int64), optionally
            ``wall_time`` (seconds since 1970), and one Float64 column per metric under the name
            it was logged by. Missing is null; a NaN is a NaN that was logged. A log without steps
            (an evaluation) has one row whose ``step`` is null. `scalewise.sources.logs.points`
            has `Points` and `without_step` to build it.
        meanings: by metric, what the format says about it; others are guessed by their names.
        facts: by column of a run table, what is known of the run as a whole (params, seed, ...).
        notes: sentences for the user.
        lost: what did not come through, by kind: "overwritten points", "unreadable records",
            "truncated bytes", ...
        state: how the run ended.
        restart_step: where the run took up again, if it says so: points of earlier logs of this
            run at this step and beyond were given up.
    """

    run_id: str
    name: str
    kind: str
    source: str
    points: pl.DataFrame
    config: Mapping[str, object] = field(default_factory=dict)
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)
    state: State = "unknown"
    restart_step: int | None = None


class Reader(Protocol):
    """One format.

    ``units`` is asked about every folder of the tree that is read, and then about every file
    that is left, and looks no further than what it is asked about:

    - given a file, it returns ``[file]`` if the file is of this format, by its name or first
      bytes, else ``[]``;
    - given a folder, it returns ``[folder]`` if the folder as a whole is one unit of this format
      (nothing below it is then offered to any other reader), else ``[]``.

    ``read`` returns the runs of one unit. ``wanted`` says by name which metrics to keep; None
    keeps all. Raises RunDataError (fact, value, mend) if nothing can be read; a damaged part is
    skipped and counted in ``lost``. Files are untrusted: sizes are checked against
    `scalewise.sources.logs.limits` before they are read, links are not followed, and nothing
    outside the unit's folder is touched.
    """

    @property
    def key(self) -> str:
        """Short name of the format: "wandb"."""

    @property
    def title(self) -> str:
        """What people call it: "W&B offline run"."""

    def units(self, path: Path) -> list[Path]:
        """The path itself if this reader reads it, else nothing."""

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The runs of one unit."""
