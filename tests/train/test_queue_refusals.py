"""What a queue of runs refuses before it trains anything: devices, seeds, places."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scalewise.core.errors import UsageError
from scalewise.runs.spec import RunSpec
from scalewise.train.executor import train_all
from tests.train.small_runs import small_spec, write_text


@pytest.fixture
def specs(tmp_path: Path) -> list[RunSpec]:
    text = str(write_text(tmp_path / "words.txt"))
    return [small_spec(token_budgets=(4_096,), corpus=text)]


@pytest.mark.parametrize(
    ("device", "message"),
    [("tpu", "device='tpu' is none"), ("cpu:1", "device='cpu:1' is none"),
     ("cuda:x", "device='cuda:x' is none")],
)  # fmt: skip
def test_a_device_that_does_not_exist_is_refused_before_anything_is_made(
    tmp_path: Path, specs: list[RunSpec], device: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train_all(specs, tmp_path / "q", device=device)
    assert not (tmp_path / "q").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_no_failure_of_every_run(
    tmp_path: Path, specs: list[RunSpec]
) -> None:
    with pytest.raises(UsageError, match="no GPU is visible"):
        train_all(specs, tmp_path / "q", device="cuda")


def test_a_negative_seed_is_refused(tmp_path: Path, specs: list[RunSpec]) -> None:
    spec = replace(specs[0], seed=-1)
    with pytest.raises(UsageError, match="Run 'small' has seed=-1"):
        train_all([spec], tmp_path / "q", executor="inline")


def test_a_place_that_cannot_hold_runs_is_told(
    tmp_path: Path, specs: list[RunSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"Cannot write the runs into .*file': File exists"):
        train_all(specs, tmp_path / "file", executor="inline")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UsageError, match=r"Cannot write the runs into .*: No space left on device"):
        train_all(specs, tmp_path / "q", executor="inline")
    assert not list((tmp_path / "q").rglob("*.npy"))
