"""``scalewise backtest``: the twin of ``scalewise.backtest``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from scalewise.cli import options
from scalewise.cli.data import backtest_data
from scalewise.cli.inputs import runs_from, tell_health
from scalewise.cli.output import Answer
from scalewise.cli.verb import verb


def backtest(
    *,
    runs: str,
    laws: tuple[str, ...] | None,
    mapping: Mapping[str, str] | None,
    where: str | None,
    level: float,
    seed: int,
    force: bool,
) -> Answer:
    """Hold out the largest runs of RUNS, fit the rest, and score every law on what was held out.

    Two naive rules are scored beside the laws: the lowest loss seen, and the loss of the run with
    most compute. The share of held-out runs inside the intervals is measured too.

    Exits with 4 if the health checks find what would make a fit wrong, unless --force is given.
    """
    from scalewise.forecast.backtest import Policy
    from scalewise.forecast.choose import backtest as score_all

    table = runs_from(runs, mapping, where)
    findings = tell_health(table, force=force)
    outcome = score_all(table, laws, policy=Policy(level=level, seed=seed))

    def cards() -> list[Any]:
        from scalewise.report.cards.backtest import backtest_card

        return [backtest_card(outcome)]

    return Answer(
        data=backtest_data(outcome),
        cards=cards,
        warnings=(*findings, *outcome.warnings),
        seed=seed,
        data_sha256=table.sha256,
    )


command = verb(
    "backtest",
    backtest,
    (
        click.Argument(["runs"], metavar="RUNS"),
        options.names(
            "--laws", "Laws to score: chinchilla,power. All that the data carry if absent."
        ),
        options.where(),
        options.mapping(),
        options.level(),
        options.seed(),
        options.force(),
    ),
    examples=(
        "backtest runs.csv",
        "backtest runs.csv --laws chinchilla,overtraining",
    ),
)
