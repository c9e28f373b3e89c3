"""What runs on a node of a Ray cluster: plain text in, plain text out, the rest in the folder."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from scalewise.core.errors import MissingExtraError
from scalewise.core.optional import require
from scalewise.runs.spec_file import specs_from_toml
from scalewise.train.executor import Settings, train_here
from scalewise.train.progress import Progress, progress_to_json
from scalewise.train.run_folder import RunFolder

TELL_SECONDS = 1.0  # between two reports of a run, which are small files in its folder


def problem_here(order: str) -> str:
    """Why this node cannot train, or nothing; ``order`` is JSON, the folder and torch's version."""
    folder, version = json.loads(order)
    if not (Path(folder) / "corpus.json").exists():
        return f"it does not see the folder {folder!r}, which all nodes must share."
    try:
        require("torch", extra="train", why="to train models")
    except MissingExtraError as error:
        return error.message
    if torch_version() != version:
        return f"it has torch {torch_version()}, which rounds otherwise than {version} here."
    return ""


def torch_version() -> str:
    """The version of torch, whatever it was built for; torch itself is not imported."""
    return metadata.version("torch").partition("+")[0]


def train_on_node(spec_toml: str, settings_json: str, patience_seconds: float) -> str:
    """Train one run in this worker process; the JSON of its last event.

    ``patience_seconds`` is how long to wait for the claim of a worker that was lost.
    """
    from scalewise.train.process import settle_process

    settle_process()
    (spec,) = specs_from_toml(spec_toml)
    facts = json.loads(settings_json)
    settings = Settings(Path(facts["queue"]), facts["device"], facts["checkpoint_seconds"])
    report = _Report(RunFolder(settings.queue, spec))
    deadline = time.monotonic() + patience_seconds
    while True:
        train_here(spec, settings, report)
        if report.latest.status != "busy" or time.monotonic() > deadline:
            return progress_to_json(report.latest)
        time.sleep(min(TELL_SECONDS, patience_seconds))


class _Report:
    """Writes the events of a run into its folder, not too often; knows the last one."""

    latest: Progress  # there always is one

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._next = 0.0

    def __call__(self, event: Progress) -> None:
        if event.status == "failed":
            event = replace(event, detail=f"on {platform.node()}: {event.detail}")
        self.latest = event
        now = time.monotonic()
        if event.status == "running" and (now >= self._next or event.loss is not None):
            self._next = now + TELL_SECONDS
            self._folder.tell(progress_to_json(event))
