"""Many calls of one function on the nodes of a Ray cluster: text out, whatever is lost on the way.

Ray starts a call again when its worker or node has died; a fault of the function itself would
come again and ends the map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from scalewise.core.errors import MissingExtraError, ScalewiseError, UsageError
from scalewise.core.version import version
from scalewise.train.ray_cluster import RayCluster, connected

Map = Callable[[Callable[[Any], str], Sequence[Any]], Iterator[tuple[int, str]]]

_AHEAD = 2  # calls handed out per worker: one that runs, one that waits


def map_ray(cluster: RayCluster | None = None, *, workers: int = 2) -> Map:
    """A mapper that sends calls to a Ray cluster and yields (index, answer) as they come in.

    ``workers`` is the size of a Ray that has to be started; one that exists takes as many calls at
    once as it has processors. Raises UsageError when the cluster cannot be reached or a call's
    workers were lost more often than ``cluster.retries``, MissingExtraError without Ray, here or
    where a call ran.
    """
    if workers < 1:
        raise UsageError(f"workers={workers} is below 1.", hint="Give 1 or more.")
    return partial(_on_ray, cluster or RayCluster(), workers)


def _on_ray(
    cluster: RayCluster, workers: int, work: Callable[[Any], str], items: Sequence[Any]
) -> Iterator[tuple[int, str]]:
    if not items:
        return
    with connected(cluster, workers, why="to spread a study over a Ray cluster") as ray:
        task = ray.remote(_call).options(
            num_cpus=cluster.cpus_per_run,
            num_gpus=0,
            max_retries=cluster.retries,
            runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}},
        )
        slots = max(1, int(ray.cluster_resources().get("CPU", workers)))
        waiting = iter(enumerate(items))
        running: dict[Any, int] = {}
        try:
            while True:
                for index, item in islice(waiting, _AHEAD * slots - len(running)):
                    running[task.remote(work, item, _here())] = index
                if not running:
                    return
                (ended, *_), _ = ray.wait(list(running), num_returns=1)
                yield running.pop(ended), _answer(ray, ended, cluster)
        finally:
            for ref in running:
                ray.cancel(ref, force=True)


def _answer(ray: Any, ref: Any, cluster: RayCluster) -> str:
    errors = ray.exceptions
    try:
        problem, text = ray.get(ref)
    except errors.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ScalewiseError):
            raise cause from error
        if isinstance(cause, ImportError):
            raise MissingExtraError(
                f"A node of the Ray cluster cannot do its part: {cause}.",
                hint="On every node: pip install 'scalewise[ray]', of the same version.",
            ) from error
        raise
    except errors.RayError as error:
        raise UsageError(
            f"A part was lost on the Ray cluster, {cluster.retries + 1} times in all: "
            f"{type(error).__name__}.",
            hint="Its workers were killed, for want of memory perhaps. What was done is kept if a "
            "cache folder was given; run it again.",
        ) from error
    if problem:
        raise UsageError(problem, hint="Install the same versions on every node.")
    return str(text)


def _here() -> str:
    """The versions that numbers depend on."""
    import numpy as np

    return f"scalewise {version()} and numpy {np.__version__}"


def _call(work: Callable[[Any], str], item: Any, expected: str) -> tuple[str, str]:
    """What a worker does: the problem, or the answer."""
    if (found := _here()) != expected:
        return f"A node of the Ray cluster has {found}, here it is {expected}.", ""
    return "", work(item)
