from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import answer, fit_file, run, runs_file

TARGET = ("--params", "7B", "--tokens", "2T")


def test_a_forecast_is_never_a_bare_number(tmp_path: Path) -> None:
    result = run("predict", fit_file(tmp_path), *TARGET)
    assert result.exit_code == 0
    for part in ("90% interval", "extrapolation ×", "from 20 runs"):
        assert part in result.stdout
    assert result.stderr == ""


def test_the_json_of_a_forecast_has_the_promised_keys(tmp_path: Path) -> None:
    whole = answer("predict", fit_file(tmp_path), *TARGET, "--level", "0.8")
    data = whole["data"]
    assert {"loss", "interval", "level", "extrapolation"} <= set(data)
    low, high = data["interval"]
    assert low < data["loss"] < high
    assert data["level"] == 0.8
    assert data["extrapolation"]["params"] == pytest.approx(7.0)
    assert data["given"] == {"params": 7e9, "tokens": 2e12}
    assert len(whole["provenance"]["data_sha256"]) == 64


def test_published_constants_predict_without_a_fit_and_claim_no_interval() -> None:
    whole = answer("predict", "besiroglu2024", "--params", "70B", "--tokens", "1.4T")
    assert whole["data"]["loss"] == pytest.approx(1.974, abs=5e-4)
    assert whole["data"]["interval"] == [None, None]
    assert "no runs behind them" in whole["warnings"][0]


def test_flops_and_params_give_the_tokens() -> None:
    by_tokens = answer("predict", "besiroglu2024", "--params", "1B", "--tokens", "20B")
    by_flops = answer("predict", "besiroglu2024", "--params", "1B", "--flops", "1.2e20")
    assert by_flops["data"]["loss"] == pytest.approx(by_tokens["data"]["loss"], rel=1e-12)


def test_a_law_of_non_embedding_parameters_refuses_the_total() -> None:
    result = run("predict", "kaplan2020-overfit", *TARGET)
    assert result.exit_code == 2
    assert "needs params_nonembed" in result.stderr


def test_a_wide_interval_fails_its_gate_after_being_printed(tmp_path: Path) -> None:
    fit = fit_file(tmp_path)
    result = run("predict", fit, *TARGET, "--max-interval", "0.0001")
    assert result.exit_code == 5
    assert "90% interval" in result.stdout
    assert "--max-interval is 0.0001" in result.stderr
    assert run("predict", fit, *TARGET, "--max-interval", "5").exit_code == 0


def test_the_level_in_a_broken_gate_is_not_rounded(tmp_path: Path) -> None:
    words = ("--level", "0.999", "--max-interval", "0.0001")
    assert "The 99.9% interval is" in run("predict", fit_file(tmp_path), *TARGET, *words).stderr


def test_a_far_forecast_fails_its_gate_and_names_the_column(tmp_path: Path) -> None:
    fit = fit_file(tmp_path)
    result = run("predict", fit, *TARGET, "--max-extrapolation", "10")
    assert result.exit_code == 5
    assert "flops lies" in result.stderr
    assert "--max-extrapolation is 10" in result.stderr
    near = ("--params", "2B", "--tokens", "64B")
    assert run("predict", fit, *near, "--max-extrapolation", "10").exit_code == 0


@pytest.mark.parametrize("gate", ["--max-interval", "--max-extrapolation"])
def test_constants_without_runs_keep_no_gate(gate: str) -> None:
    whole = answer("predict", "besiroglu2024", *TARGET, gate, "1e6")
    assert whole["error"]["exit_code"] == 5
    assert whole["data"]["loss"] > 0
    assert f"{gate} cannot be kept" in whole["error"]["message"]


def test_a_fit_that_is_not_identified_predicts_with_exit_4(tmp_path: Path) -> None:
    fit = tmp_path / "two.json"
    table = runs_file(tmp_path, sizes=(1e7, 1e8))
    assert run("fit", table, "--law", "chinchilla", "--out", fit).exit_code == 4
    whole = answer("predict", fit, *TARGET)
    assert whole["error"]["exit_code"] == 4
    assert whole["data"]["loss"] > 0


@pytest.mark.parametrize("level", ["0", "1", "1.5", "90%"])
def test_a_level_is_a_probability(tmp_path: Path, level: str) -> None:
    assert run("predict", fit_file(tmp_path), *TARGET, "--level", level).exit_code == 2


def test_an_unknown_name_lists_the_published_constants() -> None:
    result = run("predict", "hoffman2022", *TARGET)
    assert result.exit_code == 2
    assert "Did you mean 'hoffmann2022'?" in result.stderr


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": "scalewise.fit/99"}', '{"schema": "scalewise.fit/1"}']
)
def test_a_damaged_fit_file_exits_with_3(tmp_path: Path, content: str) -> None:
    path = tmp_path / "fit.json"
    path.write_text(content)
    result = run("predict", path, *TARGET)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "Hint: " in result.stderr


def test_a_damaged_fit_on_stdin_is_not_called_by_a_temporary_name() -> None:
    result = run("predict", "-", *TARGET, stdin="{")
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: standard input cannot be read as a fit")


@pytest.mark.parametrize(
    ("name", "given", "quantity", "value", "shown"),
    [
        ("deepseek2024-lr", ("--flops", "1e20"), "lr_peak", 9.860e-4, "lr_peak 0.00098"),
        ("minicpm2024-batch", ("--loss", "2.5"), "batch_tokens", 3.98e6, "3.98M tokens at"),
        ("kaplan2020-table-6-params", ("--flops", "8.64e22"), "params_nonembed", 2.01346e11,
         "params_nonembed 201B params at"),
        ("kaplan2020-tokens-needed", ("--params-nonembed", "1B"), "tokens", 2.2854e10,
         "Predicted tokens 22.9B at"),
    ],
)  # fmt: skip
def test_a_choice_is_predicted_under_its_own_name_and_unit(
    name: str, given: tuple[str, ...], quantity: str, value: float, shown: str
) -> None:
    assert answer("predict", name, *given)["data"][quantity] == pytest.approx(value, rel=1e-3)
    assert shown in run("predict", name, *given).stdout.replace("\n", " ")


def test_a_rate_that_would_be_negative_is_refused() -> None:
    result = run("predict", "kaplan2020-lr", "--params-nonembed", "20B")
    assert result.exit_code == 2
    assert "gives lr_peak = -6.98e-05 at up to params_nonembed=2e+10" in result.stderr


@pytest.mark.parametrize("idle", [("--steps", "5"), ("--loss", "3"), ("--tokens-unique", "1B"),
                                  ("--flops", "1e23")])  # fmt: skip
def test_an_input_that_no_law_takes_is_refused(idle: tuple[str, str]) -> None:
    result = run("predict", "besiroglu2024", *TARGET, *idle)
    assert result.exit_code == 2
    assert f"{idle[0]} would change nothing: the fit takes params, tokens" in result.stderr


def test_both_counts_of_params_may_be_given(tmp_path: Path) -> None:
    result = run("predict", fit_file(tmp_path), *TARGET, "--params-nonembed", "6B")
    assert result.exit_code == 0


@pytest.mark.parametrize(("flops", "times"), [("1e24", "11.9"), ("1e20", "0.00119")])
def test_compute_that_contradicts_size_and_tokens_is_refused(
    tmp_path: Path, flops: str, times: str
) -> None:
    fit = fit_file(tmp_path, law="power-flops")
    result = run("predict", fit, *TARGET, "--flops", flops)
    assert result.exit_code == 2
    said = f"flops={float(flops):g} is {times} times 6 * params * tokens: they contradict"
    assert said in " ".join(result.stderr.split())
    assert run("predict", fit, *TARGET, "--flops", "1e23").exit_code == 0
