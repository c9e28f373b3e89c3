"""The page in a notebook: a frame that holds everything and reaches nothing."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path

import scalewise as sw
from scalewise.fit.result import FitResult
from scalewise.runs.table import RunTable
from tests.report.interactive.conftest import Opener


def test_a_fit_is_explored_in_a_frame_of_its_own(
    opening: Opener, fitted: FitResult, ladder: RunTable
) -> None:
    shown = sw.explore(fitted, ladder)._repr_html_()
    opened = opening(f"<!doctype html><title>notebook</title><body>{shown}</body>")
    frame = opened.page.frame_locator("iframe")
    frame.get_by_role("link", name="Compute plane").click()
    assert "nats/token" in frame.locator("figure .said").nth(2).inner_text()
    frame.get_by_role("link", name="What if").click()
    before = frame.locator("#answer").inner_text()
    frame.get_by_label("Compute in FLOP").fill("1e17")
    frame.get_by_label("Compute in FLOP").press("Enter")
    assert frame.locator("#answer").inner_text() != before
    assert not opened.complaints
    assert [url for url in opened.requests if not url.startswith(("file:", "about:"))] == []


def test_an_explorer_is_saved_as_the_page_it_shows(tmp_path: Path, fitted: FitResult) -> None:
    found = sw.explore(fitted)
    assert found.save(tmp_path / "fit.html").read_text(encoding="utf-8") == found.page
    assert repr(found).startswith("Explorer('chinchilla', ")


def test_a_fit_shows_itself_in_a_few_lines(fitted: FitResult) -> None:
    shown = fitted._repr_html_()
    assert "E + A / N**alpha + B / D**beta" in shown
    assert shown.count("<tr>") == 6
    warned = replace(fitted, warnings=("<script>alert(1)</script>",))
    assert escape("<script>alert(1)</script>") in warned._repr_html_()
    assert "<script" not in warned._repr_html_()
