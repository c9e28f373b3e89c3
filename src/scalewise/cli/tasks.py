"""Downstream tasks on the command line: their options, fits, forecasts and checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli.options import pairs
from scalewise.cli.output import tell
from scalewise.cli.result_data import downstream_backtest_data
from scalewise.core.errors import UsageError
from scalewise.core.quantities import parse_quantity

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.forecast.downstream_backtest import DownstreamBacktest
    from scalewise.report.card import Card
    from scalewise.runs.table import RunTable

ERROR_LAW = "error-exponential"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChoice:
    """What was asked of downstream tasks: columns by task, law, chance, and which rows."""

    tasks: Mapping[str, tuple[str, ...]]
    law: str = ERROR_LAW
    chance: Mapping[str, float]
    where: str | None = None
    held_out: str | None = None

    def __post_init__(self) -> None:
        if self.tasks:
            return
        idle = [
            flag
            for flag, value in (
                ("--task-law", self.law != ERROR_LAW),
                ("--chance", self.chance),
                ("--task-where", self.where),
                ("--task-held-out", self.held_out),
            )
            if value
        ]
        if idle:
            raise UsageError(
                f"{', '.join(idle)} without --task says nothing.", hint="Name a task: --task err."
            )


def task_options() -> tuple[click.Option, ...]:
    """The options of a fit that concern downstream tasks."""
    return (
        click.Option(
            ["--task", "tasks"], multiple=True, metavar="NAME[=COLUMN,...]",
            callback=lambda ctx, param, value: _tasks(value),
            help="A downstream task: a column of error or accuracy, or a mean of several. May be "
            "repeated.",
        ),
        click.Option(
            ["--task-law"], default=ERROR_LAW, show_default=True, metavar="NAME",
            help="Law of error by loss.",
        ),
        click.Option(
            ["--chance"], multiple=True, metavar="TASK=ACCURACY",
            callback=lambda ctx, param, value: _chances(value),
            help="Accuracy of guessing in a task: arc_easy=0.25. May be repeated.",
        ),
        click.Option(
            ["--task-where"], metavar="EXPR",
            help="Rows that the laws of error are fitted to, instead of those of --where.",
        ),
        click.Option(
            ["--task-held-out"], metavar="EXPR",
            help="Rows to test the forecasts of error on.",
        ),
    )  # fmt: skip


def _tasks(values: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for value in values:
        name, sign, text = (part.strip() for part in value.partition("="))
        columns = tuple(word.strip() for word in text.split(",") if word.strip())
        if not name or (sign and not columns):
            raise UsageError(
                f"--task was given {value!r}, which names no column.",
                hint="Write --task acc_arc_easy or --task mean=acc_a,acc_b.",
            )
        if name in found:
            raise UsageError(f"--task names {name!r} twice.", hint="Give each task once.")
        found[name] = columns or (name,)
    return found


def _chances(values: Iterable[str]) -> dict[str, float]:
    return {
        name: parse_quantity(text, name=f"--chance {name}", allow_zero=True)
        for name, text in pairs("--chance", values, "arc_easy=0.25")
    }


def fit_task_laws(
    result: FitResult,
    whole: RunTable,
    where: str | None,
    choice: TaskChoice,
    settings: Mapping[str, Any],
) -> FitResult:
    """The fit with the laws of its tasks, each told on stderr."""
    from scalewise.forecast.downstream import fit_tasks

    shared = {name: settings[name] for name in ("bootstrap", "seed")}
    result = fit_tasks(
        result, whole, choice.tasks, law=choice.law, chance=choice.chance,
        where=choice.where or where, rows=settings["rows"] or "finals", **shared,
    )  # fmt: skip
    for name, law in result.tasks.items():
        tell(f"  task {name} <- {law.provenance['error']}, {law.points} points")
    return result


def doubts_of_tasks(result: FitResult) -> tuple[str, ...]:
    """What there is to be said against the laws of a fit's tasks."""
    if not result.tasks:
        return ()
    from scalewise.forecast.downstream import task_warnings

    return tuple(text for name, law in result.tasks.items() for text in task_warnings(law, name))


def task_checks(
    result: FitResult, whole: RunTable, choice: TaskChoice
) -> tuple[DownstreamBacktest, ...]:
    """Each task's forecasts of the rows that were asked to be held out."""
    if choice.held_out is None:
        return ()
    from scalewise.forecast.downstream_backtest import backtest_downstream

    return tuple(
        backtest_downstream(result, whole, name, columns=columns, where=choice.held_out)
        for name, columns in choice.tasks.items()
    )


def checks_data(checks: Iterable[DownstreamBacktest]) -> dict[str, Any]:
    """What the checks add to the data of a fit."""
    found = {check.task: downstream_backtest_data(check) for check in checks}
    return {"task_backtests": found} if found else {}


def task_cards(result: FitResult, checks: Iterable[DownstreamBacktest] = ()) -> list[Card]:
    """The tasks of a fit and their checks as cards; nothing for a fit without tasks."""
    if not result.tasks:
        return []
    from scalewise.report.cards.downstream import downstream_backtest_card, tasks_card

    return [tasks_card(result), *(downstream_backtest_card(check) for check in checks)]
