"""The options of `scalewise allocate` about serving, and the answer to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.budget import budget_from
from scalewise.cli.fit import doubt
from scalewise.cli.output import Answer
from scalewise.cli.plan_data import inference_data
from scalewise.core.errors import UsageError
from scalewise.core.quantities import format_count, parse_quantity

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.plan.serving import Machines, ServingCost

_FLAGS = {
    "loss": "--loss",
    "params_equivalent": "--params-equivalent",
    "inference_mfu": "--inference-mfu",
    "prompt_mfu": "--prompt-mfu",
    "input_share": "--input-share",
    "inference_gpu": "--inference-gpu",
    "inference_price": "--inference-price",
}


def _share(flag: str, help: str, *, zero: bool = False) -> click.Option:  # noqa: A002 - click's
    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
        if value is None:
            return None
        share = parse_quantity(value, name=flag, allow_zero=zero)
        if share > 1:
            raise UsageError(
                f"{flag}={value} is above 1.", hint=f"Give a share: {flag} 0.4 for 40 %."
            )
        return share

    return click.Option([flag], type=str, metavar="SHARE", callback=read, help=help)


OPTIONS = (
    options.quantity(
        "--inference-tokens", "Tokens served over the model's life: least cost in all."
    ),
    options.quantity("--loss", "Quality to serve: a loss in nats/token."),
    options.quantity(
        "--params-equivalent", "Quality to serve: that of the compute-optimal model of this size."
    ),
    _share("--inference-mfu", "Share of the peak used in serving, 0.1; goes with --mfu."),
    _share("--prompt-mfu", "Share of the peak used in reading prompts; goes with --input-share."),
    _share("--input-share", "Share of the served tokens that are read, not written.", zero=True),
    click.Option(
        ["--inference-gpu"], metavar="NAME", help="Kind of accelerator that serves, if another."
    ),
    options.quantity("--inference-price", "Price of an hour of serving; as --price if absent."),
)


def take(given: dict[str, Any]) -> dict[str, Any]:
    """The options about serving, removed from ``given``.

    Raises UsageError if there are some without --inference-tokens.
    """
    asked = {name: given.pop(name) for name in (*_FLAGS, "inference_tokens")}
    if asked["inference_tokens"] is None:
        alone = [flag for name, flag in _FLAGS.items() if asked[name] is not None]
        if alone:
            verb = "goes" if len(alone) == 1 else "go"
            raise UsageError(
                f"{' and '.join(alone)} {verb} with --inference-tokens, which is not given.",
                hint="Say how many tokens will be served: --inference-tokens 2T.",
            )
    return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be served, at which quality, and what it costs."""

    inference_tokens: float
    quality: Mapping[str, float]
    told: str
    machines: Machines | None
    cost: ServingCost


def question(asked: Mapping[str, Any], budget: Mapping[str, Any]) -> Question:
    """What the options ask; UsageError where they contradict each other or lack something."""
    quality, told = _quality(asked, budget)
    machines = _machines(asked, budget)
    return Question(
        inference_tokens=asked["inference_tokens"],
        quality=quality,
        told=told,
        machines=machines,
        cost=_cost(asked, budget, machines),
    )


def serve(result: FitResult, asked: Question, *, level: float) -> Answer:
    """The cheapest model to train and to serve at the quality asked for."""
    from scalewise.plan.inference import inference_optimum
    from scalewise.plan.serving import bill

    found = inference_optimum(
        result,
        inference_tokens=asked.inference_tokens,
        cost=asked.cost,
        level=level,
        **asked.quality,
    )
    paid = None
    if asked.machines is not None:
        machines = asked.machines
        mine, other = (
            bill(
                training_flops=c.training_flops, serving_flops=c.serving_flops, cost=c.cost,
                serving=found.serving, machines=machines,
            )
            for c in (found.cheapest, found.compute_optimal)
        )  # fmt: skip
        paid = (mine, other)

    def cards() -> list[Any]:
        from scalewise.report.cards.inference import inference_card

        return [inference_card(found, asked=asked.told, paid=paid)]

    return Answer(
        data=inference_data(found, paid),
        cards=cards,
        warnings=found.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        failure=doubt(result),
    )


def _quality(asked: Mapping[str, Any], budget: Mapping[str, Any]) -> tuple[dict[str, float], str]:
    """The one quality that is stated, by the argument's name, and in words."""
    named = {"--loss": asked["loss"], "--params-equivalent": asked["params_equivalent"]}
    named |= {"--flops": budget["flops"], "--gpus": budget["gpus"]}
    stated = [flag for flag, value in named.items() if value is not None]
    if len(stated) != 1:
        raise UsageError(
            f"{' and '.join(stated) or 'No quality'} {'were' if stated else 'was'} given: what "
            "the served model must reach is stated once.",
            hint="Give one of --loss 2.1, --params-equivalent 13B, or a training budget "
            "(--flops or --gpus) that would reach it compute-optimally.",
        )
    if budget["days"] is not None and stated != ["--gpus"]:
        raise UsageError("--days goes with --gpus.", hint="Leave --days out.")
    if stated == ["--loss"]:
        return {"loss": asked["loss"]}, f"a loss of {asked['loss']:g} nats/token"
    if stated == ["--params-equivalent"]:
        size = asked["params_equivalent"]
        return {"params": size}, f"that of the compute-optimal model of {format_count(size)}"
    # What the machines deliver is known from the budget's own flags alone.
    own = dict.fromkeys(budget) | {"flops": budget["flops"]}
    spent = budget_from(**(dict(budget) if stated == ["--gpus"] else own))
    return {"flops": spent.flops}, f"what {spent.told} reach compute-optimally"


def _machines(asked: Mapping[str, Any], budget: Mapping[str, Any]) -> Machines | None:
    """The chips and prices that are stated, or None: then FLOPs are what costs."""
    from scalewise.core.compute import accelerator_named
    from scalewise.plan.serving import Machines

    if budget["gpu"] is None:
        for flag, value in (
            ("--price", budget["price_per_hour"]),
            ("--inference-price", asked["inference_price"]),
            ("--inference-gpu", asked["inference_gpu"]),
        ):
            if value is not None:
                raise UsageError(
                    f"{flag} needs --gpu: without the chip its hours are not known.",
                    hint="Write --gpu h100 --mfu 0.4 --inference-mfu 0.1.",
                )
        return None
    if asked["inference_price"] is not None and budget["price_per_hour"] is None:
        raise UsageError(
            "--inference-price needs --price: one price alone compares nothing.",
            hint="Write --price 2.1 --inference-price 1.5.",
        )
    other = asked["inference_gpu"]
    if other is not None and budget["price_per_hour"] and asked["inference_price"] is None:
        raise UsageError(
            "--inference-gpu with --price needs --inference-price.",
            hint="Write what an hour of the serving chip costs: --inference-price 1.5.",
        )
    return Machines(
        training=accelerator_named(budget["gpu"]),
        serving=accelerator_named(other or budget["gpu"]),
        price=budget["price_per_hour"],
        serving_price=asked["inference_price"],
    )


def _cost(
    asked: Mapping[str, Any], budget: Mapping[str, Any], machines: Machines | None
) -> ServingCost:
    from scalewise.plan.serving import ServingCost

    pair = {"--mfu": budget["mfu"], "--inference-mfu": asked["inference_mfu"]}
    absent = [flag for flag, value in pair.items() if value is None]
    if len(absent) == 1 or (absent and machines is not None):
        raise UsageError(
            f"Without {' and '.join(absent)} training and serving cannot be weighed by machine "
            "time.",
            hint="Write --mfu 0.4 --inference-mfu 0.1, or leave machines out to count FLOPs.",
        )
    if not absent and budget["mfu"] > 1:
        raise UsageError(f"--mfu={budget['mfu']:g} is above 1.", hint="Write --mfu 0.4 for 40 %.")
    pair = {"--prompt-mfu": asked["prompt_mfu"], "--input-share": asked["input_share"]}
    absent_too = [flag for flag, value in pair.items() if value is None]
    if len(absent_too) == 1 or (absent and not absent_too):
        raise UsageError(
            f"Without {absent_too[0] if absent_too else '--mfu and --inference-mfu'} the reading "
            "of prompts cannot be weighed.",
            hint="Write --inference-mfu 0.1 --prompt-mfu 0.4 --input-share 0.5.",
        )
    return ServingCost(
        training_mfu=budget["mfu"] or 1.0,
        output_mfu=asked["inference_mfu"] or 1.0,
        input_mfu=asked["prompt_mfu"] or 1.0,
        input_share=asked["input_share"] or 0.0,
        price_ratio=1.0 if machines is None else machines.price_ratio,
    )
