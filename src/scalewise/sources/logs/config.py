"""The settings of a run under dotted keys, whatever shape the tool kept them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scalewise.sources.logs.limits import MAX_CONFIG_DEPTH, MAX_CONFIG_ITEMS, MAX_NAME


def flattened(config: Mapping[str, object]) -> dict[str, object]:
    """Nested settings as one level of dotted keys; lists stay as they are.

    What passes `MAX_CONFIG_DEPTH` or `MAX_CONFIG_ITEMS` is left out.

    >>> flattened({"model": {"n_layer": 2}, "lr": 0.1})
    {'model.n_layer': 2, 'lr': 0.1}
    """
    found: dict[str, object] = {}
    for key, value in _items("", config, MAX_CONFIG_DEPTH):
        if len(found) >= MAX_CONFIG_ITEMS:
            break
        found[key[:MAX_NAME]] = value
    return found


def _items(prefix: str, config: Mapping[str, object], depth: int) -> Iterator[tuple[str, object]]:
    for key, value in config.items():
        if not isinstance(value, Mapping):
            yield f"{prefix}{key}", value
        elif depth > 0:
            yield from _items(f"{prefix}{key}.", value, depth - 1)
