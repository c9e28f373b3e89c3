"""Ray, found or started: which of its nodes can train, and what to say when it cannot be had."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

from scalewise.core.errors import MissingExtraError, UsageError
from scalewise.core.optional import require

REACH_SECONDS = 5.0  # for a TCP connection to the head node
ANSWER_SECONDS = 60.0  # for what answers there to be Ray, and of our version
PROBE_SECONDS = 120.0  # for a node to import torch, which takes its time on network file systems
STORE_BYTES = 80_000_000  # Ray's least: a queue of runs sends no arrays
_PROBE = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
_MUTED = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will do by itself; silences its notice
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RayCluster:
    """Which Ray to use, and what each run gets of it.

    ``address`` is ``HOST:PORT`` of a head node or ``auto``; without one, that of the environment
    (``RAY_ADDRESS``), or else a Ray of our own is started on this machine and stopped at the end.
    ``gpus_per_run`` may be a fraction, and is 1 when the device is a GPU unless it is given.
    """

    address: str | None = None
    cpus_per_run: float = 1.0
    gpus_per_run: float | None = None
    retries: int = 3  # how often a run whose worker or node was lost is taken up again

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise UsageError(f"retries={self.retries}; it takes 0 or more.", hint="Use retries=3.")
        for name in ("cpus_per_run", "gpus_per_run"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise UsageError(f"{name}={value}; it takes 0 or more.", hint=f"Use {name}=1.")

    def resources(self, device: str) -> dict[str, float]:
        """What Ray sets aside for a run.

        >>> RayCluster(cpus_per_run=2).resources("cuda")
        {'CPU': 2, 'GPU': 1.0}
        """
        needs_gpu = device.startswith("cuda")
        gpus = float(needs_gpu) if self.gpus_per_run is None else self.gpus_per_run
        return {"CPU": self.cpus_per_run, "GPU": gpus}


@contextmanager
def connected(
    cluster: RayCluster, workers: int, *, why: str = "to train on a Ray cluster"
) -> Iterator[Any]:
    """The module ``ray``, connected; a connection that was there before is used and kept.

    Raises UsageError when there is no cluster at the address, MissingExtraError without Ray.
    """
    with _environment(_MUTED):
        ray = require("ray", extra="ray", why=why)
        if ray.is_initialized():
            yield ray
            return
        address = cluster.address or os.environ.get("RAY_ADDRESS") or "local"
        if address == "local":
            with _environment(_private_settings()):
                _start(ray, ceil(workers * cluster.cpus_per_run))
        else:
            _join(ray, address)
        try:
            yield ray
        finally:
            ray.shutdown()


def _start(ray: Any, cpus: int) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=max(1, cpus),
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UsageError(
            f"Ray did not start on this machine: {_first_line(error)}",
            hint="Free some memory, or train with executor 'local'.",
        ) from error


@cache  # because Ray keeps the first token of a process
def _private_settings() -> dict[str, str]:
    """A token that nobody else has: Ray listens on every address, and runs what it is sent."""
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _join(ray: Any, address: str) -> None:
    if address != "auto":
        _reach(address)
        _ask(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise _unreachable(address, _first_line(error)) from error


def _reach(address: str) -> None:
    """Knock: Ray itself would wait for minutes for a host that is not there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(
            f"{address!r} is not the address of a Ray cluster.",
            hint="Give HOST:PORT of its head node, or 'auto' on a machine of the cluster.",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise _unreachable(address, f"{error.strerror or error}.") from error


def _ask(address: str) -> None:
    """Connect in a process of its own, because Ray ends the one that finds no Ray there."""
    impatient = {"RAY_gcs_rpc_server_connect_timeout_s": "5",
                 "RAY_gcs_rpc_server_reconnect_timeout_s": "5"}  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _PROBE, address],
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            env=os.environ | impatient,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable(address, "what answers there is not Ray.") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1].partition(": ")[2] if "Traceback" in done.stderr else ""
        raise _unreachable(address, reason or "what answers there is not Ray.")


def _unreachable(address: str, reason: str) -> UsageError:
    return UsageError(
        f"The Ray cluster at {address!r} cannot be reached: {reason}",
        hint="Start one with 'ray start --head', or leave the address out to use this machine.",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def unfit_nodes(
    ray: Any, folder: str, needs: Mapping[str, float], version: str
) -> dict[str, tuple[str, str]]:
    """What is wrong with each node that cannot train: by its id, its address and the reason.

    Raises MissingExtraError, or UsageError when no node is large enough, if none is left.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    large = [node for node in alive if can_carry(node, needs)]
    if not large:
        wanted = " and ".join(f"{n:g} {name}" for name, n in needs.items() if n)
        raise UsageError(
            f"None of the {len(alive)} nodes of the Ray cluster has {wanted} for a run.",
            hint="Add such a node, or ask for less per run.",
        )
    found = _probed(ray, large, folder, version)
    if len(found) == len(large):
        reasons = sorted({f"{address}: {reason}" for address, reason in found.values()})
        raise MissingExtraError(
            f"None of the {len(large)} nodes of the Ray cluster can train. {' '.join(reasons[:3])}",
            hint="On every node: pip install 'scalewise[train,ray]', and a folder that all share.",
        )
    return found


def can_carry(node: Mapping[str, Any], needs: Mapping[str, float]) -> bool:
    """Whether a node, as Ray lists it, is alive and large enough for a run.

    >>> can_carry({"Alive": True, "Resources": {"CPU": 4.0}}, {"CPU": 2, "GPU": 0})
    True
    """
    has = node["Resources"]
    return bool(node["Alive"]) and all(has.get(name, 0.0) >= n for name, n in needs.items())


def _probed(
    ray: Any, nodes: list[Mapping[str, Any]], folder: str, version: str
) -> dict[str, tuple[str, str]]:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from scalewise.train.ray_worker import problem_here

    probe = ray.remote(problem_here)
    asked = {}
    for node in nodes:
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": place}
        asked[node["NodeID"]] = probe.options(**options).remote(json.dumps([folder, version]))
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=PROBE_SECONDS)
    found = {}
    for node in nodes:
        try:
            reason = ray.get(asked[node["NodeID"]], timeout=0)
        except ray.exceptions.GetTimeoutError:
            reason = f"it did not answer in {PROBE_SECONDS:g} seconds."
        except ray.exceptions.RayTaskError as error:  # the function itself is not there
            reason = f"scalewise does not run there: {str(error).strip().splitlines()[-1]}"
        except ray.exceptions.RayError as error:
            reason = _first_line(error)
        if reason:
            found[node["NodeID"]] = (node["NodeManagerAddress"], reason)
    return found


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Variables for Ray and the processes it starts; those that are set already stand."""
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
