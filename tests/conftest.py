"""What holds for every test: no skips where CI is set, and the same floats after training."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

# What a machine may lack, or another make target brings; with CI set, any other reason to skip is
# a fault of the environment.
ALLOWED = ("is not beside this checkout", "no CUDA device", "make formats installs it")

# Chromium, closed to the network.
_CLOSED = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-domain-reliability", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a process: its driver cannot be started twice in one."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None and not os.environ.get("CI"):
        pytest.skip("no Chromium")
    assert path is not None, "no Chromium: apt-get install chromium, or name one with CHROMIUM"
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=list(_CLOSED))
        yield started
        started.close()


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
