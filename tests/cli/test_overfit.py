from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scalewise.laws.catalogue import published_named
from tests.cli.program import answer, run

KAPLAN = ("overfit", "kaplan2020-overfit")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit of the law to simulated runs, on disk."""
    folder = tmp_path_factory.mktemp("overfit")
    law, published = published_named("kaplan2020-overfit")
    rng = np.random.default_rng(0)
    lines = ["run_id,params_nonembed,tokens,loss"]
    for size in np.geomspace(1e6, 1e9, 5):
        for count in np.geomspace(3e7, 2e10, 5):
            loss = float(law.value(published.theta, N=size, D=count))
            noisy = loss * np.exp(0.002 * rng.standard_normal())
            lines.append(f"n{size:.0f}-d{count:.0f},{size:.0f},{count:.0f},{noisy:.5f}")
    (folder / "runs.csv").write_text("\n".join(lines) + "\n")
    path = folder / "fit.json"
    words = ("fit", folder / "runs.csv", "--law", "kaplan-overfit", "--bootstrap", 40)
    assert run(*words, "--out", path).exit_code == 0
    return path


def test_published_constants_give_the_published_tokens() -> None:
    data = answer(*KAPLAN, "--params-nonembed", "1B")["data"]
    assert data["tokens_needed"]["value"] == pytest.approx(2.4136e10, rel=1e-4)
    assert data["tokens_needed"]["interval"] == [None, None]
    assert data["excess"]["value"] == pytest.approx(0.02)


def test_a_data_set_has_its_excess_and_its_earliest_stop() -> None:
    words = (*KAPLAN, "--params-nonembed", "1B", "--tokens", "10B")
    data = answer(*words, "--batch-tokens", "512k")["data"]
    assert data["early_stop"]["steps_min"]["value"] == pytest.approx(42988.8, rel=1e-4)
    assert data["early_stop"]["steps"]["value"] > 42988.8
    shown = " ".join(run(*words).stdout.split())
    assert "1B params_nonembed need 24.1B distinct tokens" in shown
    assert "On 10B tokens the excess is 4.35%." in shown
    assert "lower bound" in shown


def test_a_fit_of_ones_own_gives_intervals(fitted: Path) -> None:
    words = ("overfit", fitted, "--params-nonembed", "1B", "--tokens", "10B")
    data = answer(*words)["data"]
    for name in ("tokens_needed", "excess", "loss"):
        low, high = data[name]["interval"]
        assert low < data[name]["value"] < high
    assert data["runs"] == 25
    assert data["early_stop"] is None
    assert "90% intervals" in run(*words).stdout
    laws = ("--steps-law", "kaplan2020-steps", "--batch-law", "kaplan2020-critical-batch-text")
    low, high = answer(*words, *laws)["data"]["early_stop"]["steps_min"]["interval"]
    assert low < high


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        ((), "The law counts params_nonembed; given: no size."),
        (("--params", "1B"), "The law counts params_nonembed; given: --params."),
        (("--params-nonembed", "1B", "--params", "2B"), "given: --params and --params-nonembed."),
        (("--params-nonembed", "1B", "--tokens", "0"), "--tokens='0' is zero."),
        (("--params-nonembed", "1B", "--tolerance", "-1"), "--tolerance"),
        (("--params-nonembed", "1B", "--level", "90"), "--level='90' is not a probability"),
        (("--params-nonembed", "1B", "--steps-law", "kaplan2020-steps"), "Without --batch-law"),
        (
            ("--params-nonembed", "1B", "--steps-law", "besiroglu2024", "--batch-law",
             "kaplan2020-critical-batch-text"),
            "A trajectory needs a fit of 'kaplan-steps'",
        ),
    ],
)  # fmt: skip
def test_a_question_that_is_none_is_a_usage_error(words: tuple[str, ...], fact: str) -> None:
    result = run(*KAPLAN, *words)
    assert result.exit_code == 2
    assert fact in result.stderr


def test_a_batch_without_its_laws_is_refused_for_a_fit_of_ones_own(fitted: Path) -> None:
    result = run("overfit", fitted, "--params-nonembed", "1B", "--batch-tokens", "512k")
    assert result.exit_code == 2
    assert "--batch-tokens has no use without --steps-law and --batch-law" in result.stderr


def test_another_law_is_refused() -> None:
    result = run("overfit", "besiroglu2024", "--params", "1B")
    assert result.exit_code == 2
    assert "'chinchilla' does not say what limited data cost a model" in result.stderr
