"""What each size and each run does to the answer, told."""

from __future__ import annotations

from collections.abc import Sequence

from scalewise.core.quantities import level_text
from scalewise.plan.allocate import Interval
from scalewise.plan.influence import Influence, max_shift
from scalewise.plan.leave_out import LeftOut
from scalewise.plan.target import Asked
from scalewise.report.card import (
    Axis,
    Card,
    Cell,
    Column,
    Fact,
    FigureSpec,
    Format,
    Panel,
    Scale,
    Series,
    Table,
)
from scalewise.report.formats import counted, listed

RUNS_SHOWN = 10
UNITS: dict[Asked, str] = {"loss": "nats/token", "tokens_per_param": "tokens/param"}
FORMATS: dict[Asked, Format] = {"loss": "loss", "tokens_per_param": "number"}


def influence_card(found: Influence) -> Card:
    """The answer with each size and each of the most influential runs left out."""
    asked = found.target.asked
    shown = (*found.sizes, *found.each_run[:RUNS_SHOWN])
    rows: list[tuple[Cell, ...]] = [
        (
            row.kind, row.label, row.points, row.value,
            None if row.shift is None else round(row.shift, 2), _remark(row),
        )
        for row in shown
    ]  # fmt: skip
    return Card(
        title="Influence",
        conclusion=_conclusion(found),
        facts=(
            Fact("asked", f"{asked.replace('_', ' ')} at {found.target}"),
            Fact("law", found.law),
            Fact("rests on", f"{counted(found.points, 'point')}, {counted(found.runs, 'run')}"),
        ),
        table=Table(
            (
                Column("without"), Column(f"which ({found.size}, run_id)"),
                Column("points", "", "integer"), Column(asked, UNITS[asked], FORMATS[asked]),
                Column("change", "half widths", "number"), Column("remark"),
            ),
            tuple(rows),
        ),
        figure=_figure(found),
        caveats=(*found.warnings, *_caveats(found)),
    )  # fmt: skip


def _remark(row: LeftOut) -> str:
    if row.doubt or not row.influential:
        return row.doubt
    return "decides the answer" if abs(row.shift or 0.0) > 1 else "largest change"


def _conclusion(found: Influence) -> str:
    write, level = found.target.told, level_text(found.level)
    value, low, high = (write(v) for v in (found.base.value, found.base.low, found.base.high))
    text = (
        f"The answer at {found.target} is {value} {found.target.unit} ({level} interval {low} to "
        f"{high}, from {counted(found.runs, 'run')})"
    )
    parts = []
    for kind, rows in (("size", found.sizes), ("run", found.each_run)):
        worst = max_shift(rows)
        if worst is not None and worst.value is not None and worst.shift is not None:
            parts.append(
                f"without the {kind} {worst.label} it is {write(worst.value)} "
                f"({worst.shift:+.2f} half widths)"
            )
    sound = [row for row in (*found.sizes, *found.each_run) if not row.doubt]
    decisive = sum(abs(row.shift or 0.0) > 1 for row in sound)
    end = (
        f"{decisive} of {len(sound)} such fits move{'s' if decisive == 1 else ''} by more than "
        "the half width of the interval"
        if decisive
        else "no such fit moves by more than the half width of the interval"
    )
    return f"{text}; {'; '.join([*parts, end])}."


def _caveats(found: Influence) -> tuple[str, ...]:
    said = []
    lost = [row.label for row in found.sizes if row.doubt]
    if lost:
        said.append(
            f"Without {listed(lost)} the rest do not determine the law: the answer rests on "
            f"{'it' if len(lost) == 1 else 'each of them'}."
        )
    doubtful = sum(bool(row.doubt) for row in found.each_run)
    if doubtful:
        said.append(f"{counted(doubtful, 'single run')} cannot be spared: see the remarks.")
    if found.screened_out:
        said.append(
            f"{counted(found.screened_out, 'run')} were not refitted: to first order they change "
            "the answer less than those that were."
        )
    return tuple(said)


def _figure(found: Influence) -> FigureSpec:
    panels = [_panel(f"Without each size ({found.size})", found.sizes, found)]
    runs = found.each_run[:RUNS_SHOWN]
    if runs:
        panels.append(_panel(f"Without each run, the {len(runs)} that change most", runs, found))
    return FigureSpec(
        f"The answer at {found.target} with sizes and runs left out",
        f"The band is the {level_text(found.level)} interval of the whole fit; a mark outside it "
        "is a size or run that decides the answer.",
        tuple(panels),
    )


def _panel(title: str, rows: Sequence[LeftOut], found: Influence) -> Panel:
    names = ("nothing left out", *(row.label for row in rows))
    sure = [(i, row) for i, row in enumerate(rows, start=1) if row.value and not row.doubt]
    loose = [(i, row) for i, row in enumerate(rows, start=1) if row.value and row.doubt]
    series = [
        *base_marks(found.base, len(names), found.level),
        *(
            Series(mark="points", label=label, group=label, hollow=hollow,
                   x=tuple(row.value or 0.0 for _, row in some),
                   y=tuple(float(i) for i, _ in some))
            for label, some, hollow in (
                ("left out", sure, False), ("left out, rest undetermined", loose, True))
            if some
        ),
    ]  # fmt: skip
    return Panel(
        title, answer_axis(found.target.asked),
        Axis("left out", scale="category", categories=names), tuple(series),
    )  # fmt: skip


def answer_axis(asked: Asked) -> Axis:
    """The axis along which answers lie: ratios by logarithm, losses as they are."""
    scale: Scale = "log" if asked == "tokens_per_param" else "linear"
    return Axis(asked.replace("_", " "), UNITS[asked] if asked == "loss" else "", scale, "number")


def base_marks(base: Interval, rows: int, level: float) -> tuple[Series, ...]:
    """The whole fit's answer in row 0, and its interval as a band behind all rows."""
    ends = (-0.5, rows - 0.5)
    return (
        Series(mark="band", spans="x", x=(base.value, base.value), y=ends, group="base",
               low=(base.low, base.low), high=(base.high, base.high)),
        Series(mark="intervals", spans="x", x=(base.value,), y=(0.0,), low=(base.low,),
               high=(base.high,), group="base", label=f"as fitted, {level_text(level)} interval"),
    )  # fmt: skip
