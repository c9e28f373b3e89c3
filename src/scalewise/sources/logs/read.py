"""Reading logs: folders and files of any supported kind in, one tidy run table out.

::

    table = read_logs(["wandb", "tb"])            # folders, files, wandb:ENTITY/PROJECT
    reading = reading_of(gather(["wandb"]))       # the table, with every choice behind it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare, listed
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from scalewise.sources.logs.gather import Gathering, Given, Paths, gather
from scalewise.sources.logs.rows import rows_of
from scalewise.sources.logs.understand import Understood

if TYPE_CHECKING:
    import polars as pl

_TOLD_NOTES = 12
# Notes on where a log belongs, which change none of its numbers.
_ASIDE = ("MLflow experiment ", " is plotted over ", " is version ")
_FEW_ROWS = 3  # too few to take two runs for one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """A run table from logs, and what it was made from.

    ``tables`` are the run tables among the logs, as (path, rows); ``notes`` tell what was lost.
    """

    table: RunTable
    logs: tuple[Understood, ...]
    tables: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


def read_logs(
    paths: Paths, *, mapping: Given = None, wanted: Sequence[str] | None = None
) -> RunTable:
    """One run table from logs of any supported kind, merged.

    ``paths`` are files, folders that are searched, ``wandb:ENTITY/PROJECT[/RUN]`` or
    ``mlflow:http://HOST:PORT/EXPERIMENT``. ``mapping`` is a mapping file, its content, or
    `Corrections`. ``wanted`` keeps only metrics of these names.
    What was derived, assumed and lost is in the table's assumptions.
    Raises RunDataError if nothing there can be read, or nothing read measures a run.
    """
    return reading_of(gather(paths, mapping=mapping, wanted=wanted)).table


def reading_of(gathering: Gathering) -> Reading:
    """Logs and tables as one run table. Raises RunDataError if nothing in them measures a run."""
    import polars as pl

    frames: list[pl.DataFrame] = []
    told: list[str] = []
    left_out: list[str] = []
    for found in gathering.logs:
        rows, notes = rows_of(found)
        told += notes
        if rows.height:
            frames.append(rows)
        else:
            left_out.append(f"{bare(found.log.run_id)}: nothing in it measures a run")
    if not frames and not gathering.tables:
        raise _nothing(gathering)
    left_out += _twice(gathering.logs, frames)
    parts = [*frames, *(table.frame for table in gathering.tables)]
    whole = read_runs(pl.concat(parts, how="diagonal_relaxed"))
    lost = (*_lost(gathering.logs), *left_out, *gathering.notes)
    table = replace(
        whole,
        source=gathering.source,
        mapping={"run_id": "run_id"},
        assumptions=(
            *_assumed(gathering.logs),
            *_noted(gathering.logs),
            *_counted(told),
            *_assumed_of_tables(gathering.tables),
            *whole.assumptions,
            *lost,
        ),
    )
    tables = tuple((t.source, len(t)) for t in gathering.tables)
    return Reading(table=table, logs=gathering.logs, tables=tables, notes=lost)


def _twice(logs: Sequence[Understood], frames: Sequence[pl.DataFrame]) -> Iterator[str]:
    """Runs with the same losses: one run that two tools logged, or a folder that was copied."""
    kinds = {found.log.run_id: found.log.kind for found in logs}
    seen: dict[tuple[object, ...], tuple[str, list[object]]] = {}
    for frame in frames:
        if "loss" not in frame.columns or frame.height < _FEW_ROWS:
            continue
        run_id, loss = str(frame["run_id"][0]), frame["loss"].to_list()
        # To five digits, as TensorBoard keeps float32.
        key = tuple(None if value is None else f"{value:.4e}" for value in loss)
        other, its_loss = seen.setdefault(key, (run_id, loss))
        # Runs of one tool may share rounded losses; a copy shares every digit.
        if other != run_id and (kinds.get(other) != kinds.get(run_id) or loss == its_loss):
            yield (
                f"{bare(run_id)} ({kinds[run_id]}) has the losses of {bare(other)} "
                f"({kinds[other]}): if that is one run twice, leave one out with --where"
            )


def _nothing(gathering: Gathering) -> RunDataError:
    logs, source = gathering.logs, gathering.source
    metrics = sorted({name for found in logs for name in found.log.points.columns} - {"step"})
    return RunDataError(
        f"None of the {len(logs)} logs in {source} has a metric that is known for a loss.",
        hint=f"Name it in a mapping file, under [columns]; --propose FILE writes one. "
        f"Metrics: {listed(metrics, 20) or 'none that were read'}.",
    )


def _assumed(logs: tuple[Understood, ...]) -> list[str]:
    """What was derived or assumed, once, with how many runs it holds for."""
    lines = [
        f"{choice.column} = {choice.how} [{choice.confidence}]"
        for found in logs
        for choice in found.choices
        if choice.confidence in ("derived", "assumed", "unknown") and choice.how
    ]
    smoothed = [
        f"train_loss is smoothed as logged: {found.smoothing}" for found in logs if found.smoothing
    ]
    return _counted([*lines, *smoothed])


def _assumed_of_tables(tables: Sequence[RunTable]) -> list[str]:
    """What tables assume, once, with the table or how many of them it holds for."""
    sources: dict[str, list[str]] = {}
    for table in tables:
        for note in table.assumptions:
            sources.setdefault(note, []).append(table.source)
    return [
        f"{note} ({len(of)} tables)" if len(of) > 1 else f"{of[0]}: {note}"
        for note, of in sources.items()
    ]


def _noted(logs: tuple[Understood, ...]) -> list[str]:
    """What readers say of the numbers: sampled, rounded, a mean of several runs."""
    notes = [note for f in logs for note in f.log.notes if not any(w in note for w in _ASIDE)]
    told = _counted(notes)
    more = [f"{len(told) - _TOLD_NOTES} more notes are in --json"] if told[_TOLD_NOTES:] else []
    return [*told[:_TOLD_NOTES], *more]


def _lost(logs: tuple[Understood, ...]) -> list[str]:
    total: dict[str, tuple[int, int]] = {}
    for found in logs:
        for name, count in found.log.lost.items():
            points, runs = total.get(name, (0, 0))
            total[name] = (points + count, runs + 1)
    lines = [f"lost: {count} {name} in {runs} runs" for name, (count, runs) in total.items()]
    open_ended = sum(found.log.state == "running or crashed" for found in logs)
    if open_ended:
        lines.append(f"{open_ended} runs have no end in their log: running or crashed")
    return lines


def _counted(lines: Iterable[str]) -> list[str]:
    counts: dict[str, int] = {}
    for line in lines:
        counts[line] = counts.get(line, 0) + 1
    return [f"{line} ({count} runs)" if count > 1 else line for line, count in counts.items()]
