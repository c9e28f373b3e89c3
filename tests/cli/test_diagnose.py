from __future__ import annotations

from pathlib import Path

from tests.cli.program import answer, run, runs_file

FEW = ("--bootstrap", 30)


def test_every_card_is_printed_and_what_limits_the_answer_opens(tmp_path: Path) -> None:
    result = run("diagnose", runs_file(tmp_path), "--flops", "1e23", *FEW)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("What limits this forecast\n===")
    for title in ("What one more run would do", "Noise", "Profiles", "Influence", "Sensitivity"):
        assert f"{title}\n===" in result.stdout
    assert "matters most" in result.stdout


def test_the_json_twin_holds_every_row(tmp_path: Path) -> None:
    data = answer(
        "diagnose", runs_file(tmp_path), "--params", "7B", "--tokens", "2T", *FEW, "--fix", "E=1.8"
    )["data"]
    assert data["target"]["asked"] == "loss"
    assert data["answer"]["low"] < data["answer"]["value"] < data["answer"]["high"]
    assert len(data["influence"]["sizes"]) == 5
    assert len(data["influence"]["runs"]) == 20
    assert {row["factor"] for row in data["sensitivity"]["variants"]} == {
        "outlier rule", "objective", "delta", "law",
    }  # fmt: skip
    assert [p["name"] for p in data["profiles"]][1:] == ["A", "B", "alpha", "beta"]
    assert set(data["noise"]["unknown"]) == {"run-to-run", "lack of fit", "evaluation"}


def test_without_a_target_nothing_is_read(tmp_path: Path) -> None:
    for half in ((), ("--params", "7B"), ("--tokens", "2T")):
        result = run("diagnose", tmp_path / "absent.csv", *half)
        assert result.exit_code == 2
        assert "The answer that is in question is not given" in result.stderr


def test_runs_that_do_not_determine_the_law_exit_with_4(tmp_path: Path) -> None:
    path = runs_file(tmp_path, sizes=(1e7, 1e8))
    result = run("diagnose", path, "--flops", "1e23", "--force", *FEW)
    assert result.exit_code == 4
    assert "do not determine every constant" in result.stderr
    assert "few sizes" in result.stdout  # what keeps them from it is told all the same
    whole = answer("diagnose", path, "--flops", "1e23", "--force", *FEW)
    assert not whole["ok"]
    assert whole["data"]["advice"]["limits"][0]["name"] == "undetermined law"


def test_a_combination_of_laws_is_not_looked_into(tmp_path: Path) -> None:
    result = run("diagnose", runs_file(tmp_path), "--law", "auto", "--flops", "1e23")
    assert result.exit_code == 2
    assert "A diagnosis looks into one law" in result.stderr


def test_a_law_that_cannot_split_a_budget_says_so(tmp_path: Path) -> None:
    path = runs_file(tmp_path, tokens=(1e10,))
    result = run("diagnose", path, "--law", "power", "--flops", "1e23", *FEW)
    assert result.exit_code == 2
    assert "no trade-off between size and tokens" in result.stderr


def test_published_constants_are_tested_against_the_runs(tmp_path: Path) -> None:
    # The runs were made by besiroglu2024; those of hoffmann2022 lie far off.
    words = ("diagnose", runs_file(tmp_path), "--flops", "1e23", *FEW)
    data = answer(*words, "--against", "besiroglu2024,hoffmann2022")["data"]["against"]
    assert data["besiroglu2024"]["likelihood_ratio_p"] > 0.05
    assert data["hoffmann2022"]["likelihood_ratio_p"] < 1e-6
    told = " ".join(run(*words, "--against", "hoffmann2022").stdout.split())
    assert "The runs refuse hoffmann2022" in told
    misspelt = run(*words, "--against", "hofmann2022")
    assert misspelt.exit_code != 0
    assert "hoffmann2022" in misspelt.stderr


def test_the_advice_is_in_the_json_twin_with_its_numbers(tmp_path: Path) -> None:
    words = ("diagnose", runs_file(tmp_path), "--params", "7B", "--tokens", "140B", *FEW)
    data = answer(*words)["data"]
    advice = data["advice"]
    assert advice["half_width"] > 0
    for one in (*advice["limits"], *advice["within_rule"]):
        assert {"name", "value", "unit", "fact", "effect", "told", "mend", "rule"} <= set(one)
    assert {one["kind"] for one in advice["one_more_run"]}
    assert [item["number"] for item in data["checklist"]] == list(range(1, 10))


def test_the_checklist_is_written_as_markdown(tmp_path: Path) -> None:
    words = ("diagnose", runs_file(tmp_path), "--flops", "1e23", *FEW, "--checklist")
    out = tmp_path / "checklist.md"
    result = run(*words, out)
    assert f"Wrote {out}." in result.stderr
    assert "1. **form and variables**: loss = E" in out.read_text()
    printed = run(*words, "-")
    assert printed.stdout == out.read_text()
    assert "Noise\n===" in printed.stderr
