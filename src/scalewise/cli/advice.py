"""Advice that was written for Python, in the words of the command line."""

from __future__ import annotations

import re

_WHERE = re.compile(r"""\.where\((["'])(.+?)\1\)|\bwhere=(["'])(.+?)\3""")
_MAPPING = re.compile(r"\bmapping=\{(.+?)\}")
_PAIR = re.compile(r"""(["'])(?P<name>.+?)\1: (?:\.\.\.|(["'])(?P<column>.*?)\3)""")


def as_flags(text: str) -> str:
    """Calls and arguments in ``text`` as the flags that do the same.

    >>> as_flags("Leave them out: .where('tokens > 0'), or map mapping={'loss': 'val_loss'}.")
    'Leave them out: --where "tokens > 0", or map --map loss=val_loss.'
    """
    text = _WHERE.sub(lambda found: f"--where {_quoted(found[2] or found[4])}", text)
    text = _MAPPING.sub(_map, text)
    text = text.replace(".without([...])", "--where \"run_id != '...'\"")
    return text.replace(".finals()", "--rows finals")


def _quoted(condition: str) -> str:
    sign = "'" if '"' in condition else '"'
    return f"{sign}{condition}{sign}"


def _map(found: re.Match[str]) -> str:
    pairs = [
        f"{pair['name']}={'COLUMN' if pair['column'] in (None, '...') else pair['column']}"
        for pair in _PAIR.finditer(found[1])
    ]
    return f"--map {','.join(pairs)}" if pairs else found[0]
