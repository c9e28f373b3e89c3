from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scalewise.fit.storage import read_fit
from scalewise.laws.catalogue import published_named
from tests.cli.program import answer, fit_file, run, runs_file, simulated_csv
from tests.shared_data import shared_table

TWO_SIZES = simulated_csv(sizes=(1e7, 1e8), tokens=(1e9, 4e9, 1.6e10))


def test_a_fit_prints_its_card_and_tells_what_it_assumed_on_stderr(tmp_path: Path) -> None:
    result = run("fit", runs_file(tmp_path), "--law", "chinchilla", "--bootstrap", 40)
    assert result.exit_code == 0
    for part in ("Fit of chinchilla", "alpha", "90% low", "CONVERGED", "huber-log"):
        assert part in result.stdout
    assert "assumed: flops = 6 * params * tokens" in result.stderr
    assert "assumed:" not in result.stdout


def test_the_json_of_a_fit_has_the_promised_keys(tmp_path: Path) -> None:
    table = runs_file(tmp_path)
    whole = answer("fit", table, "--law", "chinchilla", "--bootstrap", 40, "--seed", 7)
    assert set(whole) == {"schema", "command", "ok", "data", "warnings", "provenance"}
    assert (whole["schema"], whole["command"], whole["ok"]) == ("scalewise/1", "fit", True)
    data = whole["data"]
    assert {"law", "theta", "objective", "status", "points", "runs", "intervals"} <= set(data)
    assert data["theta"]["alpha"] == pytest.approx(0.3478, rel=0.1)
    low, high = data["intervals"]["alpha"]
    assert low < data["theta"]["alpha"] < high
    assert whole["provenance"]["seed"] == 7
    assert len(whole["provenance"]["data_sha256"]) == 64


def test_the_same_seed_gives_the_same_answer_to_the_byte(tmp_path: Path) -> None:
    words = ("fit", runs_file(tmp_path), "--law", "chinchilla", "--bootstrap", 20, "--json")
    assert run(*words).stdout == run(*words).stdout


def test_the_law_is_chosen_by_backtest_unless_it_is_named(tmp_path: Path) -> None:
    whole = answer("fit", runs_file(tmp_path), "--bootstrap", 20)
    assert whole["ok"]
    assert sum(member["weight"] for member in whole["data"]["combined"]) == pytest.approx(1.0)
    assert any("Backtested" in warning for warning in whole["warnings"])


def test_what_belongs_to_one_law_is_refused_with_auto(tmp_path: Path) -> None:
    result = run("fit", runs_file(tmp_path), "--fix", "E=1.8")
    assert result.exit_code == 2
    assert "cannot be used with law 'auto'" in result.stderr


def test_a_formula_is_a_law(tmp_path: Path) -> None:
    whole = answer("fit", runs_file(tmp_path), "--law", "E + A / tokens**beta", "--bootstrap", 0)
    assert whole["data"]["formula"] == "E + A / tokens**beta"
    assert set(whole["data"]["theta"]) == {"E", "A", "beta"}


def test_a_formula_that_is_more_than_arithmetic_is_refused(tmp_path: Path) -> None:
    result = run("fit", runs_file(tmp_path), "--law", "E + __import__('os').getpid() / params")
    assert result.exit_code == 2
    assert "not allowed in a formula" in result.stderr


def test_constants_are_held_and_bounded(tmp_path: Path) -> None:
    words = ("fit", runs_file(tmp_path), "--law", "chinchilla", "--bootstrap", 0)
    data = answer(*words, "--fix", "E=1.8", "--bound", "alpha=0.1:0.2")["data"]
    assert data["theta"]["E"] == 1.8
    assert data["theta"]["alpha"] == pytest.approx(0.2)
    assert data["at_bound"] == ["alpha"]


def test_an_unknown_constant_is_a_usage_error(tmp_path: Path) -> None:
    words = ("fit", runs_file(tmp_path), "--law", "chinchilla", "--fix", "gamma=1")
    assert run(*words).exit_code == 2


def test_rows_are_selected_and_columns_mapped(tmp_path: Path) -> None:
    path = tmp_path / "foreign.csv"
    path.write_text(simulated_csv().replace("params", "size").replace("loss", "score"))
    whole = answer(
        "fit", path, "--law", "chinchilla", "--bootstrap", 0,
        "--map", "params=size,loss=score", "--where", "params < 500M",
    )  # fmt: skip
    assert whole["data"]["points"] == 16


def test_the_mapping_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "foreign.csv"
    path.write_text(simulated_csv().replace("params", "N"))
    told = run("fit", path, "--law", "chinchilla", "--bootstrap", 0).stderr
    assert "  params <- N" in told


def test_a_fit_of_two_sizes_exits_with_4_and_is_printed_all_the_same() -> None:
    result = run("fit", "-", "--law", "chinchilla", stdin=TWO_SIZES)
    assert result.exit_code == 4
    assert "NOT_IDENTIFIED" in result.stdout
    assert "do not determine every constant" in result.stderr
    whole = answer("fit", "-", "--law", "chinchilla", stdin=TWO_SIZES)
    assert whole["ok"] is False
    assert whole["error"]["exit_code"] == 4
    assert whole["data"]["status"] == "not_identified"


def test_fewer_points_than_constants_exit_with_4() -> None:
    result = run("fit", "-", "--law", "chinchilla", stdin="params,tokens,loss\n1e6,2e7,4.1\n")
    assert result.exit_code == 4
    assert "5 free constants" in result.stderr


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_table_comes_in_on_stdin_whatever_its_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"tidy.{ending}"
    run("runs", runs_file(tmp_path), "--out", path)
    words = ("fit", "-", "--law", "chinchilla", "--bootstrap", 0)
    whole = answer(*words, stdin=path.read_text())
    assert whole["data"]["points"] == 20
    assert "from standard input" in run(*words, stdin=path.read_text()).stderr


def test_a_fit_file_holds_the_fit_that_was_printed(tmp_path: Path) -> None:
    fit = read_fit(fit_file(tmp_path))
    data = answer("fit", tmp_path / "runs.csv", "--law", "chinchilla", "--bootstrap", 40)["data"]
    assert dict(fit.theta) == data["theta"]


def test_a_fit_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = fit_file(tmp_path)
    before = path.read_bytes()
    words = ("fit", tmp_path / "runs.csv", "--law", "chinchilla", "--out", path)
    run(*words, "--bootstrap", 10)
    assert path.read_bytes() != before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".scalewise")] == []


def test_out_dash_puts_the_fit_file_on_stdout_and_the_card_on_stderr(tmp_path: Path) -> None:
    words = ("fit", runs_file(tmp_path), "--law", "chinchilla", "--bootstrap", 20, "--out", "-")
    result = run(*words)
    assert json.loads(result.stdout)["schema"].startswith("scalewise.fit/")
    assert "Fit of chinchilla" in result.stderr
    piped = answer("predict", "-", "--params", "7B", "--tokens", "2T", stdin=result.stdout)
    assert piped["data"]["runs"] == 20


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    words = ("fit", runs_file(tmp_path), "--law", "chinchilla", "--bootstrap", 0)
    result = run(*words, "--out", tmp_path / "absent" / "fit.json")
    assert result.exit_code == 2
    assert "Cannot write" in result.stderr


def test_the_certified_optimum_is_reached_on_the_240_public_points() -> None:
    points = shared_table("chinchilla_epoch/points.parquet")
    words = ("fit", points, "--law", "chinchilla", "--bootstrap", 0, "--where", "loss < 3.4469")
    data = answer(*words)["data"]
    assert data["points"] == 240
    assert data["objective"]["value"] == pytest.approx(0.00101827402, abs=1e-9)


def test_optima_need_no_loss_where_the_law_predicts_another_choice(tmp_path: Path) -> None:
    table = tmp_path / "optima.csv"
    rows = [f"{n},{0.5 * n**-0.3}" for n in (1e7, 3e7, 1e8, 3e8)]
    table.write_text("params,lr_peak\n" + "\n".join(rows) + "\n")
    whole = answer("fit", table, "--law", "lr-by-params", "--bootstrap", "0")
    assert whole["data"]["theta"] == pytest.approx({"k": 0.5, "p": 0.3}, rel=1e-4)
    assert not any("no loss" in warning for warning in whole["warnings"])
    assert answer("fit", table, "--law", "lr_peak = k / N**p", "--bootstrap", "0")["ok"]
    refused = run("fit", table, "--law", "power")
    assert refused.exit_code == 4
    assert "no loss" in refused.stderr


def test_a_fixed_constant_is_a_number_or_a_published_name(tmp_path: Path) -> None:
    result = run("fit", runs_file(tmp_path), "--law", "chinchilla", "--fix", "alpha=nosuch2024")
    assert result.exit_code == 2
    assert "neither a number nor the name of a published set" in result.stderr


def curves_file(folder: Path, *, tokens: tuple[float, ...] = (2e10,)) -> Path:
    """Curves of six sizes, all of the same lengths."""
    law, published = published_named("besiroglu2024")
    lines = ["run_id,params,tokens,loss,is_final"]
    for i, size in enumerate(np.geomspace(1e7, 1e9, 6)):
        for length in tokens:
            for seen in np.geomspace(length / 20, length, 8):
                loss = float(law.value(published.theta, N=size, D=seen))
                lines.append(f"r{i}-{length:g},{size:.0f},{seen:.0f},{loss:.5f},{seen == length}")
    path = folder / "curves.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("words", "moot", "told"),
    [
        ((), ("one value of tokens", "unfinished checkpoints"), ()),
        (("--law", "power"), ("unfinished checkpoints",), ("one value of tokens",)),
        (("--law", "chinchilla", "--rows", "all"), ("one value of tokens",),
         ("unfinished checkpoints", "use --rows finals")),
    ],
)  # fmt: skip
def test_warnings_are_of_the_rows_that_are_fitted(
    tmp_path: Path, words: tuple[str, ...], moot: tuple[str, ...], told: tuple[str, ...]
) -> None:
    stderr = run("fit", curves_file(tmp_path), *words, "--bootstrap", 20).stderr
    assert not [name for name in moot if name in stderr]
    assert not [name for name in told if name not in stderr]


def test_a_backtest_of_curves_does_not_warn_of_what_finals_lack(tmp_path: Path) -> None:
    result = run("backtest", curves_file(tmp_path), "--laws", "chinchilla")
    assert result.exit_code == 0, result.stderr
    assert "Warning" not in result.stderr
