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
