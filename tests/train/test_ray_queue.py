"""What becomes of runs whose workers are lost, by a Ray that pretends; and the worker's part."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scalewise.core.records import to_json
from scalewise.runs.spec import RunSpec
from scalewise.runs.spec_file import specs_to_toml
from scalewise.train import ray_executor
from scalewise.train.executor import Settings, prepare_tokens
from scalewise.train.progress import Progress, progress_to_json
from scalewise.train.ray_cluster import RayCluster
from scalewise.train.ray_executor import PATIENCE_SECONDS, _RayQueue
from scalewise.train.ray_worker import problem_here, torch_version, train_on_node
from scalewise.train.run_folder import RunFolder
from tests.train.small_runs import small_spec, write_text

NEEDS = {"CPU": 1.0, "GPU": 0.0}
NODE = {"NodeID": "n", "Alive": True, "Resources": {"CPU": 1.0}}


class LostError(Exception):
    """Ray's word for a worker or node that is gone."""


class FaultError(LostError):
    """Ray's word for an exception in a task."""


class PretendedRay:
    """Answers each task with the next of its outcomes; an endless task if there is none."""

    exceptions = SimpleNamespace(RayError=LostError, RayTaskError=FaultError)

    def __init__(
        self, *outcomes: Exception | str, nodes: Sequence[dict[str, Any]] = (NODE,)
    ) -> None:
        self._outcomes, self._nodes = dict(enumerate(outcomes)), nodes
        self.asked: list[tuple[Any, ...]] = []
        self.options: dict[str, Any] = {}
        self.cancelled: list[int] = []

    def remote(self, function: Callable[..., Any]) -> Any:
        def options(**given: Any) -> Any:
            self.options = given
            return SimpleNamespace(remote=submit)

        def submit(*given: Any) -> int:
            self.asked.append(given)
            return len(self.asked) - 1

        return SimpleNamespace(options=options)

    def wait(self, refs: list[int], timeout: float) -> tuple[list[int], list[int]]:
        ended = [ref for ref in refs if ref in self._outcomes]
        return ended[:1], refs

    def get(self, ref: int) -> str:
        outcome = self._outcomes[ref]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def nodes(self) -> Sequence[dict[str, Any]]:
        return self._nodes

    def cancel(self, ref: int, *, force: bool) -> None:
        assert force
        self.cancelled.append(ref)


def ended(ray: PretendedRay, queue: Path, *, retries: int = 2) -> list[Progress]:
    events: list[Progress] = []
    cluster, settings = RayCluster(retries=retries), Settings(queue, "cpu", 1.0)
    tasks = _RayQueue(ray, settings, cluster, NEEDS, ("bad", "worse"), events.append)
    tasks.submit(small_spec())
    tasks.listen()
    return events


OK = progress_to_json(Progress(run_id="small", status="ok", updates=9, total_updates=9))


def test_a_lost_run_is_taken_up_again_and_waits_for_the_claim_of_the_lost_worker(
    tmp_path: Path,
) -> None:
    ray = PretendedRay(LostError(), LostError(), OK)
    events = ended(ray, tmp_path)
    assert [event.status for event in events] == ["running", "running", "ok"]
    assert events[1].detail == "its worker was lost (LostError); retry 2 of 2"
    assert [patience for *_, patience in ray.asked] == [0.0, PATIENCE_SECONDS, PATIENCE_SECONDS]
    assert ray.options["label_selector"] == {"ray.io/node-id": "!in(bad,worse)"}


def test_a_run_that_is_lost_too_often_is_given_up_as_crashed(tmp_path: Path) -> None:
    *_, last = ended(PretendedRay(LostError(), LostError()), tmp_path, retries=1)
    assert last.status == "crashed"
    assert last.detail == "its worker was lost 2 times, at last by LostError"


def test_a_fault_is_not_tried_again(tmp_path: Path) -> None:
    (event,) = ended(PretendedRay(FaultError("Traceback\nValueError: odd")), tmp_path)
    assert (event.status, event.detail) == ("failed", "ValueError: odd")


def test_when_all_nodes_are_lost_the_queue_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "NODELESS_SECONDS", 0.0)
    ray = PretendedRay(nodes=({**NODE, "Alive": False}, {**NODE, "NodeID": "bad"}))
    (event,) = ended(ray, tmp_path)
    assert (event.status, event.detail) == ("crashed", "no node is left that could train it")
    assert ray.cancelled == [0]


def test_what_a_run_leaves_in_its_folder_is_passed_on_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, small_spec())
    folder.create()
    told = Progress(run_id="small", status="running", updates=5, total_updates=9, loss=1.5)

    class Telling(PretendedRay):
        def wait(self, refs: list[int], timeout: float) -> tuple[list[int], list[int]]:
            folder.tell(progress_to_json(told))
            looks.append(1)
            return super().wait(refs, timeout) if len(looks) > 2 else ([], refs)

    looks: list[int] = []
    events = ended(Telling(OK), tmp_path)
    assert [(event.status, event.updates) for event in events] == [("running", 5), ("ok", 9)]


def order(tmp_path: Path) -> tuple[RunSpec, str, str]:
    corpus = str(write_text(tmp_path / "words.txt"))
    spec = small_spec(token_budgets=(4_096,), corpus=corpus)
    prepare_tokens([spec], tmp_path / "q")
    return spec, specs_to_toml([spec]), to_json(Settings(tmp_path / "q", "cpu", 1.0))


def test_a_worker_waits_for_a_claim_as_long_as_it_is_told(tmp_path: Path) -> None:
    spec, text, settings = order(tmp_path)
    folder = RunFolder(tmp_path / "q", spec)
    folder.create()
    held = folder.claimed()
    held.__enter__()
    assert json.loads(train_on_node(text, settings, 0.0))["status"] == "busy"

    def let_go() -> None:
        time.sleep(0.2)
        held.__exit__(None, None, None)

    threading.Thread(target=let_go).start()
    assert json.loads(train_on_node(text, settings, 60.0))["status"] == "ok"
    again = json.loads(train_on_node(text, settings, 0.0))
    assert (again["status"], again["detail"]) == ("ok", "by another process")


def test_a_node_says_why_it_cannot_train(tmp_path: Path) -> None:
    order(tmp_path)
    assert problem_here(json.dumps([str(tmp_path / "q"), torch_version()])) == ""
    other = problem_here(json.dumps([str(tmp_path / "q"), "1.0"]))
    assert other == f"it has torch {torch_version()}, which rounds otherwise than 1.0 here."
    unseen = problem_here(json.dumps([str(tmp_path / "absent"), torch_version()]))
    assert "does not see the folder" in unseen
