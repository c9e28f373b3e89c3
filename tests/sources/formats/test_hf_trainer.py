"""States that transformers' Trainer writes while it trains a tiny random model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scalewise.sources.logs.hf_trainer import HfTrainerReader
from scalewise.sources.logs.read import read_logs
from tests.sources.formats.processes import run
from tests.sources.formats.tools import need

SCRIPT = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
torch.manual_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=16, n_embd=16, n_layer=2, n_head=2))
data = [{k: torch.randint(0, 64, (16,)) for k in ("input_ids", "labels")} for _ in range(64)]
arguments = TrainingArguments(
    output_dir="out", max_steps=8, per_device_train_batch_size=4, gradient_accumulation_steps=2,
    logging_steps=2, eval_strategy="steps", eval_steps=4, save_steps=4, report_to=[],
    use_cpu=True, disable_tqdm=True, learning_rate=1e-3, lr_scheduler_type="constant",
    include_num_input_tokens_seen="all" if sys.argv[1] == "tokens" else "no",
)
trainer = Trainer(model=model, args=arguments, train_dataset=data, eval_dataset=data[:8])
trainer.train()
print(sum(p.numel() for p in model.parameters()))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The output folder of a run that counted its tokens, and the parameters of its model."""
    need("transformers", "accelerate")
    folder = tmp_path_factory.mktemp("hf")
    return folder / "out", int(run(SCRIPT, folder, "tokens").split()[-1])


def test_tokens_batch_and_parameters_of_a_real_run(trained: tuple[Path, int]) -> None:
    out, params = trained
    table = read_logs(out)
    assert table.column("tokens").tolist() == [4 * 8 * 16, 8 * 8 * 16]
    assert table.column("batch_tokens").tolist() == [8 * 16] * 2
    assert table.column("params").tolist() == [params] * 2
    assert table.column("params_nonembed").tolist() == [params - (64 + 16) * 16] * 2
    assert table.column("lr_peak").tolist() == [1e-3] * 2
    assert table.frame["is_final"].to_list() == [False, True]
    assert not any("lost" in note for note in table.assumptions)


def test_losses_are_those_of_the_history(trained: tuple[Path, int]) -> None:
    out, _ = trained
    (log,) = HfTrainerReader().read(out)
    state = json.loads((out / "checkpoint-8" / "trainer_state.json").read_text())
    logged = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert log.points["loss"].to_list() == logged
    assert (log.state, log.name) == ("finished", "out")


def test_flops_of_the_trainer_count_the_parameters_without_embeddings(
    trained: tuple[Path, int], tmp_path: Path
) -> None:
    out, params = trained
    alone = tmp_path / "trainer_state.json"
    alone.write_bytes((out / "checkpoint-8" / "trainer_state.json").read_bytes())
    (log,) = HfTrainerReader().read(alone)
    assert log.facts["params_nonembed"].value == pytest.approx(params - (64 + 16) * 16)
    assert log.facts["params_nonembed"].confidence == "derived"
