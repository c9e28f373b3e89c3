"""What charts, tables and laws are copied as, in a real browser."""

from __future__ import annotations

import json

import numpy as np

from scalewise.report.interactive.page import interactive_page
from scalewise.report.interactive.payload import payload
from scalewise.runs.read import read_runs
from tests.report.interactive.conftest import Opener
from tests.report.interactive.test_screens import clean


def test_charts_copy_as_csv_json_svg_and_png(opening: Opener, ladder_page: str) -> None:
    opened = opening(ladder_page)
    csv = opened.copied("Copy Loss by compute as CSV")
    assert csv.splitlines()[0] == "series,run,compute (FLOP),loss (nats/token),low,high"
    assert len(csv.splitlines()) > 40
    told = json.loads(opened.copied("Copy Loss by compute as JSON"))
    assert told["conclusion"].endswith(".")
    assert {"name": "loss", "unit": "nats/token"} in told["columns"]
    drawing = opened.copied("Copy Loss by compute as SVG")
    assert drawing.startswith("<svg")
    assert "var(" not in drawing
    assert "class=" not in drawing
    opened.page.get_by_label("Copy Loss by compute as PNG").click()
    opened.page.wait_for_function(
        "() => document.getElementById('told').textContent.includes('PNG')"
    )
    kinds = opened.page.evaluate("navigator.clipboard.read().then(all => all[0].types)")
    assert kinds == ["image/png"]
    clean(opened)


def test_a_chart_opens_the_table_behind_it(opening: Opener, ladder_page: str) -> None:
    opened = opening(ladder_page)
    figure = opened.page.locator("figure[data-block=loss-by-compute]")
    figure.get_by_role("button", name="Table").click()
    assert figure.locator("tbody tr").count() == 100
    figure.get_by_role("button", name="Show all").click()
    assert figure.locator("tbody tr").count() > 100
    figure.get_by_role("button", name="Hide table").click()
    assert not figure.locator("tbody").is_visible()


def test_tables_copy_as_markdown_and_latex_and_laws_as_code(
    opening: Opener, ladder_page: str
) -> None:
    opened = opening(ladder_page, "fit")
    lines = opened.copied("Copy Constants of chinchilla as Markdown").splitlines()
    assert lines[1].startswith("| --- | ---: |")
    latex = opened.copied("Copy Constants of chinchilla as LaTeX")
    assert r"\begin{tabular}{lrrrlll}" in latex
    assert r"90\% low" in latex
    assert r"\frac{A}{N^{\alpha}}" in opened.copied("Copy the law as LaTeX")
    assert "def loss(" in opened.copied("Copy the law as Python")
    assert "function loss(" in opened.copied("Copy the law as JavaScript")


def test_cells_that_a_spreadsheet_would_run_are_quoted(opening: Opener) -> None:
    names = ["=1+1", "+cmd", "-x", "@y", 'a,"b"']
    table = read_runs({"run_id": names, "params": np.geomspace(1e6, 1e8, 5),
                       "loss": [4.0, 3.6, 3.2, 3.0, 2.8]})  # fmt: skip
    opened = opening(interactive_page(payload(None, table, title="T")), "runs")
    starts = [line.split(",")[0] for line in opened.copied("Copy Runs as CSV").splitlines()[1:]]
    assert starts == ["'=1+1", "'+cmd", "'-x", "'@y", '"a']
