"""The processes that answer jobs: one job at a time each, and kept for the next while warm.

A process takes longer to import what a fit needs than many a fit takes, so one that has answered
is asked again. It is ended when it was not asked for a while, and whenever a job of it is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Any

from scalewise.web.project import Project
from scalewise.web.settings import Settings

_LINE = 65536
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
_PROMPT = 5.0  # seconds in which a process that waits answers that it is there
_IDLE = 120.0  # seconds that a process is kept without a job; each holds some hundred MiB


class Workers:
    """The worker processes of a dashboard."""

    def __init__(self, project: Project, settings: Settings) -> None:
        self._project, self._settings = project, settings
        self._idle: dict[Process, asyncio.TimerHandle] = {}

    async def take(self) -> Process:
        """A process without a job, started if none is warm."""
        while self._idle:
            process, timer = self._idle.popitem()
            timer.cancel()
            if await _is_there(process):
                return process
            close(process)
        watched, limits = self._settings.watched, self._settings.limits
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "scalewise.web.worker", str(self._project.folder),
            str(limits.memory), *([] if watched is None else [str(watched)]),
            stdin=PIPE, stdout=PIPE, limit=_LINE, start_new_session=True,
            env={**os.environ, **dict.fromkeys(_THREADS, "1")},
        )  # fmt: skip

    async def answer(
        self, process: Process, key: str, heard: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """The answer of a process to a job; ``heard`` is told how far it is."""
        with contextlib.suppress(ConnectionError):  # it has died: its end says how
            await _say(process, key)
        while (line := await _heard(process)).endswith(b"\n"):
            told: dict[str, Any] = json.loads(line)
            if told["state"] != "running":
                return told
            heard(told)
        return _died(await process.wait(), self._settings.limits.memory)

    def give_back(self, process: Process) -> None:
        """Keep a process that waits for its next job."""
        timer = asyncio.get_running_loop().call_later(_IDLE, self._let_go, process)
        self._idle[process] = timer

    def close(self) -> None:
        """End every process without a job."""
        for process, timer in self._idle.items():
            timer.cancel()
            close(process)
        self._idle.clear()

    def _let_go(self, process: Process) -> None:
        del self._idle[process]
        close(process)


async def _is_there(process: Process) -> bool:
    """Whether a process that waits answers; it may have died and nobody been told yet."""
    try:
        async with asyncio.timeout(_PROMPT):
            await _say(process, "")
            return bool(await _heard(process))
    except (ConnectionError, TimeoutError):
        return False


async def _say(process: Process, line: str) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for as a pipe
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()


async def _heard(process: Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it was asked for as a pipe
    return await process.stdout.readline()


def close(process: Process) -> None:
    """End a process with everything it has started, and let go of it."""
    kill(process)
    # Closed by hand: what is left to the garbage collector warns when the loop is gone.
    process._transport.close()  # type: ignore[attr-defined]


def kill(process: Process) -> None:
    """End a process with everything it has started."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _died(code: int, memory: int) -> dict[str, Any]:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return {
        "state": "failed",
        "error": {
            "message": f"The worker process ended with {how} and no answer.",
            "hint": f"It may have run out of memory, of which a job gets {memory / 2**30:.3g} GiB: "
            "give fewer runs, or look at the terminal.",
        },
    }
