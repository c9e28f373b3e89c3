"""The queue on a Ray cluster of two nodes: as on one machine, whatever is lost on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from scalewise import __version__
from scalewise.core.errors import MissingExtraError, UsageError
from scalewise.runs.spec import RunSpec
from scalewise.train import ray_cluster
from scalewise.train.checkpoint import CheckpointPair
from scalewise.train.executor import TrainingResult, train_all
from scalewise.train.progress import Progress
from scalewise.train.ray_cluster import RayCluster, connected, unfit_nodes
from scalewise.train.run_folder import RunFolder
from scalewise.train.shape import shape_from_width
from tests.train.ray_nodes import Nodes, ray_nodes
from tests.train.small_runs import small_spec, write_text

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'ray' is not installed"),
    # Ray leaves sockets, log files and processes to the collector when it disconnects.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.xdist_group("ray"),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with ray_nodes() as nodes:
        nodes.add()
        nodes.add()
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
                if folder.is_done:
                    os.kill(pid, signal.SIGCONT)
                    continue
                found = CheckpointPair(folder.path).load()
                self.saved[folder.path] = found.progress if found else 0
                os.kill(pid, signal.SIGKILL)
                break


def test_twenty_runs_survive_two_killed_workers_and_give_the_table_of_the_local_executor(
    tmp_path: Path, text: str, nodes: Nodes
) -> None:
    specs = [
        small_spec(run_id=f"d{width}-s{seed}", seed=seed, corpus=text,
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
    local = train_all(specs, tmp_path / "local", workers=2)
    assert table(result) == table(local)


def test_a_lost_node_costs_the_steps_since_the_last_checkpoint(
    tmp_path: Path, text: str, nodes: Nodes
) -> None:
    specs = [
        small_spec(run_id=f"s{seed}", seed=seed, token_budgets=(96_000,), corpus=text)
        for seed in range(3)  # one for each node
    ]
    folders = [RunFolder(tmp_path / "q", spec) for spec in specs]
    doomed = nodes.add()
    has_lost = False

    def lose(event: Progress) -> None:
        nonlocal has_lost
        if not has_lost and all(folder.told() for folder in folders):
            has_lost = True
            nodes.lose(doomed)

    result = on_ray(specs, tmp_path / "q", nodes, on_progress=lose)
    assert result.unfinished == ()
    attempts = [folder.attempts() for folder in folders]
    assert sorted(len(attempt) for attempt in attempts) == [1, 1, 2]
    undisturbed = train_all(specs, tmp_path / "whole", executor="inline")
    assert table(result) == table(undisturbed)


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
    (warning,) = result.warnings
    assert "is left out: torch is needed to train models and is not installed." in warning


def test_a_run_that_no_node_can_carry_is_refused(tmp_path: Path, text: str, nodes: Nodes) -> None:
    cluster = RayCluster(address=nodes.address, cpus_per_run=64)
    with pytest.raises(UsageError, match=r"None of the \d nodes of the Ray cluster has 64 CPU"):
        train_all([small_spec(corpus=text)], tmp_path, executor="ray", cluster=cluster)


def test_a_folder_that_the_nodes_do_not_see_is_told(tmp_path: Path, nodes: Nodes) -> None:
    with (
        connected(RayCluster(address=nodes.address), 1) as ray,
        pytest.raises(MissingExtraError, match="does not see the folder '/elsewhere'"),
    ):
        unfit_nodes(ray, "/elsewhere", {"CPU": 1.0}, __version__)


def test_an_address_where_nothing_is_or_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match="'nowhere' is not the address of a Ray cluster"):
        connect("nowhere")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"{address}' cannot be reached: Connection refused"):
            connect(address)
        free.listen()
        monkeypatch.setattr(ray_cluster, "ANSWER_SECONDS", 15.0)
        with pytest.raises(UsageError, match="cannot be reached: what answers there is not Ray"):
            connect(address)


def connect(address: str) -> None:
    with connected(RayCluster(address=address), 1):
        pytest.fail("connected to nothing")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"retries": -1}, "retries=-1; it takes 0 or more"),
        ({"cpus_per_run": -1.0}, "cpus_per_run=-1.0; it takes 0 or more"),
        ({"gpus_per_run": float("nan")}, "gpus_per_run=nan; it takes 0 or more"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RayCluster(**settings)  # type: ignore[arg-type]
