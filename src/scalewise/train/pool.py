"""Worker processes, one run each at a time; a dead one is replaced and its run reported."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from scalewise.runs.spec import RunSpec
from scalewise.train.executor import Settings, train_here
from scalewise.train.progress import OnProgress, stopped


def train_in_processes(
    pending: Sequence[RunSpec], settings: Settings, workers: int, note: OnProgress
) -> None:
    """Train the runs in their order in ``workers`` processes; events come through ``note``."""
    pool = _Pool(settings, iter(pending), note)
    try:
        for _ in range(workers):
            pool.hire()
        pool.listen()
    finally:
        pool.dismiss()


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    spec: RunSpec


class _Pool:
    def __init__(self, settings: Settings, waiting: Iterator[RunSpec], note: OnProgress) -> None:
        self._settings, self._waiting, self._note = settings, waiting, note
        # A forked process would inherit the parent's threads and locks in an unknown state.
        self._spawn = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._hired = 0

    def hire(self) -> None:
        """Start a process on the next run, if one is waiting."""
        spec = next(self._waiting, None)
        if spec is None:
            return
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(
            target=_work, args=(theirs, self._settings, self._hired), daemon=True
        )
        self._hired += 1
        process.start()
        theirs.close()  # so that the end of the process ends the pipe
        self._workers.append(_Worker(process, ours, spec))
        _send(ours, spec)

    def listen(self) -> None:
        """Pass on events and hand out runs until every worker has gone home."""
        while self._workers:
            ready = wait([worker.pipe for worker in self._workers])
            for worker in [worker for worker in self._workers if worker.pipe in ready]:
                try:
                    event = worker.pipe.recv()
                except (EOFError, OSError):
                    self._bury(worker)
                    continue
                if event is None:
                    self._next_run(worker)
                else:
                    self._note(event)

    def dismiss(self) -> None:
        """Stop whoever is still at work; their checkpoints are whole at any moment."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()

    def _next_run(self, worker: _Worker) -> None:
        spec = next(self._waiting, None)
        _send(worker.pipe, spec)
        if spec is None:
            worker.process.join()
            self._workers.remove(worker)
        else:
            worker.spec = spec

    def _bury(self, worker: _Worker) -> None:
        worker.process.join()
        self._workers.remove(worker)
        code = worker.process.exitcode
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
        self._note(stopped(worker.spec, "crashed", f"its process {how}"))
        self.hire()


def device_of_worker(device: str, number: int, gpus: int | None = None) -> str:
    """The GPU of a worker: ``cuda`` shares all visible ones out in turn, other names stand.

    >>> [device_of_worker("cuda", number, gpus=2) for number in range(3)]
    ['cuda:0', 'cuda:1', 'cuda:0']
    """
    if device != "cuda":
        return device
    if gpus is None:
        import torch

        gpus = torch.cuda.device_count()
    return f"cuda:{number % gpus}" if gpus else device


def _send(pipe: Connection, spec: RunSpec | None) -> None:
    with suppress(OSError):  # the process has died; the end of its pipe will tell
        pipe.send(spec)


def _work(pipe: Connection, settings: Settings, number: int) -> None:
    """A worker process: train what comes through the pipe until None comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    from scalewise.train.process import settle_process

    settle_process()
    settings = replace(settings, device=device_of_worker(settings.device, number))
    with suppress(EOFError, BrokenPipeError):  # the parent is gone: so are we
        while (spec := pipe.recv()) is not None:
            train_here(spec, settings, pipe.send)
            pipe.send(None)
