from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import answer, fit_file, run, runs_file, simulated_csv


def test_a_fit_becomes_one_self_contained_page(tmp_path: Path) -> None:
    out = tmp_path / "fit.html"
    result = run("report", fit_file(tmp_path), "--out", out)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert f"Wrote {out}." in result.stderr
    page = out.read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "Fit of chinchilla" in page
    assert "<script src" not in page


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'id="payload">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_answers_questions_and_the_static_one_runs_no_script(tmp_path: Path) -> None:
    fit, out = fit_file(tmp_path), tmp_path / "page.html"
    whole = answer("report", fit, "--out", out)
    assert whole["data"]["interactive"]
    page = out.read_text()
    assert 'id="payload"' in page
    told = data_of(page)
    assert told["fit"]["key"] == "chinchilla"
    assert told["effects"]["runs"]
    assert "runs" not in told
    assert not answer("report", fit, "--static", "--out", out)["data"]["interactive"]
    assert "<script" not in out.read_text()
    assert "<svg" in out.read_text()


def test_the_runs_of_a_fit_of_any_law_join_its_page(tmp_path: Path) -> None:
    fit, out = fit_file(tmp_path), tmp_path / "page.html"
    answer("report", fit, "--runs", tmp_path / "runs.csv", "--out", out)
    told = data_of(out.read_text())
    assert told["runs"]["finals"] == 20
    assert set(told["effects"]["runs"]) == set(told["runs"]["values"]["run_id"])


def test_a_page_about_runs_holds_their_backtest(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    answer("report", runs_file(tmp_path), "--out", out)
    told = data_of(out.read_text())
    assert told["backtest"]["recommended"] in {s["law"] for s in told["backtest"]["scores"]}
    assert told["runs"]["runs"] == 20


def test_a_run_table_is_checked_backtested_and_fitted_for_its_page(tmp_path: Path) -> None:
    out = tmp_path / "runs.html"
    whole = answer("report", runs_file(tmp_path), "--out", out)
    assert whole["ok"]
    titles = whole["data"]["cards"]
    assert titles[:3] == ["Runs", "Health of the runs", "Backtest"]
    assert any(title.startswith("Fit of") for title in titles)
    assert "Health of the runs" in out.read_text()


def test_published_constants_have_a_page_too(tmp_path: Path) -> None:
    out = tmp_path / "published.html"
    assert run("report", "besiroglu2024", "--out", out).exit_code == 0
    assert "Fit of chinchilla" in out.read_text()


def test_a_law_without_a_trade_off_has_no_frontier(tmp_path: Path) -> None:
    fit = fit_file(tmp_path, law="power-flops")
    whole = answer("report", fit, "--out", tmp_path / "page.html")
    assert "Loss against compute" not in whole["data"]["cards"]
    assert "Contours of equal loss" not in whole["data"]["cards"]


def test_a_page_on_a_fit_shows_the_compute_plane(tmp_path: Path) -> None:
    whole = answer("report", fit_file(tmp_path), "--out", tmp_path / "page.html")
    assert "Contours of equal loss" in whole["data"]["cards"]


def test_a_page_on_runs_compares_the_approaches_that_they_allow(tmp_path: Path) -> None:
    whole = answer("report", runs_file(tmp_path), "--out", tmp_path / "page.html")
    titles = whole["data"]["cards"]
    assert "Compute-optimal size by three approaches" in titles
    # One count of parameters leaves no conventions to compare.
    assert "The exponent by counting convention" not in titles


def test_runs_that_carry_no_forecast_get_a_page_that_says_so_and_exit_4(tmp_path: Path) -> None:
    out = tmp_path / "two.html"
    result = run("report", runs_file(tmp_path, sizes=(1e7, 1e8)), "--out", out)
    assert result.exit_code == 4
    assert "takes four" in result.stderr
    page = out.read_text()
    assert "No forecast" in page
    assert "Health of the runs" in page


def test_the_page_can_go_to_stdout(tmp_path: Path) -> None:
    result = run("report", fit_file(tmp_path), "--out", "-")
    assert result.stdout.lower().startswith("<!doctype html>")
    piped = run("report", "-", "--out", "-", stdin=(tmp_path / "fit.json").read_text())
    assert "Fit of chinchilla" in piped.stdout


def test_a_table_on_stdin_is_told_from_a_fit(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    whole = answer("report", "-", "--out", out, stdin=simulated_csv(sizes=(1e7, 1e8)))
    assert whole["data"]["cards"][0] == "Runs"


@pytest.mark.parametrize(("name", "code"), [("absent.csv", 3), ("absent.json", 3), ("absent", 2)])
def test_what_is_not_there_is_said_in_the_words_of_what_it_would_be(
    tmp_path: Path, name: str, code: int
) -> None:
    out = tmp_path / "page.html"
    assert run("report", tmp_path / name, "--out", out).exit_code == code
    assert not out.exists()


def test_every_report_says_what_limits_the_forecast_and_what_a_fit_must_state(
    tmp_path: Path,
) -> None:
    out = tmp_path / "page.html"
    for source in (fit_file(tmp_path), runs_file(tmp_path)):
        titles = answer("report", source, "--out", out)["data"]["cards"]
        assert "What limits this forecast" in titles
        assert titles[-1] == "Checklist"
        assert "Copy as Markdown" in out.read_text()


def test_a_fit_file_keeps_what_its_table_said_for_the_checklist(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    answer("report", fit_file(tmp_path), "--out", out)
    assert "Read: 20 rows of 20 runs" in out.read_text()
