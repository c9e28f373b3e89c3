"""How a failure is told: one line of fact, one of advice, an exit code, an envelope on request."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from scalewise.cli.advice import as_flags
from scalewise.core.errors import ScalewiseError, UsageError

INTERRUPTED = 130


class _InterruptedError(ScalewiseError):
    """The user stopped the program."""

    exit_code = INTERRUPTED


class _UnexpectedError(ScalewiseError):
    """Anything that was not raised on purpose."""

    exit_code = 1


def usage_error(error: click.ClickException) -> UsageError:
    """A complaint of the argument parser in the words of this package."""
    message = error.format_message().strip()
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "scalewise"
    return UsageError(
        message if message.endswith((".", "?", ")")) else f"{message}.",
        hint=f"See: {path} --help",
    )


def report_failure(error: BaseException, verb: str, given: Sequence[str]) -> int:
    """Tell why the verb failed, on stderr and with --json also on stdout; the exit code."""
    known = _known(error)
    if "--debug" in given:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    tell_failure(known)
    if "--json" in given:
        from scalewise.cli.output import print_json

        print_json(failed_envelope(verb, None, known))
    return known.exit_code


def tell_failure(error: ScalewiseError) -> None:
    """The fact and the mend, on standard error."""
    from scalewise.cli.output import tell

    tell(f"Error: {error.message}")
    if error.hint:
        tell(f"Hint: {as_flags(error.hint)}")


def failed_envelope(
    verb: str,
    data: object,
    error: ScalewiseError,
    warnings: Sequence[str] = (),
    provenance: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON object of a failure; ``data`` is what was found in spite of it, or null."""
    from scalewise.cli.output import provenance_of
    from scalewise.report.envelope import envelope

    told = {
        "message": error.message, "hint": as_flags(error.hint), "exit_code": error.exit_code,
    }  # fmt: skip
    whole: dict[str, Any] = envelope(verb, data, warnings, provenance or provenance_of())
    return whole | {"ok": False, "error": told}


def _known(error: BaseException) -> ScalewiseError:
    if isinstance(error, ScalewiseError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return _InterruptedError("Interrupted.")
    return _UnexpectedError(
        f"Unexpected {type(error).__name__}: {error}",
        hint="This is a bug. Run it again with --debug and report what it prints.",
    )
