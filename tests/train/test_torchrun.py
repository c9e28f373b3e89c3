"""One run trained by two processes, against the same run trained by one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scalewise.core.errors import UsageError
from scalewise.runs.spec import RunSpec
from scalewise.runs.spec_file import specs_to_toml
from scalewise.train.executor import train_all
from scalewise.train.progress import Progress
from scalewise.train.run_folder import RunFolder
from scalewise.train.team import ALONE, Team
from scalewise.train.torchrun import VARIABLES, device_of_process
from tests.train.small_runs import small_spec, write_text

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


# Adam divides tiny gradients by their own size, which makes rounding of 1e-7 visible.
ROUNDING = 3e-4


def leave_half_way(spec: RunSpec, queue: Path) -> None:
    def interrupt(event: Progress) -> None:
        if event.updates >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_all([spec], queue, executor="inline", on_progress=interrupt)


def test_two_processes_train_what_one_trains_within_rounding(tmp_path: Path) -> None:
    """A run left half way, one that diverges, and one that another process holds."""
    corpus = str(write_text(tmp_path / "words.txt"))
    specs = [
        small_spec(run_id="odd", batch_tokens=96, token_budgets=(2_400, 4_800), corpus=corpus),
        small_spec(run_id="wild", lr_peak=9.0, token_budgets=(12_800,), corpus=corpus),
        small_spec(run_id="held", token_budgets=(2_048,), corpus=corpus),
    ]
    (tmp_path / "plan.toml").write_text(specs_to_toml(specs))
    held = RunFolder(tmp_path / "q", specs[2])
    held.create()
    leave_half_way(specs[0], tmp_path / "q")
    words = ("-m", "scalewise", "train", "plan.toml", "--executor", "torchrun", "--out", "q")
    with held.claimed():
        done = subprocess.run(
            [*TORCHRUN, "2", *words, "--json"], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            check=False,
        )  # fmt: skip
    answer = json.loads(done.stdout)  # of one process only
    assert answer["data"]["unfinished"] == ["wild", "held"]
    assert f"Run {held.path.name} is being trained by another process" in done.stderr

    begun = [attempt["from_update"] for attempt in RunFolder(tmp_path / "q", specs[0]).attempts()]
    assert begun[0] == 0 < begun[1]
    train_all(specs[:2], tmp_path / "one", executor="inline")
    for spec in specs[:2]:
        team = RunFolder(tmp_path / "q", spec).rows()
        alone = RunFolder(tmp_path / "one", spec).rows()
        assert [(row["step"], row["status"]) for row in team] == [
            (row["step"], row["status"]) for row in alone
        ]
    team, alone = (RunFolder(tmp_path / name, specs[0]).rows() for name in ("q", "one"))
    np.testing.assert_allclose(
        [row["loss"] for row in team], [row["loss"] for row in alone], rtol=ROUNDING
    )
    np.testing.assert_allclose(
        [row["train_loss"] for row in team], [row["train_loss"] for row in alone], rtol=ROUNDING
    )


def test_outside_of_torchrun_its_executor_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="needs the variables of torchrun; RANK, WORLD_SIZE"):
        train_all([small_spec()], tmp_path, executor="torchrun")


def test_each_process_takes_the_gpu_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "3")
    assert [device_of_process(name) for name in ("cpu", "cuda")] == ["cpu", "cuda:3"]


def test_a_team_of_one_adds_nothing() -> None:
    thing, values = object(), np.ones(3)
    assert ALONE.leading(thing) is thing
    assert ALONE.gathered(values) is values
    assert ALONE.told(lambda: 5) == 5


def test_the_parts_of_a_batch_add_up_to_it_even_when_some_are_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = torch.arange(6.0).reshape(2, 3)
    inputs, targets = np.arange(10).reshape(2, 5), np.arange(10)

    def of(some: np.ndarray, wanted: np.ndarray) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
        scale = float((some.reshape(-1) * wanted).mean())
        return torch.tensor(scale), (weights * scale,)

    sums: list[torch.Tensor] = []
    monkeypatch.setattr(torch.distributed, "all_reduce", sums.append)
    for rank in range(3):  # more processes than sequences
        Team(rank, 3).gradient(of, inputs, targets, [weights])
    loss, (gradient,) = of(inputs, targets)
    total = torch.stack(sums).sum(0)
    torch.testing.assert_close(total[0], loss)
    torch.testing.assert_close(total[1:], gradient.reshape(-1))
