"""Runs of a queue, trained by several processes that may be stopped at any moment.

One spawned process per core, each of them single-threaded: two threads on a busy machine are far
slower than one, because they wait for each other in a spin. The state of a run is its folder
alone, so a process that dies costs what it had not yet saved, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.core.errors import ScalewiseError, UsageError
from scalewise.core.records import atomic_write, to_json
from scalewise.runs.spec import RunSpec
from scalewise.train.corpus import load_corpus
from scalewise.train.cost import training_flops_exact
from scalewise.train.pretokenized import follow_reference, map_bins, refer_to_bins
from scalewise.train.progress import OnProgress, Progress, stopped
from scalewise.train.run_folder import Row, RunBusyError, RunFolder, bind_corpus, finished_rows
from scalewise.train.tokenizer import (
    READY,
    TokenizedCorpus,
    load_tokens,
    save_tokens,
    tokenize,
)

if TYPE_CHECKING:
    from scalewise.train.ray_cluster import RayCluster
    from scalewise.train.team import Team

RUN_TABLE = "runs.jsonl"
EXECUTORS = ("local", "inline", "ray", "torchrun")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """The rows of the runs asked for, where the table of the whole folder is, and what is open.

    ``unfinished`` holds the last event of each run that did not end ``ok``. Those that diverged
    are over; the others are taken up where they were left by the next call. ``superseded`` are
    the run_ids that runs of another plan in the folder have as well: those are not in its table.
    """

    path: Path
    rows: tuple[Row, ...]
    unfinished: tuple[Progress, ...]
    warnings: tuple[str, ...] = ()  # about the machines, not the runs
    superseded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What every process of a queue needs to know."""

    queue: Path
    device: str
    checkpoint_seconds: float


def train_all(
    specs: Sequence[RunSpec],
    folder: str | Path,
    *,
    workers: int = 2,
    executor: str = "local",
    device: str = "cpu",
    checkpoint_seconds: float = 30.0,
    on_progress: OnProgress | None = None,
    cluster: RayCluster | None = None,
    shared: bool = False,
) -> TrainingResult:
    """Train every run that is not done yet, longest first; write one run table for the folder.

    ``executor="local"`` spawns ``workers`` processes, ``"inline"`` trains in this one, on
    one thread, ``"ray"`` on the nodes of ``cluster``; ``"torchrun"`` is for a process that
    torchrun has started, and trains one run at a time by all of them. A run whose process dies,
    or which another process holds, is reported in ``unfinished``; the others go on. ``shared``
    says that such other processes are meant to be there: what they hold is looked at again, until
    they hold all that is left. Ctrl-C stops the processes and raises KeyboardInterrupt; call
    again to go on.
    Raises UsageError for an unknown executor, repeated run ids or mixed corpora, a cluster that
    cannot be reached; RunDataError when the folder belongs to another corpus.
    """
    queue = Path(folder)
    _check(specs, executor, workers)
    if executor == "torchrun":
        from scalewise.train.torchrun import train_together

        return train_together(specs, queue, device, checkpoint_seconds, on_progress)
    if device != "cpu" and executor != "ray":  # whose nodes may have what this machine lacks
        from scalewise.train.learner import device_named

        device_named(device)
    latest: dict[str, Progress] = {}

    def note(event: Progress) -> None:
        latest[event.run_id] = event
        if on_progress is not None:
            on_progress(event)

    prepare_tokens(specs, queue)
    settings = Settings(queue, device, checkpoint_seconds)
    pending = open_runs(specs, queue)
    warnings: tuple[str, ...] = ()
    while pending:
        if executor == "inline":
            _train_inline(pending, settings, note)
        elif executor == "ray":
            from scalewise.train.ray_cluster import RayCluster
            from scalewise.train.ray_executor import train_on_ray

            told = train_on_ray(pending, settings, workers, cluster or RayCluster(), note)
            warnings = tuple(dict.fromkeys((*warnings, *told)))
        else:
            from scalewise.train.pool import train_in_processes

            train_in_processes(pending, settings, min(workers, len(pending)), note)
        held = [spec for spec in pending if latest[spec.run_id].status == "busy"]
        if not shared or len(held) == len(pending):
            break
        pending = open_runs(held, queue)
    return gathered(specs, queue, latest, warnings)


def gathered(
    specs: Sequence[RunSpec],
    queue: Path,
    latest: Mapping[str, Progress],
    warnings: tuple[str, ...] = (),
) -> TrainingResult:
    """Write the table of a folder; the result for the runs asked for."""
    path = queue / RUN_TABLE
    rows, superseded = finished_rows(queue, specs)
    while True:
        atomic_write(path, "".join(f"{to_json(row)}\n" for row in rows))
        before = len(rows)
        rows, superseded = finished_rows(queue, specs)
        # Another process may have ended a run, and written its table before ours.
        if len(rows) == before:
            break
    folders = [RunFolder(queue, spec) for spec in specs]
    return TrainingResult(
        path=path,
        rows=tuple(row for folder in folders if folder.is_done for row in folder.rows()),
        unfinished=tuple(
            latest[spec.run_id]
            for spec, folder in zip(specs, folders, strict=True)
            if spec.run_id in latest and not _is_over(latest[spec.run_id], folder)
        ),
        warnings=warnings,
        superseded=superseded,
    )


def _is_over(event: Progress, folder: RunFolder) -> bool:
    """Whether a run ended well, here or, while we found it busy, in another process."""
    return event.status == "ok" or (event.status == "busy" and folder.is_done)


def open_runs(specs: Sequence[RunSpec], queue: Path) -> list[RunSpec]:
    """The runs that are not over, longest first, so that no long one starts last."""
    pending = [spec for spec in specs if not RunFolder(queue, spec).is_done]
    return sorted(pending, key=training_flops_exact, reverse=True)


def train_here(
    spec: RunSpec, settings: Settings, note: OnProgress, team: Team | None = None
) -> None:
    """Train one run in this process; a deliberate error or a full disk becomes an event."""
    from scalewise.train.team import ALONE
    from scalewise.train.trainer import train_run

    team, has_begun = team or ALONE, False

    def note_and_sign(event: Progress) -> None:
        nonlocal has_begun
        if not has_begun:
            has_begun = True
            if team.is_leader:
                RunFolder(settings.queue, spec).note_attempt(event.updates)
        note(event)

    try:
        train_run(
            spec,
            load_tokens_of(settings.queue, spec.tokenizer),
            settings.queue,
            device=settings.device,
            checkpoint_seconds=settings.checkpoint_seconds,
            on_progress=note_and_sign,
            team=team,
        )
    except RunBusyError as error:
        note(stopped(spec, "busy", str(error)))
    except (ScalewiseError, OSError) as error:
        note(stopped(spec, "failed", str(error)))
    else:
        if not has_begun:
            note(ended_elsewhere(spec, settings.queue))


def ended_elsewhere(spec: RunSpec, queue: Path) -> Progress:
    """The event of a run that another process has ended since it was found open."""
    status = RunFolder(queue, spec).outcome()["status"]
    event = stopped(spec, status, "by another process")
    return replace(event, updates=event.total_updates)


def _train_inline(pending: Sequence[RunSpec], settings: Settings, note: OnProgress) -> None:
    from scalewise.train.process import settled

    with settled():
        for spec in pending:
            train_here(spec, settings, note)


def _check(specs: Sequence[RunSpec], executor: str, workers: int) -> None:
    if executor not in EXECUTORS:
        raise UsageError(f"No executor named {executor!r}.", hint=f"Known: {', '.join(EXECUTORS)}.")
    if workers < 1:
        raise UsageError(f"workers={workers}; it takes at least 1.", hint="Use workers=1.")
    if not specs:
        raise UsageError("There are no runs to train.", hint="Give at least one RunSpec.")
    names = [spec.run_id for spec in specs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(
            f"More than one run is called {repeated[0]!r}.", hint="Give every run its own run_id."
        )
    for spec in specs:
        if spec.seed < 0:
            raise UsageError(
                f"Run {spec.run_id!r} has seed={spec.seed}.", hint="A seed is 0 or more."
            )
    corpora = sorted({spec.corpus for spec in specs})
    if len(corpora) > 1:
        raise UsageError(
            f"The runs are on {len(corpora)} corpora: {', '.join(corpora)}.",
            hint="Train each corpus into its own folder; their losses cannot be compared.",
        )


def _tokens_folder(queue: Path, tokenizer: str) -> Path:
    return queue / "tokens" / tokenizer


def prepare_tokens(specs: Sequence[RunSpec], queue: Path) -> None:
    """Tokenize once, where every process can map the result; ready tokens stay where they are."""
    corpus, tokenizers = specs[0].corpus, sorted({spec.tokenizer for spec in specs})
    for tokenizer in (name for name in tokenizers if name.startswith(READY)):
        tokens = map_bins(Path(corpus).resolve(), tokenizer)
        with _written_into(queue):
            bind_corpus(queue, tokens.fingerprint, tokens.name)
            refer_to_bins(tokens, _tokens_folder(queue, tokenizer))
    to_make = [name for name in tokenizers if not name.startswith(READY)]
    if to_make:
        text = load_corpus(corpus)
        with _written_into(queue):
            bind_corpus(queue, text.fingerprint, text.name)
            for tokenizer in to_make:
                folder = _tokens_folder(queue, tokenizer)
                if not (folder / "tokens.json").exists():
                    save_tokens(tokenize(text, tokenizer), folder)


@contextmanager
def _written_into(queue: Path) -> Iterator[None]:
    """Raises UsageError where the folder of the runs cannot be made or filled."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"Cannot write the runs into {str(queue)!r}: {error.strerror or error}.",
            hint="Check that it is a folder, its permissions and the free space.",
        ) from error


def load_tokens_of(queue: Path, tokenizer: str) -> TokenizedCorpus:
    """What `prepare_tokens` has laid down for a tokenizer."""
    folder = _tokens_folder(queue, tokenizer)
    return follow_reference(folder) if tokenizer.startswith(READY) else load_tokens(folder)
