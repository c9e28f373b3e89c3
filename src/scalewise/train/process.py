"""How a process that trains should be set up, on a CPU that others use too."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
KEPT_BYTES = 1 << 30


def settle_process() -> None:
    """One thread, no denormal numbers, and freed memory kept for the next step, from now on.

    Threads of one process wait for each other in a spin, which collapses on a busy machine.
    Moments of tokens that never occur decay into denormals, which are slow and mean nothing.
    """
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()


@contextmanager
def settled() -> Iterator[None]:
    """The same for a while only, in a process that has other things to do.

    Numbers are the same to the bit as those of a worker process.
    """
    import torch

    threads = torch.get_num_threads()
    settle_process()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)


def keep_freed_memory() -> None:
    """Tell glibc not to hand activations back to the system after every step (3 to 8 % of it)."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in other C libraries
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
