"""Reading logs: folders and files of any supported kind in, one tidy run table out.

::

    table = read_logs(["wandb", "tb"])            # folders, files, wandb:ENTITY/PROJECT
    reading = reading_of(gather(["wandb"]))       # the table, with every choice behind it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from scalewise.core.errors import MissingExtraError, RunDataError
from scalewise.runs.quote import bare, listed
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from scalewise.sources.logs.detect import Unit, detect
from scalewise.sources.logs.evaluations import attached
from scalewise.sources.logs.limits import MAX_NAME
from scalewise.sources.logs.log import Fact, Log, Wanted
from scalewise.sources.logs.mapping import Corrections, corrections_from, read_corrections
from scalewise.sources.logs.merge import merged
from scalewise.sources.logs.mlflow_server import SERVER, read_server
from scalewise.sources.logs.readers import READERS
from scalewise.sources.logs.rows import rows_of
from scalewise.sources.logs.safetensors import counts_beside
from scalewise.sources.logs.understand import Understood, plausible, understand
from scalewise.sources.logs.wandb_cloud import CLOUD, read_project

if TYPE_CHECKING:
    import polars as pl

Paths = str | Path | Sequence[str | Path]
Given = Corrections | Mapping[str, object] | str | Path | None

_TOLD_UNITS = 5
_FEW_ROWS = 3  # too few to take two runs for one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathering:
    """Logs understood, run tables that lay among them, and what was passed over and why."""

    logs: tuple[Understood, ...]
    source: str
    tables: tuple[RunTable, ...] = ()
    notes: tuple[str, ...] = ()


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


def gather(
    paths: Paths,
    *,
    mapping: Given = None,
    wanted: Sequence[str] | None = None,
    every_metric: bool = False,
) -> Gathering:
    """The logs at some paths, each with every choice that was made for it.

    Arguments as of `read_logs`; ``every_metric`` also reads those that no column is made of.
    """
    corrections = _corrections(mapping)
    gathered = _Gathered(_keep(corrections, wanted, every_metric=every_metric), corrections)
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    for path in given:
        gathered.take(path)
    named = _named(merged(attached(gathered.logs)), [Path(root) for root in gathered.roots])
    logs = tuple(understand(log, corrections) for log in named)
    _check_runs(corrections, logs)
    return Gathering(
        logs=logs,
        source=", ".join(bare(str(path), 120) for path in given),
        tables=tuple(gathered.tables),
        notes=tuple(dict.fromkeys(gathered.notes)),
    )


def _corrections(mapping: Given) -> Corrections:
    if mapping is None or isinstance(mapping, Corrections):
        return mapping or Corrections()
    return corrections_from(mapping) if isinstance(mapping, Mapping) else read_corrections(mapping)


def _keep(
    corrections: Corrections, wanted: Sequence[str] | None, *, every_metric: bool
) -> Wanted | None:
    if wanted is not None:
        names = {*wanted, *corrections.columns.values()}
        return names.__contains__
    return None if every_metric else lambda name: plausible(name, corrections)


class _Gathered:
    """Logs and tables of several paths, and what could not be read of them."""

    def __init__(self, keep: Wanted | None, corrections: Corrections) -> None:
        self.keep, self.corrections = keep, corrections
        self.logs: list[Log] = []
        self.tables: list[RunTable] = []
        self.notes: list[str] = []
        self.roots: list[str] = []
        self._seen: set[Path] = set()

    def take(self, given: str | Path) -> None:
        """Everything at one path; a damaged unit is told, and the others are read."""
        if str(given).startswith(CLOUD):
            self.logs += read_project(str(given), wanted=self.keep)
            return
        if str(given).startswith(SERVER):
            self.logs += read_server(str(given), wanted=self.keep)
            return
        root = Path(given)
        found = detect(root, READERS)
        self.notes += found.notes
        self.roots.append(str(root if root.is_dir() else root.parent))
        if not found.units:
            raise RunDataError(
                f"{bare(str(given), 200)} holds no log that is known.",
                hint=f"Known: {', '.join(reader.title for reader in READERS)}.",
            )
        failures = [failure for unit in found.units if (failure := self._unit(unit)) is not None]
        if len(failures) == len(found.units):
            raise failures[0]
        self.notes += [f"left out: {error.message}" for error in failures[:_TOLD_UNITS]]
        if len(failures) > _TOLD_UNITS:
            self.notes.append(f"left out: {len(failures) - _TOLD_UNITS} more that are damaged")

    def _unit(self, unit: Unit) -> RunDataError | None:
        real = unit.path.resolve()
        if real in self._seen:
            return None
        self._seen.add(real)
        if unit.reader.key == "table" and self._table(unit.path):
            return None
        try:
            logs = unit.reader.read(unit.path, wanted=self.keep)
        except RunDataError as error:
            return error
        except (ValueError, OverflowError) as error:
            return RunDataError(
                f"{bare(str(unit.path), 200)} is damaged: {bare(str(error), 120)}.",
                hint="Copy it again, or leave it out.",
            )
        except OSError as error:
            return RunDataError(
                f"{bare(str(unit.path), 200)} cannot be read: {bare(str(error), 120)}.",
                hint="Check its permissions.",
            )
        except MissingExtraError as error:
            return RunDataError(error.message, hint=error.hint)
        self.logs += [_with_weights(log, unit.path) for log in logs]
        return None

    def _table(self, path: Path) -> bool:
        """Take a file that is a run table already: its rows name runs or sizes."""
        try:
            columns = {c: m for c, m in self.corrections.columns.items() if m in _header(path)}
            table = read_runs(path, mapping=columns or None)
        except RunDataError:
            return False
        if not {"run_id", "params", "params_nonembed", "flops"} & set(table.mapping):
            return False
        if "run_id" not in table.mapping:
            import polars as pl

            renamed = pl.format("{}:{}", pl.lit(path.stem), "run_id").alias("run_id")
            table = replace(table, frame=table.frame.with_columns(renamed))
        self.tables.append(table)
        return True


def _header(path: Path) -> list[str]:
    from scalewise.sources.logs.table import column_names

    return column_names(path)


def _with_weights(log: Log, unit: Path) -> Log:
    """The log with the parameter counts of weights that lie beside it, if it has none."""
    if "params" in log.facts:
        return log
    folder = unit if unit.is_dir() else unit.parent
    for place in (folder, folder / "files"):
        if place.is_symlink():
            continue
        try:
            counts = counts_beside(place)
        except (RunDataError, OSError):
            continue
        if counts is not None:
            sizes = {"params": counts.params, "params_nonembed": counts.params_nonembed}
            facts = {c: Fact(value=float(n), how=counts.how) for c, n in sizes.items()}
            return replace(log, facts={**facts, **log.facts})
    return log


def _named(logs: list[Log], roots: list[Path]) -> list[Log]:
    """Run ids that people know: the name where it is unique, else with as much as sets it apart."""
    short = [replace(log, run_id=_below(log.run_id, roots)) for log in logs]
    names = [log.name for log in short]
    ids = [log.name if names.count(log.name) == 1 and log.name else _apart(log) for log in short]
    counts: dict[str, int] = {}
    named = []
    for log, name in zip(short, ids, strict=True):
        counts[name] = counts.get(name, 0) + 1
        again = f" ({counts[name]})" if counts[name] > 1 else ""
        plain = name[:MAX_NAME].encode("utf-8", "replace").decode()
        named.append(replace(log, run_id=f"{plain}{again}"))
    return named


def _apart(log: Log) -> str:
    return log.run_id if log.name in log.run_id or not log.name else f"{log.name} {log.run_id}"


def _below(run_id: str, roots: list[Path]) -> str:
    """A path without the folder that was given."""
    path = PurePosixPath(run_id)
    for root in roots:
        if path.is_relative_to(root.as_posix()) and path != PurePosixPath(root.as_posix()):
            return path.relative_to(root.as_posix()).as_posix()
        if path == PurePosixPath(root.as_posix()):
            return path.name or run_id
    return run_id


def _check_runs(corrections: Corrections, logs: Iterable[Understood]) -> None:
    names = {name for found in logs for name in (found.log.run_id, found.log.name)}
    if unknown := [run for run in corrections.runs if run not in names]:
        raise RunDataError(
            f"The mapping speaks of runs {listed(unknown)}, which are not there.",
            hint=f"Runs: {listed(sorted(names), 20)}.",
        )


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
            *_counted(told),
            *(f"{t.source}: {note}" for t in gathering.tables for note in t.assumptions),
            *whole.assumptions,
            *lost,
        ),
    )
    tables = tuple((t.source, len(t)) for t in gathering.tables)
    return Reading(table=table, logs=gathering.logs, tables=tables, notes=lost)


def _twice(logs: Sequence[Understood], frames: Sequence[pl.DataFrame]) -> Iterator[str]:
    """Runs of different tools with the same losses: one run that was logged twice."""
    kinds = {found.log.run_id: found.log.kind for found in logs}
    seen: dict[tuple[object, ...], str] = {}
    for frame in frames:
        if "loss" not in frame.columns or frame.height < _FEW_ROWS:
            continue
        run_id, loss = str(frame["run_id"][0]), frame["loss"].to_list()
        # To five digits, as TensorBoard keeps float32.
        key = tuple(None if value is None else f"{value:.4e}" for value in loss)
        other = seen.setdefault(key, run_id)
        if kinds.get(other) != kinds.get(run_id):
            yield (
                f"{bare(run_id)} ({kinds[run_id]}) has the losses of {bare(other)} "
                f"({kinds[other]}): if that is one run logged twice, leave one out with --where"
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
