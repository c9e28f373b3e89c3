"""Learning rates by short runs: what is tried, what is chosen, and the rule through it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf, log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.runs.spec import RunSpec
from scalewise.train.progress import Progress
from scalewise.train.rates import CellRate, rate_rule, tune_rates
from scalewise.train.shape import shape_from_width
from tests.train.small_runs import small_spec, write_text


def best_rate(spec: RunSpec) -> float:
    return 0.001 * (spec.batch_tokens / 128) ** 0.5 * (spec.shape.d_model / 16) ** -0.4


class Simulated:
    """Stands in for train_all: a loss that is a parabola in the log of the rate."""

    def __init__(self, diverges_above: float = inf) -> None:
        self.calls: list[list[RunSpec]] = []
        self.diverges_above = diverges_above

    def __call__(self, specs: Sequence[RunSpec], folder: Path, **asked: Any) -> SimpleNamespace:
        self.calls.append(list(specs))
        folder.parent.mkdir(parents=True, exist_ok=True)
        rows = []
        for spec in specs:
            is_lost = spec.lr_peak > self.diverges_above
            loss = 2.0 + 0.1 * log(spec.lr_peak / best_rate(spec)) ** 2
            rows.append({"run_id": spec.run_id, "loss": None if is_lost else loss,
                         "status": "diverged" if is_lost else "ok"})  # fmt: skip
        return SimpleNamespace(rows=tuple(rows), unfinished=(), warnings=())


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    trainer = Simulated()
    monkeypatch.setattr("scalewise.train.rates.train_all", trainer)
    return trainer


def grid(lr_peak: float = 0.0015) -> list[RunSpec]:
    return [
        small_spec(
            run_id=f"d{width}-b{batch}-s{seed}",
            shape=shape_from_width(width, context_length=32),
            batch_tokens=batch,
            token_budgets=(1_024_000,),
            seed=seed,
            lr_peak=lr_peak,
        )
        for width in (16, 32)
        for batch in (128, 512)
        for seed in (0, 1)
    ]


def test_every_size_and_batch_gets_the_rate_of_least_loss(
    simulated: Simulated, tmp_path: Path
) -> None:
    search = tune_rates(grid(), tmp_path)
    assert [(c.d_model, c.batch_tokens) for c in search.cells] == [
        (16, 128), (16, 512), (32, 128), (32, 512),
    ]  # fmt: skip
    for spec in search.tuned(grid()):
        assert spec.lr_peak == pytest.approx(best_rate(spec), rel=1e-9)
    assert not any(cell.is_edge for cell in search.cells)
    assert {spec.seed for spec in simulated.calls[0]} == {0}


def test_models_of_one_width_and_several_depths_have_each_their_own_rate(
    simulated: Simulated, tmp_path: Path
) -> None:
    specs = [
        small_spec(run_id=f"l{layers}", lr_peak=rate,
                   shape=shape_from_width(16, n_layer=layers, context_length=32))
        for layers, rate in ((2, 0.001), (8, 0.0005))
    ]  # fmt: skip
    search = tune_rates(specs, tmp_path, widen=0)
    assert len({cell.params_nonembed for cell in search.cells}) == 2
    assert len(simulated.calls[0]) == len({spec.run_id for spec in simulated.calls[0]}) == 6
    assert {spec.shape.n_layer for spec in simulated.calls[0]} == {2, 8}


def test_trials_are_short_runs_at_constant_rate_of_averaged_weights(
    simulated: Simulated, tmp_path: Path
) -> None:
    tune_rates(grid(), tmp_path, share=0.1, least_updates=300)
    tried = simulated.calls[0]
    assert {spec.schedule for spec in tried} == {"constant"}
    assert all(spec.averaging > 0 for spec in tried)
    assert {(spec.batch_tokens, spec.steps) for spec in tried} == {(128, 800), (512, 300)}


def test_the_search_goes_on_beyond_an_edge_and_no_further_than_told(
    simulated: Simulated, tmp_path: Path
) -> None:
    spec = grid(lr_peak=0.004)[0]  # the best is two factors of two below
    search = tune_rates([spec], tmp_path)
    assert [len(call) for call in simulated.calls] == [3, 1, 1]
    assert search.cells[0].lr_peak == pytest.approx(0.001)
    assert not search.cells[0].is_edge
    stopped = tune_rates([grid(lr_peak=0.1)[0]], tmp_path, widen=1)
    assert stopped.cells[0].is_edge
    assert stopped.cells[0].lr_peak == pytest.approx(0.025)


def test_a_rate_that_diverges_is_passed_over(
    simulated: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated.diverges_above = 0.0025
    search = tune_rates([grid(lr_peak=0.0015)[0]], tmp_path)
    assert search.cells[0].trials[-1][1] == inf
    assert search.cells[0].lr_peak == pytest.approx(0.001, rel=0.5)
    simulated.diverges_above = 0.0
    with pytest.raises(UnfitDataError, match="Every rate tried for width 16 at batch 128 diverged"):
        tune_rates([grid()[0]], tmp_path)


def test_the_rule_is_the_power_law_of_size_and_batch(simulated: Simulated, tmp_path: Path) -> None:
    search = tune_rates(grid(), tmp_path)
    assert search.rule.batch_exponent == pytest.approx(0.5, rel=1e-9)
    larger = small_spec(
        shape=shape_from_width(64, context_length=32), batch_tokens=2048, token_budgets=(16_384,)
    )
    assert search.tuned([larger])[0].lr_peak == pytest.approx(best_rate(larger), rel=0.02)
    assert search.ruled(grid())[0].lr_peak == pytest.approx(0.001, rel=0.02)


def test_a_rule_from_one_size_leaves_the_size_out() -> None:
    cells = [
        CellRate(d_model=16, params_nonembed=6000, batch_tokens=batch, lr_peak=rate, loss=2.0,
                 trials=(), is_edge=False)
        for batch, rate in ((128, 0.001), (512, 0.002))
    ]  # fmt: skip
    rule = rate_rule(cells)
    assert rule.size_exponent == 0.0
    assert rule.batch_exponent == pytest.approx(0.5)
    assert rule.rate(params_nonembed=1e9, batch_tokens=2048) == pytest.approx(0.004)


def test_the_outcome_is_written_down(simulated: Simulated, tmp_path: Path) -> None:
    search = tune_rates(grid(), tmp_path)
    kept = json.loads((tmp_path / "rates.json").read_text())
    assert kept["rule"]["batch_exponent"] == search.rule.batch_exponent
    assert len(kept["cells"]) == 4


def test_a_trial_that_was_not_finished_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing = SimpleNamespace(rows=(), unfinished=(), warnings=())
    monkeypatch.setattr("scalewise.train.rates.train_all", lambda *a, **k: nothing)
    with pytest.raises(UnfitDataError, match="did not finish"):
        tune_rates(grid(), tmp_path)


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 2.0}, {"factor": 1.0}])
def test_impossible_searches_are_refused(wrong: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"share=.*factor="):
        tune_rates(grid(), tmp_path, **wrong)  # type: ignore[arg-type]


def test_real_trials_are_trained_once(tmp_path: Path) -> None:
    spec = small_spec(
        corpus=str(write_text(tmp_path / "words.txt")), token_budgets=(8_192,), warmup_steps=5
    )
    events: list[Any] = []
    settings: dict[str, Any] = {"executor": "inline", "least_updates": 20, "widen": 0}
    search = tune_rates([spec], tmp_path / "queue", **settings, on_progress=events.append)
    assert events
    again = tune_rates([spec], tmp_path / "queue", **settings, on_progress=_never)
    assert again == search
    assert search.cells[0].loss < log(256)


def test_one_unlucky_cell_does_not_tilt_the_rule() -> None:
    cells = [
        CellRate(d_model=16, params_nonembed=6000, batch_tokens=batch, loss=2.0, trials=(),
                 lr_peak=0.001 * (batch / 128) ** 0.5 * (8.0 if batch == 2048 else 1.0),
                 is_edge=False)
        for batch in (128, 256, 512, 1024, 2048)
    ]  # fmt: skip
    assert rate_rule(cells).batch_exponent == pytest.approx(0.5, abs=1e-3)


def _never(event: Progress) -> None:
    raise AssertionError(event)
