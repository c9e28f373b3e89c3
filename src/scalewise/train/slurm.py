"""A Slurm array script whose tasks share one queue of runs."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path

from scalewise.core.errors import UsageError
from scalewise.runs.spec import RunSpec

MOST_TASKS = 1000  # Slurm's MaxArraySize is 1001 unless a site has raised it
_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={cpus}
{gpus}#SBATCH --output={name}-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Partition, account and time limit are the site's: add them here, or give them to sbatch.
#
# {runs} runs. Every task takes whatever run no other task holds, and leaves when all are held or
# done. A task that is requeued, or another one in its place, goes on from the last checkpoint.
# The folder of the runs must be one that all nodes share.
set -euo pipefail
export OMP_NUM_THREADS=1
exec {command}
"""


def slurm_script(
    specs: Sequence[RunSpec],
    *,
    plan: str | Path,
    folder: str | Path,
    workers: int = 1,
    device: str = "cpu",
    options: Sequence[str] = (),
) -> str:
    """The text of a script for ``sbatch`` that trains the runs of a plan into a folder.

    ``workers`` is the number of processes in each task of the array, a processor for each, and
    a GPU for each if the device is one. ``options`` are passed on to ``scalewise train``.
    Raises UsageError for a path that no shell script can hold.

    >>> script = slurm_script([], plan="my ladder.toml", folder="runs")
    >>> "my ladder.toml'" in script
    True
    """
    paths = [str(Path(path).resolve()) for path in (plan, folder)]
    if any("\0" in path or "\n" in path or "\r" in path for path in paths):
        raise UsageError(
            "A path with a line break cannot be put into a Slurm script.", hint="Rename it."
        )
    words = [sys.executable, "-m", "scalewise", "train", paths[0], "--out", paths[1]]
    words += ["--workers", str(workers), "--device", device, "--shared", *options]
    tasks = min(MOST_TASKS, max(1, ceil(len(specs) / workers)))
    # A directive is read by sbatch and not by the shell, so nothing quotes it: only plain names.
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(plan).stem).strip("-")[:40]
    return _SCRIPT.format(
        name=f"scalewise-{stem}" if stem else "scalewise",
        last=tasks - 1,
        cpus=workers,
        gpus=f"#SBATCH --gpus-per-task={workers}\n" if device.startswith("cuda") else "",
        runs=len(specs),
        command=shlex.join(words),
    )
