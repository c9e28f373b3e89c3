"""How the answer depends on choices, told: one table, one choice changed per row."""

from __future__ import annotations

from scalewise.core.quantities import level_text
from scalewise.plan.allocate import Interval
from scalewise.plan.sensitivity import Sensitivity, Variant
from scalewise.plan.target import answer
from scalewise.plan.variations import FACTORS
from scalewise.report.card import Axis, Card, Cell, Column, Fact, FigureSpec, Panel, Series, Table
from scalewise.report.cards.influence import FORMATS, UNITS, answer_axis, base_marks
from scalewise.report.formats import counted


def sensitivity_card(found: Sensitivity) -> Card:
    """The answer under every choice varied, and which choice matters most."""
    asked, level = found.target.asked, level_text(found.level)
    return Card(
        title="Sensitivity",
        conclusion=f"{found} {_stated(found, level)}",
        facts=(
            Fact("asked", f"{asked.replace('_', ' ')} at {found.target}"),
            Fact("as fitted", found.base.label),
            *(
                Fact(f"range by {factor}", " to ".join(map(found.target.told, span)))
                for factor, span in found.spans.items()
            ),
        ),
        table=Table(
            (
                Column("factor"), Column("choice"),
                Column(asked, UNITS[asked], FORMATS[asked]),
                Column(f"{level} low", UNITS[asked], FORMATS[asked]),
                Column(f"{level} high", UNITS[asked], FORMATS[asked]),
                *_others(found), Column("points", "", "integer"), Column("remark"),
            ),
            tuple(_row(found, variant) for variant in (found.base, *found.variants)),
        ),
        figure=_figure(found),
        caveats=(
            *found.warnings,
            *(f"Not varied: {factor}; {why}." for factor, why in found.omitted.items()),
            "Each row changes one choice; several at once can move the answer farther. Rows with "
            "a remark have no say in the range.",
        ),
    )  # fmt: skip


def _stated(found: Sensitivity, level: str) -> str:
    assert found.base.reading is not None  # noqa: S101 - a base without an answer is an error
    base = answer(found.base.reading, found.target)
    value, low, high = (found.target.told(v) for v in (base.value, base.low, base.high))
    return (
        f"As fitted it is {value} ({level} interval {low} to {high}, from "
        f"{counted(found.runs, 'run')})."
    )


def _others(found: Sensitivity) -> tuple[Column, ...]:
    """The columns beside the answer: what else each row says at the same compute."""
    size = Column("N_opt", "count", "count")
    if found.target.asked == "loss":
        return (Column("a", format="number"), size,
                Column("tokens_per_param", "tokens/param", "number"))  # fmt: skip
    return (Column("a", format="number"), size, Column("loss", "nats/token", "loss"))


def _row(found: Sensitivity, variant: Variant) -> tuple[Cell, ...]:
    reading = variant.reading
    if reading is None:
        blank: tuple[Cell, ...] = (None,) * 6
        return (variant.factor, variant.label, *blank, variant.points, variant.doubt)
    asked = answer(reading, found.target)
    other = reading.tokens_per_param if found.target.asked == "loss" else reading.loss
    known = asked.low < asked.high
    return (
        variant.factor, variant.label, asked.value,
        asked.low if known else None, asked.high if known else None,
        _value(reading.exponent), _value(reading.size), _value(other),
        variant.points, variant.doubt,
    )  # fmt: skip


def _value(interval: Interval | None) -> float | None:
    return None if interval is None else interval.value


def _figure(found: Sensitivity) -> FigureSpec:
    assert found.base.reading is not None  # noqa: S101 - a base without an answer is an error
    base = answer(found.base.reading, found.target)
    shown = [variant for variant in found.variants if variant.reading is not None]
    names = ("as fitted", *(variant.label for variant in shown))
    series = list(base_marks(base, len(names), found.level))
    for factor in FACTORS:
        sure = [(i, _of(v, found)) for i, v in enumerate(shown, 1) if v.factor == factor
                and not v.doubt]  # fmt: skip
        if sure:
            series.append(Series(
                mark="intervals", spans="x", group=factor, label=factor,
                x=tuple(a.value for _, a in sure), y=tuple(float(i) for i, _ in sure),
                low=tuple(a.low for _, a in sure), high=tuple(a.high for _, a in sure),
            ))  # fmt: skip
    loose = [(i, _of(v, found)) for i, v in enumerate(shown, 1) if v.doubt]
    if loose:
        series.append(Series(
            mark="points", role="quiet", hollow=True, label="doubtful, see the table",
            x=tuple(a.value for _, a in loose), y=tuple(float(i) for i, _ in loose),
        ))  # fmt: skip
    return FigureSpec(
        f"The answer at {found.target} by choice",
        f"Each mark is a fit of its own with one choice changed; the band is the "
        f"{level_text(found.level)} interval of the fit as made.",
        (
            Panel(
                "One choice changed at a time", answer_axis(found.target.asked),
                Axis("choice", scale="category", categories=names), tuple(series),
            ),
        ),
    )  # fmt: skip


def _of(variant: Variant, found: Sensitivity) -> Interval:
    assert variant.reading is not None  # noqa: S101 - only rows with a reading are drawn
    return answer(variant.reading, found.target)
