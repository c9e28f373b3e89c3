"""Where the public run tables for tests live, if this checkout has them beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_table(name: str) -> Path:
    """Path of a public run table, or a skip that says which file is absent."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"public run table {name} is not beside this checkout")
    return path
