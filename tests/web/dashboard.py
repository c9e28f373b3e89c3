"""A dashboard as a process of its own on a free port of this computer, and clients that ask it."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

ROOT = Path(__file__).resolve().parents[2]
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_PATIENCE = 120.0  # seconds, on a machine with much else to do


@dataclass(frozen=True)
class Answered:
    """An answer: its status, its headers in lower case, its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Dashboard:
    """A served project folder."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    url: str = ""

    def start(self) -> Dashboard:
        arguments = json.dumps({"folder": str(self.folder), **self.settings})
        with self.log_file.open("a") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.web.dashboard", arguments], cwd=ROOT, text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
                stdout=subprocess.PIPE, stderr=told,
            )  # fmt: skip
        assert self.process.stdout is not None
        with self.process.stdout as said:
            self.url = said.readline().strip()
        if not self.url:
            self.process.wait(_PATIENCE)
            raise AssertionError(self.log)
        return self

    @property
    def log_file(self) -> Path:
        return self.folder.parent / f"{self.folder.name}.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(_PATIENCE)
        self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def ask(
        self, path: str, body: bytes | None = None, *, method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:  # fmt: skip
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            how = method or ("GET" if body is None else "POST")
            link.request(how, path, body, dict(headers or {}))
            got = link.getresponse()
            found = {name.lower(): value for name, value in got.getheaders()}
            return Answered(got.status, found, got.read())
        finally:
            link.close()

    def post(self, path: str, fields: Mapping[str, Any]) -> Answered:
        """JSON to the JSON side, a form to a page."""
        if path.startswith("/api/"):
            return self.ask(path, json.dumps(fields).encode(), headers=JSON)
        return self.ask(path, urlencode(fields, doseq=True).encode(), headers=FORM)

    def upload(self, files: Mapping[str, bytes], path: str = "/api/sources") -> Answered:
        kind, body = multipart(files)
        return self.ask(path, body, headers={"Content-Type": kind})

    def ended(self, job: str) -> dict[str, Any]:
        """A job once it has ended."""
        return self.until(lambda: self._job(job), lambda told: not is_open(told))

    def _job(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(f"/api/jobs/{job}").data
        return found

    def until(self, look: Callable[[], Any], wanted: Callable[[Any], bool] = bool) -> Any:
        """What ``look`` sees once it is ``wanted``."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            found = look()
            if wanted(found):
                return found
            time.sleep(0.05)
        raise AssertionError(f"It did not come to that: {found}, {self.log}")

    def running(self, job: str) -> None:
        """Wait until a job computes."""
        self.until(lambda: self._job(job), lambda told: bool(told["progress"]))

    def runs_of(self, files: Mapping[str, bytes]) -> str:
        """The key of the run table that files are read as."""
        job = self.upload(files).data["job"]
        told = self.ended(job)
        assert told["state"] == "done", told
        return str(told["runs"])

    def fit_of(self, runs: str, **asked: Any) -> str:
        """The key of a fit."""
        fields = {"kind": "fit", "runs": runs, "law": "chinchilla", "bootstrap": 20, **asked}
        told = self.ended(self.post("/api/jobs", fields).data["job"])
        assert told["state"] == "done", told
        return str(told["fit"])

    def half_sent(self, head: bytes) -> socket.socket:
        """A connection on which a part of a request was sent."""
        link = socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE)
        link.sendall(head)
        return link


def is_open(told: Mapping[str, Any]) -> bool:
    return told["state"] in ("waiting", "running")


def multipart(files: Mapping[str, bytes], field: str = "files") -> tuple[str, bytes]:
    """Content type and body of a form with files."""
    edge = secrets.token_hex(16)
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files.items()
    ]
    return f"multipart/form-data; boundary={edge}", b"".join(parts) + f"--{edge}--\r\n".encode()


def run_table(*, lift: float = 0.0, name: str = "run") -> bytes:
    """Runs of a Chinchilla law as CSV: four sizes, three token counts each."""
    rows = ["run_id,params,tokens,loss"]
    for i, params in enumerate((2e6, 8e6, 3e7, 1e8)):
        for j, ratio in enumerate((8, 20, 60)):
            tokens = ratio * params
            wobble = 0.002 * ((7 * i + 3 * j) % 5 - 2)
            loss = 1.7 + lift + 400 / params**0.34 + 410 / tokens**0.28 + wobble
            rows.append(f"{name}-{i}-{j},{params:.0f},{tokens:.0f},{loss:.6f}")
    return "\n".join([*rows, ""]).encode()


def _tell(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


def _main(given: dict[str, Any]) -> None:
    from scalewise.web.server import serve
    from scalewise.web.settings import Limits, Settings

    limits = Limits(**given.pop("limits", {}))
    host, watched = given.pop("host", "127.0.0.1"), given.pop("watched", None)
    settings = Settings(
        folder=Path(given.pop("folder")), limits=limits, names=tuple(given.pop("names", ())),
        watched=None if watched is None else Path(watched), **given,
    )  # fmt: skip
    serve(settings, host=host, port=0, started=_tell)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
