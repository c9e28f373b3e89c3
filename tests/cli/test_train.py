from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scalewise.core.shape import ModelShape
from scalewise.runs.spec import RunSpec
from scalewise.runs.spec_file import specs_to_toml
from scalewise.train.progress import Progress
from scalewise.train.rates import RateRule, RateSearch
from tests.cli.program import answer, run, simulated_csv

SHAPE = ModelShape(d_model=16, n_layer=2, n_head=2, vocab_size=256, context_length=64)
SPEC = RunSpec(
    run_id="tiny",
    shape=SHAPE,
    token_budgets=(2048, 4096),
    batch_tokens=256,
    lr_peak=0.005,
    eval_tokens=4096,
    eval_points=3,
    warmup_steps=2,
)


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    """Two planned runs in a file."""
    path = tmp_path / "ladder.toml"
    path.write_text(specs_to_toml([SPEC, replace(SPEC, run_id="other", seed=1)]))
    return path


class Trainer:
    """Stands in for train_all: notes what it was asked, and ends as it is told to."""

    def __init__(
        self,
        *unfinished: Progress,
        warnings: tuple[str, ...] = (),
        superseded: tuple[str, ...] = (),
        tokens_unique: float = 1e12,
    ) -> None:
        self.unfinished = unfinished
        self.warnings = warnings
        self.superseded = superseded
        self.tokens_unique = tokens_unique
        self.asked: dict[str, Any] = {}

    def __call__(self, specs: Sequence[RunSpec], folder: Path, **asked: Any) -> SimpleNamespace:
        self.asked = {"specs": specs, "folder": folder, **asked}
        asked["on_progress"](
            Progress(run_id="tiny", status="ok", updates=16, total_updates=16, loss=3.2)
        )
        folder.mkdir(exist_ok=True)
        path = folder / "runs.jsonl"
        header, *lines = simulated_csv(sizes=(1e6,)).splitlines()
        names = header.split(",")
        rows = [
            dict(zip(names, line.split(","), strict=True)) | {"tokens_unique": self.tokens_unique}
            for line in lines
        ]
        path.write_text("\n".join(str(row).replace("'", '"') for row in rows))
        return SimpleNamespace(
            path=path, rows=tuple(rows), unfinished=self.unfinished, warnings=self.warnings,
            superseded=self.superseded,
        )  # fmt: skip


def trained_by(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    monkeypatch.setattr("scalewise.train.executor.train_all", trainer)
    return trainer


def test_a_dry_run_shows_the_plan_and_trains_nothing(ladder: Path, tmp_path: Path) -> None:
    result = run("train", ladder, "--dry-run")
    assert result.exit_code == 0
    assert "2 runs would be trained, on 2 quiet CPU cores in about" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["ladder.toml"]
    planned = answer("train", ladder, "--dry-run")["data"]["planned"]
    assert [spec["run_id"] for spec in planned] == ["tiny", "other"]
    assert planned[0]["flops"] == pytest.approx(6 * planned[0]["params"] * 4096)


def test_the_trainer_is_given_the_plan_and_the_folder_of_its_name(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = trained_by(Trainer(), monkeypatch)
    whole = answer("train", ladder, "--workers", 3)
    assert whole["ok"]
    assert [spec.run_id for spec in trainer.asked["specs"]] == ["tiny", "other"]
    assert trainer.asked["folder"] == Path("ladder-runs")
    assert (trainer.asked["workers"], trainer.asked["executor"]) == (3, "local")
    assert whole["data"]["table"]["rows"] == 4
    assert Path(whole["data"]["out"]).exists()


def test_rates_are_tuned_first_and_told_in_a_card_and_in_the_object(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    trainer = trained_by(Trainer(), monkeypatch)

    def tried(specs: Sequence[RunSpec], folder: Path, **asked: Any) -> SimpleNamespace:
        (folder.parent).mkdir(parents=True, exist_ok=True)
        rows = [{"run_id": s.run_id, "status": "ok", "loss": 2 + s.lr_peak} for s in specs]
        return SimpleNamespace(rows=rows, unfinished=(), warnings=())

    monkeypatch.setattr("scalewise.train.rates.train_all", tried)
    whole = answer("train", ladder, "--tune-lr", "--out", tmp_path / "queue")
    rates = whole["data"]["rates"]
    assert [len(cell["trials"]) for cell in rates["cells"]] == [5]
    assert {spec.lr_peak for spec in trainer.asked["specs"]} == {0.005 / 8}
    assert "the best rate, 0.000625, is at the edge of those tried" in whole["warnings"][0]
    told = run("train", ladder, "--tune-lr", "--out", tmp_path / "queue").stdout
    assert "5 short runs chose the peak learning rate of 1 model and batch size" in told


def test_progress_is_told_on_stderr_and_the_table_on_stdout(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_by(Trainer(), monkeypatch)
    result = run("train", ladder, "--out", tmp_path / "queue")
    assert "tiny: ok, 16 of 16 updates, loss 3.2000" in result.stderr
    assert "Runs\n====" in result.stdout
    assert "updates" not in result.stdout


def test_nodes_that_were_left_out_are_told_and_in_the_json(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = "Node 10.0.0.2 is left out: torch is needed to train models."
    trained_by(Trainer(warnings=(left_out,)), monkeypatch)
    words = ("train", ladder, "--out", tmp_path / "runs")
    assert f"Warning: {left_out}" in run(*words).stderr
    assert answer(*words)["warnings"] == [left_out]


def test_runs_of_another_plan_and_data_seen_twice_are_told(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_by(Trainer(superseded=("tiny",), tokens_unique=1e6), monkeypatch)
    other_plan, repeated = answer("train", ladder, "--out", tmp_path / "runs")["warnings"]
    assert other_plan.startswith("'tiny' was also trained by another plan into this folder")
    assert repeated.startswith("Runs saw their corpus up to ")


def test_nodes_that_rate_trials_left_out_are_told_once(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = "Node 10.0.0.2 is left out: torch is needed to train models."
    trained_by(Trainer(warnings=(left_out,)), monkeypatch)
    search = RateSearch(
        cells=(), rule=RateRule(scale=1e-3, batch_exponent=0.0, size_exponent=0.0),
        warnings=(left_out,),
    )  # fmt: skip
    monkeypatch.setattr("scalewise.train.rates.tune_rates", lambda *_, **__: search)
    whole = answer("train", ladder, "--tune-lr", "--out", tmp_path / "runs")
    assert whole["warnings"] == [left_out]


def test_a_diverged_run_is_a_result_with_a_warning(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Progress(run_id="other", status="diverged", updates=3, total_updates=16)
    trained_by(Trainer(event), monkeypatch)
    whole = answer("train", ladder, "--out", tmp_path / "queue")
    assert whole["ok"]
    assert whole["warnings"] == ["other diverged."]


def test_a_run_that_could_not_be_finished_exits_with_4_and_says_how_to_go_on(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Progress(run_id="other", status="crashed", updates=0, total_updates=16, detail="boom")
    trained_by(Trainer(event), monkeypatch)
    result = run("train", ladder, "--out", tmp_path / "queue")
    assert result.exit_code == 4
    assert "1 of 2 runs did not finish: other." in result.stderr
    assert "goes on where they were left" in result.stderr
    assert "Runs\n====" in result.stdout


def test_without_torch_the_extra_is_named(ladder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("train", ladder)
    assert result.exit_code == 2
    assert "pip install 'scalewise[train]'" in result.stderr


def test_a_plan_that_is_missing_or_misspelt_is_refused(tmp_path: Path, ladder: Path) -> None:
    assert run("train", tmp_path / "absent.toml").exit_code == 3
    ladder.write_text(ladder.read_text().replace("lr_peak", "lr_peek", 1))
    result = run("train", ladder)
    assert result.exit_code == 2
    assert "Did you mean 'lr_peak'?" in result.stderr


def test_real_runs_are_trained_once_and_read_the_second_time(ladder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(60):
        (texts / f"{number}.txt").write_text(f"text {number} says: " + "so it goes. " * 200)
    ladder.write_text(ladder.read_text().replace('corpus = "stdlib"', f'corpus = "{texts}"'))
    words = ("train", ladder, "--executor", "inline", "--out", tmp_path / "queue")
    first = answer(*words)
    assert first["ok"]
    assert first["data"]["table"]["runs"] == 2
    again = run(*words)
    assert "updates" not in again.stderr
    assert answer(*words)["provenance"]["data_sha256"] == first["provenance"]["data_sha256"]


def test_a_slurm_script_is_written_and_nothing_is_trained(ladder: Path, tmp_path: Path) -> None:
    result = run("train", ladder, "--slurm", "-")
    assert result.exit_code == 0
    assert result.stdout.startswith("#!/bin/bash\n#SBATCH --job-name=scalewise-ladder\n")
    assert "#SBATCH --array=0-0\n" in result.stdout
    target = tmp_path / "array.sbatch"
    told = run("train", ladder, "--slurm", target, "--workers", 1)
    assert f"submit it with: sbatch {target}" in told.stdout
    assert "#SBATCH --array=0-1\n" in target.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["array.sbatch", "ladder.toml"]


def test_the_cluster_is_described_by_options(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trained_by(Trainer(), monkeypatch)
    options = ("--executor", "ray", "--address", "10.0.0.1:6379", "--cpus-per-run", 2,
               "--gpus-per-run", 0.5, "--retries", 0)  # fmt: skip
    answer("train", ladder, "--out", tmp_path / "queue", *options)
    cluster = trainer.asked["cluster"]
    assert (cluster.address, cluster.retries) == ("10.0.0.1:6379", 0)
    assert cluster.resources("cuda") == {"CPU": 2.0, "GPU": 0.5}
    answer("train", ladder, "--out", tmp_path / "queue")
    assert trainer.asked["cluster"] is None


def test_what_another_process_holds_is_no_failure_of_a_shared_queue(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Progress(run_id="other", status="busy", updates=0, total_updates=16)
    trained_by(Trainer(event), monkeypatch)
    alone = run("train", ladder, "--out", tmp_path / "queue")
    assert alone.exit_code == 4
    assert "Another process trains them: wait for it, or give both --shared" in alone.stderr
    assert run("train", ladder, "--out", tmp_path / "queue", "--shared").exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--address", "auto"), "--address 'auto' is that of a Ray cluster"),
        (("--tune-lr", "--shared"), "--tune-lr cannot be done with --shared"),
        (("--tune-lr", "--slurm", "-"), "--tune-lr cannot be done with --slurm"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: tuple[str, ...], message: str, ladder: Path
) -> None:
    result = run("train", ladder, *options)
    assert result.exit_code == 2
    assert message in result.stderr
