"""``scalewise backtest``: the twin of ``scalewise.backtest``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from scalewise.cli import options
from scalewise.cli.fit import moot_findings
from scalewise.cli.inputs import joined, runs_from, tell_health
from scalewise.cli.output import Answer
from scalewise.cli.result_data import backtest_data
from scalewise.cli.study import STUDY_OPTIONS, study_answer
from scalewise.cli.task_backtest import TaskBacktestChoice, task_backtest_answer
from scalewise.cli.task_backtest import task_backtest_options as task_options
from scalewise.cli.verb import verb
from scalewise.core.errors import UsageError


def backtest(
    *,
    runs: tuple[str, ...],
    laws: tuple[str, ...] | None,
    mapping: Mapping[str, str] | None,
    where: str | None,
    level: float,
    seed: int,
    force: bool,
    tasks: Mapping[str, tuple[str, ...]],
    every: str | None,
    chance: Mapping[str, float],
    items: Mapping[str, float],
    losses: Mapping[str, str],
    held_out: str | None,
    **study: Any,
) -> Answer:
    """Hold out the largest runs of RUNS, fit the rest, and score every law on what was held out.

    Two naive rules are scored beside the laws: the lowest loss seen, and the loss of the run with
    most compute. The share of held-out runs inside the intervals is measured too.

    --study repeats this at scale: any number of families, one per file or by a column, each
    forecast from fewer models and less of their training, under several policies and laws.

    --task NAME or --tasks all forecasts downstream errors instead: through the loss and from
    compute alone, with a verdict on each task and its reason.

    Exits with 4 if the health checks find what would make a fit wrong, unless --force is given.
    """
    choice = TaskBacktestChoice(
        tasks=tasks, every=every, chance=chance, items=items, losses=losses, held_out=held_out,
        laws=laws,
    )  # fmt: skip
    if study.pop("study") or any(value is not None for value in study.values()):
        if choice:
            raise UsageError(
                "A study forecasts losses; a task was named.",
                hint="Leave out the task, or --study and its options.",
            )
        _refuse_in_a_study("level", "seed", "force")
        return study_answer(runs, laws=laws, mapping=mapping, where=where, **study)
    from scalewise.forecast.backtest import Policy
    from scalewise.forecast.choose import backtest as score_all
    from scalewise.forecast.splits import estimation_for

    table = joined([runs_from(source, mapping, where) for source in runs])
    if choice:
        return task_backtest_answer(table, choice, level=level, seed=seed, force=force)
    moot = moot_findings(curves=estimation_for(table).is_of_curves)
    findings = tell_health(table, force=force, ignored=moot)
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


def _refuse_in_a_study(*names: str) -> None:
    """Options that would change nothing in a study, which scores errors of single fits."""
    ctx = click.get_current_context()
    given = [n for n in names if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE]
    if given:
        raise UsageError(
            f"--{given[0]} says nothing in a study: it draws no intervals and checks each family "
            "by itself.",
            hint="Leave it out, or leave out --study and its options.",
        )


command = verb(
    "backtest",
    backtest,
    (
        click.Argument(["runs"], metavar="RUNS...", nargs=-1, required=True),
        options.names(
            "--laws", "Laws to score: chinchilla,power. All that the data carry if absent."
        ),
        options.where(),
        options.mapping(),
        options.level(),
        options.seed(),
        options.force(),
        *task_options(),
        *STUDY_OPTIONS,
    ),
    examples=(
        "backtest runs.csv",
        "backtest runs.csv --laws chinchilla,overtraining",
        "backtest runs.csv --tasks all --chance arc_easy=0.25 --items arc_easy=2376",
        "backtest families.csv --models 2..8 --share 0.3,0.5,1 --policy default,choshen2024",
    ),
)
