"""The contract with W&B's package, on a stand-in that has what is used of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.sources.logs import wandb_cloud
from scalewise.sources.logs.read import read_logs
from scalewise.sources.logs.wandb_cloud import read_project

LIKE_A_KEY = "0123456789abcdef" * 2 + "01234567"


@dataclass
class FakeRun:
    id: str = "abc"
    name: str = "tiny"
    state: str = "finished"
    config: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 1500

    def scan_history(
        self, keys: list[str] | None = None, page_size: int = 1000
    ) -> Iterable[Mapping[str, Any]]:
        assert keys is None  # rows that lack one of the keys would be left out
        for step in range(self.rows):
            yield {"_step": step, "_timestamp": 1.7e9, "_runtime": 3, "tokens": 512 * (step + 1),
                   "val/loss": "NaN" if step == 1 else 3.0, "image": {"_type": "image-file"},
                   "nested": {"x": 1.0}, "note": "hi"}  # fmt: skip

    def history(self, samples: int = 500) -> None:
        raise AssertionError("history samples")


@dataclass
class FakeApi:
    found: list[FakeRun]
    error: Exception | None = None

    def runs(self, path: str) -> Iterable[FakeRun]:
        if self.error:
            raise self.error
        assert path == "team/project"
        return iter(self.found)

    def run(self, path: str) -> FakeRun:
        assert path == "team/project/abc"
        return self.found[0]


def test_every_row_of_a_project_is_read() -> None:
    api = FakeApi([FakeRun(config={"n_params": 1e6, "_wandb": 1})])
    (log,) = read_project("wandb:team/project", api=api)
    assert log.points.height == 1500
    assert set(log.points.columns) == {"step", "wall_time", "tokens", "val/loss", "nested.x"}
    assert log.points["val/loss"].is_nan().sum() == 1
    assert (log.name, log.state, dict(log.config)) == ("tiny", "finished", {"n_params": 1e6})


def test_one_run_may_be_named_and_metrics_chosen() -> None:
    api = FakeApi([FakeRun(state="crashed")])
    (log,) = read_project("wandb:team/project/abc", wanted=lambda name: name == "tokens", api=api)
    assert set(log.points.columns) == {"step", "wall_time", "tokens"}
    assert log.state == "running or crashed"


def test_a_project_becomes_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi([FakeRun(config={"n_params": 1e6}, rows=10)])
    monkeypatch.setattr(wandb_cloud, "_api", lambda: api)
    assert read_logs("wandb:team/project").column("params").tolist() == [1e6] * 10


@pytest.mark.parametrize("address", ["wandb:team", "wandb:", "wandb:a//b", "wandb:a/b/c/d"])
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="does not name a W&B project"):
        read_project(address, api=FakeApi([]))


def test_an_empty_project_is_told() -> None:
    with pytest.raises(RunDataError, match="team/project holds no runs"):
        read_project("wandb:team/project", api=FakeApi([]))


def test_what_the_server_refuses_is_told_without_the_key() -> None:
    api = FakeApi([], error=ValueError(f"api_key {LIKE_A_KEY} is not valid"))
    with pytest.raises(RunDataError, match=r"did not give team/project: api_key \*\*\*") as caught:
        read_project("wandb:team/project", api=api)
    assert LIKE_A_KEY not in str(caught.value)
    assert caught.value.__cause__ is None
