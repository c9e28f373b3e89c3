"""Blocks as OLMo and OLMo-core print them, their metric files, and tables of the ladder paper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.olmo_core import OlmoReader, meaning_of
from scalewise.sources.logs.read import read_logs

OLMO = """\
[2024-04-17 09:42:26] INFO     [olmo.train:816, rank=0] [step=1/739328]
    train/CrossEntropyLoss=11.25
    train/Perplexity=76,631
    throughput/total_tokens=4,194,304
    System/Peak GPU Memory (MB)=42,133
[2024-04-17 09:42:38] INFO     [olmo.train:816, rank=0] [step=2/739328]
    train/CrossEntropyLoss=10.73
    train/Perplexity=45,773
    throughput/total_tokens=8,388,608
    throughput/device/tokens_per_second=45,538
"""
CORE = """\
2026-07-10 18:36:10\thost:0\tolmo_core.train.callbacks.console_logger:103\tINFO\t[step=100/200,epoch=1,eta=1m]
    train/CE loss=7.709
    throughput/total tokens=409,600
2026-07-10 18:37:59\thost:0\tolmo_core.train.callbacks.evaluator_callback:180\tINFO\tFinished lm evals in 12.3 seconds. Metrics:
    c4_en-validation/CE loss=7.101
    c4_en-validation/PPL=1,213
2026-07-10 18:38:01\thost:0\tolmo_core.train.callbacks.evaluator_callback:180\tINFO\tFinished downstream evals in 2.3 seconds. Metrics:
    arc_easy_test_rc_5shot (length-normalized accuracy)=0.2711
    arc_easy_test_rc_5shot (BPB)=2.481
2026-07-10 18:38:02\thost:0\tolmo_core.train.callbacks.evaluator_callback:195\tINFO\tEvaluation speed:
    c4_en-validation/CE loss (+variants): 12.3 sec (20 batches)
2026-07-10 18:38:59\thost:0\tolmo_core.train.callbacks.console_logger:103\tINFO\t[step=200/200,epoch=1,eta=0s]
    train/CE loss=6.999
    train/PPL=1,095
    optim/total grad norm=1.007
    throughput/total tokens=819,200
2026-07-10 18:39:05\thost:0\tolmo_core.train.trainer:700\tINFO\tTraining complete
"""  # noqa: E501
LADDER = """\
_step,throughput/total_tokens,eval/c4_en-validation/CrossEntropyLoss,eval/downstream_bpb/arc_easy_val_rc_5shot_bpb,eval/downstream/arc_easy_val_rc_5shot_len_norm,learning_rate_peak,batch_size_in_tokens
200,104857600,6.081975936889648,2.4957237243652344,0.2526315748691559,0.000972728518721015,524288
400,209715200,5.205448627471924,2.404043197631836,0.2561403512954712,0.000972728518721015,524288
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    assert OlmoReader().units(path) == [path]
    return path


def test_blocks_of_the_first_olmo(tmp_path: Path) -> None:
    (log,) = OlmoReader().read(written(tmp_path, "slurm-5.out", OLMO))
    assert log.points["step"].to_list() == [1, 2]
    assert log.points["throughput/total_tokens"].to_list() == [4194304.0, 8388608.0]
    assert log.meanings["train/CrossEntropyLoss"].column == "train_loss"
    assert log.state == "running or crashed"


def test_evaluations_belong_to_the_marker_that_follows_them(tmp_path: Path) -> None:
    table = read_logs(written(tmp_path, "run.log", CORE))
    assert table.frame["eval_set"].to_list() == ["c4_en-validation"]
    assert table.column("loss").tolist() == [7.101]
    assert table.column("step").tolist() == [200]
    assert table.column("tokens").tolist() == [819200]
    assert table.frame["acc_arc_easy_test_rc_5shot"].to_list() == [0.2711]
    assert table.frame["bits_per_byte_arc_easy_test_rc_5shot"].to_list() == [2.481]
    assert table.frame["status"].to_list() == ["ok"]


def test_the_newest_metrics_are_read_from_their_file(tmp_path: Path) -> None:
    values = {
        "train/CE loss": 2.5, "throughput/total tokens": 1e9, "throughput/total petaflops": 3.0,
        "eval/lm/pile-validation/CE loss": 2.4,
    }  # fmt: skip
    at = written(tmp_path, "metrics_step500.json", json.dumps(values))
    (log,) = OlmoReader().read(at)
    assert log.points["step"].to_list() == [500]
    assert log.meanings["throughput/total petaflops"].scale == 1e15
    last = written(tmp_path, "metrics.json", json.dumps(values))
    assert OlmoReader().read(last)[0].points["step"].to_list() == [None]
    assert read_logs(at).column("flops").tolist() == [3e15]


def test_a_ladder_table_has_losses_tasks_and_constants(tmp_path: Path) -> None:
    table = read_logs(written(tmp_path, "190M-1xC.csv", LADDER))
    assert table.column("loss").tolist() == [6.081975936889648, 5.205448627471924]
    assert table.column("tokens").tolist() == [104857600, 209715200]
    assert table.column("lr_peak").tolist() == [0.000972728518721015] * 2
    assert table.column("batch_tokens").tolist() == [524288] * 2
    assert table.frame["acc_arc_easy_val_rc_5shot"].to_list()[0] == 0.2526315748691559
    assert table.frame["bits_per_byte_arc_easy_val_rc_5shot"].to_list()[0] == 2.4957237243652344


def test_a_damaged_row_of_a_ladder_table_is_counted(tmp_path: Path) -> None:
    (log,) = OlmoReader().read(written(tmp_path, "190M-1xC.csv", LADDER + "odd,1,2\n"))
    assert log.lost == {"unreadable records": 1}


def test_half_a_metric_file_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "metrics.json", '{"train/CE loss": 2.5, "throu')
    with pytest.raises(RunDataError, match=r"metrics\.json is not whole JSON"):
        OlmoReader().read(path)


@pytest.mark.parametrize("metric", ["train/Z loss", "system/CPU", "eval/downstream/x (log soft)"])
def test_other_metrics_are_left_to_their_names(metric: str) -> None:
    assert meaning_of(metric) is None
