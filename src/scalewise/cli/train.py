"""``scalewise train``: the twin of ``scalewise.train.executor.train_all``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.executors import (
    EXECUTOR_OPTIONS,
    cluster_of,
    mute_followers,
    refuse_tuning,
    slurm_answer,
)
from scalewise.cli.inputs import tell_reading
from scalewise.cli.output import Answer, tell
from scalewise.cli.progress import training_progress
from scalewise.cli.result_data import runs_data
from scalewise.cli.verb import verb
from scalewise.core.errors import MissingExtraError, UnfitDataError
from scalewise.runs.quote import listed

if TYPE_CHECKING:
    from scalewise.report.card import Card
    from scalewise.runs.spec import RunSpec
    from scalewise.runs.table import RunTable
    from scalewise.train.progress import Progress
    from scalewise.train.rates import RateSearch
    from scalewise.train.ray_cluster import RayCluster

TAKEN_UP_AGAIN = ("crashed", "busy", "failed")


def train(
    *,
    specs: str,
    out: str | None,
    executor: str,
    workers: int,
    device: str,
    tune_lr: bool,
    dry_run: bool,
    address: str | None,
    cpus_per_run: float,
    gpus_per_run: float | None,
    retries: int,
    shared: bool,
    slurm: str | None,
) -> Answer:
    """Train the runs that SPECS plans, and gather one run table.

    SPECS is a TOML file: a ladder (widths, token_budgets, batch_tokens, seeds, all combined), or
    one [[run]] table for each run.

    Each run has its own folder under --out. What is finished is never trained again, and what was
    interrupted goes on where it was left: run the same command again.

    With --tune-lr, short runs at three or more rates around its lr_peak choose the rate of every
    model size and batch size first; the outcome is kept in rates.json.

    With --executor ray, the runs go to the nodes of a Ray cluster, which must share the folder.
    With --slurm, a script for sbatch is written, whose tasks share the queue; nothing is trained.
    With --executor torchrun, all processes that torchrun started train one run at a time.

    A run that diverged is a result: it is in the table with that status, and a warning says so.
    Exits with 4 if a run could not be finished.
    """
    from scalewise.train.ladder_file import read_plan

    planned = read_plan(specs)
    if dry_run:
        return Answer(data={"planned": [plan_row(spec) for spec in planned]},
                      cards=lambda: [plan_card(planned, workers)])  # fmt: skip
    folder = Path(out) if out is not None else Path(f"{Path(specs).stem}-runs")
    if tune_lr:
        refuse_tuning(executor=executor, shared=shared, slurm=slurm)
    if slurm is not None:
        return slurm_answer(
            slurm, planned, plan=specs, folder=folder, workers=workers, device=device
        )
    mute_followers(executor)
    cluster = cluster_of(executor, address, cpus_per_run, gpus_per_run, retries)
    search = _tuned(planned, folder, workers, executor, device, cluster) if tune_lr else None
    if search is not None:
        planned = search.tuned(planned)
    table, unfinished, machines = train_specs(
        planned,
        folder,
        workers=workers,
        executor=executor,
        device=device,
        cluster=cluster,
        shared=shared,
    )
    path = folder / "runs.jsonl"
    trials = () if search is None else search.warnings
    warnings = (*dict.fromkeys((*trials, *machines)), *map(_told, unfinished), *_edges(search))
    return Answer(
        data={
            "out": str(path),
            "unfinished": [event.run_id for event in unfinished],
            "table": None if table is None else runs_data(table, ()),
            "rates": None if search is None else asdict(search),
        },
        cards=lambda: _cards(search, table),
        warnings=warnings,
        data_sha256="" if table is None else table.sha256,
        failure=_left(planned, unfinished, shared=shared),
    )


def _cards(search: RateSearch | None, table: RunTable | None) -> list[Card]:
    from scalewise.report.cards.runs import runs_card

    told = [rates_card(search)] if search is not None else []
    return [*told, runs_card(table)] if table is not None else told


def _left(
    planned: Sequence[RunSpec], unfinished: Sequence[Progress], *, shared: bool
) -> UnfitDataError | None:
    """What to say of runs that are to be taken up again; a shared queue leaves some to others."""
    open_status = ("crashed", "failed") if shared else TAKEN_UP_AGAIN
    left = [event.run_id for event in unfinished if event.status in open_status]
    if not left:
        return None
    all_busy = all(event.status == "busy" for event in unfinished if event.run_id in left)
    return UnfitDataError(
        f"{len(left)} of {len(planned)} runs did not finish: {', '.join(left)}.",
        hint="Another process trains them: wait for it, or give both --shared to share the queue."
        if all_busy
        else "Run the same command again: it goes on where they were left.",
    )


def _tuned(
    planned: Sequence[RunSpec],
    folder: Path,
    workers: int,
    executor: str,
    device: str,
    cluster: RayCluster | None,
) -> RateSearch:
    require_training()
    from scalewise.train.rates import tune_rates

    # Ray tells of lost workers on standard output, which is for the answer alone.
    with training_progress(planned) as on_progress, redirect_stdout(sys.stderr):
        search = tune_rates(
            planned,
            folder,
            workers=workers,
            executor=executor,
            device=device,
            on_progress=on_progress,
            cluster=cluster,
        )
    for warning in search.warnings:
        tell(f"Warning: {warning}")
    return search


def _edges(search: RateSearch | None) -> tuple[str, ...]:
    cells = () if search is None else search.cells
    return tuple(
        f"At width {cell.d_model} and batch {cell.batch_tokens} the best rate, {cell.lr_peak:.3g}, "
        "is at the edge of those tried; start the search nearer to it."
        for cell in cells
        if cell.is_edge
    )


def train_specs(
    specs: Sequence[RunSpec],
    folder: Path,
    *,
    workers: int,
    executor: str = "local",
    device: str = "cpu",
    cluster: RayCluster | None = None,
    shared: bool = False,
) -> tuple[RunTable | None, tuple[Progress, ...], tuple[str, ...]]:
    """Train what is not done yet, with progress on stderr.

    The run table, the runs that did not end well, and what there is to be said of both.
    """
    require_training()
    from scalewise.runs.read import read_runs
    from scalewise.train.executor import train_all

    # Ray tells of lost workers on standard output, which is for the answer alone.
    with training_progress(specs) as on_progress, redirect_stdout(sys.stderr):
        result = train_all(
            specs,
            folder,
            workers=workers,
            executor=executor,
            device=device,
            on_progress=on_progress,
            cluster=cluster,
            shared=shared,
        )
    warnings = (*result.warnings, *_superseded(result.superseded))
    for event in result.unfinished:
        tell(f"Warning: {_told(event)}")
    if not result.rows:
        table = None
    else:
        table = read_runs(result.path)
        warnings = (*warnings, *_repeated(table))
        tell_reading(table)
    for warning in warnings:
        tell(f"Warning: {warning}")
    return table, result.unfinished, warnings


def _superseded(run_ids: Sequence[str]) -> tuple[str, ...]:
    if not run_ids:
        return ()
    return (
        f"{listed(run_ids)} {'was' if len(run_ids) == 1 else 'were'} also trained by another plan "
        "into this folder, and only one of each is in runs.jsonl. For both, give one plan another "
        "name or another --out.",
    )


def _repeated(table: RunTable) -> tuple[str, ...]:
    """Laws of loss curves and of compute are about data seen once."""
    if not table.has("epochs"):
        return ()
    import numpy as np

    most = float(np.nanmax(table.column("epochs")))
    if not most > 1:
        return ()
    return (
        f"Runs saw their corpus up to {most:.2g} times; most laws, and all of whole curves, are "
        "of data seen once. Give more text or smaller token_budgets.",
    )


def require_training() -> None:
    """Refuse before any process is started if torch is absent; importing it here is not needed."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtraError(
            "torch is needed to train models and is not installed.",
            hint="Install it with: pip install 'scalewise[train]'",
        )


def _told(event: Progress) -> str:
    return f"{event.run_id} {event.status}" + (f": {event.detail}" if event.detail else ".")


def plan_row(spec: RunSpec) -> dict[str, Any]:
    """What a planned run is and costs."""
    from scalewise.core import counting, flops

    params = counting.params(spec.shape)
    return {
        "run_id": spec.run_id,
        "params": params,
        "params_nonembed": counting.params_nonembed(spec.shape),
        "tokens": spec.tokens,
        "token_budgets": list(spec.token_budgets),
        "batch_tokens": spec.batch_tokens,
        "steps": spec.steps,
        "flops": float(flops.training_flops(params, spec.tokens)),
        "lr_peak": spec.lr_peak,
        "seed": spec.seed,
    }


def rates_card(search: RateSearch) -> Card:
    """The learning rate found for every model size and batch size."""
    from scalewise.report.card import Card, Column, Table

    cells, exponent = len(search.cells), search.rule.batch_exponent
    trials = sum(len(cell.trials) for cell in search.cells)
    return Card(
        title="Learning rates",
        conclusion=f"{trials} short runs chose the peak learning rate of {cells} model and batch "
        f"size{'s' * (cells > 1)}"
        + (f"; it grows as batch_tokens**{exponent:.2f}." if exponent else "."),
        table=Table(
            (
                Column("params_nonembed", format="count"),
                Column("batch_tokens", format="count"),
                Column("lr_peak", format="number"),
                Column("loss", "nats/token", "loss"),
                Column("tried", format="text"),
            ),
            tuple(
                (
                    cell.params_nonembed,
                    cell.batch_tokens,
                    cell.lr_peak,
                    cell.loss,
                    ", ".join(f"{rate:.2g}" for rate, _ in cell.trials),
                )
                for cell in search.cells
            ),
        ),
    )


def plan_card(specs: Sequence[RunSpec], workers: int) -> Card:
    """The planned runs, nothing trained."""
    from scalewise.core.quantities import format_duration
    from scalewise.report.card import Card, Column, Format, Table
    from scalewise.train.cost import estimate_cost, wall_seconds

    shown = ("run_id", "params", "params_nonembed", "tokens", "batch_tokens", "steps", "flops")
    forms: dict[str, Format] = {"run_id": "text", "flops": "flops"}
    rows = [plan_row(spec) for spec in specs]
    return Card(
        title="Planned runs",
        conclusion=f"{len(specs)} runs would be trained, on {workers} quiet CPU cores in about "
        f"{format_duration(wall_seconds(estimate_cost(specs), workers))}; nothing has been.",
        table=Table(
            tuple(Column(name, format=forms.get(name, "count")) for name in shown),
            tuple(tuple(row[name] for name in shown) for row in rows),
        ),
    )


command = verb(
    "train",
    train,
    (
        click.Argument(["specs"], metavar="SPECS"),
        click.Option(
            ["--out"], metavar="FOLDER", help="Where the runs are kept; the name of SPECS + -runs."
        ),
        options.count("--workers", "Processes that train at once.", default="2"),
        *EXECUTOR_OPTIONS,
        click.Option(
            ["--device"], default="cpu", show_default=True, metavar="cpu|cuda|cuda:N",
            help="Where to train; cuda shares all GPUs out among the workers.",
        ),
        click.Option(
            ["--tune-lr"], is_flag=True, help="Choose the learning rates by short runs first."
        ),
        click.Option(["--dry-run"], is_flag=True, help="Print the plan and train nothing."),
    ),
    examples=(
        'train ladder.toml --dry-run',
        'train ladder.toml --workers 2',
        'train ladder.toml --tune-lr',
        'train ladder.toml --executor ray --address auto',
        'train ladder.toml --slurm array.sbatch',
    ),
)  # fmt: skip
