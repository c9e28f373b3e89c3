"""Lines as nanoGPT's train.py prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.gather import gather
from scalewise.sources.logs.log import Log
from scalewise.sources.logs.nanogpt import NanoGptReader
from scalewise.sources.logs.read import read_logs

HEAD = """\
Overriding config with config/train_shakespeare_char.py:
gradient_accumulation_steps = 1
batch_size = 64
block_size = 256 # context of up to 256 previous characters
n_layer = 6
n_embd = 384
max_iters = 20
Overriding: n_layer = 4
tokens per iteration will be: 16,384
found vocab_size = 65 (inside data/shakespeare_char/meta.pkl)
number of parameters: 10.65M
num decayed parameter tensors: 26, with 10,740,096 parameters
num non-decayed parameter tensors: 13, with 4,992 parameters
"""
STEPS = """\
step 0: train loss 4.2874, val loss 4.2823
iter 0: loss 4.2664, time 38001.44ms, mfu -100.00%
iter 10: loss 3.2432, time 21.95ms, mfu 16.98%
step 20: train loss 2.4, val loss 2.5132
saving checkpoint to out
iter 20: loss 2.4917, time 21.95ms, mfu 16.98%
"""


def log_of(folder: Path, text: str) -> Log:
    path = folder / "small.log"
    path.write_text(text)
    reader = NanoGptReader()
    assert reader.units(path) == [path]
    (log,) = reader.read(path)
    return log


def test_the_settings_the_batch_and_every_weight_are_read(tmp_path: Path) -> None:
    log = log_of(tmp_path, HEAD + STEPS)
    assert {name: fact.value for name, fact in log.facts.items()} == {
        "params": 10_745_088, "batch_tokens": 16_384, "context_length": 256, "steps": 20,
        "n_layer": 4, "d_model": 384,
    }  # fmt: skip
    assert log.state == "finished"
    assert log.points["step"].to_list() == [0, 10, 20]
    assert log.points["loss"].to_list() == [4.2664, 3.2432, 2.4917]


def test_an_evaluation_has_seen_as_many_batches_as_its_step_says(tmp_path: Path) -> None:
    log_of(tmp_path, HEAD + STEPS)
    table = read_logs(tmp_path)
    assert table.column("tokens").tolist() == [20 * 16_384]
    assert table.column("loss").tolist() == [2.5132]


def test_a_run_that_does_not_say_how_long_it_is_ended_nobody_knows_how(tmp_path: Path) -> None:
    assert log_of(tmp_path, STEPS).state == "unknown"
    assert log_of(tmp_path, HEAD + STEPS.replace(" 20:", " 12:")).state == "running or crashed"
    failed = STEPS + "Traceback (most recent call last)\n"
    assert log_of(tmp_path, failed).state == "failed"


def test_a_log_that_takes_up_again_is_two_attempts(tmp_path: Path) -> None:
    path = tmp_path / "small.log"
    path.write_text(HEAD + STEPS + "iter 10: loss 3.1, time 1.0ms, mfu 1.00%\n")
    first, second = NanoGptReader().read(path)
    assert (first.restart_step, second.restart_step) == (None, 10)


def test_a_step_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    log = log_of(tmp_path, STEPS + "iter 30: loss 1.2")
    assert log.lost["truncated bytes"] == 17
    assert log.points["step"].max() == 20
    path = tmp_path / "none.log"
    path.write_text("iter 30: loss 1.2, time 1.0ms, mfu")
    with pytest.raises(RunDataError, match=r"none.log holds no step of a nanoGPT log"):
        NanoGptReader().read(path)


def test_training_output_of_no_known_tool_is_named_with_what_to_do(tmp_path: Path) -> None:
    log_of(tmp_path, HEAD + STEPS)
    (tmp_path / "hf.out").write_text(
        "{'loss': 2.3211, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': 0.01}\n"
    )
    (tmp_path / "own.txt").write_text("loading\n[train] step=100/2000 lr 1e-3 loss=3.21\n")
    (tmp_path / "notes.txt").write_text("step 2 of the plan: avoid loss of data\nloss 3.2\n")
    copy = tmp_path / "wandb" / "files"
    copy.mkdir(parents=True)
    (copy / "output.log").write_text("step 100 loss 3.2\n")
    (note,) = gather(tmp_path).notes
    assert note.startswith("passed over, training output of no known tool (give what the tool ")
    assert note.endswith("): 'hf.out', 'own.txt'")
