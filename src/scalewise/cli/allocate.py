"""``scalewise allocate``: the twin of ``scalewise.allocate``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options, serving
from scalewise.cli.budget import Budget, budget_from
from scalewise.cli.fit import doubt
from scalewise.cli.inputs import fit_from
from scalewise.cli.output import Answer
from scalewise.cli.plan_data import curve_data, data_constrained_data
from scalewise.cli.result_data import allocation_data
from scalewise.cli.verb import verb
from scalewise.core.errors import UsageError

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.plan.allocate import Allocation, Frontier
    from scalewise.plan.data_constrained import DataConstrained
    from scalewise.report.card import Fact


def allocate(*, fit: str, level: float, tokens_unique: float | None, **given: Any) -> Answer:
    """Split a compute budget between model size and tokens so that the loss is least.

    FIT is a file that `scalewise fit --out` wrote, - for standard input, or the name of published
    constants (see `scalewise laws`). The budget is --flops, or --gpus of a kind --gpu for --days
    at a utilisation --mfu. --price is per accelerator-hour, in any currency.

    With a fit of trajectory, a law of whole loss curves, the budget is that of a batch far below
    the critical one, and batch and steps are answered too.

    --tokens-unique is for laws of repeated data: no more unique tokens than these exist.

    --inference-tokens asks for the model that costs least to train and then to serve, at the
    quality of --loss, of --params-equivalent, or of what the budget would reach.
    """
    asked = serving.take(given)
    if asked["inference_tokens"] is not None:
        if tokens_unique is not None:
            raise UsageError(
                "--tokens-unique and --inference-tokens are two questions.",
                hint="Ask them one after the other.",
            )
        # What contradicts itself is told before a file is read.
        question = serving.question(asked, given)
        return serving.serve(fit_from(fit), question, level=level)
    spent = budget_from(**given)
    result = fit_from(fit)
    if {"step", "batch_tokens"} <= set(result.law.columns):
        return _efficient(result, spent, tokens_unique, level)
    return _split(result, spent, tokens_unique, level)


def _efficient(
    result: FitResult, spent: Budget, tokens_unique: float | None, level: float
) -> Answer:
    """Size, batch and steps of a budget, for laws of whole loss curves."""
    from scalewise.cli.plan_data import efficient_data
    from scalewise.forecast.trajectory import Trajectory
    from scalewise.plan.compute_efficient import efficient_run

    if tokens_unique is not None:
        raise UsageError(
            f"Law {result.law.key!r} knows no repeated data, so --tokens-unique means nothing.",
            hint="Leave it out, or use a fit of data-constrained.",
        )
    trajectory = Trajectory.from_fit(result)
    run = efficient_run(trajectory, spent.flops, level=level)

    def cards() -> list[Any]:
        from scalewise.report.cards.kaplan import efficient_card

        card = efficient_card(run, trajectory)
        return [replace(card, facts=(*_facts(spent), *card.facts))]

    return Answer(
        data=efficient_data(run) | {"gpu_hours": spent.gpu_hours, "cost": spent.cost},
        cards=cards,
        warnings=run.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        failure=doubt(result),
    )


def _split(result: FitResult, spent: Budget, tokens_unique: float | None, level: float) -> Answer:
    from scalewise.plan.allocate import allocate as split_budget
    from scalewise.plan.allocate import around
    from scalewise.plan.data_constrained import allocate_repeated

    repeated: DataConstrained | None = None
    if tokens_unique is None:
        allocation = split_budget(result, spent.flops, level=level)
    else:
        repeated = allocate_repeated(result, spent.flops, tokens_unique=tokens_unique, level=level)
        allocation = repeated.allocation
    curve = around(result, spent.flops, tokens_unique=tokens_unique, level=level)
    data = allocation_data(allocation) | {"gpu_hours": spent.gpu_hours, "cost": spent.cost}
    data["curve"] = curve_data(curve, allocation.runs)
    if repeated is not None:
        data |= data_constrained_data(repeated)
    return Answer(
        data=data,
        cards=lambda: _cards(allocation, curve, spent, repeated),
        warnings=allocation.warnings if repeated is None else repeated.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        failure=doubt(result),
    )


def _cards(
    allocation: Allocation, curve: Frontier, spent: Budget, repeated: DataConstrained | None
) -> list[Any]:
    from scalewise.report.cards.allocation import allocation_card, curve_card
    from scalewise.report.cards.data_constrained import data_constrained_card

    card = allocation_card(allocation) if repeated is None else data_constrained_card(repeated)
    unique = None if repeated is None else repeated.tokens_unique
    return [
        replace(card, facts=(*_facts(spent), *card.facts)),
        curve_card(curve, tokens_unique=unique),
    ]


def _facts(spent: Budget) -> list[Fact]:
    """The budget, and what it costs where that is known."""
    from scalewise.report.card import Fact

    facts = [Fact("budget", spent.told)]
    if spent.cost is not None:
        facts.append(Fact("cost", f"{spent.cost:,.2f} for {spent.gpu_hours:,.0f} GPU-hours"))
    return facts


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
        options.quantity("--tokens-unique", "Unique tokens that exist; more are repeats."),
        *serving.OPTIONS,
        options.level(),
    ),
    examples=(
        "allocate fit.json --flops 1e24",
        "allocate fit.json --gpus 512 --gpu h100 --mfu 0.4 --days 14 --price 2.1",
        "allocate kaplan2020-trajectory --flops 1e21",
        "allocate muennighoff2023 --flops 1e22 --tokens-unique 25B",
        "allocate fit.json --params-equivalent 13B --inference-tokens 2T",
        "allocate fit.json --flops 1e24 --inference-tokens 2T --mfu 0.4 --inference-mfu 0.05",
    ),
)
