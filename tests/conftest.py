"""What holds for every test: no skips where CI is set, and the same floats after training."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import TypeVar

import pytest

# What a machine may lack, or another make target brings; with CI set, any other reason to skip is
# a fault of the environment.
ALLOWED = ("is not beside this checkout", "no CUDA device", "make formats installs it")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    del item, call
    return judged((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    del collector
    return judged((yield))


@pytest.fixture(autouse=True)
def _ordinary_floats() -> Generator[None]:
    """Training in this process flushes denormals to zero; later tests must not see that."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(False)


def judged(report: Report) -> Report:
    """The report, failed if it is a skip that CI does not allow."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(words in reason for words in ALLOWED):
            report.outcome = "failed"
            report.longrepr = (
                f"{reason}\nSkips are failures where CI is set: see tests/conftest.py."
            )
    return report
