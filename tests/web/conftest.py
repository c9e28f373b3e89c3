"""Dashboards that the tests ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.dashboard import Dashboard, run_table

Starter = Callable[..., Dashboard]


@pytest.fixture(scope="package")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One that many tests share, as many users would."""
    made = Dashboard(tmp_path_factory.mktemp("shared") / "project", {"workers": 2}).start()
    yield made
    made.stop()
    assert "Traceback" not in made.log, made.log


@pytest.fixture(scope="package")
def runs(dashboard: Dashboard) -> str:
    """The key of a run table on the shared dashboard."""
    return dashboard.runs_of({"runs.csv": run_table()})


@pytest.fixture(scope="package")
def fit(dashboard: Dashboard, runs: str) -> str:
    """The key of a fit on the shared dashboard."""
    return dashboard.fit_of(runs)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Starter]:
    """Starts dashboards of a test's own."""
    made: list[Dashboard] = []

    def start(name: str = "project", **settings: Any) -> Dashboard:
        made.append(Dashboard(tmp_path / name, settings).start())
        return made[-1]

    yield start
    for each in made:
        each.stop()
