"""Calls spread over a Ray cluster of two nodes, whatever is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.forecast.policy import CHOSHEN2024, DEFAULT
from scalewise.forecast.study import study
from scalewise.train import ray_map
from scalewise.train.ray_cluster import RayCluster, connected
from scalewise.train.ray_map import map_ray
from tests.forecast.study_families import count, die_always, die_once, family, refuse
from tests.train.ray_nodes import Nodes, ray_nodes

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'ray' is not installed"),
    # Ray leaves sockets, log files and processes to the collector when it disconnects.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with ray_nodes() as nodes:
        nodes.add()
        nodes.add()
        with connected(RayCluster(address=nodes.address), 1):
            yield nodes


def test_a_study_on_two_workers_is_that_of_one_process_to_the_last_bit(nodes: Nodes) -> None:
    families = {"even": family(), "noisy": family(noise=0.02, seed=3)}
    settings = {"policies": [DEFAULT, CHOSHEN2024], "models": [3, 5]}
    there = study(families, mapper=map_ray(RayCluster(address=nodes.address)), **settings)  # type: ignore[arg-type]
    assert there.cells == study(families, **settings).cells  # type: ignore[arg-type]


def test_a_worker_that_dies_is_replaced_and_its_call_made_again(
    tmp_path: Path, nodes: Nodes
) -> None:
    calls = map_ray(RayCluster(address=nodes.address))
    found = dict(calls(die_once, [(str(tmp_path), number) for number in range(5)]))
    assert found == {number: str(10 * number) for number in range(5)}
    assert (tmp_path / "died").exists()


def test_a_call_that_always_kills_its_worker_is_told(tmp_path: Path, nodes: Nodes) -> None:
    calls = map_ray(RayCluster(address=nodes.address, retries=1))
    with pytest.raises(UsageError, match=r"lost on the Ray cluster, 2 times in all: Worker"):
        dict(calls(die_always, [(str(tmp_path), 3)]))


def test_an_error_of_the_function_is_raised_here_as_it_was_there(nodes: Nodes) -> None:
    calls = map_ray(RayCluster(address=nodes.address))
    with pytest.raises(UnfitDataError, match="item 0 is refused"):
        dict(calls(refuse, [0]))


def test_a_node_with_other_versions_is_told(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_map, "_here", lambda: "scalewise 99.0.0 and numpy 9.9")
    calls = map_ray(RayCluster(address=nodes.address))
    with pytest.raises(UsageError, match=r"has scalewise .*, here it is scalewise 99\.0\.0"):
        dict(calls(count, [1]))


def test_nothing_to_do_needs_no_cluster() -> None:
    assert list(map_ray(RayCluster(address="nowhere:1"))(count, [])) == []


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(UsageError, match="workers=0 is below 1"):
        map_ray(workers=0)
