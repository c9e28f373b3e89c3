"""Text cells that a spreadsheet would run as formulas, made inert in CSV and restored on reading.

A cell whose first character after any apostrophes is one of ``= + - @``, tab or return gets one
more apostrophe in front when written, and loses one when read. The two undo each other for any
text, so a table of ours reads back as it was, whatever its run names hold.
"""

from __future__ import annotations

import re

RISKY = r"^'*[=+\-@\t\r]"
GUARDED = r"^'+[=+\-@\t\r]"


def guarded(text: str) -> str:
    """Text as it is written to a CSV cell.

    >>> guarded("=cmd()"), guarded("c4")
    ("'=cmd()", 'c4')
    """
    return f"'{text}" if re.match(RISKY, text) else text


def unguarded(text: str) -> str:
    """Text as it was before `guarded`.

    >>> unguarded("'=cmd()")
    '=cmd()'
    """
    return text[1:] if re.match(GUARDED, text) else text
