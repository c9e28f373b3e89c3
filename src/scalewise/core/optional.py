"""The one gate for optional packages."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from scalewise.core.errors import MissingExtraError


def require(module: str, *, extra: str, why: str) -> ModuleType:
    """Import an optional package, or say which extra brings it and what needs it.

    Raises MissingExtraError when the package is not installed.

    >>> require("math", extra="train", why="to count").pi > 3
    True
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{module} is needed {why} and is not installed.",
            hint=f"Install it with: pip install 'scalewise[{extra}]'",
        ) from error
