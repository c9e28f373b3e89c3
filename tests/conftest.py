"""With CI set, no test is skipped for want of a package: that environment must have them all."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

# What a machine may lack without its environment being at fault.
ALLOWED = ("is not beside this checkout", "no CUDA device")

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
