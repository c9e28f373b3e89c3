"""Why runs miss the law, told: each source of scatter, and those that nothing tells."""

from __future__ import annotations

from scalewise.core.quantities import level_text
from scalewise.forecast.noise import NoisePart, NoiseSplit
from scalewise.report.card import (
    Axis,
    Card,
    Cell,
    Column,
    Fact,
    FigureSpec,
    Format,
    Panel,
    Series,
    Table,
)
from scalewise.report.formats import counted, number, percent

_REPEATS_SHOWN = 3


def noise_card(split: NoiseSplit) -> Card:
    """The scatter about a law by source, with the test of the law against its repeats."""
    form: Format = "percent" if split.in_logs else "number"
    unit = "" if split.in_logs else "nats/token"
    scale = "relative to the loss" if split.in_logs else "in nats/token"
    level = level_text(split.level)
    rows: list[tuple[Cell, ...]] = [
        (part.name, part.sd, part.low, part.high, part.degrees, part.share, part.told)
        for part in split.parts
    ]
    rows += [(name, None, None, None, None, None, "unknown") for name in split.unknown]
    return Card(
        title="Noise",
        conclusion=_conclusion(split, level),
        facts=(
            Fact("rests on", f"{counted(split.points, 'point')}, {counted(split.runs, 'run')}"),
            Fact("scatter", scale),
            *_repeat_facts(split),
        ),
        table=Table(
            (
                Column("source"),
                Column("sd", unit, form),
                Column(f"{level} low", unit, form),
                Column(f"{level} high", unit, form),
                Column("degrees", "", "integer"),
                Column("share of variance", "", "percent"),
                Column("from"),
            ),
            tuple(rows),
        ),
        figure=_figure(split, form, level),
        caveats=(
            *(f"Unknown, not zero: {name}. {reason}" for name, reason in split.unknown.items()),
            *split.warnings,
        ),
    )


def _sd(split: NoiseSplit, value: float) -> str:
    return percent(value) if split.in_logs else f"{number(value, 3)} nats/token"


def _told(split: NoiseSplit, part: NoisePart) -> str:
    text = f"{part.name} {_sd(split, part.sd)}"
    if part.low is not None and part.high is not None:
        text += f" ({_sd(split, part.low)} to {_sd(split, part.high)})"
    return text


def _conclusion(split: NoiseSplit, level: str) -> str:
    total, *others = split.parts
    text = (
        f"One run scatters {_sd(split, total.sd)} about {split.law} ({level} interval "
        f"{_sd(split, total.low or 0.0)} to {_sd(split, total.high or 0.0)})"
    )
    told = [_told(split, part) for part in others if part.name != "evaluation"]
    return f"{text}{': ' + '; '.join(told) if told else ''}. {split.verdict}"


def _repeat_facts(split: NoiseSplit) -> tuple[Fact, ...]:
    noise = split.run_noise
    if noise is None:
        return ()
    most = sorted(noise.repeats, key=lambda repeat: -repeat.runs)[:_REPEATS_SHOWN]
    told = [
        f"{repeat.runs} runs of loss {repeat.loss:.4f} scatter {_sd(split, repeat.sd)}"
        for repeat in most
    ]
    more = len(noise.repeats) - len(most)
    tail = [f"{counted(more, 'more experiment')}"] if more else []
    return (
        Fact("repeats", "; ".join(told + tail)),
        Fact("repeats agree in", ", ".join(noise.alike)),
    )


def _figure(split: NoiseSplit, form: Format, level: str) -> FigureSpec:
    measured = [p for p in split.parts if p.low is not None and p.high is not None]
    stated = [p for p in split.parts if p.low is None or p.high is None]
    names = tuple(part.name for part in split.parts)

    def series(parts: list[NoisePart], label: str, *, hollow: bool) -> Series:
        return Series(
            mark="intervals", spans="x", label=label, group=label, hollow=hollow,
            x=tuple(p.sd for p in parts),
            y=tuple(float(names.index(p.name)) for p in parts),
            low=tuple(p.sd if p.low is None else p.low for p in parts),
            high=tuple(p.sd if p.high is None else p.high for p in parts),
        )  # fmt: skip

    shown = [series(measured, f"{level} interval", hollow=False)]
    if stated:
        shown.append(series(stated, "stated, not estimated", hollow=True))
    return FigureSpec(
        "Scatter about the law by source",
        "Variances of run-to-run noise and lack of fit add up to that of the total; sources that "
        "nothing in the table tells are absent, not zero.",
        (
            Panel(
                "Standard deviation by source",
                Axis(
                    "standard deviation", "of loss" if split.in_logs else "nats/token", format=form
                ),
                Axis("source", scale="category", categories=names),
                tuple(shown),
            ),
        ),
    )
