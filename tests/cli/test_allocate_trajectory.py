"""A budget under a law of whole loss curves: size, batch and steps."""

from __future__ import annotations

import pytest

from tests.cli.program import answer, run


def test_kaplans_frontier_is_answered_with_batch_and_steps() -> None:
    data = answer("allocate", "kaplan2020-trajectory", "--flops", "8.64e19")["data"]
    assert data["loss"]["value"] == pytest.approx(2.694443, rel=1e-5)
    assert data["params_nonembed"]["value"] == pytest.approx(5.84408e8, rel=1e-5)
    assert data["steps_min"]["value"] == pytest.approx(13160.71, rel=1e-5)
    assert data["batch_tokens"]["value"] == pytest.approx(1.872263e6, rel=1e-5)


def test_unique_tokens_mean_nothing_to_a_trajectory() -> None:
    done = run("allocate", "kaplan2020-trajectory", "--flops", "1e20", "--tokens-unique", "1B")
    assert done.exit_code == 2
    assert "knows no repeated data" in done.stderr


def test_what_the_machines_cost_is_told_here_too() -> None:
    machines = ("--gpus", "8", "--gpu", "h100", "--mfu", "0.4", "--days", "2", "--price", "2")
    done = run("allocate", "kaplan2020-trajectory", *machines)
    assert "768.00 for 384 GPU-hours" in done.stdout
