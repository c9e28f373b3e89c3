"""``scalewise overfit``: the twin of ``plan.overfitting.overfit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.fit import doubt
from scalewise.cli.inputs import fit_from
from scalewise.cli.output import Answer
from scalewise.cli.result_data import overfit_data
from scalewise.cli.verb import verb
from scalewise.core.errors import UsageError

if TYPE_CHECKING:
    from scalewise.forecast.trajectory import Trajectory

SIZES = ("params_nonembed", "params")


def overfit(
    *,
    fit: str,
    params: float | None,
    params_nonembed: float | None,
    tokens: float | None,
    tolerance: float,
    steps_law: str | None,
    batch_law: str | None,
    batch_tokens: float | None,
    level: float,
) -> Answer:
    """How many distinct tokens a model needs before a limited data set costs it loss.

    FIT is a fit of the law kaplan-overfit, a file that `scalewise fit --out` wrote or - for
    standard input, or kaplan2020-overfit for the published constants. With --tokens also the loss
    that this data set costs, and with --steps-law and --batch-law the step before which stopping
    cannot be right; kaplan2020-overfit brings these two laws along.
    """
    from scalewise.plan.overfitting import overfit as find

    result = fit_from(fit)
    found = find(
        result,
        _size(result.law.variables.get("N"), params=params, params_nonembed=params_nonembed),
        tokens,
        tolerance=tolerance,
        trajectory=_trajectory(fit, steps_law, batch_law, batch_tokens),
        batch_tokens=float("inf") if batch_tokens is None else batch_tokens,
        level=level,
    )

    def cards() -> list[Any]:
        from scalewise.report.cards.kaplan import overfit_card

        return [overfit_card(found)]

    return Answer(
        data=overfit_data(found),
        cards=cards,
        warnings=found.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        failure=doubt(result),
    )


def _size(counted: str | None, **given: float | None) -> float:
    """The size in the count that the law uses; another law is refused where it is looked at."""
    stated = {name: value for name, value in given.items() if value is not None}
    wanted = counted if counted in SIZES else SIZES[0]
    if list(stated) != [wanted]:
        named = " and ".join(f"--{name.replace('_', '-')}" for name in stated) or "no size"
        raise UsageError(
            f"The law counts {wanted}; given: {named}.",
            hint=f"Write --{wanted.replace('_', '-')} 1B.",
        )
    return stated[wanted]


def _trajectory(
    fit: str, steps_law: str | None, batch_law: str | None, batch_tokens: float | None
) -> Trajectory | None:
    from scalewise.forecast.trajectory import Trajectory

    if steps_law is not None and batch_law is not None:
        return Trajectory.of(fit_from(steps_law), fit_from(batch_law))
    if steps_law is not None or batch_law is not None:
        lacking = "--batch-law" if batch_law is None else "--steps-law"
        raise UsageError(
            f"Without {lacking} the early stop is not known.",
            hint="Give both: fits of kaplan-steps and of kaplan-critical-batch.",
        )
    if fit == "kaplan2020-overfit":
        return Trajectory.kaplan2020()
    if batch_tokens is not None:
        raise UsageError(
            "--batch-tokens has no use without --steps-law and --batch-law.",
            hint="Give fits of kaplan-steps and of kaplan-critical-batch.",
        )
    return None


command = verb(
    "overfit",
    overfit,
    (
        click.Argument(["fit"], metavar="FIT"),
        options.quantity("--params-nonembed", "Parameters without embeddings, N."),
        options.quantity("--params", "Total parameters, for a fit on that count."),
        options.quantity("--tokens", "Distinct tokens, D."),
        options.quantity(
            "--tolerance", "Loss over that of unlimited data, relative.", default="0.02"
        ),
        click.Option(["--steps-law"], metavar="FIT", help="A fit of kaplan-steps."),
        click.Option(["--batch-law"], metavar="FIT", help="A fit of kaplan-critical-batch."),
        options.quantity("--batch-tokens", "Tokens per update, for the early stop at that batch."),
        options.level(),
    ),
    examples=(
        "overfit kaplan2020-overfit --params-nonembed 1B",
        "overfit kaplan2020-overfit --params-nonembed 1B --tokens 20B --batch-tokens 512k",
    ),
)
