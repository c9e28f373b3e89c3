"""The budget of `scalewise allocate`: FLOPs, or machines and days, with their price if known."""

from __future__ import annotations

from dataclasses import dataclass

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


def budget_from(
    *,
    flops: float | None,
    gpus: int | None,
    gpu: str | None,
    mfu: float | None,
    days: float | None,
    price_per_hour: float | None,
) -> Budget:
    """The budget that the options state.

    Raises UsageError if they state two, none, or machines without what makes FLOPs of them.
    """
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
