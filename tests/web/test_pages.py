"""The pages and their twins, and what they make of names that were meant to do harm."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path

import pytest

from scalewise.core.errors import UsageError
from scalewise.runs.read import read_runs
from scalewise.web.component import component, static_files
from scalewise.web.project import open_project
from scalewise.web.refusals import NotThereError
from tests.web.conftest import Starter
from tests.web.dashboard import Dashboard, run_table
from tests.web.elements import elements

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(1)",
    "-2",
    "a\nb",
    "\u202egnp.exe",
    "{{7*7}}</noscript>",
    "</textarea><b>",
    "é 日本 🚀",
    "javascript:alert(1)",
)


def hostile_table() -> bytes:
    rows = [dict(zip(("run_id", "params", "tokens", "loss"), line.split(","), strict=True))
            for line in run_table().decode().splitlines()[1:]]  # fmt: skip
    for row, name in zip(rows, HOSTILE, strict=True):
        row["run_id"] = name
        row["family"] = f"<b>{name}"
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


@pytest.fixture(scope="module")
def hostile(dashboard: Dashboard) -> tuple[str, str]:
    """A run table full of hostile names, and its fit."""
    runs = dashboard.runs_of({"x' onload='alert(1).jsonl": hostile_table()})
    return runs, dashboard.fit_of(runs)


def test_the_first_page_lists_what_there_is(dashboard: Dashboard, runs: str, fit: str) -> None:
    page, twin = dashboard.ask("/").text, dashboard.ask("/api/").data
    assert runs in [row["key"] for row in twin["runs"]]
    assert fit in [row["key"] for row in twin["fits"]]
    for kind in ("runs", "fits", "jobs"):
        for row in twin[kind]:
            assert f'href="/{kind}/{row["key"]}"' in page


def test_every_answer_names_the_runs_and_the_fit_it_was_made_from(
    dashboard: Dashboard, runs: str, fit: str
) -> None:
    sha256 = read_runs(dashboard.folder / "runs" / runs / "runs.parquet").sha256
    for path, named in (
        (f"/runs/{runs}", None), (f"/fits/{fit}", fit), (f"/fits/{fit}/backtest", fit),
    ):  # fmt: skip
        page, twin = dashboard.ask(path).text, dashboard.ask(f"/api{path}").json
        assert twin["provenance"] == {"data_sha256": sha256, "fit": named, "version": "0.1.0"}
        assert sha256 in page
        assert named is None or named in page
    payload = dashboard.ask(f"/fits/{fit}/payload.json").json
    assert payload["provenance"] == {"data_sha256": sha256, "fit": fit}


def test_the_twin_of_a_run_table_says_what_the_page_says(dashboard: Dashboard, runs: str) -> None:
    twin, page = dashboard.ask(f"/api/runs/{runs}").data, dashboard.ask(f"/runs/{runs}").text
    assert (twin["source"], twin["runs"], twin["rows"]) == ("runs.csv", 12, 12)
    assert all(run in page for run in twin["values"]["run_id"])
    assert twin["assumptions"]


def test_the_fit_page_mounts_the_component_of_the_report(dashboard: Dashboard, fit: str) -> None:
    page = dashboard.ask(f"/fits/{fit}").text
    assert f'src="/fits/{fit}/component/start.js"' in page
    for name in ("start", "app", "laws", "predict"):
        module = dashboard.ask(f"/fits/{fit}/component/{name}.js")
        assert (module.status, module.headers["content-type"].split(";")[0]) == (
            200, "text/javascript",
        )  # fmt: skip
    assert dashboard.ask(f"/fits/{fit}/component/nothing.js").status == 404
    assert "EVALUATORS" in dashboard.ask(f"/fits/{fit}/component/laws.js").text


def test_the_report_is_handed_out_as_one_file(dashboard: Dashboard, fit: str) -> None:
    answer = dashboard.ask(f"/fits/{fit}/report.html")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.text.startswith("<!doctype html>")
    assert fit in answer.text


def test_the_backtest_twin_has_the_scores_of_the_page(dashboard: Dashboard, fit: str) -> None:
    twin = dashboard.ask(f"/api/fits/{fit}/backtest").data["backtest"]
    page = dashboard.ask(f"/fits/{fit}/backtest").text
    assert "chinchilla" in [score["law"] for score in twin["scores"]]
    assert all(score["law"] in page for score in twin["scores"])


def test_a_fit_file_is_taken_in_as_the_fit_it_is(dashboard: Dashboard, fit: str) -> None:
    content = dashboard.ask(f"/fits/{fit}/fit.json").body
    told = dashboard.ended(dashboard.upload({"my-fit.json": content}).data["job"])
    assert told["state"] == "done"
    assert "runs" not in told
    twin = dashboard.ask(f"/api/fits/{told['fit']}").data
    assert (twin["runs"], twin["source"]) == (None, "my-fit.json")
    assert "comes without its runs" in dashboard.ask(f"/fits/{told['fit']}/backtest").text


def test_hostile_names_are_text_on_every_page(
    dashboard: Dashboard, hostile: tuple[str, str]
) -> None:
    runs, fit = hostile
    for path in ("/", f"/runs/{runs}", f"/fits/{fit}", f"/fits/{fit}/backtest",
                 f"/runs/{runs}?fit={fit}", f"/fits/{fit}/report.html"):  # fmt: skip
        page = dashboard.ask(path).text
        found = elements(page)
        assert not [name for name, _ in found if name in ("img", "b")], path
        assert not [name for _, given in found for name in given if name.startswith("on")], path
        assert "<script>alert" not in page
        assert "\u202e" not in page
    assert HOSTILE[1] in html.unescape(dashboard.ask(f"/runs/{runs}").text)


def test_cells_that_a_spreadsheet_would_run_are_guarded_in_csv(
    dashboard: Dashboard, hostile: tuple[str, str]
) -> None:
    text = dashboard.ask(f"/runs/{hostile[0]}/runs.csv").text
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    numbers = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?")
    assert not [c for c in cells if c[:1] in ("=", "+", "-", "@") and not numbers.fullmatch(c)]
    assert "'=cmd|' /C calc'!A0" in cells
    read = read_runs(dashboard.folder / "runs" / hostile[0] / "runs.csv")
    assert set(HOSTILE) == set(read.text("run_id"))


def test_a_run_of_any_name_can_be_left_out_by_the_form(
    dashboard: Dashboard, hostile: tuple[str, str]
) -> None:
    out = ["a\nb", HOSTILE[1]]
    answer = dashboard.post(
        "/jobs",
        {"kind": "fit", "runs": hostile[0], "law": "chinchilla", "bootstrap": "0", "where": "",
         "seed": "0", "level": "0.9", "without": [json.dumps(name) for name in out]},
    )  # fmt: skip
    assert answer.status == 303
    told = dashboard.ended(answer.headers["location"].removeprefix("/jobs/"))
    assert told["state"] == "done", told
    assert told["asked"]["without"] == sorted(out)


def test_a_form_leads_to_the_page_of_its_job(dashboard: Dashboard) -> None:
    answer = dashboard.upload({"runs.csv": run_table(name="form")}, path="/sources")
    assert answer.status == 303
    place = answer.headers["location"]
    told = dashboard.ended(place.removeprefix("/jobs/"))
    assert f'href="/runs/{told["runs"]}"' in dashboard.ask(place).text


def test_a_failure_is_a_page_where_a_page_was_asked(dashboard: Dashboard) -> None:
    answer = dashboard.ask("/runs/" + "0" * 64)
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert f"There is no run table &#x27;{'0' * 64}&#x27;" in answer.text
    assert "Open the dashboard" in answer.text


def test_only_known_files_are_static() -> None:
    assert set(static_files()) == {"page.css", "app.css", "dashboard.css", "dashboard.js"}
    with pytest.raises(NotThereError, match="no module"):
        component("../pyproject")


def test_a_folder_of_other_things_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="holds other files and is no project"):
        open_project(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        open_project(tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_nobody_foresaw_is_told_as_a_bug_with_every_header(started: Starter) -> None:
    served = started()
    runs = served.runs_of({"runs.csv": run_table()})
    (served.folder / "runs" / runs / "facts.json").write_text("{")
    twin, page = served.ask(f"/api/runs/{runs}"), served.ask(f"/runs/{runs}")
    assert (twin.status, page.status) == (500, 500)
    assert twin.json["error"]["message"].startswith("Unexpected JSONDecodeError")
    assert "This is a bug" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert served.ask("/static/page.css").status == 200
