"""A card: one conclusion, the table and the figure behind it, and its caveats.

A card holds data only. Numbers stay numbers until a view formats them, so the terminal, the page
and the JSON object cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scalewise.core.records import Plain, plain

Cell = str | float | int | bool | None
Align = Literal["left", "right"]
Format = Literal[
    "text", "code", "integer", "number", "exact", "loss", "count", "flops", "percent",
    "signed-percent", "factor",
]  # fmt: skip
Scale = Literal["linear", "log", "category"]
Mark = Literal["points", "line", "band", "intervals", "tiles"]
Role = Literal["series", "quiet", "reference"]

TEXTUAL: frozenset[Format] = frozenset({"text", "code"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: the name in its head, its unit, and how its numbers are written."""

    name: str
    unit: str = ""
    format: Format = "text"

    @property
    def align(self) -> Align:
        """Numbers end under each other, text begins under each other."""
        return "left" if self.format in TEXTUAL else "right"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of raw cells; a missing cell is None. ``formats`` may differ by row, see `formats`."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    row_formats: tuple[Format, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                msg = f"A row of {len(row)} cells in a table of {len(self.columns)} columns: {row}"
                raise ValueError(msg)
        if self.row_formats and len(self.row_formats) != len(self.rows):
            msg = f"{len(self.row_formats)} formats for {len(self.rows)} rows"
            raise ValueError(msg)

    def format_of(self, row: int, column: int) -> Format:
        """How a cell is written: as its column says, or its row where each row has its own unit."""
        own = self.columns[column].format
        return self.row_formats[row] if self.row_formats and own == "number" else own


@dataclass(frozen=True, slots=True)
class Fact:
    """A named statement that stands beside a table: ``objective: huber-log = 0.00101827``."""

    name: str
    text: str
    format: Format = "text"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: what it shows, in which unit, and how its ticks are written.

    On a ``category`` axis the values are positions 0, 1, ... in ``categories``.
    """

    title: str
    unit: str = ""
    scale: Scale = "linear"
    format: Format = "number"
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values of one kind, drawn alike.

    ``low`` and ``high`` bound a ``band`` or ``intervals`` along the axis named by ``spans``. Series
    of one ``group`` share colour and marker. ``shade``, from 0 to 1, colours by an ordered
    quantity instead. ``texts`` stand in ``tiles``, each a place of two category axes, or at the
    start of a ``line``. Without a ``label`` the series is explained by another of its group.
    """

    mark: Mark
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    label: str = ""
    group: str = ""
    role: Role = "series"
    shade: float | None = None
    hollow: bool = False
    spans: Literal["x", "y"] = "y"
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.x), len(self.y)}
        if self.mark in ("band", "intervals"):
            lengths |= {len(self.low), len(self.high)}
        if self.mark == "tiles":
            lengths.add(len(self.texts))
        if len(lengths) > 1:
            msg = f"Series {self.label!r} has columns of different lengths: {sorted(lengths)}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: two axes and what is drawn between them."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    height: Literal["tall", "short"] = "tall"


@dataclass(frozen=True, slots=True)
class FigureSpec:
    """A figure as data: its sentence says what to see, its panels hold the numbers."""

    title: str
    conclusion: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One result told: ``conclusion`` is a sentence that may be quoted without the rest.

    ``markdown`` is the same as text to paste elsewhere, where that is what a card is for.
    """

    title: str
    conclusion: str
    table: Table
    facts: tuple[Fact, ...] = ()
    figure: FigureSpec | None = None
    caveats: tuple[str, ...] = ()
    markdown: str = ""


def card_data(card: Card) -> dict[str, Plain]:
    """The card as JSON data: table rows as objects by column name, missing numbers null.

    >>> card = Card(title="T", conclusion="C.", table=Table((Column("a"),), (("x",),)))
    >>> card_data(card)["table"]["rows"]
    [{'a': 'x'}]
    """
    names = [column.name for column in card.table.columns]
    data: dict[str, object] = {
        "title": card.title,
        "conclusion": card.conclusion,
        "facts": {fact.name: fact.text for fact in card.facts},
        "table": {
            "columns": [{"name": c.name, "unit": c.unit} for c in card.table.columns],
            "rows": [dict(zip(names, row, strict=True)) for row in card.table.rows],
        },
        "figure": card.figure,
        "caveats": card.caveats,
    }
    return {name: plain(value) for name, value in data.items()}
