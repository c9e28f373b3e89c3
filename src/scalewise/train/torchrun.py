"""Runs of a queue, one at a time, each by all the processes that torchrun has started.

::

    torchrun --nproc-per-node 8 -m scalewise train SPECS --executor torchrun --device cuda

The batch is divided, not enlarged: the run is the one that a single process would train, within
the rounding of sums that are taken in another order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scalewise.core.errors import UsageError
from scalewise.runs.spec import RunSpec
from scalewise.train.executor import (
    Settings,
    TrainingResult,
    gathered,
    open_runs,
    prepare_tokens,
    train_here,
)
from scalewise.train.progress import OnProgress, Progress
from scalewise.train.team import Team

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def train_together(
    specs: Sequence[RunSpec],
    queue: Path,
    device: str,
    checkpoint_seconds: float,
    on_progress: OnProgress | None,
) -> TrainingResult:
    """Train every run that is not done; the same result in every process, events in the first.

    Raises UsageError when torchrun did not start this process, or started more than there are GPUs.
    """
    from scalewise.train.process import settled

    latest: dict[str, Progress] = {}

    def note(event: Progress) -> None:
        latest[event.run_id] = event
        if on_progress is not None and team.is_leader:
            on_progress(event)

    own_device = device_of_process(device)
    with joined(own_device) as team, settled():
        team.told(lambda: prepare_tokens(specs, queue))
        settings = Settings(queue, own_device, checkpoint_seconds)
        for spec in team.told(lambda: open_runs(specs, queue)):
            train_here(spec, settings, note, team)
        return team.told(lambda: gathered(specs, queue, latest))


def device_of_process(device: str) -> str:
    """The GPU of this process, if it is to use one. Raises UsageError outside of torchrun."""
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        raise UsageError(
            f"Executor 'torchrun' needs the variables of torchrun; {', '.join(missing)} not set.",
            hint="Start it so: torchrun --nproc-per-node 2 -m scalewise train SPECS "
            "--executor torchrun",
        )
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device


@contextmanager
def joined(device: str) -> Iterator[Team]:
    """The processes of this torchrun: by NCCL between GPUs, by Gloo between CPUs."""
    import torch

    from scalewise.train.learner import device_named

    is_gpu = device_named(device).type == "cuda"
    if is_gpu:
        if int(os.environ["LOCAL_RANK"]) >= torch.cuda.device_count():
            raise UsageError(
                f"torchrun started more processes than there are GPUs "
                f"({torch.cuda.device_count()}).",
                hint="Give --nproc-per-node the number of GPUs.",
            )
        torch.cuda.set_device(torch.device(device))
    torch.distributed.init_process_group("nccl" if is_gpu else "gloo")
    try:
        rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        yield Team(rank, size, device)
    finally:
        torch.distributed.destroy_process_group()
