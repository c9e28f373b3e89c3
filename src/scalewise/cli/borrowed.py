"""``scalewise predict RUNS --borrow NAME``: the twin of ``predict_from_one``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.gates import broken_gate
from scalewise.cli.inputs import runs_from, tell_health
from scalewise.cli.output import Answer
from scalewise.core.errors import UnfitDataError, UsageError

if TYPE_CHECKING:
    from scalewise.forecast.borrowed import BorrowedForecast
    from scalewise.runs.table import RunTable

# What cannot be told from one size, or is wanted here.
_EXCUSED = ("fewer than three sizes", "one value of tokens", "unfinished checkpoints among finals")
_DOOR = (
    "With one size, borrow what is missing: scalewise predict RUNS --borrow families --params 7B "
    "--tokens 2T."
)


def borrow_options() -> tuple[click.Option, ...]:
    """Options that make FIT a run table of one size."""
    return (
        click.Option(
            ["--borrow"], metavar="families|NAME|none",
            help="FIT is a table of runs of one size; take the size term from all public families, "
            "a family, published constants or choshen2024, or none for the rest of the run itself.",
        ),
        options.names("--without", "Public families that must not teach, with --borrow families."),
        click.Option(
            ["--policy"], metavar="NAME",
            help="Which checkpoints count, with --borrow: default, finals or choshen2024.",
        ),
        options.where(),
        options.mapping(),
        options.seed(),
        options.force(),
    )  # fmt: skip


def refuse_without_borrow(**given: Any) -> None:
    """Options that mean nothing for a fit."""
    if stray := [name for name, value in given.items() if value]:
        raise UsageError(
            f"--{stray[0]} goes with --borrow, which reads a run table; a fit has none.",
            hint="Add --borrow families, or leave the option away.",
        )


def predict_borrowed(
    source: str,
    borrow: str,
    given: Mapping[str, float],
    *,
    mapping: Mapping[str, str] | None,
    where: str | None,
    without: tuple[str, ...] | None,
    policy: str | None,
    force: bool,
    level: float,
    seed: int,
    gates: Mapping[str, float | None],
) -> Answer:
    """Predict the loss of one new model from runs of one size, or the rest of a run."""
    from scalewise.fit.prediction import inputs_for
    from scalewise.forecast.borrowed import predict_from_one
    from scalewise.laws.chinchilla import CHINCHILLA

    if unknown := [name for name in given if name not in ("params", "tokens", "flops")]:
        raise UsageError(
            f"--{unknown[0].replace('_', '-')} does not go with --borrow.",
            hint="Give --params and --tokens.",
        )
    inputs = inputs_for(CHINCHILLA, given)
    table = runs_from(source, mapping, where)
    findings = tell_health(table, force=force, ignored=_EXCUSED)
    found = predict_from_one(
        table, params=float(inputs["N"]), tokens=float(inputs["D"]), borrow=borrow, policy=policy,
        level=level, without=without or (), seed=seed,
    )  # fmt: skip

    def cards() -> list[Any]:
        from scalewise.report.cards.borrowed import borrowed_card

        return [borrowed_card(found)]

    return Answer(
        data=borrowed_data(found),
        cards=cards,
        warnings=(*findings, *found.warnings),
        seed=found.seed,
        data_sha256=found.sha256,
        failure=broken_gate(found.prediction, **gates),
    )


def borrowed_data(found: BorrowedForecast) -> dict[str, Any]:
    """A borrowed forecast by name, the ends of its interval together."""
    data = asdict(found)
    for name in ("low", "high", "warnings", "seed", "sha256", "params", "tokens"):
        del data[name]
    given = {"params": found.params, "tokens": found.tokens}
    return data | {"interval": [found.low, found.high], "given": given}


@contextmanager
def naming_the_door(table: RunTable) -> Iterator[None]:
    """A failure for want of sizes, with the way that one size leaves open."""
    try:
        yield
    except UnfitDataError as error:
        if not table.has("params") or table.frame["params"].drop_nulls().n_unique() > 1:
            raise
        raise UnfitDataError(error.message, hint=f"{error.hint} {_DOOR}".strip()) from error
