"""A Ray cluster of one head and two nodes on this machine, for nobody else."""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
STORE = {"object_store_memory": 80_000_000}
# A lost node is noticed in about two seconds instead of half a minute.
ALERT = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1_000,
    "health_check_failure_threshold": 3,
}
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
}


class Nodes:
    """The cluster, and how to change it."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address

    def add(self, **environment: str) -> Any:
        """One more node, for one run at a time."""
        return self._cluster.add_node(num_cpus=1, env_vars=environment, **STORE)

    def worker_is_on(self, pid: int, node: Any) -> bool:
        """Whether a worker process was started by a node."""
        (raylet,) = node.all_processes["raylet"]
        status = Path(f"/proc/{pid}/status").read_text()
        return f"PPid:\t{raylet.process.pid}\n" in status

    def lose(self, node: Any) -> None:
        """End a node without a word."""
        self._cluster.remove_node(node, allow_graceful=False)


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray leaves its log files open
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
        from ray._raylet import Config  # type: ignore[attr-defined]
        from ray.cluster_utils import Cluster

        Config.initialize("")  # what it read when it was imported is out of date

        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": ALERT, **STORE}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield Nodes(cluster)
        finally:
            cluster.shutdown()  # type: ignore[no-untyped-call]
