from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.cli.program import answer, run, runs_file, simulated_csv
from tests.plan.isoflop_runs import EXPONENT, isoflop_runs, shaped

FAST = ("--bootstrap", 10)


def table(folder: Path, frame: pl.DataFrame) -> Path:
    path = folder / "runs.csv"
    frame.write_csv(path)
    return path


@pytest.fixture
def valleys(tmp_path: Path) -> Path:
    return table(tmp_path, isoflop_runs(noise=0.002).frame)


def test_one_call_runs_all_that_the_data_allow(valleys: Path) -> None:
    whole = answer("approaches", valleys, "--flops", "1e23", *FAST)
    data = whole["data"]
    assert [a["key"] for a in data["approaches"]] == ["pareto", "parabola", "additive", "law"]
    for approach in data["approaches"]:
        for name in ("a", "b", "params", "tokens", "tokens_per_param"):
            low, high = approach[name]["interval"]
            assert low <= approach[name]["value"] <= high
    assert data["approaches"][-1]["a"]["value"] == pytest.approx(EXPONENT, abs=0.05)
    (missing,) = data["not_run"]
    assert missing["key"] == "envelope"
    assert "In the middle of the data" in data["disagreement"]
    assert data["extrapolation"]["flops"] == pytest.approx(100, rel=0.01)
    assert set(data["isoflop"]) == {"parabola", "additive"}
    assert len(data["isoflop"]["parabola"]["vertices"]) == 7


def test_the_conventions_that_cannot_be_told_name_the_missing_columns(valleys: Path) -> None:
    counted = answer("approaches", valleys, "--flops", "1e23", *FAST)["data"]["conventions"]
    assert counted["rows"] == []
    assert "needs params_nonembed" in counted["missing"][0]
    assert "needs n_layer, d_model and context_length" in counted["missing"][0]
    text = run("approaches", valleys, "--flops", "1e23", *FAST).stdout
    assert "Why Kaplan and Chinchilla disagree cannot be seen on this table." in text


def test_the_exponent_is_given_under_each_convention(tmp_path: Path) -> None:
    runs = table(tmp_path, shaped().frame)
    words = ("approaches", runs, "--flops", "1e24", "--force", *FAST)
    whole = answer(*words)
    rows = whole["data"]["conventions"]["rows"]
    assert [row["key"] for row in rows][:3] == ["nonembed", "nonembed-attention", "head"]
    assert rows[0]["a"]["value"] > rows[2]["a"]["value"]
    text = run(*words).stdout
    assert "counting alone moves it by" in " ".join(text.split())


def test_named_budgets_and_another_count_are_used(tmp_path: Path) -> None:
    frame = isoflop_runs(noise=0.002).frame
    runs = table(tmp_path, frame.rename({"params": "params_nonembed"}).drop("flops"))
    words = ("approaches", runs, "--flops", "1e23", "--size", "params_nonembed", *FAST)
    data = answer(*words, "--budgets", "1e19,3.16e19,1e20,3.16e20")["data"]
    assert data["size"] == "params_nonembed"
    law = next(a for a in data["approaches"] if a["key"] == "law")
    assert "chinchilla@params_nonembed" in law["title"]
    assert len(data["isoflop"]["parabola"]["vertices"]) == 4


def test_the_answer_becomes_a_page_with_its_figures(valleys: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    result = run("approaches", valleys, "--flops", "1e23", "--out", out, *FAST)
    assert result.exit_code == 0
    assert "Compute-optimal size by three approaches" in result.stdout
    page = out.read_text()
    assert "IsoFLOP profiles, parabola" in page
    assert page.count("<svg") >= 3
    piped = run("approaches", valleys, "--flops", "1e23", "--out", "-", *FAST)
    assert piped.stdout.lower().startswith("<!doctype html>")


def test_the_law_of_approach_three_can_be_chosen(valleys: Path) -> None:
    words = ("approaches", valleys, "--flops", "1e23", *FAST)
    data = answer(*words, "--law", "overtraining")["data"]
    assert data["approaches"][-1]["title"] == "3 parametric law (overtraining)"
    data = answer(*words, "--law", "power")["data"]
    (law,) = (n for n in data["not_run"] if n["key"] == "law")
    assert "no trade-off between size and tokens" in law["reason"]


def test_a_table_that_carries_no_approach_exits_with_4_and_says_what_lacks(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text(simulated_csv(sizes=(1e7, 1e8), tokens=(1e9,)))
    whole = answer("approaches", path, "--flops", "1e23", *FAST)
    assert not whole["ok"]
    assert whole["data"]["approaches"] == []
    result = run("approaches", path, "--flops", "1e23", *FAST)
    assert result.exit_code == 4
    assert "No approach can be run on this table." in result.stderr
    assert "3 parametric law was not run" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "fact"),
    [
        ((), 2, "Missing option '--flops'"),
        (("--flops", "0"), 2, "--flops='0' is zero"),
        (("--flops", "1e23", "--budgets", "1e19,many"), 2, "--budgets='many' is not a number"),
        (("--flops", "1e23", "--law", "chinchila"), 2, "Did you mean 'chinchilla'"),
        (("--flops", "1e23", "--law", "besiroglu2024"), 2, "is a set of constants, not a law"),
        (("--flops", "1e23", "--size", "params_nonembed"), 3, "no column 'params_nonembed'"),
        (("--flops", "1e23", "--level", "1.5"), 2, "is not a probability"),
        (("--flops", "1e23", "--where", "params < 1"), 3, "No row satisfies"),
    ],
)
def test_a_question_that_is_none_is_told(
    tmp_path: Path, words: tuple[str, ...], code: int, fact: str
) -> None:
    result = run("approaches", runs_file(tmp_path), *words)
    assert result.exit_code == code
    assert fact in result.stderr
