"""The text view: a fixed layout of at most 100 columns that can be pasted anywhere."""

from __future__ import annotations

import textwrap

from scalewise.report.card import TEXTUAL, Card, Fact, Table
from scalewise.report.formats import as_ascii, clean, listed, table_cells

WIDTH = 100
_LEAST_WIDTH = 40
_GAP = "  "
_LONGEST_WORD = 24  # that is kept whole
_LEAST_TEXT = 12  # a column of words is never squeezed below this
_BOLD, _YELLOW, _DIM, _RESET = "\x1b[1m", "\x1b[33m", "\x1b[2m", "\x1b[0m"


def render(
    card: Card, *, width: int | None = None, colour: bool = False, ascii_only: bool = False
) -> str:
    """A card as text: title, conclusion, facts, table, caveats; ends without a newline.

    ``width`` is at most 100 columns; only a table too wide for its numbers exceeds it.
    ``colour`` adds ANSI emphasis that carries no meaning of its own. ``ascii_only`` writes ``x``
    for ``×`` and escapes every other character.
    """
    room = max(_LEAST_WIDTH, min(width or WIDTH, WIDTH))
    paint = _Paint(colour)
    blocks = [
        [paint.bold(clean(card.title)), paint.dim("=" * room)],
        _wrapped(card.conclusion, room),
    ]
    if card.facts:
        blocks.append(_facts(card.facts, room))
    if card.table.rows:
        blocks.append(_table(card.table, room, paint))
    if card.caveats:
        blocks.append(_caveats(card.caveats, room, paint))
    text = "\n".join(line.rstrip() for block in [*blocks] for line in [*block, ""]).rstrip("\n")
    return as_ascii(text) if ascii_only else text


def can_show(encoding: str | None) -> bool:
    """Whether an output encoding carries the few signs beyond ASCII that the text view uses.

    >>> can_show("utf-8"), can_show("ascii"), can_show(None)
    (True, False, False)
    """
    try:
        "×±–∞".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class _Paint:
    """ANSI emphasis, or none."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def bold(self, text: str) -> str:
        return f"{_BOLD}{text}{_RESET}" if self.on else text

    def dim(self, text: str) -> str:
        return f"{_DIM}{text}{_RESET}" if self.on else text

    def warning(self, text: str) -> str:
        return f"{_YELLOW}{text}{_RESET}" if self.on else text


def _wrapped(text: str, width: int, *, indent: str = "", first: str | None = None) -> list[str]:
    return textwrap.wrap(
        clean(text, 4 * WIDTH * WIDTH),
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=True,
        break_on_hyphens=False,
    ) or [""]


def _facts(facts: tuple[Fact, ...], room: int) -> list[str]:
    names = max(len(fact.name) for fact in facts)
    lines: list[str] = []
    for fact in facts:
        head = f"{fact.name:<{names}}{_GAP}"
        lines += _wrapped(fact.text, room, indent=" " * len(head), first=head)
    return lines


def _table(table: Table, room: int, paint: _Paint) -> list[str]:
    shared = _shared_units(table)
    heads = [
        f"{c.name} ({c.unit})" if c.unit and c.unit not in shared else c.name for c in table.columns
    ]
    cells = table_cells(table)
    widths = _widths(table, heads, cells, room)
    head = _row(table, heads, widths)
    rule = paint.dim(_GAP.join("-" * width for width in widths))
    body = [line for row in cells for line in _row(table, row, widths)]
    notes = [
        line
        for unit, names in shared.items()
        for line in _wrapped(f"({listed(names)} in {unit})", room)
    ]
    return [*(paint.bold(line) for line in head), rule, *body, *(paint.dim(n) for n in notes)]


def _shared_units(table: Table) -> dict[str, list[str]]:
    """Units of several columns, said once under the table to keep its columns narrow."""
    names: dict[str, list[str]] = {}
    for column in table.columns:
        if column.unit:
            names.setdefault(column.unit, []).append(column.name)
    return {unit: columns for unit, columns in names.items() if len(columns) > 1}


def _widths(table: Table, heads: list[str], cells: list[list[str]], room: int) -> list[int]:
    """Natural widths; where they exceed the room, heads wrap first, then columns of words."""
    body = [max((len(row[j]) for row in cells), default=0) for j in range(len(heads))]
    least_head = [max(len(word) for word in head.split(" ")) for head in heads]
    widths = [max(b, len(h)) for b, h in zip(body, heads, strict=True)]
    narrowest = [max(b, h) for b, h in zip(body, least_head, strict=True)]
    for j, column in enumerate(table.columns):
        if column.format in TEXTUAL:
            words = (len(word) for row in cells for word in row[j].split(" "))
            longest = min(max(words, default=0), _LONGEST_WORD)
            narrowest[j] = min(narrowest[j], max(_LEAST_TEXT, longest, least_head[j]))
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    while over > 0:
        slack = [w - n for w, n in zip(widths, narrowest, strict=True)]
        spare = [j for j in range(len(widths)) if slack[j] > 0]
        if not spare:
            break
        # Numbers' heads give way before words do, then the widest column.
        j = max(spare, key=lambda j: (widths[j] > body[j], widths[j]))
        widths[j] -= 1
        over -= 1
    return widths


def _row(table: Table, cells: list[str], widths: list[int]) -> list[str]:
    columns = [_wrapped(text, width) for text, width in zip(cells, widths, strict=True)]
    height = max(len(lines) for lines in columns)
    out = []
    for i in range(height):
        parts = []
        for column, lines, width in zip(table.columns, columns, widths, strict=True):
            text = lines[i] if i < len(lines) else ""
            parts.append(text.ljust(width) if column.align == "left" else text.rjust(width))
        out.append(_GAP.join(parts).rstrip())
    return out


def _caveats(caveats: tuple[str, ...], room: int, paint: _Paint) -> list[str]:
    lines = [paint.warning("Caveats" if len(caveats) > 1 else "Caveat")]
    for caveat in caveats:
        lines += _wrapped(caveat, room, indent="  ", first="! ")
    return lines
