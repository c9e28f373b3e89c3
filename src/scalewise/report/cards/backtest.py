"""A backtest, told: how well each law would have forecast the larger runs."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from scalewise.core.quantities import level_text
from scalewise.forecast.backtest import NAIVE, Backtest, LawScore
from scalewise.report.card import Axis, Card, Cell, Column, Fact, FigureSpec, Panel, Series, Table
from scalewise.report.formats import counted, factor, percent


def backtest_card(backtest: Backtest) -> Card:
    """Every law and naive rule by its error on runs that its fit had not seen."""
    return Card(
        title="Backtest",
        conclusion=_conclusion(backtest),
        facts=_facts(backtest),
        table=score_table(backtest.scores, backtest.level),
        figure=error_figure(backtest.scores, "Held-out error of each law"),
        caveats=(*backtest.warnings, *failures(backtest.scores)),
    )


def score_table(scores: Sequence[LawScore], level: float) -> Table:
    """One row per law, best mean error first; what a rule cannot state is missing."""
    rows: list[tuple[Cell, ...]] = [
        (
            score.law,
            len(score.points),
            _finite(score.mean_abs_error),
            _finite(score.worst_error),
            _finite(score.bias),
            score.coverage,
            score.mean_width,
            score.interval_score,
        )
        for score in scores
    ]
    return Table(
        (
            Column("law", format="code"),
            Column("points", format="integer"), Column("mean |error|", format="percent"),
            Column("worst error", format="signed-percent"), Column("bias", format="signed-percent"),
            Column(f"inside {level_text(level)}", format="percent"),
            Column("interval width", format="percent"), Column("interval score", format="number"),
        ),
        tuple(rows),
    )  # fmt: skip


def failures(scores: Sequence[LawScore]) -> tuple[str, ...]:
    """Why laws without a score have none."""
    return tuple(f"{s.law} was not scored: {s.status}" for s in scores if not s.points)


def error_figure(scores: Sequence[LawScore], title: str) -> FigureSpec | None:
    """Signed errors of each law on one axis, best law first."""
    scored = [score for score in scores if score.points]
    if not scored:
        return None
    x: list[float] = []
    y: list[float] = []
    naive_x: list[float] = []
    naive_y: list[float] = []
    means: list[float] = []
    for i, score in enumerate(scored):
        errors = [float(e) for e in score.errors]
        target = (naive_x, naive_y) if score.law in NAIVE else (x, y)
        target[0].extend(errors)
        target[1].extend([float(i)] * len(errors))
        means.append(float(sum(errors) / len(errors)))
    rows = tuple(float(i) for i in range(len(scored)))
    series = [
        Series(mark="line", x=(0.0, 0.0), y=(-0.6, len(scored) - 0.4), role="reference",
               label="measured", spans="x"),
        Series(mark="points", x=tuple(x), y=tuple(y), label="a law on one held-out run"),
    ]  # fmt: skip
    if naive_x:
        series.append(Series(mark="points", x=tuple(naive_x), y=tuple(naive_y), role="quiet",
                             label="a naive rule on one"))  # fmt: skip
    series.append(Series(mark="points", x=tuple(means), y=rows, label="mean (bias)", hollow=True))
    axis = Axis("forecast against measured loss", "", "linear", "signed-percent")
    laws = Axis("law", scale="category", categories=tuple(score.law for score in scored))
    saying = (
        "Each mark is one forecast of a run that the fit had not seen; the best law is on top, the "
        "naive rules in grey."
    )
    return FigureSpec(title, saying, (Panel(title, axis, laws, tuple(series)),))


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _conclusion(backtest: Backtest) -> str:
    chosen = next((s for s in backtest.scores if s.law == backtest.recommended), None)
    naive = [s for s in backtest.scores if s.law in NAIVE and s.points]
    if chosen is None or not chosen.points:
        return "No law could be scored on runs that it had not seen."
    text = (
        f"{chosen.law} forecasts held-out larger runs best: mean error "
        f"{percent(chosen.mean_abs_error)} over {counted(len(chosen.points), 'forecast')} in "
        f"{counted(chosen.splits, 'split')}"
    )
    if chosen is not backtest.scores[0]:
        text = text.replace("forecasts held-out larger runs best", "is recommended")
    if chosen.coverage is not None:
        text += f", {chosen.coverage:.0%} of them inside the {level_text(backtest.level)} interval"
    if naive:
        best = min(naive, key=lambda s: s.mean_abs_error)
        text += f"; the better naive rule ({best.law}) misses by {percent(best.mean_abs_error)}"
    return text + "."


def _facts(backtest: Backtest) -> tuple[Fact, ...]:
    facts = [
        Fact("recommended", backtest.recommended, "code"),
        Fact("error", "forecast over measured, minus one, on runs larger than any fitted one"),
        Fact("interval score", "width plus a penalty for each miss, in logs; lower is better"),
    ]
    if backtest.policy:
        facts.append(Fact("policy", backtest.policy))
    for i, split in enumerate(backtest.splits, start=1):
        held = counted(len(split.held_out), "held-out point")
        reach = f", {factor(split.reach)} the fitted compute" if isfinite(split.reach) else ""
        facts.append(
            Fact(f"split {i}", f"{split.label}: {len(split.fitted)} fitted, {held}{reach}")
        )
    return tuple(facts)
