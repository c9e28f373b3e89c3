"""The one JSON object that every verb prints with ``--json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scalewise.core.errors import ScalewiseError
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


def error_envelope(
    command: str, error: BaseException, provenance: Mapping[str, object] | None = None
) -> dict[str, Plain]:
    """A failure in the same shape: ``data`` holds the kind, the message, the hint, the exit code.

    >>> from scalewise.core.errors import UsageError
    >>> error_envelope("fit", UsageError("No law.", hint="Name one."))["data"]["hint"]
    'Name one.'
    """
    return {
        "schema": SCHEMA,
        "command": command,
        "ok": False,
        "data": {
            "error": type(error).__name__,
            "message": error.message if isinstance(error, ScalewiseError) else str(error),
            "hint": error.hint if isinstance(error, ScalewiseError) else "",
            "exit_code": error.exit_code if isinstance(error, ScalewiseError) else 1,
        },
        "warnings": [],
        "provenance": plain(dict(provenance or {})),
    }
