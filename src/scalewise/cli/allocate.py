"""``scalewise allocate``: the twin of ``scalewise.allocate``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import click

from scalewise.cli import options
from scalewise.cli.data import allocation_data
from scalewise.cli.fit import doubt
from scalewise.cli.inputs import fit_from
from scalewise.cli.output import Answer
from scalewise.cli.verb import verb
from scalewise.core.compute import accelerator_named, flops_from_gpus, gpu_hours, price
from scalewise.core.errors import UsageError
from scalewise.core.quantities import format_flops


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A compute budget, with the machine time and money it stands for where these are known."""

    flops: float
    told: str
    gpu_hours: float | None = None
    cost: float | None = None


def allocate(*, fit: str, level: float, **budget: Any) -> Answer:
    """Split a compute budget between model size and tokens so that the loss is least.

    FIT is a file that `scalewise fit --out` wrote, - for standard input, or the name of published
    constants (see `scalewise laws`). The budget is --flops, or --gpus of a kind --gpu for --days
    at a utilisation --mfu. --price is per accelerator-hour, in any currency.
    """
    from scalewise.plan.allocate import allocate as split_budget

    spent = _budget(**budget)
    result = fit_from(fit)
    allocation = split_budget(result, spent.flops, level=level)

    def cards() -> list[Any]:
        from scalewise.report.card import Fact
        from scalewise.report.cards.allocation import allocation_card

        card = allocation_card(allocation)
        facts = [Fact("budget", spent.told)]
        if spent.cost is not None:
            facts.append(Fact("cost", f"{spent.cost:,.2f} for {spent.gpu_hours:,.0f} GPU-hours"))
        return [replace(card, facts=(*facts, *card.facts))]

    return Answer(
        data=allocation_data(allocation) | {"gpu_hours": spent.gpu_hours, "cost": spent.cost},
        cards=cards,
        warnings=allocation.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        failure=doubt(result),
    )


def _budget(
    *,
    flops: float | None,
    gpus: int | None,
    gpu: str | None,
    mfu: float | None,
    days: float | None,
    price_per_hour: float | None,
) -> Budget:
    if (flops is None) == (gpus is None):
        raise UsageError(
            "A budget is --flops, or --gpus with --gpu, --mfu and --days; "
            f"{'both were' if flops is not None else 'neither was'} given.",
            hint="Write --flops 1e24, or --gpus 512 --gpu h100 --mfu 0.4 --days 14.",
        )
    if flops is not None and days is not None:
        raise UsageError("--days goes with --gpus, not with --flops.", hint="Leave --days out.")
    machine = {"--gpu": gpu, "--mfu": mfu} | ({"--days": days} if gpus is not None else {})
    lacking = [flag for flag, value in machine.items() if value is None]
    if flops is not None and price_per_hour is None and len(lacking) == len(machine):
        return Budget(flops=flops, told=f"{format_flops(flops)} FLOP")
    if gpu is None or mfu is None or lacking:
        raise UsageError(
            f"Without {' and '.join(lacking)} the machine time is not known.",
            hint="Write --gpu h100 --mfu 0.4, and --days 14 with --gpus.",
        )
    chip = accelerator_named(gpu)
    told = f"{chip.name} at utilisation {mfu:g}"
    if gpus is not None and days is not None:
        flops = flops_from_gpus(gpus, days, chip, mfu)
        told = f"{gpus} x {told}, {days:g} days: {format_flops(flops)} FLOP"
    assert flops is not None  # noqa: S101 - one of the two budgets was given
    hours = gpu_hours(flops, chip, mfu)
    cost = None if price_per_hour is None else price(hours, price_per_hour)
    return Budget(flops=flops, told=told, gpu_hours=hours, cost=cost)


command = verb(
    "allocate",
    allocate,
    (
        click.Argument(["fit"], metavar="FIT"),
        options.quantity("--flops", "Compute budget, C."),
        options.count("--gpus", "Number of accelerators."),
        click.Option(["--gpu"], metavar="NAME", help="Kind of accelerator: h100, a100, ..."),
        options.quantity("--mfu", "Share of the dense bf16 peak that is used, 0.4."),
        options.quantity("--days", "Days of training."),
        options.quantity("--price", "Price of one accelerator-hour.", name="price_per_hour"),
        options.level(),
    ),
    examples=(
        "allocate fit.json --flops 1e24",
        "allocate fit.json --gpus 512 --gpu h100 --mfu 0.4 --days 14 --price 2.1",
    ),
)
