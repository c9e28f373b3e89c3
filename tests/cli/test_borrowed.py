from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import answer, fit_file, run, runs_file, simulated_csv

TARGET = ("--params", "7B", "--tokens", "2T")


@pytest.fixture
def one_size(tmp_path: Path) -> Path:
    return runs_file(tmp_path, sizes=(1e8,))


def test_a_forecast_from_one_size_says_what_is_borrowed_and_from_whom(one_size: Path) -> None:
    result = run("predict", one_size, "--borrow", "families", *TARGET)
    assert result.exit_code == 0, result.stderr
    for part in ("90% interval", "of the interval's variance", "groups of public families",
                 "borrowed from", "default: checkpoints from 10%"):  # fmt: skip
        assert part in result.stdout


def test_the_json_of_a_borrowed_forecast_has_the_keys_of_any_and_its_provenance(
    one_size: Path,
) -> None:
    whole = answer("predict", one_size, "--borrow", "families", *TARGET, "--level", "0.8")
    data = whole["data"]
    low, high = data["interval"]
    assert low < data["loss"] < high
    assert data["level"] == 0.8
    assert data["given"] == {"params": 7e9, "tokens": 2e12}
    assert data["extrapolation"]["params"] == pytest.approx(70)
    assert 0 < data["borrowed_share"] < 1
    assert set(data["provenance"]) == set(data["constants"]) == {"E", "A", "B", "alpha", "beta"}
    assert whole["provenance"]["seed"] == 0
    assert len(whole["provenance"]["data_sha256"]) == 64


def test_a_family_that_is_left_out_changes_the_forecast(one_size: Path) -> None:
    every = answer("predict", one_size, "--borrow", "families", *TARGET)["data"]
    left = answer(
        "predict", one_size, "--borrow", "families", *TARGET, "--without", "gpt3,chinchilla"
    )["data"]
    assert every["loss"] != left["loss"]


def test_one_size_can_be_kept_of_many(tmp_path: Path) -> None:
    table = runs_file(tmp_path)
    refused = run("predict", table, "--borrow", "families", *TARGET)
    assert refused.exit_code == 4
    assert "There are 5 sizes: 10M, 30M, 100M, 300M, 1B" in refused.stderr
    kept = run("predict", table, "--borrow", "families", *TARGET, "--where", "params == 300M")
    assert kept.exit_code == 0


def test_published_constants_and_the_run_itself_can_be_borrowed(one_size: Path) -> None:
    named = answer("predict", one_size, "--borrow", "besiroglu2024", *TARGET)["data"]
    assert named["borrowed_share"] is None
    assert named["constants"]["alpha"] == 0.3478
    own = run("predict", one_size, "--borrow", "none", "--params", "100M", "--tokens", "200B")
    assert own.exit_code == 0
    assert "holds the size term too" in own.stdout


def test_a_gate_holds_for_a_borrowed_forecast_too(one_size: Path) -> None:
    words = ("predict", one_size, "--borrow", "families", *TARGET)
    assert run(*words, "--max-interval", "0.001").exit_code == 5
    assert run(*words, "--max-extrapolation", "2").exit_code == 5


def test_perplexities_are_not_taken_for_losses(one_size: Path) -> None:
    lines = one_size.read_text().splitlines()
    head, rows = lines[0], [line.rsplit(",", 1) for line in lines[1:]]
    one_size.write_text(
        "\n".join([head, *(f"{a},{2.718281828 ** float(b):.4f}" for a, b in rows)]) + "\n"
    )
    result = run("predict", one_size, "--borrow", "families", *TARGET)
    assert result.exit_code == 4
    assert "perplexity" in result.stderr


def test_options_of_a_run_table_mean_nothing_for_a_fit(tmp_path: Path) -> None:
    fit = fit_file(tmp_path)
    for words in (("--where", "params > 1"), ("--without", "gpt3"), ("--policy", "finals")):
        result = run("predict", fit, *TARGET, *words)
        assert result.exit_code == 2
        assert f"{words[0]} goes with --borrow" in result.stderr


def test_inputs_and_tasks_that_do_not_go_with_borrowing_are_refused(one_size: Path) -> None:
    words = ("predict", one_size, "--borrow", "families", *TARGET)
    assert "--batch-tokens does not go with --borrow" in run(*words, "--batch-tokens", "1M").stderr
    assert "--task does not go with --borrow" in run(*words, "--task", "acc").stderr


def test_a_fit_to_one_size_names_the_door(one_size: Path) -> None:
    for law in ("auto", "chinchilla"):
        result = run("fit", one_size, "--law", law)
        assert result.exit_code == 4
        if law == "auto":
            assert "scalewise predict RUNS --borrow families" in result.stderr


def test_a_table_comes_in_by_standard_input() -> None:
    text = simulated_csv(sizes=(1e8,))
    result = run("predict", "-", "--borrow", "families", *TARGET, stdin=text)
    assert result.exit_code == 0
    assert "from 4 runs" in result.stdout
