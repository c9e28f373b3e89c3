"""What lies at some paths: logs understood, run tables, and what could not be read and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from scalewise.core.errors import MissingExtraError, RunDataError
from scalewise.runs.columns import canonical_name
from scalewise.runs.load import Loaded
from scalewise.runs.quote import bare, listed
from scalewise.runs.read import read_runs
from scalewise.runs.table import SIZES, RunTable
from scalewise.sources.logs.detect import Unit, detect
from scalewise.sources.logs.evaluations import attached
from scalewise.sources.logs.limits import MAX_NAME
from scalewise.sources.logs.log import Fact, Log, Wanted
from scalewise.sources.logs.mapping import Corrections, corrections_from, read_corrections
from scalewise.sources.logs.merge import merged
from scalewise.sources.logs.mlflow_server import SERVER, read_server
from scalewise.sources.logs.readers import READERS
from scalewise.sources.logs.safetensors import counts_beside
from scalewise.sources.logs.table import TableReader, column_names, load_table
from scalewise.sources.logs.understand import Understood, plausible, understand
from scalewise.sources.logs.wandb_cloud import CLOUD, read_project

Paths = str | Path | Sequence[str | Path]
Given = Corrections | Mapping[str, object] | str | Path | None

_TOLD_UNITS = 5
# Columns by which the rows of a table are runs, unless they are the steps of one.
_TELLS_RUNS = {"run_id", "params", "params_nonembed", "flops", "tokens", "step"}
_NAMES_RUNS = {"run_id", "family", "is_final", "is_annealed"}
# What does not change within a run.
_OF_ONE_RUN = (*SIZES, "corpus", "tokenizer", "context_length", "vocab_size", "d_model", "n_layer",
               "lr_peak", "steps", "warmup_steps", "seed")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathering:
    """Logs understood, run tables that lay among them, and what was passed over and why."""

    logs: tuple[Understood, ...]
    source: str
    tables: tuple[RunTable, ...] = ()
    notes: tuple[str, ...] = ()


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
        tables=_labelled(gathered.tables),
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
        self.tables: list[tuple[Path, RunTable]] = []
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
                hint=". ".join(
                    (*found.notes, f"Known: {', '.join(reader.title for reader in READERS)}.")
                ),
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
        try:
            logs = self._read(unit)
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

    def _read(self, unit: Unit) -> list[Log]:
        if not isinstance(unit.reader, TableReader):
            return unit.reader.read(unit.path, wanted=self.keep)
        loaded = load_table(unit.path)
        if self._table(unit.path, loaded):
            return []
        axis = self.corrections.columns.get("step")
        return unit.reader.read(unit.path, wanted=self.keep, axis=axis, loaded=loaded)

    def _table(self, path: Path, loaded: Loaded) -> bool:
        """Take a file that is a run table already, unless its rows are the steps of one run."""
        present = loaded.frame.columns
        columns = {c: m for c, m in self.corrections.columns.items() if m in present}
        table = _as_table(loaded, columns)
        if table is None or not _TELLS_RUNS & set(table.mapping):
            return False
        if _is_curve(table) and table.frame["eval_set"].n_unique() == 1:
            return False
        self.tables.append((path, table))
        return True


def is_one_run(path: str | Path, columns: Mapping[str, str] | None = None) -> bool:
    """Whether the rows of a table are the steps of one run, which `gather` reads as one.

    ``columns`` are what the user says of it, as in a mapping: ``{"step": "it"}``.
    """
    names = {*(columns or {}), *map(canonical_name, column_names(Path(path)))}
    if "step" not in names or names & _NAMES_RUNS:
        return False  # without reading its rows
    table = _as_table(path, columns or {})
    return table is not None and _is_curve(table)


def _as_table(source: str | Path | Loaded, columns: Mapping[str, str]) -> RunTable | None:
    """The rows of a table under canonical names, each a run; None if they measure none."""
    try:
        return read_runs(source, mapping=columns or None)
    except RunDataError:
        return None


def _labelled(tables: Sequence[tuple[Path, RunTable]]) -> tuple[RunTable, ...]:
    """Tables whose rows have no run_id of their own get one that no other file's rows have."""
    import polars as pl

    stems = [path.stem for path, _ in tables]
    labelled = []
    for path, table in tables:
        if "run_id" not in table.mapping:
            label = pl.lit(path.stem if stems.count(path.stem) == 1 else path.as_posix())
            run_id = label if _is_curve(table) else pl.format("{}:{}", label, "run_id")
            table = replace(table, frame=table.frame.with_columns(run_id.alias("run_id")))
        labelled.append(table)
    return tuple(labelled)


def _is_curve(table: RunTable) -> bool:
    """Whether rows without a run_id are the steps of one run, which may tell its size on each."""
    if _NAMES_RUNS & set(table.mapping) or "step" not in table.mapping:
        return False
    if any(
        table.frame[name].drop_nulls().n_unique() > 1 for name in _OF_ONE_RUN if table.has(name)
    ):
        return False
    parts = table.frame.partition_by("eval_set")
    steps = [part["step"].cast(float).to_numpy() for part in parts]
    # Finished models of several batch sizes: the larger the batch, the fewer the steps.
    if table.has("batch_tokens") and all(
        len(at) > 1 and (np.diff(part["batch_tokens"].to_numpy()[np.argsort(at)]) < 0).all()
        for at, part in zip(steps, parts, strict=True)
    ):
        return False
    rises = all((np.diff(at) > 0).all() for at in steps)
    # Without a size the rows can hardly be models; where steps repeat, the run was restarted.
    has_size = any(table.has(name) for name in (*SIZES, "flops"))
    return len(table) > 1 and (rises or not (has_size or len(parts) > 1))


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
