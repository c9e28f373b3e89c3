"""Jobs: questions that take time, each answered by a process that does nothing else meanwhile.

What a job asks and how it ended are files, written before anybody is told. In memory are only the
jobs that this dashboard waits for; one that has neither ended nor is waited for was interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from anyio import to_thread

from scalewise.core.records import atomic_write, to_json
from scalewise.web.asked import FitQuestion, Question, key_of, question_of
from scalewise.web.project import Kind, Project
from scalewise.web.refusals import BusyError, ConflictError
from scalewise.web.settings import Settings
from scalewise.web.workers import Workers, close, kill

_HEARTBEAT = 15.0  # seconds after which a silent stream of events says that it lives
_TOLD: Mapping[Kind, str] = {"runs": "runs", "fits": "fit"}  # how a job names its answer


@dataclass(slots=True)
class _Live:
    """A job that waits or runs now."""

    state: str = "waiting"
    progress: dict[str, Any] = field(default_factory=dict)
    process: Process | None = None
    cancelled: bool = False
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, told: dict[str, Any]) -> None:
        """Take down how far it is."""
        self.progress = told
        self.tell()

    def tell(self) -> None:
        """Wake all who listen; they get the next event to wait for."""
        self.changed.set()
        self.changed = asyncio.Event()


class Jobs:
    """The jobs of a project, as many at once as there are workers."""

    def __init__(self, project: Project, settings: Settings) -> None:
        self.project, self.settings = project, settings
        self._slots = asyncio.Semaphore(settings.workers)
        self._workers = Workers(project, settings)
        self._live: dict[str, _Live] = {}

    async def ask(self, question: Question) -> str:
        """Take a question on; its job's key, once the question is on disk."""
        if len(self._live) >= self.settings.limits.waiting:
            raise BusyError(
                f"{len(self._live)} jobs are waiting already.", hint="Try again in a while."
            )
        self._check(question)
        key = secrets.token_hex(16)
        await to_thread.run_sync(self._keep, key, question)
        self._start(key, question)
        return key

    async def resume(self, key: str) -> None:
        """Take an interrupted job on again. Raises ConflictError for any other."""
        state = self.snapshot(key)["state"]
        if state != "interrupted":
            raise ConflictError(f"Job {key} is {state}.", hint="Only interrupted jobs are resumed.")
        question = question_of(self.project.record("jobs", key, "request.json"))
        self._check(question)
        self._start(key, question)

    async def cancel(self, key: str) -> None:
        """Stop a job, and its process with everything it has started."""
        state = self.snapshot(key)["state"]
        live = self._live.get(key)
        if live is None or live.task is None:
            if state != "interrupted":
                raise ConflictError(
                    f"Job {key} has ended: {state}.", hint="There is nothing to stop."
                )
            await to_thread.run_sync(self._end, key, {"state": "cancelled"})
            return
        live.cancelled = True
        if live.state == "waiting":
            live.task.cancel()
        elif live.process is not None:
            kill(live.process)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(live.task)

    def snapshot(self, key: str) -> dict[str, Any]:
        """A job now: what it asks, its state, how far it is, what it has led to."""
        request = self.project.record("jobs", key, "request.json")
        live = self._live.get(key)
        told: dict[str, Any] = {"job": key, "asked": request, "progress": {}}
        if (self.project.place("jobs", key) / "result.json").is_file():
            return told | self.project.record("jobs", key, "result.json")
        if live is None:
            return told | {"state": "interrupted"}
        return told | {"state": live.state, "progress": live.progress}

    async def events(self, key: str) -> AsyncIterator[dict[str, Any] | None]:
        """A job each time it changes, until it has ended; None where nothing did for a while."""
        while True:
            live = self._live.get(key)
            changed = None if live is None else live.changed
            yield self.snapshot(key)
            if changed is None:
                return
            while not changed.is_set():
                try:
                    await asyncio.wait_for(changed.wait(), _HEARTBEAT)
                except TimeoutError:
                    yield None

    async def ended(self, key: str) -> dict[str, Any]:
        """A job after it has ended."""
        live = self._live.get(key)
        if live is not None and live.task is not None:
            await asyncio.wait([live.task])
        return self.snapshot(key)

    async def close(self) -> None:
        """Stop all; what has not ended will be told as interrupted."""
        tasks = [live.task for live in self._live.values() if live.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._workers.close()

    def _check(self, question: Question) -> None:
        """Raise NotThereError unless everything that is asked about is there."""
        if isinstance(question, FitQuestion):
            self.project.place("runs", question.runs)
        else:
            for source in question.sources:
                self.project.place("sources", source)

    def _keep(self, key: str, question: Question) -> None:
        with self.project.staging() as staged:
            atomic_write(staged / "request.json", to_json(question.record))
            self.project.confirm(staged, "jobs", key)

    def _start(self, key: str, question: Question) -> None:
        live = self._live[key] = _Live()
        live.task = asyncio.create_task(self._run(key, question, live))

    async def _run(self, key: str, question: Question, live: _Live) -> None:
        try:
            async with self._slots:
                result = self._known(question) or await self._computed(key, live)
            await to_thread.run_sync(self._end, key, result)
        except asyncio.CancelledError:
            if not live.cancelled:  # the dashboard ends
                raise
            self._end(key, {"state": "cancelled"})
        finally:
            del self._live[key]
            live.tell()

    def _known(self, question: Question) -> dict[str, Any] | None:
        """The answer to a question that was asked before."""
        kind, key = answer_of(question)
        return {"state": "done", _TOLD[kind]: key} if self.project.has(kind, key) else None

    async def _computed(self, key: str, live: _Live) -> dict[str, Any]:
        live.state = "running"
        live.tell()
        process = live.process = await self._workers.take()
        answered: dict[str, Any] = {}
        try:
            if live.cancelled:  # while it was started
                kill(process)
            async with asyncio.timeout(self.settings.limits.seconds):
                answered = await self._workers.answer(process, key, live.hear)
        except TimeoutError:
            return _too_long(self.settings.limits.seconds)
        finally:
            live.process = None  # from here on it may be another job's
            stays = answered.pop("stays", False)
            if stays and not live.cancelled:
                self._workers.give_back(process)
            else:
                close(process)
        return {"state": "cancelled"} if live.cancelled else answered

    def _end(self, key: str, result: dict[str, Any]) -> None:
        atomic_write(self.project.place("jobs", key) / "result.json", to_json(result))


def answer_of(question: Question) -> tuple[Kind, str]:
    """Where the answer to a question is kept."""
    return ("fits" if isinstance(question, FitQuestion) else "runs"), key_of(question)


def _too_long(seconds: float) -> dict[str, Any]:
    return {
        "state": "failed",
        "error": {
            "message": f"The job was stopped after {seconds:g} seconds.",
            "hint": "Give fewer runs or resamples, or compute it with `scalewise fit` and upload "
            "the fit.",
        },
    }
