"""Ladders: what is in them, how they are written down, and what they cost."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scalewise.core import counting
from scalewise.core.errors import RunDataError, UsageError
from scalewise.train import calibrate
from scalewise.train.corpus.embedded import embedded_manifest
from scalewise.train.cost import estimate_cost, training_flops_exact, wall_seconds
from scalewise.train.ladder import live_ladder, lr_peak_for, pilot_ladder, split_largest
from scalewise.train.ladder_file import ladder_from_fields, read_ladder
from scalewise.train.schedule import total_updates
from tests.train.small_runs import small_spec


def test_the_pilot_ladder_spans_a_hundredfold_in_size_with_repeated_seeds() -> None:
    runs = pilot_ladder()
    sizes = sorted({counting.params_nonembed(spec.shape) for spec in runs})
    assert len(sizes) == 8
    assert sizes[-1] / sizes[0] > 100
    by_size = [sum(spec.shape.d_model == width for spec in runs) for width in (16, 24, 32)]
    assert by_size == [3, 1, 2]
    assert len({spec.run_id for spec in runs}) == len(runs) == 11


def test_most_sizes_of_the_pilot_ladder_see_twenty_tokens_per_parameter() -> None:
    ratios = {s.shape.d_model: s.tokens / counting.params(s.shape) for s in pilot_ladder()}
    assert sum(ratio >= 20 for ratio in ratios.values()) == 6


@pytest.mark.parametrize("ladder", [pilot_ladder, live_ladder])
def test_no_ladder_repeats_the_embedded_corpus(ladder: Any) -> None:
    assert max(s.tokens for s in ladder()) < embedded_manifest()["train_bytes"] - 64
    assert all(t % s.batch_tokens == 0 for s in ladder() for t in s.token_budgets)


def test_the_largest_sizes_are_held_out_whole() -> None:
    fitted, target = split_largest(pilot_ladder(), 2)
    assert {spec.shape.d_model for spec in target} == {128, 176}
    assert {spec.shape.d_model for spec in fitted} == {16, 24, 32, 48, 64, 96}
    with pytest.raises(UsageError, match="Cannot hold out 8 of 8 model sizes"):
        split_largest(pilot_ladder(), 8)


def test_importing_a_ladder_or_its_cost_loads_no_torch() -> None:
    code = (
        "import scalewise.train.ladder, scalewise.train.cost, sys;"
        "print([m for m in ('torch', 'polars', 'pydantic', 'tokenizers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": ":".join(sys.path)})  # fmt: skip
    assert done.stdout == "[]\n"


def test_a_ladder_file_combines_widths_batches_and_seeds(tmp_path: Path) -> None:
    (tmp_path / "ladder.toml").write_text(
        """
        name = "mine"
        widths = [16, 32]
        token_budgets = ["1M", 500_000, "0.25M"]
        batch_tokens = [512, 2048]
        seeds = [0, 1, 2]
        corpus = "texts"
        tokenizer = "bpe-512"
        [shape]
        gated_mlp = true
        """
    )
    runs = read_ladder(tmp_path / "ladder.toml")
    assert len(runs) == len({spec.run_id for spec in runs}) == 12
    assert runs[0].run_id == "mine-d16-b512-s0"
    assert {spec.token_budgets for spec in runs} == {(250_000, 500_000, 1_000_000)}
    assert {spec.lr_peak for spec in runs} == {lr_peak_for(512), lr_peak_for(2048)}
    assert runs[0].shape.gated_mlp
    assert runs[0].shape.vocab_size == 512
    assert runs[0].corpus == str(tmp_path / "texts")
    assert runs[0].family == "mine"


def test_a_scan_adds_batch_sizes_for_some_widths_and_repeats_no_run(tmp_path: Path) -> None:
    (tmp_path / "ladder.toml").write_text(
        """
        name = "scan"
        widths = [16, 32]
        token_budgets = ["1M"]
        batch_tokens = [1024]
        schedule = "constant"
        averaging = 0.1
        stop_loss = 1.5
        noise_every = 50
        eval_points = 50
        batch_stages = [[256, 100]]
        [scan]
        widths = [32]
        batch_tokens = [256, 1024, 4096]
        token_budgets = ["1M", "2M"]
        """
    )
    runs = read_ladder(tmp_path / "ladder.toml")
    names = {(spec.shape.d_model, spec.batch_tokens, spec.tokens) for spec in runs}
    assert names == {(16, 1024, 10**6)} | {
        (32, batch, tokens) for batch in (256, 1024, 4096) for tokens in (10**6, 2 * 10**6)
    }
    assert len(runs) == len({spec.run_id for spec in runs}) == len(names)
    assert runs[0].run_id == "scan-d16-b1024-t1000000-s0"
    assert (runs[0].averaging, runs[0].stop_loss, runs[0].noise_every) == (0.1, 1.5, 50)
    assert runs[0].batch_stages == ((256, 100),)


def test_schedules_without_branches_take_one_run_per_budget(tmp_path: Path) -> None:
    fields = {"name": "c", "widths": [16], "token_budgets": [10_240, 20_480]}
    runs = ladder_from_fields(fields | {"schedule": "cosine"}, folder=tmp_path)
    assert [(r.run_id, r.token_budgets) for r in runs] == [
        ("c-d16-t10240-s0", (10_240,)),
        ("c-d16-t20480-s0", (20_480,)),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": [16]}, "Ladder field 'width': Extra inputs are not permitted"),
        ({"warmup_step": 4}, "Did you mean 'warmup_steps'"),
        ({"scan": {"width": [16]}}, "Did you mean 'widths'.*: widths, batch_tokens, token_budgets"),
        ({"lr_peak": 0.0}, "lr_peak=0.0"),
        ({"seeds": [-1]}, "Ladder field 'seeds.0': Input should be greater than or equal to 0"),
        ({"token_budgets": [float("inf")]}, "token_budgets='inf' is not a number"),
        ({"widths": []}, "Ladder field 'widths': List should have at least 1 item"),
        ({"schedule": "sawtooth"}, "Ladder field 'schedule': Input should be 'constant'"),
        ({"shape": {"n_layer": 3}}, r"Ladder field 'shape.n_layer': Extra inputs"),
        ({"beta2": 1.5}, "Ladder field 'beta2': Input should be less than 1; it is 1.5"),
        ({"tokenizer": "words"}, "No tokenizer named 'words'"),
        ({"scan": {"widths": [16]}}, "Ladder field 'scan.batch_tokens': Field required"),
        ({"batch_stages": [[512]]}, "Ladder field 'batch_stages.0.1': Field required"),
        ({"stop_loss": 2.0}, "Only a run at 'constant' rate"),
        ({"widths": [15]}, "A width of 15 cannot be split"),
        ({"token_budgets": ["lots"]}, "lots"),
    ],
)
def test_a_ladder_with_a_wrong_field_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    fields = {"name": "mine", "widths": [16], "token_budgets": ["1M"]}
    with pytest.raises(UsageError, match=message):
        ladder_from_fields(fields | change, folder=tmp_path)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ladder.toml").write_text("widths = [16")
    with pytest.raises(RunDataError, match="Cannot read ladder"):
        read_ladder(tmp_path / "ladder.toml")


def test_a_cost_counts_every_update_and_grows_with_the_model() -> None:
    costs = estimate_cost(pilot_ladder()[:8])
    assert [cost.cpu_seconds for cost in costs] == sorted(cost.cpu_seconds for cost in costs)
    spec = small_spec()
    (cost,) = estimate_cost([spec])
    assert cost.updates == total_updates(spec)
    assert cost.flops == training_flops_exact(spec)
    (fast,) = estimate_cost([spec], speed=2.0)
    assert fast.cpu_seconds == cost.cpu_seconds / 2
    (longer,) = estimate_cost([replace(spec, token_budgets=(*spec.token_budgets, 32_768))])
    assert longer.cpu_seconds > cost.cpu_seconds


def test_the_live_ladder_is_meant_for_four_minutes_of_two_cores() -> None:
    fitted, target = split_largest(live_ladder(), 1)
    first, then = estimate_cost(fitted), estimate_cost(target)
    assert wall_seconds(first, workers=2) + wall_seconds(then, workers=2) < 200


def test_two_workers_wait_for_the_longest_run() -> None:
    costs = estimate_cost(pilot_ladder())
    total = sum(cost.cpu_seconds for cost in costs)
    longest = max(cost.cpu_seconds for cost in costs)
    assert wall_seconds(costs, workers=1) == pytest.approx(total)
    assert max(total / 2, longest) <= wall_seconds(costs, workers=2) < total
    assert wall_seconds(costs, workers=100) == longest


def test_a_speed_is_measured_against_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "SECONDS", 0.01)
    monkeypatch.setattr(calibrate, "step_seconds", lambda spec: 1e6)
    assert 1e6 < calibrate.measured_speed() < 1e12
