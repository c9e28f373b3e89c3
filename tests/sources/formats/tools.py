"""The tools that write the formats: imported where they are installed, else the test is skipped."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest


def need(*modules: str) -> None:
    """Skip where a tool is missing; `make formats`, which installs them, does not skip."""
    for module in modules:
        if find_spec(module) is None and not os.environ.get("SCALEWISE_FORMATS"):
            pytest.skip(f"{module} is not installed; make formats installs it")


def tool(module: str) -> Any:
    """A tool, or a skip that says which one is missing."""
    need(module)
    return import_module(module)
