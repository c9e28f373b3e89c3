"""Which scalewise this is, for rooms that may not look up to the package's front."""

from __future__ import annotations

import sys


def version() -> str:
    """The version of the package.

    >>> version().count(".")
    2
    """
    # Every module of a package is imported after the package itself.
    return str(sys.modules["scalewise"].__version__)
