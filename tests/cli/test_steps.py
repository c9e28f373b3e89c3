from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.fit.storage import write_fit
from tests.cli.program import answer, run
from tests.forecast.trajectory_runs import fitted

KAPLAN = ("steps", "kaplan2020-trajectory", "--params-nonembed", "1.5B")
MACHINES = ("--gpus", "64", "--gpu", "h100", "--mfu", "0.4")


@pytest.fixture
def fit(tmp_path: Path) -> Path:
    path = tmp_path / "fit.json"
    write_fit(fitted(), path)
    return path


def test_the_json_gives_the_numbers_of_the_published_table() -> None:
    data = answer(*KAPLAN, "--loss", "2.6", "--batch-tokens", "524288")["data"]
    assert data["reachable"] is True
    assert data["steps_min"]["value"] == pytest.approx(9225.18, rel=1e-5)
    assert data["tokens_min"]["value"] == pytest.approx(2.04706e10, rel=1e-5)
    assert data["critical_batch_tokens"]["value"] == pytest.approx(2.21899e6, rel=1e-5)
    assert data["at_critical"]["steps"]["value"] == pytest.approx(18450.4, rel=1e-5)
    assert data["at_batch"]["steps"]["value"] == pytest.approx(48269.7, rel=1e-5)
    assert data["steps_min"]["interval"] == [None, None]
    assert data["cheapest"] is None


def test_a_fit_gives_every_quantity_its_interval(fit: Path) -> None:
    data = answer("steps", fit, "--params-nonembed", "600M", "--loss", "2.9")["data"]
    names = ("floor", "steps_min", "tokens_min", "flops_min", "critical_batch_tokens")
    for name in (*names, "local_critical_batch_tokens"):
        low, high = data[name]["interval"]
        assert low < data[name]["value"] < high
    assert data["local_critical_batch_tokens"]["value"] > data["critical_batch_tokens"]["value"]
    assert data["at_batch"] is None
    assert len(data["frontier"]) == 41
    assert data["runs"] == 11
    assert data["extrapolation"]["params_nonembed"] == pytest.approx(10)


def test_machines_make_time_and_money_of_steps(fit: Path) -> None:
    words = ("steps", fit, "--params-nonembed", "600M", "--loss", "2.9", "--batch-tokens", "1M")
    data = answer(*words, *MACHINES, "--price", "2", "--days", "0.1")["data"]
    assert data["at_batch"]["gpus"] == 64
    cost = data["at_batch"]["days"]["value"] * 24 * 64 * 2
    assert data["at_batch"]["cost"]["value"] == pytest.approx(cost)
    assert data["cheapest"]["at_batch"]["days"]["value"] == pytest.approx(0.1)
    text = run(*words, *MACHINES, "--day-price", "1000", "--price", "2").stdout
    assert "Cheapest batch" in text
    assert "saves" in text
    assert "more compute" in " ".join(text.split())


def test_without_a_batch_the_machines_work_at_the_critical_one() -> None:
    data = answer(*KAPLAN, "--loss", "2.6", *MACHINES)["data"]
    assert data["at_critical"]["gpus"] == pytest.approx(64)


def test_a_loss_out_of_reach_is_answered_with_the_floor(fit: Path) -> None:
    words = ("steps", fit, "--params-nonembed", "1.5B", "--loss", "2.2")
    result = run(*words)
    assert result.exit_code == 2
    assert "Loss out of reach" in result.stdout
    assert "out of reach of 1.5B params_nonembed" in result.stderr
    data = answer(*words)["data"]
    assert data["reachable"] is False
    low, high = data["floor"]["interval"]
    assert 2.2 < low < data["floor"]["value"] < high
    assert data["smallest_size"] > 1.5e9


def test_a_deadline_that_no_batch_keeps_is_a_failed_gate_beside_the_trade_off() -> None:
    result = run(*KAPLAN, "--loss", "2.6", *MACHINES, "--days", "0.001")
    assert result.exit_code == 5
    assert "Trade-off of time against compute" in result.stdout
    assert "No batch reaches 2.6 nats/token within 0.001 days" in result.stderr


def test_total_params_are_converted_only_where_the_embeddings_are_known() -> None:
    words = ("steps", "kaplan2020-trajectory", "--loss", "2.6")
    refused = run(*words, "--params", "1.6B")
    assert refused.exit_code == 2
    assert "how many there are is not known" in refused.stderr
    data = answer(*words, "--params", "1.6B", "--params-embed", "100M")["data"]
    assert data["params_nonembed"] == 1.5e9


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (("--loss", "2.6"), "neither was given"),
        (("--loss", "2.6", "--params", "2B", "--params-nonembed", "1B"), "both were given"),
        (("--loss", "2.6", "--params-nonembed", "1B", "--params-embed", "1M"), "goes with --para"),
        (("--loss", "2.6", "--params", "1B", "--params-embed", "2B"), "cannot be part of params"),
        (("--loss", "2.6", "--params-nonembed", "0.5"), "less than one parameter"),
        (("--params-nonembed", "1B"), "Missing option '--loss'"),
        (("--loss", "nan", "--params-nonembed", "1B"), "is not a number"),
        (("--loss", "2.6", "--params-nonembed", "1B", "--gpus", "8"), "needs --gpu and --mfu"),
        (("--loss", "2.6", "--params-nonembed", "1B", "--days", "8"), "--days needs --gpus"),
        (("--loss", "2.6", "--params-nonembed", "1B", *MACHINES[:-1], "40"), "mfu=40 does not"),
        (
            ("--loss", "2.6", "--params-nonembed", "1B", *MACHINES, "--day-price", "9"),
            "--day-price needs --price",
        ),
        (
            ("--loss", "2.6", "--params-nonembed", "1B", "--gpus", "8", "--gpu", "x", "--mfu", "1"),
            "No accelerator named",
        ),
    ],
)
def test_a_question_that_is_not_one_is_a_usage_error(words: tuple[str, ...], fact: str) -> None:
    result = run("steps", "kaplan2020-trajectory", *words)
    assert result.exit_code == 2
    assert fact in result.stderr


def test_a_fit_of_another_law_is_refused() -> None:
    result = run("steps", "besiroglu2024", "--params-nonembed", "1B", "--loss", "2.6")
    assert result.exit_code == 2
    assert "A trajectory needs a fit of one of 'trajectory'" in result.stderr
