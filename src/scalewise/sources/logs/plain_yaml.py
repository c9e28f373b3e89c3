"""The plain part of YAML that tools write settings in: indented ``key: value``, nothing clever."""

from __future__ import annotations

import re

from scalewise.sources.logs.limits import MAX_CONFIG_DEPTH, MAX_CONFIG_ITEMS, MAX_NAME

_LINE = re.compile(r"^(\s*)([\w./-]+|'[^']*'|\"[^\"]*\"):(?:\s+(.*?))?\s*$")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


def settings(raw: bytes) -> dict[str, object]:
    r"""Scalars under dotted keys; lists, tags and text over several lines are left out.

    >>> settings(b"lr: 0.1\nmodel:\n  n_layer: 2\n  tied: true\nname: 'a b'\n")
    {'lr': 0.1, 'model.n_layer': 2, 'model.tied': True, 'name': 'a b'}
    """
    found: dict[str, object] = {}
    open_keys: list[tuple[int, str]] = []
    for line in raw.decode("utf-8", "replace").splitlines():
        match = _LINE.match(line[:10_000])
        if match is None or len(found) >= MAX_CONFIG_ITEMS:
            continue
        indent, key, text = len(match[1]), match[2].strip("'\""), match[3]
        while open_keys and open_keys[-1][0] >= indent:
            open_keys.pop()
        if text is None:
            if len(open_keys) < MAX_CONFIG_DEPTH:
                open_keys.append((indent, key))
        elif not text.startswith(("!", "&", "*", "|", ">", "[", "{", "- ")):
            dotted = ".".join([*(name for _, name in open_keys), key])
            found[dotted[:MAX_NAME]] = _scalar(text)
    return found


def _scalar(text: str) -> object:
    if text[:1] in {"'", '"'}:
        return text[1:-1] if text[-1:] == text[:1] else text
    text = text.split(" #", 1)[0].rstrip()
    if text.casefold() in _WORDS:
        return _WORDS[text.casefold()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
