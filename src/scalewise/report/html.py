"""The page view: one file that fetches nothing, runs no script and can be mailed."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from importlib.resources import files

from scalewise.report.card import (
    TEXTUAL,
    Axis,
    Card,
    Cell,
    Column,
    FigureSpec,
    Format,
    Panel,
    Table,
)
from scalewise.report.figures import NARROW, WIDE, svg
from scalewise.report.formats import cell, clean, counted, table_cells
from scalewise.report.palette import figure_css
from scalewise.report.thinning import thinned

_SHORT = 28  # characters that stay on one line
_FIGURE_ROWS = 300  # of one series in the table behind a figure
_LINE_ROWS = 12


def page(
    cards: Iterable[Card],
    *,
    title: str,
    subtitle: str = "",
    provenance: Mapping[str, object] | None = None,
) -> str:
    """Cards as one self-contained HTML document.

    ``provenance`` says where the page comes from, by label: version, command, seed, checksum of
    the data, date. The same cards give the same bytes. Every text is escaped; the content
    security policy allows nothing but the page's own style sheet.
    """
    style, found = shared_style(), tuple(cards)
    names = _anchors(found)
    under = f'<p class="subtitle">{safe_text(subtitle)}</p>' if subtitle else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{safe_text(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the results</a>
<header>
<h1>{safe_text(title)}</h1>
{under}
{_contents(found, names)}
</header>
<main id="content">
{_sections(found, names, drawn_figure)}
</main>
<footer>
{provenance_of(provenance or {})}
</footer>
</body>
</html>
"""


def shared_style() -> str:
    """The style rules of pages: colours by part, and how elements look."""
    return f"{figure_css()}\n{files(__package__).joinpath('page.css').read_text('utf-8')}"


def body_of(cards: Iterable[Card], figure: Callable[[FigureSpec, str], str]) -> str:
    """Cards as a list of contents and a section each, to stand in another page.

    ``figure`` writes a figure under a name that is unique on the page.
    """
    found = tuple(cards)
    names = _anchors(found)
    return f"{_contents(found, names)}\n{_sections(found, names, figure)}"


def _sections(
    cards: tuple[Card, ...], names: list[str], figure: Callable[[FigureSpec, str], str]
) -> str:
    return "\n".join(_section(c, name, figure) for c, name in zip(cards, names, strict=True))


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _anchors(cards: tuple[Card, ...]) -> list[str]:
    """A name per card for links and ids, unique on the page."""
    names: list[str] = []
    for card in cards:
        slug = re.sub(r"[^a-z0-9]+", "-", card.title.casefold()).strip("-")[:40] or "card"
        count = sum(name == slug or name.startswith(f"{slug}--") for name in names)
        names.append(f"{slug}--{count + 1}" if count else slug)
    return names


def _contents(cards: tuple[Card, ...], names: list[str]) -> str:
    items = []
    for card, name in zip(cards, names, strict=True):
        doubts = f' <span class="count">({counted(len(card.caveats), "caveat")})</span>'
        items.append(
            f'<li><a href="#{name}">{safe_text(card.title)}</a>{doubts if card.caveats else ""}<br>'
            f"{safe_text(card.conclusion)}</li>"
        )
    heading = '<h2 id="contents">In short</h2>'
    return f'<nav aria-labelledby="contents">{heading}<ol>{"".join(items)}</ol></nav>'


def _section(card: Card, name: str, figure: Callable[[FigureSpec, str], str]) -> str:
    parts = [
        f'<section aria-labelledby="{name}">',
        f'<h2 id="{name}">{safe_text(card.title)}</h2>',
        f'<p class="conclusion">{safe_text(card.conclusion)}</p>',
        _caveats(card.caveats),
        figure(card.figure, name) if card.figure else "",
        _facts(card),
        _table(card.table, caption=card.title) if card.table.rows else "",
        _markdown(card.markdown),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _markdown(text: str) -> str:
    """A text to copy, line by line as it is."""
    if not text:
        return ""
    lines = "\n".join(safe_text(line, 4000) for line in text.splitlines())
    return f"<details><summary>Copy as Markdown</summary><pre>{lines}</pre></details>"


def _caveats(caveats: tuple[str, ...]) -> str:
    if not caveats:
        return ""
    items = "".join(f"<li>{safe_text(caveat, 4000)}</li>" for caveat in caveats)
    heading = "Caveats" if len(caveats) > 1 else "Caveat"
    return f'<div class="caveats" role="note"><h3>{heading}</h3><ul>{items}</ul></div>'


def _facts(card: Card) -> str:
    if not card.facts:
        return ""
    items = []
    for fact in card.facts:
        kind = ' class="code"' if fact.format == "code" else ""
        items.append(f"<dt>{safe_text(fact.name)}</dt><dd{kind}>{safe_text(fact.text, 4000)}</dd>")
    return f"<dl>{''.join(items)}</dl>"


def drawn_figure(spec: FigureSpec, name: str) -> str:
    """A figure drawn for wide and for narrow screens, with the numbers behind it."""
    spec = thinned(spec)
    drawings = "\n".join(
        svg(spec, name=f"{name}-{layout.name}", layout=layout) for layout in (WIDE, NARROW)
    )
    tables = "".join(_table(_panel_table(p), caption=p.title, raw=False) for p in spec.panels)
    return (
        f"<figure>{drawings}<figcaption>{safe_text(spec.conclusion, 4000)}</figcaption>"
        f"<details><summary>The numbers behind this figure</summary>{tables}</details></figure>"
    )


def _panel_table(panel: Panel) -> Table:
    """What a panel draws, as rows; of a drawn line every few points."""
    bounded = [series for series in panel.series if series.low]
    columns = [
        Column("series"),
        *(Column(axis.title, axis.unit, _axis_format(axis)) for axis in (panel.x, panel.y)),
    ]
    tiled = any(series.mark == "tiles" for series in panel.series)
    columns += [Column("value")] if tiled else []
    if bounded:
        form = _axis_format(panel.x if bounded[0].spans == "x" else panel.y)
        columns += [Column("low", format=form), Column("high", format=form)]
    rows: list[tuple[Cell, ...]] = []
    for series in panel.series:
        name = series.label or series.group
        count = len(series.x)
        most = _LINE_ROWS if series.mark in ("line", "band") else _FIGURE_ROWS
        for i in range(0, count, max(1, -(-count // most))):
            cells: list[Cell] = [name, _on(panel.x, series.x[i]), _on(panel.y, series.y[i])]
            if tiled:
                cells.append(series.texts[i] if series.mark == "tiles" else None)
            if bounded:
                cells += [series.low[i], series.high[i]] if series.low else [None, None]
            rows.append(tuple(cells))
    return Table(tuple(columns), tuple(rows))


def _axis_format(axis: Axis) -> Format:
    return "text" if axis.scale == "category" else axis.format


def _on(axis: Axis, value: float) -> Cell:
    if axis.scale == "category" and value in range(len(axis.categories)):
        return axis.categories[int(value)]
    return value


def _table(table: Table, *, caption: str, raw: bool = True) -> str:
    """A table in its own scroller; ``raw`` puts the unrounded number beside each written one."""
    heads = "".join(_head(column) for column in table.columns)
    told = "" if raw else f"<caption>{safe_text(caption)}</caption>"  # a card's heading says it
    written = table_cells(table)
    rows = []
    for i, row in enumerate(table.rows):
        cells = [
            _cell(value, text, table.columns[j], raw=raw, head=j == 0)
            for j, (value, text) in enumerate(zip(row, written[i], strict=True))
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{safe_text(caption)}"><table>'
        f"{told}<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _head(column: Column) -> str:
    kind = "" if column.format in TEXTUAL else ' class="num"'
    unit = f' <span class="unit">{safe_text(column.unit)}</span>' if column.unit else ""
    return f'<th scope="col"{kind}>{safe_text(column.name)}{unit}</th>'


def _cell(value: Cell, text: str, column: Column, *, raw: bool, head: bool) -> str:
    kinds = []
    if column.format == "code":
        kinds.append("code")
    if column.format not in TEXTUAL:
        kinds.append("num")
    else:
        kinds.append("short" if len(text) <= _SHORT else "words")
    attributes = f' class="{" ".join(kinds)}"' if kinds else ""
    if raw and isinstance(value, int | float) and not isinstance(value, bool):
        attributes += f' data-value="{value!r}"'
    if head:
        return f'<th scope="row"{attributes}>{safe_text(text)}</th>'
    return f"<td{attributes}>{safe_text(text)}</td>"


def provenance_of(provenance: Mapping[str, object]) -> str:
    """Where a page comes from, as a section."""
    if not provenance:
        return "<p>Made with scalewise.</p>"
    items = "".join(
        f"<dt>{safe_text(name.replace('_', ' '))}</dt><dd>{safe_text(_stated(value), 2000)}</dd>"
        for name, value in provenance.items()
    )
    heading = '<h2 id="provenance">Where this page comes from</h2>'
    return f'<section aria-labelledby="provenance">{heading}<dl>{items}</dl></section>'


def _stated(value: object) -> str:
    if isinstance(value, int | float | str | None):
        return str(value) if isinstance(value, int) else cell(value, "number")
    return str(value)


def safe_text(text: str, limit: int = 400) -> str:
    """Any text made safe for an element or a quoted attribute."""
    return escape(clean(text, limit), quote=True)
