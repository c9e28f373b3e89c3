"""Stores that MLflow writes, and a server of its own over SQLite."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from scalewise.core.errors import RunDataError, UsageError
from scalewise.sources.logs.log import Log
from scalewise.sources.logs.mlflow import MlflowReader
from scalewise.sources.logs.mlflow_server import read_server
from scalewise.sources.logs.read import read_logs
from tests.sources.formats.processes import environment, run
from tests.sources.formats.tools import need

SCRIPT = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("the ladder")
for name, start in (("d4", 3.0), ("d8", 2.5)):
    with mlflow.start_run(run_name=name):
        mlflow.log_params({"batch_tokens": 1024, "model/n_layer": 4, "lr": 3e-4})
        for i in range(1, 4):
            mlflow.log_metric("val/loss", start - i / 10, step=10 * i)
        mlflow.log_metric("val/loss", float("nan"), step=40)
        mlflow.log_metric("val/loss", float("inf"), step=50)
        mlflow.log_metric("val/loss", 9.0, step=20)
"""
VALUES = [2.9, 9.0, 2.7, math.nan, math.inf]


def check(logs: list[Log]) -> None:
    """What the script logged has come back."""
    assert sorted(log.name for log in logs) == ["d4", "d8"]
    log = next(log for log in logs if log.name == "d4")
    assert log.points["step"].to_list() == [10, 20, 30, 40, 50]
    assert log.points["val/loss"].to_list() == pytest.approx(VALUES, nan_ok=True)
    assert log.lost == {"overwritten points": 1}
    assert log.config == {"batch_tokens": "1024", "model/n_layer": "4", "lr": "0.0003"}
    assert log.state == "finished"


def test_a_real_database(tmp_path: Path) -> None:
    need("mlflow", "sqlalchemy", "alembic")
    path = tmp_path / "mlflow.db"
    run(SCRIPT, tmp_path, f"sqlite:///{path}")
    check(MlflowReader().read(path))
    table = read_logs(path)
    assert table.column("tokens").tolist()[:3] == [10240, 20480, 30720]
    assert set(table.column("n_layer")) == {4.0}
    assert set(table.column("lr_peak")) == {3e-4}


def test_a_real_file_store(tmp_path: Path) -> None:
    need("mlflow")
    run(SCRIPT, tmp_path, (tmp_path / "mlruns").as_uri())
    logs = [log for meta in tmp_path.glob("mlruns/*/*/meta.yaml")
            for log in MlflowReader().read(meta.parent)]  # fmt: skip
    check(logs)
    assert sorted(set(read_logs(tmp_path).frame["run_id"])) == ["d4", "d8"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a free loopback port, stopped at the end."""
    need("mlflow", "sqlalchemy", "alembic", "flask", "flask_cors")
    folder = tmp_path_factory.mktemp("mlflow-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--host", "127.0.0.1",
        "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
    ]  # fmt: skip
    with (folder / "server.log").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said,
                                   env=environment(folder), start_new_session=True)  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, process, folder / "server.log")
            run(SCRIPT, folder, address)
            yield address
        finally:
            _stop(process)


def _wait(address: str, process: subprocess.Popen[bytes], said: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, said.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(said.read_text()[-3000:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, which are a group of their own."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@pytest.mark.filterwarnings("ignore")
def test_a_real_server_gives_every_point_of_an_experiment(server: str) -> None:
    check(read_server(f"mlflow:{server}/the%20ladder"))
    table = read_logs([f"mlflow:{server}/1"])
    assert sorted(set(table.frame["run_id"])) == ["d4", "d8"]
    assert table.column("tokens").tolist()[:3] == [10240, 20480, 30720]


@pytest.mark.filterwarnings("ignore")
def test_an_experiment_that_is_not_there_is_told_with_those_that_are(server: str) -> None:
    with pytest.raises(RunDataError, match="There is no experiment 'ladders'") as told:
        read_server(f"mlflow:{server}/ladders")
    assert "'the ladder'" in told.value.hint


@pytest.mark.filterwarnings("ignore")
def test_a_server_that_does_not_answer_is_told_soon_and_without_its_password() -> None:
    need("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RunDataError, match="No server answers") as told:
        read_server(f"mlflow:http://me:secret@127.0.0.1:{port}/x")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    "address", ["mlflow:", "mlflow:ftp://h/x", "mlflow:http://h", "mlflow:h/x"]
)
def test_an_address_without_an_experiment_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="names no experiment"):
        read_server(address)
