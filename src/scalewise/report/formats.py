"""How numbers and foreign text are written, the same in every view."""

from __future__ import annotations

import re
from math import isfinite

from scalewise.core.quantities import format_count, format_flops
from scalewise.report.card import Cell, Format, Table
from scalewise.runs.quote import bare

LONGEST = 400  # of one text; anything longer is not meant to be read in a report
MISSING = "–"

_ASCII = {"–": "-", "—": "-", "×": "x", "±": "+/-", "≥": ">=", "≤": "<=", "→": "->", "…": "...",
          "●": "*", "◐": "+", "○": "o", "✕": "x"}  # fmt: skip


def clean(text: str, limit: int = LONGEST) -> str:
    r"""Foreign text on one line: control and direction characters are shown as escapes.

    >>> clean("a\nb")
    'a\\nb'
    """
    return bare(text, limit)


def as_ascii(text: str) -> str:
    """``text`` for a terminal that knows ASCII only.

    >>> as_ascii("×3 – ok")
    'x3 - ok'
    """
    for sign, plain in _ASCII.items():
        text = text.replace(sign, plain)
    return text.encode("ascii", "backslashreplace").decode("ascii")


def number(value: float, digits: int = 5) -> str:
    """A number to ``digits`` significant digits, exponents without padding.

    >>> number(406.4), number(8.8e13), number(0.34)
    ('406.4', '8.8e13', '0.34')
    """
    return re.sub(r"e([+-])0*", lambda m: "e-" if m[1] == "-" else "e", f"{value + 0.0:.{digits}g}")


def percent(share: float, *, signed: bool = False) -> str:
    """A share as a percentage with about three significant digits.

    >>> percent(0.0041), percent(-0.123, signed=True), percent(2.5), percent(4e5)
    ('0.41%', '-12.3%', '250%', '4e7%')
    """
    size = abs(share)
    if size >= 1e3:
        return f"{'+' if signed and share > 0 else ''}{number(100 * share, 3)}%"
    decimals = 2 if size < 0.1 else 1 if size < 1 else 0
    return f"{100 * share:{'+' if signed else ''}.{decimals}f}%"


def factor(value: float) -> str:
    """A factor.

    >>> factor(41.26), factor(1.0), factor(2e5)
    ('×41.3', '×1', '×200k')
    """
    return f"×{format_count(value)}"


def cell(value: Cell, form: Format) -> str:
    """A cell as every view writes it."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return clean(value)
    if not isfinite(value):
        return {True: "∞", False: "-∞"}[value > 0] if value == value else MISSING
    return _FORMS[form](value)


def table_cells(table: Table) -> list[list[str]]:
    """All cells of a table, written."""
    return [
        [cell(value, table.format_of(i, j)) for j, value in enumerate(row)]
        for i, row in enumerate(table.rows)
    ]


def listed(words: list[str]) -> str:
    """Words in a sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def counted(count: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "run"), counted(3, "run")
    ('1 run', '3 runs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


_FORMS = {
    "text": lambda v: number(v),
    "code": lambda v: number(v),
    "integer": lambda v: f"{v:,.0f}",
    "number": lambda v: number(v),
    "exact": lambda v: number(v, 9),
    "loss": lambda v: f"{v:.4f}",
    "count": lambda v: format_count(v),
    "flops": lambda v: format_flops(v),
    "percent": lambda v: percent(v),
    "signed-percent": lambda v: percent(v, signed=True),
    "factor": lambda v: factor(v),
}
