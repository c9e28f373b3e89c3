"""The dashboard in a real browser: bring runs in, fit, fit again, with and without a script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.web.conftest import Starter
from tests.web.dashboard import Dashboard, run_table
from tests.web.test_pages import hostile_table

_SLOW = 60_000.0  # milliseconds, on a machine with much else to do


@dataclass
class Visit:
    """A tab, with what it complained of and whom it asked."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def listen(self) -> Visit:
        page = self.page
        page.on("console", lambda told: self.complaints.append(told.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        return self

    @property
    def sideways(self) -> int:
        """How many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


class Visitor:
    """Opens tabs, and checks at the end that none complained or asked another host."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.visits: list[Visit] = []

    def __call__(self, url: str, *, script: bool = True, width: int = 1280) -> Visit:
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=script,
            reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(_SLOW)
        visit = Visit(context, context.new_page()).listen()
        self.visits.append(visit)
        visit.page.goto(url)
        return visit


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visitor]:
    visitor = Visitor(browser)
    yield visitor
    for one in visitor.visits:
        one.context.close()
        assert not one.complaints
        assert {host.split(":")[0] for host in one.hosts - {""}} <= {"127.0.0.1"}


def bring_in(page: Page, name: str, content: bytes) -> None:
    page.set_input_files(
        "input[name=files]", {"name": name, "mimeType": "text/csv", "buffer": content}
    )
    page.get_by_role("button", name="Upload and read").click()
    page.wait_for_url("**/runs/*")


def fit_it(page: Page, **options: str) -> None:
    for name, value in {"law": "chinchilla", "bootstrap": "20", **options}.items():
        page.fill(f"#{name}", value)
    page.get_by_role("button", name="Fit", exact=True).click()
    page.wait_for_url("**/fits/*")
    page.wait_for_selector("html[data-ready=yes]")


def test_from_files_to_a_fit_to_another_fit(dashboard: Dashboard, visit: Visitor) -> None:
    page = visit(dashboard.url).page
    bring_in(page, "ladder.csv", run_table(name="browser"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs of ladder.csv")
    fit_it(page)
    expect(page.locator("[data-screen=what-if]:visible h2")).to_have_text("What if")
    first = page.url
    page.get_by_role("link", name="Runs, and fit again").click()
    expect(page.locator("#law")).to_have_value("chinchilla")
    page.get_by_label("Leave out browser-0-0").check()
    fit_it(page)
    assert page.url.split("#")[0] != first.split("#")[0]
    page.get_by_role("link", name="Runs, and fit again").click()
    expect(page.get_by_label("Leave out browser-0-0")).to_be_checked()


def test_every_screen_of_the_component_opens_on_the_dashboard(
    dashboard: Dashboard, fit: str, visit: Visitor
) -> None:
    page = visit(f"{dashboard.url}fits/{fit}").page
    page.wait_for_selector("html[data-ready=yes]")
    screens = page.locator("#screens a")
    assert screens.count() > 5
    for i in range(screens.count()):
        screens.nth(i).click()
        expect(page.locator(".screen:visible h2").first).to_have_text(screens.nth(i).inner_text())


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_scrolls_sideways(
    dashboard: Dashboard, runs: str, fit: str, visit: Visitor, width: int
) -> None:
    for path in ("", f"runs/{runs}", f"fits/{fit}", f"fits/{fit}/backtest"):
        assert visit(f"{dashboard.url}{path}", width=width).sideways <= 0, path


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious(
    dashboard: Dashboard, runs: str, fit: str, visit: Visitor, colours: Literal["light", "dark"]
) -> None:
    job = dashboard.ask("/api/").data["jobs"][-1]["key"]
    page = visit(dashboard.url).page
    page.emulate_media(color_scheme=colours)
    for path in ("", f"runs/{runs}", f"fits/{fit}", f"fits/{fit}/backtest", f"jobs/{job}"):
        page.goto(f"{dashboard.url}{path}")
        found = Axe().run(page).response["violations"]
        grave = [(v["id"], v["nodes"][0]["html"][:200]) for v in found
                 if v["impact"] in ("serious", "critical")]  # fmt: skip
        assert not grave, path


def test_without_a_script_everything_can_still_be_asked(
    dashboard: Dashboard, visit: Visitor
) -> None:
    page = visit(dashboard.url, script=False).page
    page.set_input_files(
        "input[name=files]",
        {"name": "plain.csv", "mimeType": "text/csv", "buffer": run_table(name="plain")},
    )
    page.get_by_role("button", name="Upload and read").click()
    for link in ("Open the runs", "Open the fit"):
        job = page.url.rsplit("/", 1)[1]
        dashboard.ended(job)
        page.reload()
        page.get_by_role("link", name=link).click()
        if link == "Open the runs":
            page.fill("#law", "chinchilla")
            page.fill("#bootstrap", "0")
            page.get_by_role("button", name="Fit", exact=True).click()
    expect(page.locator("main")).to_contain_text("chinchilla")


def test_hostile_names_run_nothing(dashboard: Dashboard, visit: Visitor) -> None:
    runs = dashboard.runs_of({"x' onload='alert(1).jsonl": hostile_table()})
    fit = dashboard.fit_of(runs)
    for path in (f"runs/{runs}", f"fits/{fit}#runs", f"fits/{fit}#details"):
        page = visit(f"{dashboard.url}{path}").page
        page.wait_for_selector("html[data-ready=yes]")
        expect(page.locator("body")).to_contain_text("<script>alert(1)</script>")
        assert page.locator("img").count() == 0


def test_a_failure_is_shown_with_its_mend(dashboard: Dashboard, visit: Visitor) -> None:
    page = visit(dashboard.url).page
    page.set_input_files(
        "input[name=files]",
        {"name": "notes.csv", "mimeType": "text/csv", "buffer": b"name,colour\na,red\n"},
    )
    page.get_by_role("button", name="Upload and read").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert len(alert.locator("p").all()) == 2
    assert all(line.inner_text() for line in alert.locator("p").all())


def test_a_fit_can_be_stopped_in_the_browser(
    dashboard: Dashboard, runs: str, visit: Visitor
) -> None:
    page = visit(f"{dashboard.url}runs/{runs}").page
    page.fill("#bootstrap", "2000")
    page.fill("#seed", "4711")
    page.get_by_role("button", name="Fit", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state")).to_have_text("cancelled")


def test_the_token_opens_the_dashboard_for_the_browser(started: Starter, visit: Visitor) -> None:
    served = started(token="a-secret-of-the-test")  # noqa: S106
    page = visit(served.url).page
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
    assert "token" not in page.url
    bring_in(page, "runs.csv", run_table())
