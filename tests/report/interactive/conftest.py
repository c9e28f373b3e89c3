"""A real browser, closed to the network, and pages to open in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from scalewise.fit.engine import fit
from scalewise.fit.result import FitResult
from scalewise.report.interactive.bundle import bundle
from scalewise.report.interactive.page import interactive_page
from scalewise.report.interactive.payload import Payload, payload
from scalewise.runs.example import example_runs
from scalewise.runs.health import check_health
from scalewise.runs.table import RunTable


@dataclass
class Opened:
    """A page in a browser, with what it complained of and what it asked the network for."""

    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def go(self, link: str) -> None:
        self.page.evaluate("link => { location.hash = link; }", link)
        self.page.wait_for_function(
            "key => document.querySelector(`[data-screen='${key}']:not([hidden])`)",
            arg=link.split("?")[0],
        )

    def clipboard(self) -> str:
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def copied(self, label: str) -> str:
        """What pressing a copy button by its name puts on the clipboard."""
        self.page.evaluate("navigator.clipboard.writeText('')")
        self.page.get_by_role("button", name=label, exact=True).click()
        self.page.wait_for_function(
            "() => navigator.clipboard.readText().then(text => text !== '')"
        )
        return self.clipboard()

    @property
    def sideways(self) -> int:
        """How many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


class Opener:
    """Opens documents from a file, as a mailed report would be."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder = browser, folder
        self.contexts: list[BrowserContext] = []

    def __call__(self, html: str, link: str = "", **settings: Any) -> Opened:
        path = self.folder / f"page-{len(self.contexts)}.html"
        path.write_text(html, encoding="utf-8")
        context = self.browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **settings}
        )
        self.contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        opened = Opened(context.new_page(), context)
        opened.page.on(
            "console",
            lambda told: opened.complaints.append(told.text)
            if told.type in ("error", "warning") else None,
        )  # fmt: skip
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.goto(path.as_uri() + (f"#{link}" if link else ""))
        return opened


@pytest.fixture
def opening(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    opener = Opener(browser, tmp_path)
    yield opener
    for context in opener.contexts:
        context.close()


class Scripts:
    """Modules of the page, to be called with data and to answer with data."""

    def __init__(self, browser: Browser) -> None:
        self.context = browser.new_context()
        self.page = self.context.new_page()

    def load(self, content: Payload) -> None:
        script = bundle(content.laws, start="predict")
        self.page.set_content(
            f"<script>{script}\nwindow.predictions = $predict; window.laws = $laws;</script>"
        )
        self.page.evaluate("text => { window.data = JSON.parse(text); }", content.json)

    def call(self, code: str, given: Any = None) -> Any:
        return self.page.evaluate(code, given)


@pytest.fixture
def scripts(browser: Browser) -> Iterator[Scripts]:
    made = Scripts(browser)
    yield made
    made.context.close()


@pytest.fixture(scope="session")
def ladder() -> RunTable:
    return example_runs()


@pytest.fixture(scope="session")
def fitted(ladder: RunTable) -> FitResult:
    return fit("chinchilla", ladder, bootstrap=60)


@pytest.fixture(scope="session")
def ladder_page(ladder: RunTable, fitted: FitResult) -> str:
    content = payload(fitted, ladder, findings=check_health(ladder), title="The ladder")
    return interactive_page(content, provenance={"version": "test"})
