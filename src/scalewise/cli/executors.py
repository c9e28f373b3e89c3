"""The options of ``scalewise train`` that say where the runs are trained, and how they are read."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalewise.cli import options
from scalewise.cli.output import Answer, write_text
from scalewise.core.errors import UsageError

if TYPE_CHECKING:
    from scalewise.runs.spec import RunSpec
    from scalewise.train.ray_cluster import RayCluster

EXECUTOR_OPTIONS = (
    click.Option(
        ["--executor"], default="local", show_default=True, metavar="local|ray|torchrun|inline",
        help="local: a process per worker; ray: the nodes of a cluster; torchrun: all processes "
        "of this torchrun for one run at a time; inline: this process.",
    ),
    click.Option(
        ["--address"], metavar="auto|HOST:PORT",
        help="The Ray cluster to use; without one, Ray is started on this machine.",
    ),
    options.quantity("--cpus-per-run", "Processors of a run on a Ray cluster.", default="1"),
    options.quantity("--gpus-per-run", "GPUs of a run on a Ray cluster, or a part of one; 1 with "
                     "--device cuda."),
    options.count("--retries", "How often a run is taken up again whose worker or node was lost.",
                  default="3", zero=True),
    click.Option(
        ["--shared"], is_flag=True,
        help="Other processes work on the same folder: leave to them what they hold.",
    ),
    click.Option(
        ["--slurm"], metavar="FILE", help="Write a Slurm array script instead; - for stdout."
    ),
)  # fmt: skip


def cluster_of(
    executor: str,
    address: str | None,
    cpus_per_run: float,
    gpus_per_run: float | None,
    retries: int,
) -> RayCluster | None:
    """The Ray cluster that the options describe; None for other executors."""
    if executor != "ray":
        if address is not None:
            raise UsageError(
                f"--address {address!r} is that of a Ray cluster, and the executor is "
                f"{executor!r}.",
                hint="Add --executor ray.",
            )
        return None
    from scalewise.train.ray_cluster import RayCluster

    return RayCluster(
        address=address, cpus_per_run=cpus_per_run, gpus_per_run=gpus_per_run, retries=retries
    )


def refuse_tuning(*, executor: str, shared: bool, slurm: str | None) -> None:
    """The search for rates is one process's, which waits for all its trials."""
    by = {"--slurm": slurm is not None, "--shared": shared,
          "--executor torchrun": executor == "torchrun"}  # fmt: skip
    for option, is_given in by.items():
        if is_given:
            raise UsageError(
                f"--tune-lr cannot be done with {option}: its trials depend on one another.",
                hint="Tune with --executor local or ray, and write the rates into the plan.",
            )


def mute_followers(executor: str) -> None:
    """Of the processes that torchrun has started, let only the first write an answer."""
    if executor == "torchrun" and os.environ.get("RANK", "0") != "0":
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - till the end


def slurm_answer(
    out: str,
    specs: Sequence[RunSpec],
    *,
    plan: str,
    folder: Path,
    workers: int,
    device: str,
) -> Answer:
    """Write the array script for the runs of a plan."""
    from scalewise.train.slurm import slurm_script

    script = slurm_script(specs, plan=plan, folder=folder, workers=workers, device=device)
    if out != "-":
        write_text(out, script)
    told = f"Wrote {out}; submit it with: sbatch {out}\n"
    return Answer(
        data={"slurm": out, "runs": len(specs), "script": script},
        cards=list,
        text=script if out == "-" else told,
    )
