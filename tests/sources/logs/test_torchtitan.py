"""Lines as torchtitan prints them, with its colours and on several ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.read import read_logs
from scalewise.sources.logs.torchtitan import TorchtitanReader

HEAD = """\
[rank0]:[titan] 2025-11-25 19:44:58,537 - root - INFO - Building llama3 debugmodel with TransformerModelArgs(_enforced='...', dim=256, n_layers=6, n_heads=16, n_kv_heads=None, vocab_size=2048, multiple_of=256, max_seq_len=2048, depth_init=True)
[rank0]:[titan] 2025-11-25 19:44:58,595 - root - INFO - \x1b[34mModel llama3 debugmodel \x1b[31msize: 6,163,712 total parameters\x1b[39m
[rank0]:[titan] 2025-11-25 19:44:59,001 - root - INFO - Trainer is initialized with local batch size 8, global batch size 64, gradient accumulation steps 1, sequence length 2048, total steps 10 (warmup 2)
"""  # noqa: E501
STEPS = """\
[rank0]:[titan] 2025-07-21 15:57:42,774 - root - INFO - \x1b[31mstep:  3  \x1b[32mloss:  4.9925  \x1b[38;2;180;60;0mgrad_norm:  2.6422  \x1b[38;2;54;234;195mmemory:  1.25GiB(3.10%)  \x1b[34mtps: 30,768  \x1b[36mtflops: 3.15  \x1b[35mmfu: 0.32%\x1b[39m
[rank1]:[titan] 2025-07-21 15:57:42,774 - root - INFO - \x1b[31mstep:  3  \x1b[32mloss:  4.9925  \x1b[38;2;180;60;0mgrad_norm:  2.6422  \x1b[38;2;54;234;195mmemory:  1.25GiB(3.10%)  \x1b[34mtps: 30,769  \x1b[36mtflops: 3.15  \x1b[35mmfu: 0.32%\x1b[39m
[rank0]:[titan] 2025-07-21 15:57:43,242 - root - INFO - \x1b[31mstep:  4  \x1b[32mloss:  4.6671  \x1b[38;2;180;60;0mgrad_norm:  2.5457  \x1b[38;2;54;234;195mmemory:  1.25GiB(3.10%)  \x1b[34mtps: 35,051  \x1b[36mtflops: 3.59  \x1b[35mmfu: 0.36%\x1b[39m
[rank0]:[titan] 2025-07-21 15:57:43,243 - root - INFO - \x1b[33mvalidate step:  4  \x1b[32mloss:  4.7000  \x1b[38;2;54;234;195mmemory:  1.25GiB(3.10%)  \x1b[34mtps: 35,051\x1b[39m
"""  # noqa: E501


def written(folder: Path, text: str) -> Path:
    path = folder / "titan.log"
    path.write_text(text)
    return path


def test_losses_tokens_and_size_of_a_coloured_log(tmp_path: Path) -> None:
    table = read_logs(written(tmp_path, HEAD + STEPS))
    assert table.column("loss").tolist() == [4.7]
    assert table.column("train_loss").tolist() == [4.6671]
    assert table.column("tokens").tolist() == [4 * 64 * 2048]
    assert table.column("params").tolist() == [6163712]
    assert table.column("context_length").tolist() == [2048]


def test_ranks_that_repeat_a_step_lose_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, STEPS)
    reader = TorchtitanReader()
    assert reader.units(path) == [path]
    (log,) = reader.read(path)
    assert log.points["tps"].to_list() == [30768.0, 35051.0]
    assert log.lost == {}
    assert log.points["memory"].to_list() == [1.25, 1.25]


def test_a_run_is_finished_at_its_last_step_or_when_it_says_so(tmp_path: Path) -> None:
    done = "[rank0]:[titan] 2025-07-21 15:58:00,000 - root - INFO - Training completed\n"
    (open_,) = TorchtitanReader().read(written(tmp_path, HEAD + STEPS))
    (closed,) = TorchtitanReader().read(written(tmp_path, HEAD + STEPS + done))
    (last,) = TorchtitanReader().read(written(tmp_path, HEAD + STEPS.replace(":  4", ": 10")))
    assert [open_.state, closed.state, last.state] == ["running or crashed"] + ["finished"] * 2


def test_a_log_without_a_step_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunDataError, match="holds no step of a torchtitan log"):
        TorchtitanReader().read(written(tmp_path, HEAD))
