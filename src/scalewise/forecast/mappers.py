"""Where the chunks of a study are computed: here, in processes, or where else they are sent.

A mapper takes a function from a module, and items to call it with; it yields the index of each
item with its answer as soon as there is one, in any order. Answers are text, so that they are the
same wherever they come from.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any

from scalewise.core.errors import UsageError

Mapper = Callable[[Callable[[Any], str], Sequence[Any]], Iterator[tuple[int, str]]]

DEATHS = 3  # worker processes in a row that may die before the fault is taken to be ours
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def map_here(work: Callable[[Any], str], items: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """One item after the other in this process.

    >>> list(map_here(str, [7, 8]))
    [(0, '7'), (1, '8')]
    """
    for index, item in enumerate(items):
        yield index, work(item)


def map_processes(workers: int) -> Mapper:
    """So many processes of this machine, with one thread each.

    A worker that dies, as when memory runs out, is replaced and its item taken up again; after
    three deaths with nothing done in between, UsageError says so. What was yielded by then stands.
    """
    if workers < 1:
        raise UsageError(f"workers={workers} is below 1.", hint="Give 1 or more.")
    return partial(_in_processes, workers)


def _in_processes(
    workers: int, work: Callable[[Any], str], items: Sequence[Any]
) -> Iterator[tuple[int, str]]:
    open_items = dict(enumerate(items))
    deaths = 0
    while open_items:
        answered = False
        try:
            for index, answer in _one_pool(workers, work, open_items):
                del open_items[index]
                answered = True
                yield index, answer
        except BrokenProcessPool as error:
            deaths = 1 if answered else deaths + 1
            suspect = next(iter(open_items))  # was begun first; the others get their turn before it
            open_items[suspect] = open_items.pop(suspect)
            if deaths >= DEATHS:
                raise UsageError(
                    f"Worker processes died {deaths} times in a row, with {len(open_items)} of "
                    f"{len(items)} parts still to do: they were killed, or could not start.",
                    hint="Use fewer workers if memory is short; a script that starts processes "
                    "needs an 'if __name__ == \"__main__\":' around its calls.",
                ) from error


def _one_pool(
    workers: int, work: Callable[[Any], str], items: Mapping[int, Any]
) -> Iterator[tuple[int, str]]:
    """Answers of one pool of processes, until all are in or the pool breaks."""
    # A forked process would inherit the parent's threads and locks in an unknown state.
    spawn = multiprocessing.get_context("spawn")
    waiting = iter(list(items.items()))
    running: dict[Future[str], int] = {}
    with _one_thread(), ProcessPoolExecutor(min(workers, len(items)), mp_context=spawn) as pool:
        try:
            while True:
                # No more than are worked on or next in line, however many items there are.
                while len(running) < 2 * workers and (following := next(waiting, None)):
                    running[pool.submit(work, following[1])] = following[0]
                if not running:
                    return
                done = wait(running, return_when=FIRST_COMPLETED).done
                # Answers first: a pool that breaks takes what had come in just before with it.
                for future in sorted(done, key=lambda ended: ended.exception() is not None):
                    index = running.pop(future)
                    yield index, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Settings that processes inherit: numbers must not depend on how many threads add them up."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
