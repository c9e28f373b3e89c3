"""``scalewise predict``: the twin of ``FitResult.predict``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.borrowed import borrow_options, predict_borrowed, refuse_without_borrow
from scalewise.cli.fit import doubt
from scalewise.cli.gates import broken_gate
from scalewise.cli.inputs import fit_from
from scalewise.cli.output import Answer
from scalewise.cli.result_data import error_forecast_data, prediction_data
from scalewise.cli.verb import verb
from scalewise.core.errors import UsageError
from scalewise.runs.columns import PARAM_COUNTS

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult

INPUTS = {
    "params": "Total parameters, N.",
    "params_nonembed": "Parameters without embeddings.",
    "params_active": "Parameters that one token uses.",
    "tokens": "Training tokens, D.",
    "tokens_unique": "Distinct tokens, for laws of repeated data.",
    "flops": "Training compute, C.",
    "steps": "Optimizer updates.",
    "steps_min": "Least number of updates, S_min.",
    "batch_tokens": "Tokens per update, B.",
    "loss": "Loss, for laws of downstream error and of the batch.",
}


def predict(
    *,
    fit: str,
    task: str | None,
    level: float,
    max_interval: float | None,
    max_extrapolation: float | None,
    borrow: str | None,
    without: tuple[str, ...] | None,
    policy: str | None,
    where: str | None,
    mapping: Mapping[str, str] | None,
    seed: int,
    force: bool,
    **inputs: float | None,
) -> Answer:
    """Predict the loss of one new model from FIT, or its downstream error in a --task of the fit.

    FIT is a file that `scalewise fit --out` wrote, - for standard input, or the name of published
    constants (see `scalewise laws`). Where its law predicts a choice, such as the batch or the
    learning rate, that is predicted under its own name.

    With --borrow, FIT is instead a table of runs of one size, or of the first part of the run to
    be forecast: how loss falls with size is borrowed, and the interval holds how public families
    differ in it.

    Exits with 5 if a gate fails, after printing the prediction.
    """
    given = {name: value for name, value in inputs.items() if value is not None}
    gates = {"widest": max_interval, "farthest": max_extrapolation}
    if borrow is not None:
        if task is not None:
            raise UsageError("--task does not go with --borrow.", hint="Leave one of them away.")
        return predict_borrowed(
            fit, borrow, given, mapping=mapping, where=where, without=without, policy=policy,
            force=force, level=level, seed=seed, gates=gates,
        )  # fmt: skip
    refuse_without_borrow(
        without=without, policy=policy, where=where, map=mapping, force=force, seed=seed
    )
    result = fit_from(fit)
    if task is not None:
        return _error(result, task, given, level, gates)
    _refuse_idle(result, given)
    from scalewise.fit.prediction import refuse_contradiction

    refuse_contradiction(given)
    prediction = result.predict(level=level, **given)

    def cards() -> list[Any]:
        from scalewise.report.cards.prediction import prediction_card

        return [prediction_card(prediction, given)]

    return Answer(
        data=prediction_data(prediction, given),
        cards=cards,
        warnings=prediction.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        failure=doubt(result) or broken_gate(prediction, **gates),
    )


def _refuse_idle(result: FitResult, given: Mapping[str, float]) -> None:
    """Inputs that none of the laws takes, and that would look as if they had been heard.

    Size and tokens are the question whichever law answers; compute follows from them.
    """
    taken = {column for _, member in result.members for column in member.law.columns}
    known = {*taken, *PARAM_COUNTS, "tokens", *({"steps"} if "step" in taken else ())}
    if not {"params", "tokens"} <= set(given):
        known.add("flops")
    if idle := [name for name in given if name not in known]:
        flags = ", ".join(_flag(name) for name in idle)
        raise UsageError(
            f"{flags} would change nothing: the fit takes {', '.join(sorted(taken))}.",
            hint="Leave it out, or use a law that takes it: scalewise laws.",
        )


def _error(
    result: FitResult,
    task: str,
    given: Mapping[str, float],
    level: float,
    gates: Mapping[str, float | None],
) -> Answer:
    """The downstream error in a task, through the loss or from a stated one."""
    from scalewise.forecast.downstream import error_law, predict_error

    law = error_law(result, task)
    forecast = predict_error(result, task, level=level, **given)

    def cards() -> list[Any]:
        from scalewise.report.cards.downstream import error_card

        return [error_card(forecast, given)]

    return Answer(
        data=error_forecast_data(forecast, given),
        cards=cards,
        warnings=forecast.prediction.warnings,
        seed=result.seed,
        data_sha256=law.sha256 if forecast.loss is None else result.sha256,
        failure=(doubt(result) if forecast.loss else None)
        or doubt(law)
        or broken_gate(forecast.prediction, **gates),
    )


def _flag(column: str) -> str:
    return f"--{column.replace('_', '-')}"


command = verb(
    "predict",
    predict,
    (
        click.Argument(["fit"], metavar="FIT"),
        *(options.quantity(_flag(name), help_) for name, help_ in INPUTS.items()),
        click.Option(
            ["--task"], metavar="NAME", help="Predict the downstream error in this task of FIT."
        ),
        options.level(),
        options.quantity(
            "--max-interval", "Gate: largest width of the interval relative to the loss, 0.02."
        ),
        options.quantity(
            "--max-extrapolation", "Gate: largest factor beyond the fitted range, 100."
        ),
        *borrow_options(),
    ),
    examples=(
        "predict fit.json --params 7B --tokens 2T",
        "predict besiroglu2024 --params 70B --tokens 1.4T",
        "predict deepseek2024-lr --flops 1e22",
        "predict fit.json --params 7B --tokens 2T --task acc_arc_easy",
        "predict run.csv --borrow families --params 7B --tokens 2T",
    ),
)
