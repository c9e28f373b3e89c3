"""Every error scalewise raises on purpose.

::

    ScalewiseError            the message states the fact and the value, ``hint`` the mend
    ├── UsageError            the question is malformed: unknown name, bad option        exit 2
    │   ├── FormulaError      a law or filter written as text was refused
    │   ├── LawError          a law cannot answer what was asked of it
    │   └── MissingExtraError an optional package is needed
    ├── RunDataError          input is unreadable, empty or not what it says             exit 3
    ├── UnfitDataError        the data cannot carry the question                         exit 4
    └── GateError             a gate that the user stated has failed                     exit 5
"""

from __future__ import annotations


class ScalewiseError(Exception):
    """Base of all deliberate errors; ``hint`` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only fields do not survive the default pickling between worker processes.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[ScalewiseError], message: str, hint: str) -> ScalewiseError:
    return kind(message, hint=hint)


class UsageError(ScalewiseError):
    """The question itself is malformed: an unknown name, a bad option, a missing argument."""

    exit_code = 2


class FormulaError(UsageError):
    """A law or filter written as text does not follow the grammar."""


class LawError(UsageError):
    """A law is unknown, or cannot answer what was asked of it."""


class MissingExtraError(UsageError):
    """An optional package is needed and not installed."""


class RunDataError(ScalewiseError):
    """Input is unreadable, empty, or not what it says it is."""

    exit_code = 3


class UnfitDataError(ScalewiseError):
    """The data cannot carry the question: too few sizes, not identifiable, not converged."""

    exit_code = 4


class GateError(ScalewiseError):
    """A gate that the user stated has failed."""

    exit_code = 5
