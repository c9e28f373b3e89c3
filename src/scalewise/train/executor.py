"""Runs of a queue, trained by several processes that may be stopped at any moment.

One spawned process per core, each of them single-threaded: two threads on a busy machine are far
slower than one, because they wait for each other in a spin. The state of a run is its folder
alone, so a process that dies costs what it had not yet saved, and nothing else.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from scalewise.core.errors import ScalewiseError, UsageError
from scalewise.core.flops import flops_per_token
from scalewise.core.records import atomic_write, to_json
from scalewise.runs.spec import RunSpec
from scalewise.train.corpus import load_corpus
from scalewise.train.progress import OnProgress, Progress
from scalewise.train.run_folder import Row, RunFolder, bind_corpus
from scalewise.train.schedule import total_updates
from scalewise.train.tokenizer import load_tokens, save_tokens, tokenize

RUN_TABLE = "runs.jsonl"
EXECUTORS = ("local", "inline")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """Where the run table is, its rows, and the runs that did not end well."""

    path: Path
    rows: tuple[Row, ...]
    unfinished: tuple[Progress, ...]


def train_all(
    specs: Sequence[RunSpec],
    folder: str | Path,
    *,
    workers: int = 2,
    executor: str = "local",
    device: str = "cpu",
    checkpoint_seconds: float = 30.0,
    on_progress: OnProgress | None = None,
) -> TrainingResult:
    """Train every run that is not done yet, longest first; gather all rows in one run table.

    ``executor="local"`` spawns ``workers`` processes, ``"inline"`` trains here, one after the
    other. A run whose process dies, or which another process holds, is reported in
    ``unfinished`` and taken up where it was left by the next call; the others go on. Interrupted
    by Ctrl-C, the call stops its processes and raises KeyboardInterrupt; call it again to go on.
    Raises UsageError for an unknown executor or repeated run ids, RunDataError when the folder
    belongs to another corpus.
    """
    queue = Path(folder)
    _check(specs, executor, workers)
    pending = _pending(specs, queue)
    events: dict[str, Progress] = {}

    def note(event: Progress) -> None:
        events[event.run_id] = event
        if on_progress is not None:
            on_progress(event)

    settings = _Settings(queue, device, checkpoint_seconds)
    if pending:
        _prepare_tokens(specs, queue)
        if executor == "inline":
            for spec in pending:
                _train_here(spec, settings, note)
        else:
            _Pool(settings, min(workers, len(pending)), note).train(pending)
    rows = gather_rows(specs, queue)
    unfinished = tuple(event for event in events.values() if event.status != "ok")
    return TrainingResult(path=queue / RUN_TABLE, rows=tuple(rows), unfinished=unfinished)


def gather_rows(specs: Sequence[RunSpec], queue: Path) -> list[Row]:
    """Write the rows of all finished runs into the queue's run table, and return them."""
    folders = [RunFolder(queue, spec) for spec in specs]
    rows = [row for folder in folders if folder.is_done for row in folder.rows()]
    atomic_write(queue / RUN_TABLE, "".join(f"{to_json(row)}\n" for row in rows))
    return rows


def _check(specs: Sequence[RunSpec], executor: str, workers: int) -> None:
    if executor not in EXECUTORS:
        raise UsageError(
            f"No executor named {executor!r}.", hint=f"Known: {', '.join(EXECUTORS)}."
        )
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
    corpora = sorted({spec.corpus for spec in specs})
    if len(corpora) > 1:
        raise UsageError(
            f"The runs are on {len(corpora)} corpora: {', '.join(corpora)}.",
            hint="Train each corpus into its own folder; their losses cannot be compared.",
        )


def _pending(specs: Sequence[RunSpec], queue: Path) -> list[RunSpec]:
    """Runs that are not done, longest first, so that no long one starts last."""
    open_runs = [spec for spec in specs if not RunFolder(queue, spec).is_done]
    return sorted(open_runs, key=_flops, reverse=True)


def _flops(spec: RunSpec) -> float:
    return total_updates(spec) * spec.batch_tokens * flops_per_token(spec.shape, "exact")


def _tokens_folder(queue: Path, tokenizer: str) -> Path:
    return queue / "tokens" / tokenizer


def _prepare_tokens(specs: Sequence[RunSpec], queue: Path) -> None:
    """Tokenize once, where every process can map the result."""
    corpus = load_corpus(specs[0].corpus)
    bind_corpus(queue, corpus.fingerprint, corpus.name)
    for tokenizer in sorted({spec.tokenizer for spec in specs}):
        folder = _tokens_folder(queue, tokenizer)
        if not (folder / "tokens.json").exists():
            save_tokens(tokenize(corpus, tokenizer), folder)


@dataclass(frozen=True, slots=True)
class _Settings:
    queue: Path
    device: str
    checkpoint_seconds: float


def _train_here(spec: RunSpec, settings: _Settings, note: OnProgress) -> None:
    """Train one run in this process; a deliberate error becomes an event."""
    from scalewise.train.run_folder import RunBusyError
    from scalewise.train.trainer import train_run

    try:
        train_run(
            spec,
            load_tokens(_tokens_folder(settings.queue, spec.tokenizer)),
            settings.queue,
            device=settings.device,
            checkpoint_seconds=settings.checkpoint_seconds,
            on_progress=note,
        )
    except RunBusyError as error:
        note(_failure(spec, "busy", str(error)))
    except ScalewiseError as error:
        note(_failure(spec, "failed", str(error)))


def _failure(spec: RunSpec, status: str, detail: str) -> Progress:
    return Progress(
        run_id=spec.run_id,
        status=status,
        updates=0,
        total_updates=total_updates(spec),
        detail=detail,
    )


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    spec: RunSpec | None = None


class _Pool:
    """Worker processes, one run each at a time; a dead one is replaced."""

    def __init__(self, settings: _Settings, size: int, note: OnProgress) -> None:
        self._settings, self._size, self._note = settings, size, note
        self._spawn = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def train(self, pending: Sequence[RunSpec]) -> None:
        """Hand out the runs in order and pass on what the workers tell."""
        waiting = iter(pending)
        try:
            for _ in range(self._size):
                self._hire(waiting)
            while self._workers:
                ready = wait([worker.pipe for worker in self._workers])
                for worker in [w for w in self._workers if w.pipe in ready]:
                    self._listen(worker, waiting)
        finally:
            for worker in self._workers:
                worker.process.terminate()
            for worker in self._workers:
                worker.process.join()

    def _hire(self, waiting: Iterator[RunSpec]) -> None:
        spec = next(waiting, None)
        if spec is None:
            return
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(target=_work, args=(theirs, self._settings), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours, spec)
        self._workers.append(worker)
        ours.send(spec)

    def _listen(self, worker: _Worker, waiting: Iterator[RunSpec]) -> None:
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker, waiting)
            return
        if event is not None:
            self._note(event)
            return
        worker.spec = next(waiting, None)
        worker.pipe.send(worker.spec)
        if worker.spec is None:
            worker.process.join()
            self._workers.remove(worker)

    def _bury(self, worker: _Worker, waiting: Iterator[RunSpec]) -> None:
        worker.process.join()
        self._workers.remove(worker)
        if worker.spec is not None:
            detail = f"its process ended with exit code {worker.process.exitcode}"
            self._note(_failure(worker.spec, "crashed", detail))
        self._hire(waiting)


def _work(pipe: Connection, settings: _Settings) -> None:
    """A worker process: train what comes through the pipe until None comes."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    from scalewise.train.process import settle_process

    settle_process()
    while (spec := pipe.recv()) is not None:
        _train_here(spec, settings, pipe.send)
        pipe.send(None)
