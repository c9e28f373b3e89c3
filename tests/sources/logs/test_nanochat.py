"""Lines as nanochat's base_train prints them, and the table of its scaling-law script."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.log import Log
from scalewise.sources.logs.nanochat import NanochatReader
from scalewise.sources.logs.read import read_logs

HEAD = """\
Vocab size: 32,768
Model config:
{
  "sequence_len": 2048,
  "vocab_size": 32768,
  "n_layer": 4,
  "n_embd": 256,
  "window_pattern": "SSSL"
}
Parameter counts:
wte                     : 8,388,608
value_embeds            : 16,777,216
lm_head                 : 8,388,608
transformer_matrices    : 3,146,272
scalars                 : 8
total                   : 36,700,712
Estimated FLOPs per token: 7.550074e+07
Total batch size 524,288 => gradient accumulation steps: 1
"""
STEPS = """\
Step 00000 | Validation bpb: 3.234567
step 00000/00003 (0.00%) | loss: 10.397208 | lrm: 0.03 | dt: 1250.00ms | tok/sec: 419,430 | bf16_mfu: 12.50 | epoch: 1 pq: 0 rg: 0 | total time: 0.00m
step 00001/00003 (33.33%) | loss: 10.297208 | lrm: 0.05 | dt: 250.00ms | tok/sec: 2,097,152 | bf16_mfu: 42.50 | epoch: 1 pq: 0 rg: 0 | total time: 0.00m
Step 00002 | Validation bpb: 2.034567
step 00002/00003 (66.67%) | loss: 10.197208 | lrm: 0.08 | dt: 250.00ms | tok/sec: 2,097,152 | bf16_mfu: 42.50 | epoch: 1 pq: 0 rg: 0 | total time: 0.00m | eta: 0.1m
Step 00003 | Validation bpb: 1.934567
Step 00003 | CORE metric: 0.0134
"""  # noqa: E501
RESULTS = """\
flops_budget,depth,model_dim,params_wte,params_value_embeds,params_lm_head,params_transformer,params_scalars,params_total,num_iterations,tokens_trained,val_bpb,core_score,train_time_sec
1e18,10,640,20971520,52428800,20971520,49152000,20,143523860,1200,629145600,0.951000,0.1010,600
1e18,12,768,25165824,75497472,25165824,84934656,24,210763800,,,,,
"""


def log_of(folder: Path, text: str) -> Log:
    path = folder / "d4.log"
    path.write_text(text)
    reader = NanochatReader()
    assert reader.units(path) == [path]
    (log,) = reader.read(path)
    return log


def test_every_parameter_group_and_the_batch_are_read(tmp_path: Path) -> None:
    log = log_of(tmp_path, HEAD + STEPS)
    assert log.facts["params"].value == 36_700_712
    assert log.facts["params_nonembed"].value == 3_146_272 + 8
    assert log.facts["batch_tokens"].value == 524_288
    assert log.config["params.lm_head"] == 8_388_608
    assert log.config["flops_per_token"] == 7.550074e07
    assert log.state == "finished"


def test_a_step_has_seen_as_many_batches_as_its_number(tmp_path: Path) -> None:
    path = tmp_path / "d4.log"
    path.write_text(HEAD + STEPS)
    table = read_logs(path)
    assert table.column("step").tolist() == [2, 3]
    assert table.column("tokens").tolist() == [2 * 524_288, 3 * 524_288]
    assert table.column("bits_per_byte").tolist() == [2.034567, 1.934567]
    assert table.frame["centered_accuracy_core"].to_list() == [None, 0.0134]


def test_the_training_loss_says_that_it_is_a_moving_average(tmp_path: Path) -> None:
    log = log_of(tmp_path, STEPS)
    assert log.meanings["loss"].note == "moving average of decay 0.9, bias corrected"
    assert log.points["tok/sec"].to_list()[1] == 2_097_152.0


def test_the_count_of_older_logs_is_read_too(tmp_path: Path) -> None:
    log = log_of(tmp_path, "Number of parameters: 560,988,160\n" + STEPS)
    assert log.facts["params"].value == 560_988_160


def test_a_log_cut_in_the_middle_of_a_line_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    log = log_of(tmp_path, (HEAD + STEPS)[:-130])
    assert log.points["Validation bpb"].to_list() == [3.234567, None, 2.034567]
    assert log.lost["truncated bytes"] > 0
    assert log.state == "running or crashed"


def test_a_resumed_log_gives_up_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "d4.log"
    steps = STEPS.splitlines(keepends=True)
    path.write_text(HEAD + "".join(steps[:5]) + "".join(steps[3:]).replace("2.034567", "2.000000"))
    table = read_logs(path)
    assert table.column("bits_per_byte").tolist() == [2.0, 1.934567]


def test_results_of_the_ladder_script_are_one_run_a_line(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(RESULTS)
    (log,) = NanochatReader().read(path)
    assert log.name == "d10-1"
    assert log.points.select("step", "tokens_trained", "val_bpb").rows() == [
        (1200, 629145600.0, 0.951)
    ]
    assert log.facts["params"].value == 143523860
    assert log.facts["params_nonembed"].value == 49152020


def test_results_without_a_finished_run_are_told(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("\n".join(line for line in RESULTS.splitlines() if ",10," not in line))
    with pytest.raises(RunDataError, match="holds no run with val_bpb and tokens_trained"):
        NanochatReader().read(path)
