"""The public names are a short written list, and importing them costs next to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import scalewise

WRITTEN = (Path(__file__).parent / "public_api.txt").read_text().split()
HEAVY = ("torch", "matplotlib", "polars", "scipy", "pandas", "starlette", "ray", "click", "rich")


def test_public_names_match_the_written_list() -> None:
    assert sorted(scalewise.__all__, key=str.casefold) == WRITTEN
    assert len(set(WRITTEN)) == len(WRITTEN) <= 42


@pytest.mark.parametrize("name", WRITTEN)
def test_every_public_name_is_there(name: str) -> None:
    assert not isinstance(getattr(scalewise, name), ModuleType)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    absent = "utils"
    with pytest.raises(AttributeError, match="module 'scalewise' has no attribute 'utils'"):
        getattr(scalewise, absent)
    assert dir(scalewise) == sorted(scalewise.__all__)


def fresh(code: str) -> str:
    """What a new interpreter prints, so that no other test's imports count."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_rooms_do_not_hide_the_functions_that_share_their_names() -> None:
    code = (
        "import scalewise as sw\n"
        "import scalewise.fit.engine, scalewise.forecast.backtest, scalewise.plan.allocate\n"
        "from scalewise.runs import read\n"
        "print(all(callable(f) for f in (sw.fit, sw.backtest, sw.allocate, sw.read_runs)))\n"
        "before = sw.fit\n"
        "from scalewise.fit.storage import read_fit\n"
        "print(sw.fit is before, sw.fit.__module__)"
    )
    assert fresh(code).split("\n") == ["True", "True scalewise.forecast.fitting"]


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import scalewise", ()),
        ("import scalewise as sw; sw.LAWS, sw.read_fit('besiroglu2024')", ()),
        ("import scalewise as sw; sw.fit, sw.allocate, sw.backtest, sw.RunTable", ()),
        ("import scalewise as sw; sw.read_runs({'N': [1e6], 'L': [3.0]})", ("polars",)),
    ],
)
def test_heavy_packages_load_only_when_needed(code: str, allowed: tuple[str, ...]) -> None:
    loaded = fresh(f"{code}\nimport sys; print(' '.join(sorted(sys.modules)))").split()
    assert [name for name in HEAVY if name in loaded and name not in allowed] == []
