"""``scalewise backtest --task``: the twin of ``forecast.task_backtest.backtest_tasks``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli.inputs import tell_health
from scalewise.cli.options import pairs
from scalewise.cli.output import Answer
from scalewise.cli.result_data import task_backtest_data
from scalewise.cli.tasks import task_options
from scalewise.core.errors import UsageError
from scalewise.core.quantities import parse_quantity

if TYPE_CHECKING:
    from scalewise.runs.table import RunTable


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskBacktestChoice:
    """What was asked of a backtest of tasks; nothing if no task is named."""

    tasks: Mapping[str, tuple[str, ...]]
    every: str | None
    chance: Mapping[str, float]
    items: Mapping[str, float]
    losses: Mapping[str, str]
    held_out: str | None
    laws: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.every and self.tasks:
            raise UsageError("Both --task and --tasks all are given.", hint="Give one of them.")
        if self and self.laws:
            raise UsageError(
                "--laws names laws of loss; tasks are forecast by laws of their own.",
                hint="Leave one of --laws and --task out.",
            )
        if self:
            return
        given = {"--chance": self.chance, "--items": self.items, "--task-loss": self.losses,
                 "--held-out": self.held_out}  # fmt: skip
        if idle := [flag for flag, value in given.items() if value]:
            raise UsageError(
                f"{', '.join(idle)} without --task says nothing.",
                hint="Name a task: --task acc_quiz, or --tasks all.",
            )

    def __bool__(self) -> bool:
        return bool(self.every or self.tasks)


def task_backtest_options() -> tuple[click.Option, ...]:
    """The options of a backtest that concern downstream tasks."""
    task, _, chance, *_ = task_options()
    return (
        task,
        click.Option(
            ["--tasks", "every"], type=click.Choice(["all"]),
            help="All columns of error or accuracy, each as a task.",
        ),
        chance,
        click.Option(
            ["--items"], multiple=True, metavar="TASK=COUNT",
            callback=lambda ctx, param, value: {
                name: parse_quantity(text, name=f"--items {name}")
                for name, text in pairs("--items", value, "arc_easy=2376")
            },
            help="How many questions a task has: arc_easy=2376. May be repeated.",
        ),
        click.Option(
            ["--task-loss", "losses"], multiple=True, metavar="TASK=COLUMN",
            callback=lambda ctx, param, value: dict(
                pairs("--task-loss", value, "arc_easy=bpb_arc_easy")
            ),
            help="The column that stands for loss in a task, such as bits per byte of its answers.",
        ),
        click.Option(
            ["--held-out"], metavar="EXPR",
            help="The models to forecast in tasks: 'params > 2B'. Those of most compute if absent.",
        ),
    )  # fmt: skip


def task_backtest_answer(
    table: RunTable, choice: TaskBacktestChoice, *, level: float, seed: int, force: bool
) -> Answer:
    """Every task that was asked for, forecast at cuts of compute and judged."""
    from scalewise.forecast.task_backtest import backtest_tasks

    unheard = () if table.has("loss") else ("no loss",)  # compute alone forecasts tasks too
    findings = tell_health(table, force=force, excused=unheard, ignored=unheard)
    outcome = backtest_tasks(
        table,
        "all" if choice.every else choice.tasks,
        chance=choice.chance,
        items=choice.items,
        losses=choice.losses,
        held_out=choice.held_out,
        level=level,
        seed=seed,
    )

    def cards() -> list[Any]:
        from scalewise.report.cards.task_backtest import task_backtest_card

        return [task_backtest_card(outcome)]

    return Answer(
        data=task_backtest_data(outcome),
        cards=cards,
        warnings=(*findings, *outcome.warnings),
        seed=seed,
        data_sha256=table.sha256,
    )
