"""Heat maps of a study: held-out error by number of models and share of training or scale-up."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from scalewise.core.quantities import format_flops
from scalewise.forecast.study_map import ErrorMap
from scalewise.report.card import Axis, Card, Cell, Column, FigureSpec, Format, Panel, Series, Table
from scalewise.report.formats import counted, factor, percent

# Upper ends of classes; 2 to 15 % are the errors at which Choshen et al. tell designs apart.
CLASSES = (0.02, 0.05, 0.10, 0.15, 0.30, float("inf"))
_DARKEST, _PALEST = 0.0, 0.78  # of the shades; a number must be readable on both pages


def map_card(maps: Sequence[ErrorMap], setting: str) -> Card:
    """One panel per map; the table holds the first."""
    first = maps[0]
    rows = "share of training" if first.by == "share" else "scale-up"
    return Card(
        title=f"Error by models and {rows}, {setting}",
        conclusion=_conclusion(first),
        table=_table(first, rows),
        figure=FigureSpec(
            f"Held-out error by number of models and {rows}",
            _saying(first),
            tuple(_panel(found, rows, setting) for found in maps),
        ),
    )


def whose(found: ErrorMap) -> str:
    """Whose errors a map shows."""
    if len(found.families) == 1:
        return found.families[0]
    return f"median of {len(found.families)} families"


def _conclusion(found: ErrorMap) -> str:
    places = [
        (error, i, j)
        for i, row in enumerate(found.errors)
        for j, error in enumerate(row)
        if error is not None and found.identified[i][j]
    ]
    if not places:
        return f"{whose(found)}: no design determines the constants of the law."
    error, i, j = min(places)
    near = sum(e <= CLASSES[1] for e, _, _ in places)
    return (
        f"{whose(found)}: {near} of {counted(len(places), 'identified design')} came within "
        f"{percent(CLASSES[1])}; the nearest, with {found.models[j]} models and "
        f"{_row_name(found, i)}, missed by {percent(error)}."
    )


def _row_name(found: ErrorMap, row: int) -> str:
    if found.by == "share":
        return f"{found.rows[row]:.0%} of training"
    return f"the target {factor(found.rows[row])} as large"


def _table(found: ErrorMap, rows: str) -> Table:
    form: Format = "percent" if found.by == "share" else "factor"
    cells: list[tuple[Cell, ...]] = [
        (row, *errors) for row, errors in zip(found.rows, found.errors, strict=True)
    ]
    return Table(
        (
            Column(rows, format=form),
            *(Column(f"{k} models", format="percent") for k in found.models),
        ),
        tuple(cells),
    )


def _saying(found: ErrorMap) -> str:
    text = (
        "Each tile is a design: that many of the smaller models, fitted up to that share of their "
        "training." if found.by == "share" else
        "Each tile is a design: that many neighbouring sizes, the largest so many times smaller "
        "than the target."
    )  # fmt: skip
    text += " Darker tiles came nearer to the largest model; empty ones could not be fitted."
    if not all(all(row) for row in found.identified):
        text += " A question mark: the fitted runs do not determine the constants."
    return text + (" Along a dashed line designs cost equally many FLOPs." if found.lines else "")


def _panel(found: ErrorMap, rows: str, setting: str) -> Panel:
    labels = [
        f"{row:.3g}" if found.by == "share" else factor(float(f"{row:.3g}")) for row in found.rows
    ]
    lines = [
        Series(mark="line", x=tuple(x for x, _ in line.points),
               y=tuple(y for _, y in line.points), role="reference", group="equal compute",
               label="equal compute, FLOP" if line is found.lines[0] else "",
               texts=(format_flops(line.flops),))
        for line in found.lines
    ]  # fmt: skip
    return Panel(
        f"{whose(found)}, {setting}",
        Axis("number of models", scale="category", categories=tuple(map(str, found.models))),
        Axis(rows, scale="category", categories=tuple(labels)),
        (*_tiles(found), *lines),
    )


def _tiles(found: ErrorMap) -> list[Series]:
    """One series per class of errors, the smallest first."""
    series = []
    for number, high in enumerate(CLASSES):
        low = CLASSES[number - 1] if number else 0.0
        places = [
            (float(j), float(i), _short(error) + "?" * (not found.identified[i][j]))
            for i, row in enumerate(found.errors)
            for j, error in enumerate(row)
            if error is not None and (low < error <= high or error == low == 0.0)
        ]
        if places:
            x, y, texts = zip(*places, strict=True)
            shade = _DARKEST + (_PALEST - _DARKEST) * number / (len(CLASSES) - 1)
            series.append(
                Series(mark="tiles", x=x, y=y, texts=texts,
                       label=_class_name(low, high), shade=shade)
            )  # fmt: skip
    return series


def _class_name(low: float, high: float) -> str:
    if not isfinite(high):
        return f"above {100 * low:g}%"
    return f"up to {100 * high:g}%" if not low else f"{100 * low:g} to {100 * high:g}%"


def _short(error: float) -> str:
    """An error that fits in a tile."""
    share = 100 * error
    return f"{share:.1f}" if share < 99.95 else f"{share:.0f}" if share < 1e4 else ">10k"
