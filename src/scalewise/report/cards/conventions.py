"""Why Kaplan and Chinchilla disagree, told on the reader's own runs."""

from __future__ import annotations

from scalewise.core.quantities import level_text
from scalewise.plan.conventions import Convention, Conventions
from scalewise.report.card import Axis, Card, Cell, Column, Fact, FigureSpec, Panel, Series, Table
from scalewise.report.cards.allocation import edges
from scalewise.report.formats import counted

TITLE = "The exponent by counting convention"
KAPLAN, HOFFMANN = 0.73, 0.50  # exponents of the two papers
_LABELS = {
    "nonembed": "Kaplan's",
    "nonembed-attention": "Kaplan's + attention",
    "head": "with head",
    "head-attention": "with head + attention",
    "total": "all params",
    "given": "flops as given",
}


def conventions_card(found: Conventions) -> Card:
    """The exponent of the compute-optimal size under each way of counting, and why it moves."""
    level = level_text(found.level)
    rows: list[tuple[Cell, ...]] = [
        (
            _label(row), row.size, row.flops, row.a.value, row.a.low, row.a.high,
            *((None,) * 3 if row.against == row.key else
              (row.shift.value, *edges(row.shift))),
        )
        for row in found.rows
    ]  # fmt: skip
    return Card(
        title=TITLE,
        conclusion=_conclusion(found, level),
        facts=(
            Fact("what is compared", "the same runs, re-cut at constant compute as each counts it"),
            Fact("published", f"Kaplan et al. 2020 {KAPLAN:.2f}, Hoffmann et al. 2022 0.50"),
            Fact("rests on", f"{counted(found.sizes, 'size')}, {counted(found.runs, 'run')}"),
            *(Fact(_label(row), _reason(row)) for row in found.rows),
        ),
        table=Table(
            (
                Column("convention"),
                Column("size counts"),
                Column("compute counts"),
                Column("a", format="loss"),
                Column(f"{level} low", format="loss"),
                Column(f"{level} high", format="loss"),
                Column("shift", format="loss"),
                Column("shift low", format="loss"),
                Column("shift high", format="loss"),
            ),
            tuple(rows),
        ),
        figure=_figure(found),
        caveats=(
            *found.warnings,
            *(f"Not counted: {what}." for what in found.missing),
            "Counting is one reason of three: warm-up and decay that do not fit the length of the "
            "run, and hyperparameters not tuned by size, move the exponent too and are in the "
            "runs themselves (Porian et al. 2024).",
        ),
    )


def no_conventions_card(reason: str) -> Card:
    """Why the exponent cannot be told under any convention, and which columns are absent."""
    return Card(
        title=TITLE,
        conclusion=f"Why Kaplan and Chinchilla disagree cannot be seen on this table. {reason}",
        table=Table((), ()),
    )


def _conclusion(found: Conventions, level: str) -> str:
    if len(found.rows) == 1:
        (only,) = found.rows
        return (
            f"Counted as {_words(only)}, the best size grows as C**{only.a.value:.2f} ({level} "
            f"interval {only.a.low:.2f} to {only.a.high:.2f}); the table allows no other count."
        )
    low, high = (f(found.rows, key=lambda row: row.a.value) for f in (min, max))
    return (
        f"The same {counted(found.runs, 'run')} give an exponent from {low.a.value:.2f} "
        f"({_words(low)}; {level} interval {low.a.low:.2f} to {low.a.high:.2f}) to "
        f"{high.a.value:.2f} ({_words(high)}; {high.a.low:.2f} to {high.a.high:.2f}): counting "
        f"alone moves it by {high.a.value - low.a.value:.2f}."
    )


def _label(row: Convention) -> str:
    return _LABELS.get(row.key, row.key)


def _reason(row: Convention) -> str:
    if row.against == row.key:
        return row.reason
    return f"{row.reason} Its shift is against: {_LABELS.get(row.against, row.against)}."


def _words(row: Convention) -> str:
    return f"{row.size}, {row.flops}"


def _figure(found: Conventions) -> FigureSpec:
    places = tuple(float(i) for i in range(len(found.rows)))
    names = tuple(_label(row) for row in found.rows)
    values = tuple(row.a.value for row in found.rows)
    references = tuple(
        Series(mark="line", x=(value, value), y=(-0.5, len(places) - 0.5),
               label=f"{label} {value:.2f}",
               group=label, role="reference")
        for label, value in (("Kaplan", KAPLAN), ("Hoffmann", HOFFMANN))
    )  # fmt: skip
    return FigureSpec(
        "Exponent of the compute-optimal size by counting convention",
        "The runs are the same in every row; only what counts as size and compute differs.",
        (
            Panel(
                "N_opt ~ C**a",
                Axis("exponent a"),
                Axis("convention", scale="category", categories=names),
                (
                    *references,
                    Series(mark="intervals", x=values, y=places,
                           low=tuple(row.a.low for row in found.rows),
                           high=tuple(row.a.high for row in found.rows),
                           spans="x", group="exponent",
                           label=f"{level_text(found.level)} interval"),
                ),
            ),
        ),
    )  # fmt: skip
