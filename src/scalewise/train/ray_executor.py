"""Runs of a queue on the nodes of a Ray cluster.

Ray only places processes and says which have died. What a run is and how far it has come lies in
its folder, which all nodes share, so a lost worker or node costs the steps since the last
checkpoint, whoever takes the run up again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scalewise.core.records import to_json
from scalewise.runs.spec import RunSpec
from scalewise.runs.spec_file import specs_to_toml
from scalewise.train.claim import HEARTBEAT_SECONDS, STALE_SECONDS
from scalewise.train.executor import Settings
from scalewise.train.progress import OnProgress, Progress, progress_from_json, stopped
from scalewise.train.ray_cluster import RayCluster, can_carry, connected, unfit_nodes
from scalewise.train.ray_worker import torch_version, train_on_node
from scalewise.train.run_folder import RunFolder

POLL_SECONDS = 0.5
NODES_SECONDS = 5.0  # between looks at the list of nodes
NODELESS_SECONDS = 60.0  # how long a queue waits for a node when all are lost
PATIENCE_SECONDS = STALE_SECONDS + 2 * HEARTBEAT_SECONDS  # until a lost node's claim is over


def train_on_ray(
    pending: Sequence[RunSpec],
    settings: Settings,
    workers: int,
    cluster: RayCluster,
    note: OnProgress,
) -> tuple[str, ...]:
    """Train the runs in their order; events come through ``note``. Warnings about nodes.

    ``workers`` is the size of a Ray that has to be started; one that exists takes as many runs at
    once as its resources allow. Raises UsageError when the cluster cannot be reached or none of
    its nodes can train.
    """
    needs = cluster.resources(settings.device)
    # Ray shows a run no GPU but its own.
    device = "cuda" if settings.device.startswith("cuda") else settings.device
    settings = replace(settings, queue=settings.queue.resolve(), device=device)
    with connected(cluster, workers) as ray:
        unfit = unfit_nodes(ray, str(settings.queue), needs, torch_version())
        queue = _RayQueue(ray, settings, cluster, needs, tuple(unfit), note)
        try:
            for spec in pending:
                queue.submit(spec)
            queue.listen()
        finally:
            queue.cancel()
    return tuple(f"Node {where} is left out: {why}" for where, why in unfit.values())


@dataclass(slots=True)
class _Attempt:
    """One task of Ray, which trains one run."""

    spec: RunSpec
    number: int
    told: str = ""  # by the run, in its folder
    latest: Progress | None = None


class _RayQueue:
    def __init__(
        self,
        ray: Any,
        settings: Settings,
        cluster: RayCluster,
        needs: Mapping[str, float],
        unfit: tuple[str, ...],
        note: OnProgress,
    ) -> None:
        self._ray, self._settings, self._cluster, self._needs = ray, settings, cluster, needs
        self._unfit, self._note = unfit, note
        options: dict[str, Any] = {
            "num_cpus": needs["CPU"],
            "num_gpus": needs["GPU"],
            "max_retries": 0,  # ours are told to the user
            "scheduling_strategy": "SPREAD",
        }
        if unfit:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(unfit)})"}
        self._task = ray.remote(train_on_node).options(**options)
        self._attempts: dict[Any, _Attempt] = {}
        self._next_look = self._last_node = time.monotonic()

    def submit(self, spec: RunSpec, number: int = 0, latest: Progress | None = None) -> None:
        """Hand a run to Ray."""
        patience = PATIENCE_SECONDS if number else 0.0
        folder = RunFolder(self._settings.queue, spec)
        ref = self._task.remote(specs_to_toml([spec]), to_json(self._settings), patience)
        self._attempts[ref] = _Attempt(spec, number, folder.told(), latest)

    def listen(self) -> None:
        """Pass on events, and take up again what was lost, until every run is over."""
        while self._attempts:
            ended, _ = self._ray.wait(list(self._attempts), timeout=POLL_SECONDS)
            for attempt in self._attempts.values():
                self._pass_on(attempt)
            for ref in ended:
                self._end(ref, self._attempts.pop(ref))
            if self._has_lost_all_nodes():
                self._give_up()

    def cancel(self) -> None:
        """Stop whatever still runs; checkpoints are whole at any moment."""
        for ref in self._attempts:
            self._ray.cancel(ref, force=True)

    def _pass_on(self, attempt: _Attempt) -> None:
        text = RunFolder(self._settings.queue, attempt.spec).told()
        if text and text != attempt.told:
            attempt.told, attempt.latest = text, progress_from_json(text)
            self._note(attempt.latest)

    def _end(self, ref: Any, attempt: _Attempt) -> None:
        spec, errors = attempt.spec, self._ray.exceptions
        try:
            self._note(progress_from_json(self._ray.get(ref)))
        except errors.RayTaskError as error:  # not a loss but a fault, which would come again
            self._note(stopped(spec, "failed", str(error).strip().splitlines()[-1]))
        except errors.RayError as error:
            self._retry(attempt, type(error).__name__)

    def _retry(self, attempt: _Attempt, loss: str) -> None:
        spec, retries = attempt.spec, self._cluster.retries
        if attempt.number >= retries:
            lost = f"its worker was lost {attempt.number + 1} times, at last by {loss}"
            self._note(stopped(spec, "crashed", lost))
            return
        latest = attempt.latest or stopped(spec, "running", "")
        lost = f"its worker was lost ({loss}); retry {attempt.number + 1} of {retries}"
        self._note(replace(latest, loss=None, detail=lost))
        self.submit(spec, attempt.number + 1, attempt.latest)

    def _has_lost_all_nodes(self) -> bool:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + NODES_SECONDS
            nodes = [node for node in self._ray.nodes() if node["NodeID"] not in self._unfit]
            if any(can_carry(node, self._needs) for node in nodes):
                self._last_node = now
        return now - self._last_node > NODELESS_SECONDS

    def _give_up(self) -> None:
        self.cancel()
        for attempt in self._attempts.values():
            self._note(stopped(attempt.spec, "crashed", "no node is left that could train it"))
        self._attempts.clear()
