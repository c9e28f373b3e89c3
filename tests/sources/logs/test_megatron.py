"""Lines as Megatron-LM, Megatron-DeepSpeed, GPT-NeoX and NeMo print them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.log import Log
from scalewise.sources.logs.megatron import MegatronReader
from scalewise.sources.logs.read import read_logs

ARGUMENTS = """\
using world size: 8, data-parallel size: 8, context-parallel size: 1 tensor-model-parallel size: 1
------------------------ arguments ------------------------
  global_batch_size ............................... 128
  lr .............................................. 0.0003
  pipeline_model_parallel_size .................... 1
  save ............................................ /checkpoints/run-a
  seq_length ...................................... 2048
  tensor_model_parallel_size ...................... 1
-------------------- end of arguments ---------------------
 > number of parameters on (tensor, pipeline) model parallel rank (0, 0): 630167424
"""
TRAINING = """\
 [2025-08-01 07:19:37] iteration        1/    5000 | consumed samples:          128 | elapsed time per iteration (ms): 19138.8 | throughput per GPU (TFLOP/s/GPU): 80.2 | learning rate: 6.976744E-08 | global batch size:   128 | lm loss: 1.043863E+01 | loss scale: 1.0 | grad norm: 26.203 | number of skipped iterations:   0 | number of nan iterations:   0 |
 [2025-08-01 07:19:50] iteration        2/    5000 | consumed samples:          256 | elapsed time per iteration (ms): 12936.1 | throughput per GPU (TFLOP/s/GPU): 118.7 | learning rate: 1.395349E-07 | global batch size:   128 | lm loss: 1.044022E+01 | loss scale: 1.0 | grad norm: 26.305 | number of skipped iterations:   0 | number of nan iterations:   0 |
 validation loss at iteration 2 | lm loss value: 2.342049E+00 | lm loss PPL: 1.040253E+01 |
"""  # noqa: E501
BLOOM = """\
[default7]: iteration    45000/  115311 | consumed samples:     76002224 | consumed tokens: 155652554752 | elapsed time per iteration (s): 111.00 | learning rate: 4.298E-05 | global batch size:  2048 | lm loss: 2.113567E+00 | grad norm: 0.139 | num zeros: 0.0 | number of skipped iterations:   0 | number of nan iterations:   0 | samples per second: 18.451 | TFLOPs: 141.26 |
[default7]:valid loss at iteration 45000 | lm loss value: 2.327091E+00 | lm loss PPL: 1.024808E+01 |
"""  # noqa: E501
NEOX = """\
  seq_length ...................... 2048........updated
  train_batch_size ................ 1024........updated
 samples/sec: 51.234 | iteration       10/      50 | elapsed time per iteration (ms): 19987.6 | learning rate: 1.234E-04 | approx flops per GPU: 150.3TFLOPS | lm_loss: 7.123456E+00 | number of skipped iterations:   0 | number of nan iterations:   0 |
 validation results at iteration 10 | lm_loss value: 6.912345E+00 | lm_loss_ppl value: 1.004E+03 |
"""  # noqa: E501
NEMO = """\
0: Training epoch 0, iteration 28/99 | lr: 5.6e-06 | global_batch_size: 32 | global_step: 28 | reduced_train_loss: 2.778 | train_step_timing in s: 0.189 | consumed_samples: 928 | val_loss: 2.861 | val_ppl: 17.57
0: Training epoch 0, iteration 29/99 | lr: 5.8e-06 | global_batch_size: 32 | global_step: 29 | reduced_train_loss: 2.782 | train_step_timing in s: 0.1903 | consumed_samples: 960 | val_loss: 2.861 | val_ppl: 17.57
"""  # noqa: E501


def written(folder: Path, text: str, name: str = "slurm-1.out") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def one(path: Path) -> Log:
    reader = MegatronReader()
    assert reader.units(path) == [path]
    (log,) = reader.read(path)
    return log


def test_losses_tokens_and_parameters_of_a_megatron_log(tmp_path: Path) -> None:
    table = read_logs(written(tmp_path, ARGUMENTS + TRAINING))
    assert table.column("loss").tolist() == [2.342049]
    assert table.column("tokens").tolist() == [256 * 2048]
    assert table.column("batch_tokens").tolist() == [128 * 2048]
    assert table.column("params").tolist() == [630167424]
    assert table.frame["eval_set"].to_list() == ["validation"]
    assert any("consumed samples * context_length" in note for note in table.assumptions)


def test_a_training_loss_says_that_it_is_a_mean_between_lines(tmp_path: Path) -> None:
    log = one(written(tmp_path, TRAINING))
    meaning = log.meanings["lm loss"]
    assert (meaning.column, meaning.note) == (
        "train_loss",
        "mean over the updates since the line before",
    )
    assert log.points["lm loss"].to_list() == [10.43863, 10.44022]


def test_logged_tokens_of_megatron_deepspeed_need_no_arguments(tmp_path: Path) -> None:
    log = one(written(tmp_path, BLOOM))
    assert log.points["consumed tokens"].to_list() == [155652554752.0]
    assert log.meanings["consumed tokens"].column == "tokens"
    assert log.points["validation/lm loss"].to_list() == [2.327091]


def test_neox_counts_its_batch_over_all_devices(tmp_path: Path) -> None:
    log = one(written(tmp_path, NEOX))
    assert log.facts["batch_tokens"].value == 1024 * 2048
    assert log.facts["batch_tokens"].confidence == "derived"
    assert log.points["lm_loss"].to_list() == [7.123456]
    assert log.points["validation/lm_loss"].to_list() == [6.912345]
    assert "approx flops per GPU" not in log.points.columns


def test_nemo_repeats_a_validation_loss_that_is_news_once(tmp_path: Path) -> None:
    log = one(written(tmp_path, NEMO))
    assert log.points["step"].to_list() == [28, 29]
    assert log.points["val_loss"].to_list() == [2.861, None]
    assert log.points["reduced_train_loss"].to_list() == [2.778, 2.782]
    assert log.meanings["val_loss"].eval_set == "validation"


def test_jobs_that_save_to_one_place_are_one_run_and_the_later_wins(tmp_path: Path) -> None:
    written(tmp_path, ARGUMENTS + TRAINING, "slurm-1.out")
    again = TRAINING.replace("2.342049E+00", "2.3E+00").splitlines(keepends=True)[1:]
    written(tmp_path, ARGUMENTS + "".join(again), "slurm-2.out")
    table = read_logs(tmp_path)
    assert table.frame["run_id"].to_list() == ["run-a"]
    assert table.column("loss").tolist() == [2.3]
    assert any("overwritten points" in note for note in table.assumptions)


def test_a_restart_within_a_file_is_a_second_attempt(tmp_path: Path) -> None:
    text = ARGUMENTS + TRAINING + "Traceback (most recent call last):\n" + ARGUMENTS + TRAINING
    first, second = MegatronReader().read(written(tmp_path, text))
    assert second.restart_step == 1
    assert first.run_id == second.run_id == "/checkpoints/run-a"
    assert second.state == "running or crashed"


@pytest.mark.parametrize(
    ("end", "state"),
    [("", "running or crashed"), ("Traceback (most recent call last):\n", "failed"),
     ("[after training is done] datetime: 2025-08-01 08:00:00\n", "finished")],
)  # fmt: skip
def test_how_a_run_ended(tmp_path: Path, end: str, state: str) -> None:
    assert one(written(tmp_path, TRAINING + end)).state == state


def test_named_validation_sets_and_the_final_evaluation(tmp_path: Path) -> None:
    text = TRAINING + (
        "0: validation loss at iteration 2 [german] | lm loss value: 1.500000E+00 |\n"
        " validation loss at iteration 2 on test set | lm loss value: 2.597687E+00 |\n"
        "validation loss at the end of training for val data | lm loss value: 2.100000E+00 |\n"
    )
    log = one(written(tmp_path, text))
    last = log.points.row(-1, named=True)
    assert last["german/lm loss"] == 1.5
    assert last["test/lm loss"] == 2.597687
    assert last["validation/lm loss"] == 2.1


@pytest.mark.parametrize(
    ("lines", "params", "confidence"),
    [
        (" > number of parameters on (tensor, pipeline) model parallel rank (1, 0): 210753280\n"
         " > number of parameters on (tensor, pipeline) model parallel rank (0, 0): 210753280\n",
         421506560.0, "assumed"),
        ("Total number of parameters in billions: 8.03\n", 8.03e9, "derived"),
    ],
)  # fmt: skip
def test_parameters_of_a_sharded_model(
    tmp_path: Path, lines: str, params: float, confidence: str
) -> None:
    fact = one(written(tmp_path, lines + TRAINING)).facts["params"]
    assert (fact.value, fact.confidence) == (params, confidence)


def test_a_shard_that_is_not_all_says_nothing_of_the_whole(tmp_path: Path) -> None:
    text = ARGUMENTS.replace("tensor_model_parallel_size ...................... 1",
                             "tensor_model_parallel_size ...................... 8")  # fmt: skip
    assert "params" not in one(written(tmp_path, text + TRAINING)).facts


def test_a_batch_that_grows_is_not_taken_for_a_constant(tmp_path: Path) -> None:
    grown = "  rampup_batch_size ............................... ['16', '16', '5000']\n"
    table = read_logs(written(tmp_path, grown + ARGUMENTS + TRAINING))
    assert table.column("tokens").tolist() == [256 * 2048]
    assert not any("global_batch_size" in note for note in table.assumptions)


def test_a_log_without_an_iteration_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunDataError, match="holds no iteration of a Megatron log"):
        MegatronReader().read(written(tmp_path, ARGUMENTS))


def test_other_text_is_not_claimed(tmp_path: Path) -> None:
    assert MegatronReader().units(written(tmp_path, "iteration 5: loss 2.0\n")) == []
