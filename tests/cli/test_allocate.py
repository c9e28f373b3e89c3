from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import answer, fit_file, run

BUDGET = ("--gpus", "512", "--gpu", "h100", "--mfu", "0.4", "--days", "14")


def test_the_json_of_an_allocation_gives_each_quantity_its_interval(tmp_path: Path) -> None:
    data = answer("allocate", fit_file(tmp_path), "--flops", "1e24")["data"]
    assert data["flops"]["value"] == 1e24
    for name in ("params", "tokens", "tokens_per_param", "loss"):
        low, high = data[name]["interval"]
        assert low <= data[name]["value"] <= high
        assert low < high
    assert 6 * data["params"]["value"] * data["tokens"]["value"] == pytest.approx(1e24)


def test_published_constants_allocate_as_published() -> None:
    data = answer("allocate", "besiroglu2024", "--flops", "5.76e23")["data"]
    assert data["tokens_per_param"]["value"] == pytest.approx(18.39, abs=0.005)
    assert data["params"]["interval"] == [None, None]


def test_a_budget_in_machines_is_turned_into_flops() -> None:
    data = answer("allocate", "besiroglu2024", *BUDGET)["data"]
    assert data["flops"]["value"] == pytest.approx(512 * 14 * 86400 * 989.4e12 * 0.4)
    assert data["gpu_hours"] == pytest.approx(512 * 14 * 24)
    assert data["cost"] is None


def test_a_price_makes_a_cost_that_is_shown() -> None:
    result = run("allocate", "besiroglu2024", *BUDGET, "--price", "2.1")
    assert "361,267.20 for 172,032 GPU-hours" in result.stdout
    assert "512 x NVIDIA H100 SXM5 at utilisation 0.4, 14 days" in result.stdout


def test_flops_have_a_price_once_the_machine_is_named() -> None:
    words = ("allocate", "besiroglu2024", "--flops", "1e24", "--price", "2")
    assert "Without --gpu and --mfu" in run(*words).stderr
    data = answer(*words, "--gpu", "h100", "--mfu", "0.4")["data"]
    assert data["cost"] == pytest.approx(2 * 1e24 / (989.4e12 * 0.4 * 3600))


@pytest.mark.parametrize(
    ("budget", "fact"),
    [
        ((), "neither was given"),
        (("--flops", "1e24", *BUDGET), "both were given"),
        (("--gpus", "8"), "Without --gpu and --mfu and --days"),
        (("--flops", "1e24", "--days", "3"), "--days goes with --gpus"),
        (("--gpus", "8", "--gpu", "h1000", "--mfu", "0.4", "--days", "1"), "No accelerator named"),
        (("--gpus", "8", "--gpu", "h100", "--mfu", "40", "--days", "1"), "does not lie in (0, 1]"),
        (("--flops", "0"), "--flops='0' is zero."),
    ],
)
def test_a_budget_that_is_not_one_is_a_usage_error(budget: tuple[str, ...], fact: str) -> None:
    result = run("allocate", "besiroglu2024", *budget)
    assert result.exit_code == 2
    assert fact in result.stderr


def test_a_law_without_a_trade_off_is_refused(tmp_path: Path) -> None:
    result = run("allocate", fit_file(tmp_path, law="power-flops"), "--flops", "1e24")
    assert result.exit_code == 2
    assert "trade" in result.stderr


def test_the_curve_along_compute_has_its_band(tmp_path: Path) -> None:
    fit = fit_file(tmp_path)
    curve = answer("allocate", fit, "--flops", "1e22")["data"]["curve"]
    assert [row["flops"] for row in curve] == pytest.approx([1e20, 1e21, 1e22, 1e23, 1e24])
    for row in curve:
        for name in ("params", "tokens", "tokens_per_param", "loss"):
            low, high = row[name]["interval"]
            assert low < row[name]["value"] < high
    text = run("allocate", fit, "--flops", "1e22").stdout
    assert "Along compute" in text
    assert "no one ratio holds at every budget" in " ".join(text.split())


SCARCE = ("allocate", "muennighoff2023", "--flops", "1e22", "--tokens-unique", "25B")


def test_scarce_tokens_are_repeated_and_the_epochs_told() -> None:
    data = answer(*SCARCE)["data"]
    assert data["params"]["value"] == pytest.approx(7.02616e9, rel=1e-5)
    assert data["epochs"]["value"] == pytest.approx(9.4884, abs=1e-4)
    assert data["unlimited"]["params"]["value"] == pytest.approx(9.2183e9, rel=1e-4)
    assert data["worth"]["value"] < data["epochs"]["value"]
    text = " ".join(run(*SCARCE).stdout.split())
    assert "Over 25B unique tokens, for 9.49 epochs, 1e22 FLOP are best spent on" in text


SERVED = ("allocate", "besiroglu2024", "--inference-tokens", "2T")
MACHINES = ("--gpu", "h100", "--mfu", "0.4", "--inference-mfu", "0.1")


def test_the_cheapest_model_to_serve_is_found_at_a_quality() -> None:
    data = answer(*SERVED, "--params-equivalent", "13B")["data"]
    assert data["params"]["value"] == pytest.approx(6.098e9, rel=1e-3)
    assert data["saving"]["value"] == pytest.approx(0.2896, abs=1e-4)
    assert data["compute_optimal"]["params"]["value"] == pytest.approx(13e9, rel=1e-5)
    by_loss = answer(*SERVED, "--loss", str(data["quality"]))["data"]
    assert by_loss["params"]["value"] == pytest.approx(data["params"]["value"], rel=1e-5)
    flops = data["compute_optimal"]["flops"]["value"]
    by_flops = answer(*SERVED, "--flops", f"{flops:.10e}")["data"]
    assert by_flops["params"]["value"] == pytest.approx(data["params"]["value"], rel=1e-5)


def test_a_fit_gives_the_cheapest_model_its_intervals(tmp_path: Path) -> None:
    words = ("allocate", fit_file(tmp_path), "--inference-tokens", "1T", "--flops", "1e21")
    data = answer(*words)["data"]
    for name in ("params", "tokens", "tokens_per_param", "loss", "flops", "saving"):
        low, high = data[name]["interval"]
        assert low < data[name]["value"] < high
    assert data["extrapolation"]["flops"] > 1
    assert "90% intervals" in " ".join(run(*words).stdout.split())


def test_machines_and_prices_make_hours_and_money() -> None:
    words = (*SERVED, "--params-equivalent", "13B", *MACHINES)
    hours = answer(*words)["data"]
    assert hours["money"] is None
    assert hours["serving_cost_per_flop"] == pytest.approx(4.0)
    data = answer(*words, "--price", "2", "--inference-price", "1")["data"]
    assert data["serving_cost_per_flop"] == pytest.approx(2.0)
    spent = 2 * data["gpu_hours"]["training"]["value"] + data["gpu_hours"]["serving"]["value"]
    assert data["money"]["value"] == pytest.approx(spent)
    assert data["money"]["value"] < data["compute_optimal"]["money"]["value"]
    text = run(*words, "--price", "2").stdout
    assert "GPU-hours" in text
    assert "in your currency" in " ".join(text.split())


def test_reading_prompts_is_cheaper_than_writing() -> None:
    words = (*SERVED, "--params-equivalent", "13B", *MACHINES)
    read = answer(*words, "--prompt-mfu", "0.4", "--input-share", "0.75")["data"]
    assert read["serving_cost_per_flop"] == pytest.approx(0.4 * (0.75 / 0.4 + 0.25 / 0.1))


def test_a_budget_in_machines_is_a_quality_too() -> None:
    data = answer(*SERVED, *BUDGET, "--inference-mfu", "0.1")["data"]
    flops = 512 * 14 * 86400 * 989.4e12 * 0.4
    assert data["compute_optimal"]["flops"]["value"] == pytest.approx(flops, rel=1e-5)


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (("--inference-tokens", "2T"), "No quality was given"),
        (("--inference-tokens", "2T", "--loss", "2", "--flops", "1e23"), "--loss and --flops were"),
        (("--flops", "1e23", "--loss", "2"), "--loss goes with --inference-tokens"),
        (("--flops", "1e23", "--inference-mfu", "0.1", "--input-share", "1"), "go with --infer"),
        (("--tokens-unique", "1B", "--inference-tokens", "2T", "--loss", "2"), "two questions"),
        (("--tokens-unique", "1B", "--flops", "1e22"), "does not know repeated data"),
        (("--inference-tokens", "2T", "--loss", "2", "--mfu", "0.4"), "Without --inference-mfu"),
        (("--inference-tokens", "2T", "--loss", "2", "--gpu", "h100"), "--mfu and --inference-mfu"),
        (("--inference-tokens", "2T", "--loss", "2", "--price", "2"), "--price needs --gpu"),
        (("--inference-tokens", "2T", "--loss", "2", "--inference-gpu", "l40s"), "needs --gpu"),
        (("--inference-tokens", "2T", "--loss", "2", "--days", "3"), "--days goes with --gpus"),
        (("--inference-tokens", "2T", "--gpus", "8"), "Without --gpu and --mfu and --days"),
        (("--inference-tokens", "2T", "--loss", "2", "--input-share", "0.5"), "Without --prompt"),
        (("--inference-tokens", "2T", "--loss", "2", "--input-share", "0.5", "--prompt-mfu", "1"),
         "Without --mfu and --inference-mfu"),
        (("--inference-tokens", "2T", "--loss", "2", "--inference-mfu", "40", "--mfu", "0.4"),
         "--inference-mfu=40 is above 1"),
        (("--inference-tokens", "2T", "--loss", "2", "--mfu", "40", "--inference-mfu", "0.1"),
         "--mfu=40 is above 1"),
        (("--inference-tokens", "2T", "--loss", "2", *MACHINES, "--inference-price", "1"),
         "--inference-price needs --price"),
        (("--inference-tokens", "2T", "--loss", "2", *MACHINES, "--price", "1",
          "--inference-gpu", "l40s"), "needs --inference-price"),
        (("--inference-tokens", "0", "--loss", "2"), "--inference-tokens='0' is zero"),
    ],
)  # fmt: skip
def test_options_that_contradict_each_other_are_usage_errors(
    words: tuple[str, ...], fact: str
) -> None:
    result = run("allocate", "besiroglu2024", *words)
    assert result.exit_code == 2
    assert fact in result.stderr


@pytest.mark.parametrize(
    ("loss", "fact"),
    [("1.5", "No model reaches a loss of 1.5"), ("50", "Models of fewer than 1000 params")],
)
def test_a_quality_that_no_model_has_exits_with_4(loss: str, fact: str) -> None:
    result = run(*SERVED, "--loss", loss)
    assert result.exit_code == 4
    assert fact in result.stderr
