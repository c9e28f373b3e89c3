"""``scalewise steps``: the twin of ``scalewise.plan.batch.batch_tradeoff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import batch_methods, options, size
from scalewise.cli.fit import doubt
from scalewise.cli.inputs import fit_from
from scalewise.cli.output import Answer
from scalewise.cli.trajectory_data import cheapest_data, tradeoff_data, unreachable_data
from scalewise.cli.verb import verb
from scalewise.core.errors import GateError, LawError, UsageError

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.forecast.trajectory import Trajectory
    from scalewise.plan.batch import Fleet


def steps(
    *,
    fit: str,
    params_nonembed: float | None,
    params: float | None,
    params_embed: float | None,
    loss: float,
    batch_tokens: float | None,
    runs: str | None,
    branches: str | None,
    level: float,
    **machines: Any,
) -> Answer:
    """Steps, tokens, compute and time that one size takes to a loss, at every batch.

    FIT is a file that `scalewise fit --law trajectory --out` wrote, - for standard input, or the
    name of published constants (see `scalewise laws`).

    --gpus of a kind --gpu work on batches of --batch-tokens, or of the critical batch without it;
    larger batches take more of them in proportion. --days is a deadline and --day-price what a
    day of waiting costs: either asks for the cheapest batch.

    --runs and --branches add a table of the critical batch by every method that measured it:
    equal-loss contours of the fitted curves, gradient noise scales, branches from checkpoints.

    Exits with 2 if the size never reaches the loss, with 5 if no batch keeps the deadline, after
    printing what was found.
    """
    # What contradicts itself is told before a file is read.
    N = size.size_from(params_nonembed=params_nonembed, params=params, params_embed=params_embed)
    _refuse_half(machines)
    from scalewise.forecast.trajectory import Trajectory
    from scalewise.plan.reachable import reaches

    result = fit_from(fit)
    trajectory = Trajectory.from_fit(result)
    found = batch_methods.measured(result, runs, branches, level=level)
    if reaches(trajectory, N, loss):
        answer = _within_reach(result, trajectory, N, loss, batch_tokens, machines, level)
    else:
        answer = _out_of_reach(result, trajectory, N, loss, level)
    return batch_methods.with_methods(answer, found, level=level)


def _within_reach(
    result: FitResult, trajectory: Trajectory, N: float, loss: float, batch_tokens: float | None,
    machines: dict[str, Any], level: float,
) -> Answer:  # fmt: skip
    from scalewise.plan.batch import batch_tradeoff, critical_batch
    from scalewise.plan.cheapest_batch import CheapestBatch, cheapest_batch

    days, day_price = machines.pop("days"), machines.pop("day_price")
    batch = batch_tokens or float(critical_batch(trajectory, N, loss))
    fleet = _fleet(batch, **machines)
    found = batch_tradeoff(trajectory, N, loss, batch_tokens=batch_tokens, fleet=fleet, level=level)
    cheapest: CheapestBatch | None = None
    failure = None
    if fleet is not None and (days is not None or day_price is not None):
        try:
            cheapest = cheapest_batch(
                trajectory, N, loss, fleet=fleet, days=days, day_price=day_price, level=level
            )
        except GateError as error:
            failure = error

    def cards() -> list[Any]:
        from scalewise.report.cards.steps import cheapest_card, frontier_card, steps_card

        told = [steps_card(found, runs=result.runs, spread=result.spread), frontier_card(found)]
        if cheapest is not None and fleet is not None:
            told.append(cheapest_card(cheapest, fleet, level=level))
        return told

    return Answer(
        data=tradeoff_data(found, runs=result.runs)
        | {"cheapest": None if cheapest is None else cheapest_data(cheapest)},
        cards=cards,
        warnings=found.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        failure=doubt(result) or failure,
    )


def _out_of_reach(
    result: FitResult, trajectory: Trajectory, N: float, loss: float, level: float
) -> Answer:
    from scalewise.plan.reachable import unreachable

    found = unreachable(trajectory, N, loss, level=level)

    def cards() -> list[Any]:
        from scalewise.report.cards.steps import unreachable_card

        return [unreachable_card(found, runs=result.runs)]

    return Answer(
        data=unreachable_data(found, runs=result.runs),
        cards=cards,
        warnings=found.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        failure=LawError(str(found), hint="Ask for a loss above the floor, or for a larger model."),
    )


def _refuse_half(machines: dict[str, Any]) -> None:
    """UsageError for machines without what makes time of them, or prices without machines."""
    needed = {"--gpus": machines["gpus"], "--gpu": machines["gpu"], "--mfu": machines["mfu"]}
    lacking = [flag for flag, value in needed.items() if value is None]
    extra = {"--price": machines["price_per_hour"], "--days": machines["days"]}
    extra |= {"--day-price": machines["day_price"]}
    asked = [flag for flag, value in (needed | extra).items() if value is not None]
    if asked and lacking:
        raise UsageError(
            f"{' and '.join(asked)} {'needs' if len(asked) == 1 else 'need'} "
            f"{' and '.join(lacking)}: without them the time of a step is not known.",
            hint="Write --gpus 512 --gpu h100 --mfu 0.4 with --batch-tokens 4M.",
        )
    if machines["day_price"] is not None and machines["price_per_hour"] is None:
        raise UsageError(
            "--day-price needs --price: one price alone compares nothing.",
            hint="Write --price 2.1 --day-price 5000.",
        )


def _fleet(
    batch_tokens: float, *, gpus: int | None, gpu: str | None, mfu: float | None,
    price_per_hour: float | None,
) -> Fleet | None:  # fmt: skip
    if gpus is None or gpu is None or mfu is None:
        return None
    from scalewise.core.compute import accelerator_named
    from scalewise.plan.batch import Fleet

    return Fleet(
        accelerator=accelerator_named(gpu),
        gpus=gpus,
        mfu=mfu,
        batch_tokens=batch_tokens,
        price=price_per_hour,
    )


command = verb(
    "steps",
    steps,
    (
        click.Argument(["fit"], metavar="FIT"),
        *size.OPTIONS,
        options.quantity("--loss", "Loss to reach, in nats/token.", required=True),
        options.quantity("--batch-tokens", "Tokens per update, B."),
        options.count("--gpus", "Number of accelerators at that batch."),
        click.Option(["--gpu"], metavar="NAME", help="Kind of accelerator: h100, a100, ..."),
        options.quantity("--mfu", "Share of the dense bf16 peak that is used, 0.4."),
        options.quantity("--price", "Price of one accelerator-hour.", name="price_per_hour"),
        options.quantity("--days", "Deadline: find the cheapest batch that keeps it."),
        options.quantity("--day-price", "What a day of waiting costs: find the cheapest batch."),
        *batch_methods.OPTIONS,
        options.level(),
    ),
    examples=(
        "steps fit.json --params-nonembed 7B --loss 2.3",
        "steps kaplan2020-trajectory --params-nonembed 1.5B --loss 2.6 --batch-tokens 512k",
        "steps fit.json --params-nonembed 7B --loss 2.3 --batch-tokens 4M --gpus 512 --gpu h100 "
        "--mfu 0.4 --price 2.1 --days 30",
        "steps fit.json --params-nonembed 7B --loss 2.3 --runs runs.jsonl --branches branches.json",
    ),
)
