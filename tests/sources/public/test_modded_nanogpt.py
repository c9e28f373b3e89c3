"""modded-nanogpt: logs that begin with the script and go on with its output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.public.modded_nanogpt import DATA
from tests.sources.public.rebuilt import assert_same, shared, written

# Lines of published logs (MIT).
SCRIPT = """class Hyperparameters:
    batch_size : int = 8*64 # batch size, in sequences, across all devices
    device_batch_size : int = 64 # batch size, in sequences, per device
    sequence_length : int = 1024 # sequence length, in tokens
"""
SUB3MIN = "records/track_1_short/2025-01-16_Sub3Min/1d3bd93b-a69e-4118-aeb8-8184239d7566.txt"
OUTPUT = """step:0/1393 val_loss:10.8258 train_time:0ms step_avg:nanms
step:1/1393 train_time:17608ms step_avg:nanms
step:125/1393 val_loss:4.4043 train_time:14281ms step_avg:124.19ms
"""


def read(folder: Path, name: str, text: str) -> dict[str, Any]:
    return DATA.tables["runs"]({name: written(folder, name, text)}).row(0, named=True)


def test_the_last_validation_line_is_the_result(tmp_path: Path) -> None:
    row = read(tmp_path, SUB3MIN, OUTPUT)
    assert (row["step"], row["total_steps"], row["loss"], row["n_val"]) == (125, 1393, 4.4043, 2)
    assert row["run_id"] == SUB3MIN.removeprefix("records/").removesuffix(".txt")


def test_tokens_are_known_only_where_the_script_states_sequences_and_length(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, SUB3MIN, SCRIPT + OUTPUT)["tokens"] == 125 * 512 * 1024
    in_tokens = SCRIPT.replace("8*64", "8*64*1024")
    assert read(tmp_path, SUB3MIN, in_tokens + OUTPUT)["tokens"] is None
    flattened = SCRIPT.replace("8*64", "8").replace("1024", "64*1024")
    assert read(tmp_path, SUB3MIN, flattened + OUTPUT)["tokens"] is None
    assert read(tmp_path, SUB3MIN, OUTPUT)["batch_tokens"] is None


@pytest.mark.parametrize(
    ("path", "record", "params"),
    [("track_2_medium/2025-09-16_Snoo/a", "2025-09-16_Snoo", None),
     ("track_1_short/2024-10-20_ScaleUp1B/a", "2024-10-20_ScaleUp1B", None),
     ("track_3_optimization/results/20260430_adamh/a", "20260430_adamh", 1.24e8),
     ("track_3_optimization/results/a", "root", 1.24e8)],
)  # fmt: skip
def test_the_folders_name_the_record_and_the_size(
    tmp_path: Path, path: str, record: str, params: float | None
) -> None:
    row = read(tmp_path, f"records/{path}.txt", OUTPUT)
    assert (row["record"], row["params"]) == (record, params)


def test_a_log_without_a_validation_loss_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDataError, match=r"Sub3Min.* logs no validation loss"):
        read(tmp_path, SUB3MIN, SCRIPT)


def test_logs_rebuilt_from_the_tidied_table_read_back_the_same(tmp_path: Path) -> None:
    runs = shared("modded_nanogpt/runs.parquet")
    files = {}
    for row in runs.iter_rows(named=True):
        name = f"records/{row['run_id']}.txt"
        script = ""
        if row["batch_tokens"]:
            script = SCRIPT.replace("8*64", f"8*{row['batch_size_in_script'] / 8:.0f}")
        earlier = f"step:0/{row['total_steps']} val_loss:10.9\n" * (row["n_val"] - 1)
        last = f"step:{row['step']}/{row['total_steps']} val_loss:{row['loss']}\n"
        files[name] = written(tmp_path, name.replace("track_3_optimization", "3"), "")
        files[name].write_text(script + earlier + last)
    assert [file.name for file in DATA.files] == [*files]
    # What the script says was read by rules that later scripts break: only tokens are kept.
    assert_same(DATA, "runs", files, runs.drop("batch_size_in_script", "seq_len_in_script"))
