"""The queue on a Ray cluster of two nodes: as on one machine, whatever is lost on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from scalewise.core.errors import MissingExtraError, UsageError
from scalewise.runs.spec import RunSpec
from scalewise.train.checkpoint import CheckpointPair
from scalewise.train.executor import TrainingResult, train_all
from scalewise.train.progress import Progress
from scalewise.train.ray_cluster import RayCluster, connected, unfit_nodes
from scalewise.train.ray_worker import torch_version
from scalewise.train.run_folder import RunFolder
from scalewise.train.shape import shape_from_width
from tests.train.ray_nodes import Nodes, ray_nodes
from tests.train.small_runs import outcome, small_spec, write_text

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'ray' is not installed"),
    # Ray leaves sockets, log files and processes to the collector when it disconnects.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Two nodes, and one connection to them, so that their workers import torch only once."""
    with ray_nodes() as nodes:
        nodes.add()
        nodes.add()
        with connected(RayCluster(address=nodes.address), 1):
            yield nodes


@pytest.fixture
def text(tmp_path: Path) -> str:
    return str(write_text(tmp_path / "words.txt"))


def on_ray(
    specs: Sequence[RunSpec], queue: Path, nodes: Nodes, **changes: object
) -> TrainingResult:
    settings: dict[str, object] = {"checkpoint_seconds": 0.0} | changes
    cluster = RayCluster(address=nodes.address)
    return train_all(specs, queue, executor="ray", cluster=cluster, **settings)  # type: ignore[arg-type]


def table(result: TrainingResult) -> str:
    """The whole table but for the time that it took."""
    rows = [json.loads(line) for line in result.path.read_text().splitlines()]
    return "\n".join(json.dumps(row | {"cpu_seconds": 0}, sort_keys=True) for row in rows)


class Killer:
    """Kills the workers of two runs, each at a moment drawn at random."""

    def __init__(self, specs: Sequence[RunSpec], queue: Path, seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311
        self._folders = [RunFolder(queue, spec) for spec in specs]
        self._draw.shuffle(self._folders)
        self.saved: dict[Path, int] = {}  # updates in the last checkpoint, by folder
        self._thread = threading.Thread(target=self._strike, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(timeout=1.0)

    def _strike(self) -> None:
        while len(self.saved) < 2:
            time.sleep(0.05 + 0.2 * self._draw.random())
            open_runs = [f for f in self._folders if f.attempts() and f.path not in self.saved]
            for folder in open_runs:
                pid = int(folder.attempts()[-1]["pid"])
                os.kill(pid, signal.SIGSTOP)  # so that nothing happens while we look
                while "State:\tT" not in Path(f"/proc/{pid}/status").read_text():
                    time.sleep(0.001)
                if folder.is_done:
                    os.kill(pid, signal.SIGCONT)
                    continue
                found = CheckpointPair(folder.path).load()
                self.saved[folder.path] = found.progress if found else 0
                os.kill(pid, signal.SIGKILL)
                break


def test_a_folder_that_the_nodes_do_not_see_is_told(tmp_path: Path, nodes: Nodes) -> None:
    with (
        connected(RayCluster(address=nodes.address), 1) as ray,
        pytest.raises(MissingExtraError, match="does not see the folder '/elsewhere'"),
    ):
        unfit_nodes(ray, "/elsewhere", {"CPU": 1.0}, torch_version())


def test_a_run_that_no_node_can_carry_is_refused(tmp_path: Path, text: str, nodes: Nodes) -> None:
    cluster = RayCluster(address=nodes.address, cpus_per_run=64)
    with pytest.raises(UsageError, match=r"None of the \d nodes of the Ray cluster has 64 CPU"):
        train_all([small_spec(corpus=text)], tmp_path, executor="ray", cluster=cluster)


def test_one_run_that_diverges_and_one_that_is_impossible_do_not_stop_the_others(
    tmp_path: Path, text: str, nodes: Nodes
) -> None:
    impossible = shape_from_width(8, vocab_size=99, context_length=32)
    short = {"token_budgets": (4_096,), "corpus": text}
    specs = [
        small_spec(run_id="wild", lr_peak=9.0, corpus=text),
        small_spec(run_id="wrong", shape=impossible, **short),
        small_spec(run_id="sane", **short),
    ]
    result = on_ray(specs, tmp_path / "q", nodes)
    found = {event.run_id: event for event in result.unfinished}
    assert {name: event.status for name, event in found.items()} == {
        "wild": "diverged",
        "wrong": "failed",
    }
    assert "vocab_size=99" in found["wrong"].detail
    assert {row["run_id"] for row in result.rows} == {"wild", "sane"}


def test_twenty_runs_survive_two_killed_workers_and_give_the_table_of_the_local_executor(
    tmp_path: Path, text: str, nodes: Nodes
) -> None:
    specs = [
        small_spec(run_id=f"d{width}-s{seed}", seed=seed, corpus=text, token_budgets=(6_400, 9_600),
                   shape=shape_from_width(width, context_length=32))
        for width in (8, 16) for seed in range(10)
    ]  # fmt: skip
    killer = Killer(specs, tmp_path / "ray", seed=4)
    events: list[Progress] = []
    result = on_ray(specs, tmp_path / "ray", nodes, on_progress=events.append)
    killer.join()
    assert len(killer.saved) == 2
    assert result.unfinished == ()
    lost = [event for event in events if "its worker was lost" in event.detail]
    assert len(lost) == 2
    for spec in specs:
        folder = RunFolder(tmp_path / "ray", spec)
        begun = [attempt["from_update"] for attempt in folder.attempts()]
        last = [killer.saved[folder.path]] if folder.path in killer.saved else []
        assert begun == [0, *last]
    assert {(e.run_id, e.status) for e in events} >= {(spec.run_id, "ok") for spec in specs}
    local = train_all(specs, tmp_path / "local", executor="inline")
    assert table(result) == table(local)


def test_a_node_without_torch_is_left_out_and_told(tmp_path: Path, text: str, nodes: Nodes) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")")
    bare = nodes.add(PYTHONPATH=os.pathsep.join([str(shadow), os.environ["PYTHONPATH"]]))
    specs = [small_spec(run_id=f"s{n}", token_budgets=(4_096,), corpus=text) for n in range(3)]
    try:
        result = on_ray(specs, tmp_path / "q", nodes)
    finally:
        nodes.lose(bare)
    assert result.unfinished == ()
    (warning,) = [words for words in result.warnings if "torch" in words]
    assert "is left out: torch is needed to train models and is not installed." in warning


def test_a_lost_node_costs_the_steps_since_the_last_checkpoint(
    tmp_path: Path, text: str, nodes: Nodes
) -> None:
    specs = [
        small_spec(run_id=f"s{seed}", seed=seed, token_budgets=(51_200,), corpus=text)
        for seed in range(3)  # one for each node
    ]
    folders = {spec.run_id: RunFolder(tmp_path / "q", spec) for spec in specs}
    doomed = nodes.add()
    lost: list[str] = []

    def lose(event: Progress) -> None:
        folder = folders[event.run_id]
        if lost or event.updates < 50 or folder.is_done:
            return
        if nodes.worker_is_on(folder.attempts()[0]["pid"], doomed):
            nodes.lose(doomed)
            lost.append(event.run_id)

    result = on_ray(specs, tmp_path / "q", nodes, on_progress=lose)
    assert result.unfinished == ()
    for name, folder in folders.items():
        begun = [attempt["from_update"] for attempt in folder.attempts()]
        assert begun[0] == 0
        assert all(update >= 50 for update in begun[1:])
        assert len(begun) == 1 + lost.count(name)
    assert len(lost) == 1
    (cut,) = [spec for spec in specs if spec.run_id in lost]
    train_all([cut], tmp_path / "whole", executor="inline")
    assert outcome(tmp_path / "q", cut) == outcome(tmp_path / "whole", cut)
