from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from scalewise.core.counting import params, params_nonembed
from scalewise.report.card import Card
from scalewise.runs.read import read_runs
from scalewise.runs.spec import RunSpec
from scalewise.runs.table import RunTable
from tests.cli.program import answer, run, runs_file


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunTable:
    """A simulated table in the place of the embedded one, where the demo will leave its page."""
    table = read_runs(runs_file(tmp_path, sizes=(1e7, 2e7, 4e7, 8e7, 1.6e8, 3.2e8, 6.4e8)))
    monkeypatch.setattr("scalewise.runs.example.settled_runs", lambda: table)
    monkeypatch.chdir(tmp_path)
    return table


@pytest.mark.usefixtures("example")
def test_the_demo_walks_from_the_runs_to_the_allocation(tmp_path: Path) -> None:
    result = run("demo")
    assert result.exit_code == 0
    for chapter in (
        "Runs\n====", "Health of the runs\n====", "Backtest\n====", "Fit of ",
        "Compute-optimal allocation\n====",
    ):  # fmt: skip
        assert chapter in result.stdout
    for law in ("auto", "chinchilla", "overtraining", "best seen", "most compute"):
        assert f"\n{law} " in result.stdout
    page = tmp_path / "scalewise-demo.html"
    assert page.as_uri() in result.stderr
    assert page.read_text().count("<svg") >= 3


def test_the_forecast_of_the_held_out_models_stands_beside_what_they_reached(
    example: RunTable,
) -> None:
    whole = answer("demo")
    data = whole["data"]
    assert data["held_out_sizes"] == [3.2e8, 6.4e8]
    assert len(data["fitted_sizes"]) == 5
    points = data["auto"]["points"]
    assert len(points) == 8
    assert all({"measured", "predicted", "low", "high", "inside"} <= set(p) for p in points)
    tried = {score["law"] for score in data["scores"]}
    assert {"auto", "chinchilla", "best seen", "most compute"} <= tried
    assert whole["provenance"]["data_sha256"] == example.sha256


def test_the_embedded_example_is_forecast_within_two_percent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = answer("demo")["data"]
    assert data["auto"]["mean_abs_error"] < min(0.02, data["seed_noise"])
    longest = [p for p in data["auto"]["points"] if p["tokens"] == 8_192_000]
    assert len(longest) == 2
    assert all(abs(p["relative_error"]) < 0.01 and p["inside"] for p in longest)
    assert data["auto"]["coverage"] >= 0.85


def test_live_without_torch_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    result = run("demo", "--live", "--json")
    assert result.exit_code == 2
    assert "pip install 'scalewise[train]'" in json.loads(result.stdout)["error"]["hint"]
    assert list(tmp_path.iterdir()) == []


def test_live_shows_its_forecast_before_it_trains_what_it_forecasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story: list[str] = []
    forecasts: list[float] = []

    def trained(
        specs: Sequence[RunSpec], folder: Path, *, workers: int
    ) -> tuple[RunTable, tuple[()], tuple[()]]:
        story.append(f"train up to {max(spec.shape.d_model for spec in specs)}")
        return read_runs(_as_if_trained(specs)), (), ()

    def told(cards: Sequence[Card], **_: object) -> None:
        story.append("forecast")
        heads = [column.name for column in cards[0].table.columns]
        forecasts.extend(float(str(row[heads.index("loss")])) for row in cards[0].table.rows)

    monkeypatch.setattr("scalewise.cli.live.train_specs", trained)
    monkeypatch.setattr("scalewise.cli.live.print_cards", told)
    whole = answer("demo", "--live", "--out", tmp_path / "live.html")
    assert story == ["train up to 48", "forecast", "train up to 64"]
    # The forecast that is scored is the one that was shown.
    assert [p["predicted"] for p in whole["data"]["auto"]["points"]] == pytest.approx(forecasts)


def _as_if_trained(specs: Sequence[RunSpec]) -> list[dict[str, object]]:
    """One finished model per token budget, on a made-up law with made-up noise."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for spec in specs:
        size = params(spec.shape)
        for tokens in spec.token_budgets:
            loss = 0.8 + 30 / size**0.4 + 90 / tokens**0.4
            rows.append(
                {
                    "run_id": spec.run_id,
                    "params": size,
                    "params_nonembed": params_nonembed(spec.shape),
                    "tokens": tokens,
                    "loss": float(loss * np.exp(0.003 * rng.standard_normal())),
                }
            )
    return [row | {"is_final": True} for row in rows]
