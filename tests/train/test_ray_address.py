"""Which Ray to use: addresses where there is none, and settings that make no sense."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from scalewise.core.errors import MissingExtraError, UsageError
from scalewise.runs.spec_file import specs_to_toml
from scalewise.train import ray_cluster
from scalewise.train.ray_cluster import RayCluster, connected
from tests.train.small_runs import small_spec, write_text

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'ray' is not installed")


def connect(address: str) -> None:
    with connected(RayCluster(address=address), 1):
        pytest.fail("connected to nothing")


@needs_ray
@pytest.mark.filterwarnings("ignore::ResourceWarning")
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
        with pytest.raises(UsageError, match="cannot be reached: what answers there is not Ray"):
            connect(address)
        monkeypatch.setattr(ray_cluster, "ANSWER_SECONDS", 0.01)
        with pytest.raises(UsageError, match="cannot be reached: what answers there is not Ray"):
            connect(address)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'scalewise\[ray\]'"):
        connect("127.0.0.1:1")


@needs_ray
def test_without_an_address_ray_is_started_here_and_stopped_and_stdout_is_json(
    tmp_path: Path,
) -> None:
    text = write_text(tmp_path / "words.txt")
    spec = small_spec(corpus=str(text), token_budgets=(4_096,))
    (tmp_path / "plan.toml").write_text(specs_to_toml([spec]))
    removed = ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in removed}
    done = subprocess.run(
        [sys.executable, "-m", "scalewise", "train", "plan.toml", "--executor", "ray", "--workers",
         "1", "--json"],
        cwd=tmp_path, env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["data"]["table"]["runs"] == 1
    assert answer["data"]["unfinished"] == []
    assert "small: ok, 32 of 32 updates" in done.stderr


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
