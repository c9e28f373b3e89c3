from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.runs.read import read_runs
from tests.cli.program import answer, run, runs_file, simulated_csv

PERPLEXITY = "params,tokens,loss\n1e6,2e7,60\n3e6,4e7,50\n1e7,2e8,30\n3e7,4e8,25\n1e8,4e9,18\n"


def test_what_was_understood_goes_to_stderr_and_the_table_to_stdout(tmp_path: Path) -> None:
    result = run("runs", runs_file(tmp_path))
    assert result.exit_code == 0
    assert "Health of the runs" in result.stdout
    assert "assumed: family is 'unnamed'" in result.stderr


def test_the_json_of_runs_has_the_findings_and_assumptions() -> None:
    whole = answer("runs", "-", stdin=PERPLEXITY)
    assert whole["ok"]
    names = {finding["name"] for finding in whole["data"]["findings"]}
    assert "perplexity as loss" in names
    assert whole["data"]["rows"] == 5
    assert whole["data"]["source"] == "standard input"
    assert any("perplexity" in warning for warning in whole["warnings"])


def test_findings_are_shown_and_only_strict_makes_them_fatal() -> None:
    assert "perplexity" in run("runs", "-", stdin=PERPLEXITY).stdout
    assert run("runs", "-", stdin=PERPLEXITY).exit_code == 0
    strict = run("runs", "-", "--strict", stdin=PERPLEXITY)
    assert strict.exit_code == 4
    assert "Health of the runs" in strict.stdout
    assert run("runs", "-", "--strict", stdin=simulated_csv()).exit_code == 0


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_one_tidy_table_is_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"tidy.{ending}"
    source = runs_file(tmp_path)
    result = run("runs", source, "--out", path)
    assert result.exit_code == 0
    assert f"Wrote {path}." in result.stderr
    assert read_runs(path).sha256 == read_runs(source).sha256


def test_out_dash_is_csv_on_stdout(tmp_path: Path) -> None:
    source = runs_file(tmp_path)
    result = run("runs", source, "--out", "-")
    assert result.stdout.splitlines()[0].replace('"', "").startswith("run_id,")
    assert "Health of the runs" in result.stderr
    piped = answer("runs", "-", stdin=result.stdout)
    assert piped["provenance"]["data_sha256"] == read_runs(source).sha256


def test_another_ending_is_refused(tmp_path: Path) -> None:
    assert run("runs", runs_file(tmp_path), "--out", tmp_path / "runs.xlsx").exit_code == 2


def test_several_sources_become_one_table(tmp_path: Path) -> None:
    small, large = tmp_path / "small.csv", tmp_path / "large.jsonl"
    small.write_text(simulated_csv(sizes=(1e7, 3e7)))
    run("runs", runs_file(tmp_path, sizes=(1e8,)), "--out", large)
    data = answer("runs", small, large)["data"]
    assert (data["rows"], data["runs"]) == (12, 12)
    assert "small.csv" in data["source"]
    assert "large.jsonl" in data["source"]


def test_rows_without_a_name_stay_apart_when_files_are_joined(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("params,tokens,loss\n1e6,2e7,4.1\n2e6,2e7,3.9\n")
    data = answer("runs", tmp_path / "a.csv", tmp_path / "b.csv")["data"]
    assert data["runs"] == 4


def test_a_file_and_stdin_are_joined(tmp_path: Path) -> None:
    more = simulated_csv(sizes=(3e9,))
    assert answer("runs", runs_file(tmp_path), "-", stdin=more)["data"]["rows"] == 24


def test_duplicates_are_dropped_on_request_and_counted() -> None:
    table = simulated_csv(sizes=(1e7, 1e8))
    twice = table + "".join(table.splitlines(keepends=True)[1:3])
    assert answer("runs", "-", stdin=twice)["data"]["rows"] == 10
    whole = answer("runs", "-", "--dedupe", stdin=twice)
    assert whole["data"]["rows"] == 8
    assert "2 earlier rows dropped" in run("runs", "-", "--dedupe", stdin=twice).stderr


def test_a_condition_that_holds_for_no_row_exits_with_3(tmp_path: Path) -> None:
    result = run("runs", runs_file(tmp_path), "--where", "params > 1T")
    assert result.exit_code == 3
    assert "No row satisfies" in result.stderr


def test_a_condition_that_is_no_condition_is_a_usage_error(tmp_path: Path) -> None:
    assert run("runs", runs_file(tmp_path), "--where", "import os").exit_code == 2
