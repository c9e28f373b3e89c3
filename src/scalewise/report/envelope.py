"""The one JSON object that every verb prints with ``--json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scalewise.core.records import Plain, plain

SCHEMA = "scalewise/1"  # raised when a key changes its meaning or goes


def envelope(
    command: str,
    data: object,
    warnings: Iterable[str] = (),
    provenance: Mapping[str, object] | None = None,
) -> dict[str, Plain]:
    """A result for other programs: NaN and infinity become null.

    >>> envelope("predict", {"loss": float("nan")})["data"]
    {'loss': None}
    """
    return {
        "schema": SCHEMA,
        "command": command,
        "ok": True,
        "data": plain(data),
        "warnings": list(warnings),
        "provenance": plain(dict(provenance or {})),
    }
