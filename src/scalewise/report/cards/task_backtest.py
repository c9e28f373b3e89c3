"""A backtest of tasks, told: which can be forecast, how well, and why the others cannot."""

from __future__ import annotations

from math import isfinite

from scalewise.core.quantities import level_text
from scalewise.forecast.backtest import NAIVE
from scalewise.forecast.task_backtest import TaskBacktest, TaskOutcome, TaskScore
from scalewise.forecast.task_verdict import Verdict
from scalewise.report.card import Axis, Card, Cell, Column, Fact, FigureSpec, Panel, Series, Table
from scalewise.report.formats import clean, counted, factor

_REASONS = 12  # tasks whose reason is told; the table has them all


def task_backtest_card(backtest: TaskBacktest) -> Card:
    """One row per task and method, and the verdict on every task."""
    return Card(
        title="Backtest of tasks",
        conclusion=_conclusion(backtest),
        facts=_facts(backtest),
        table=_table(backtest),
        figure=_figure(backtest),
        caveats=(*backtest.warnings, *_reasons(backtest)),
    )


def _conclusion(backtest: TaskBacktest) -> str:
    tasks = len(backtest.outcomes)
    able = backtest.with_verdict(Verdict.FORECASTABLE)
    text = f"{len(able)} of {counted(tasks, 'task')} can be forecast from smaller models"
    rest = [
        f"{len(found)} {verdict.value}"
        for verdict in Verdict
        if verdict is not Verdict.FORECASTABLE and (found := backtest.with_verdict(verdict))
    ]
    if rest:
        text += f" ({', '.join(rest)})"
    points = [p for o in backtest.outcomes for s in o.methods for p in s.points]
    if points:
        inside = sum(p.inside for p in points)
        level = level_text(backtest.level)
        text += f"; {inside} of {len(points)} forecasts lie inside the {level} interval"
    return f"{text}."


def _facts(backtest: TaskBacktest) -> tuple[Fact, ...]:
    facts = [
        Fact("off by", "mean difference of forecast and measured error, in points of accuracy"),
        Fact("interval score", "width plus a penalty for each miss, in points; lower is better"),
    ]
    for i, split in enumerate(backtest.splits, start=1):
        models, held = len(split.fitted.finals()), len(split.held_out)
        reach = f", {factor(split.reach)} the fitted compute" if isfinite(split.reach) else ""
        facts.append(
            Fact(f"cut {i}", clean(f"{split.label}: {models} fitted, {held} held out{reach}", 200))
        )
    for method, spreads in backtest.spreads.items():
        if any(o.score_of(method).points for o in backtest.outcomes):
            said = ", ".join(factor(spread) for spread in spreads)
            facts.append(Fact(f"{method}, intervals", f"{said} as stated, by misses further down"))
    return tuple(facts)


def _table(backtest: TaskBacktest) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for outcome in backtest.outcomes:
        shown = [score for score in outcome.methods if score.points] or [outcome.methods[0]]
        rows += [_row(outcome, score) for score in shown]
    return Table(
        (
            Column("task"), Column("verdict"), Column("method", format="code"),
            Column("points", format="integer"), Column("off by", "points", "number"),
            Column("bias", "points", "number"), Column("naive off by", "points", "number"),
            Column(f"inside {level_text(backtest.level)}", format="percent"),
            Column("width", "points", "number"), Column("interval score", "points", "number"),
        ),
        tuple(rows),
    )  # fmt: skip


def _row(outcome: TaskOutcome, score: TaskScore) -> tuple[Cell, ...]:
    return (
        clean(outcome.task.name, 60),
        outcome.verdict.value,
        score.method if score.points else "none",
        len(score.points),
        _in_points(score.mean_abs_error if score.points else None),
        _in_points(score.bias if score.points else None),
        _in_points(score.naive_error),
        score.coverage,
        _in_points(score.mean_width),
        _in_points(score.interval_score),
    )


def _in_points(share: float | None) -> float | None:
    return None if share is None else round(100.0 * share, 2)


def _reasons(backtest: TaskBacktest) -> tuple[str, ...]:
    """Why tasks cannot be forecast, one sentence each."""
    doubted = [o for o in backtest.outcomes if o.verdict is not Verdict.FORECASTABLE]
    told = [f"{clean(o.task.name, 60)} ({o.verdict.value}): {o.why}" for o in doubted[:_REASONS]]
    more = len(doubted) - _REASONS
    return (*told, *([f"So have {more} more tasks; --json gives each reason."] if more > 0 else []))


def _figure(backtest: TaskBacktest) -> FigureSpec | None:
    """Signed misses of each task, methods apart, naive rules grey."""
    shown = [o for o in backtest.outcomes if any(s.points for s in o.methods)]
    if not shown:
        return None
    series = [
        Series(mark="line", x=(0.0, 0.0), y=(-0.6, len(shown) - 0.4), role="reference",
               label="measured", spans="x"),
    ]  # fmt: skip
    rule = NAIVE[0]
    for method in (rule, *backtest.spreads):
        x, y = [], []
        for row, outcome in enumerate(shown):
            points = outcome.score_of(method).points
            x += [p.off_by for p in points]
            y += [float(row)] * len(points)
        if x:
            series.append(
                Series(mark="points", x=tuple(x), y=tuple(y), label=method,
                       role="quiet" if method == rule else "series")
            )  # fmt: skip
    names = tuple(clean(outcome.task.name, 40) for outcome in shown)
    title = "Held-out error of each task"
    panel = Panel(
        title,
        Axis("forecast minus measured error", "", "linear", "signed-percent"),
        Axis("task", scale="category", categories=names),
        tuple(series),
    )
    saying = (
        "Each mark is one forecast of a larger model; the naive rule, the best seen error, in grey."
    )
    return FigureSpec(title, saying, (panel,))
