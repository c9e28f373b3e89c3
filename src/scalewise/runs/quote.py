"""Foreign text made safe to show: names in run data can hold anything."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(value: object, limit: int = 60) -> str:
    r"""A value as it may be printed: control characters escaped, long text cut.

    >>> quoted("a\x1b[31mred")
    "'a\\x1b[31mred'"
    """
    if isinstance(value, float):
        return repr(float(value))
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 4]}...{text[-1]}"


def listed(values: Iterable[object], most: int = 12) -> str:
    """Values in a row, quoted, the rest counted.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = [quoted(value) for value in values]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def bare(text: str, limit: int = 60) -> str:
    r"""Text for a plain report line: as it is if printable, escaped if not.

    >>> bare("c4"), bare("a\nb")
    ('c4', 'a\\nb')
    """
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return safe if len(safe) <= limit else f"{safe[: limit - 3]}..."
