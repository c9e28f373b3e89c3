"""The process that answers jobs: ``python -m scalewise.web.worker PROJECT MEMORY [WATCHED]``.

It is given the key of a job in a line, prints a line of JSON for every step and a last one for the
answer, writes that answer into the project, and waits for the next. ``stays`` in the last line says
whether it does: not after many jobs, much memory or a bug. It ends when whoever started it does.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, TextIO

from scalewise.core.errors import ScalewiseError
from scalewise.core.records import to_json
from scalewise.web.asked import FitQuestion, question_of
from scalewise.web.project import Project

_NICE = 5  # the dashboard answers first
_MOST_JOBS = 50  # of one process, whose caches grow
_LARGE = 512 * 2**20  # bytes, from which a process gives its memory back by ending
_KIB = 1 if sys.platform == "darwin" else 1024  # the unit of the system's peaks


class Steps:
    """Tells how far a job is, a line for each step."""

    def __init__(self, out: TextIO, count: int) -> None:
        self._out, self._count, self._done = out, count, 0

    def begin(self, doing: str) -> None:
        """A step begins; the one before is done."""
        tell(self._out, state="running", doing=doing, done=self._done, of=self._count)
        self._done += 1


def tell(out: TextIO, **told: object) -> None:
    """One line of JSON."""
    out.write(f"{to_json(told)}\n")
    out.flush()


def main(given: Sequence[str]) -> int:
    """Answer jobs, until asked no more."""
    project, memory = Project(Path(given[0])), int(given[1])
    watched = Path(given[2]) if len(given) > 2 else None
    waiting: Queue[str] = Queue()
    Thread(target=_listen, args=(waiting,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    _hold_to(memory)
    answered, stays = 0, True
    while stays:
        if not (job := waiting.get()):  # asked whether it is there
            tell(sys.stdout, state="ready")
            continue
        told = _answer(project, job, sys.stdout, watched, memory)
        answered += 1
        stays = told.pop("sound") and answered < _MOST_JOBS and _peak() < _LARGE
        tell(sys.stdout, **told, stays=stays)
    return 0


def _answer(
    project: Project, job: str, out: TextIO, watched: Path | None, memory: int
) -> dict[str, Any]:
    """The last line of a job; failures that were foreseen are answers too, and ``sound``."""
    question = question_of(project.record("jobs", job, "request.json"))
    try:
        with redirect_stdout(sys.stderr):
            if isinstance(question, FitQuestion):
                from scalewise.web.fitting import answer_fit

                told = answer_fit(project, question, Steps(out, 5))
            else:
                from scalewise.web.reading import answer_read

                told = answer_read(project, question, Steps(out, 3), watched)
    except ScalewiseError as error:
        return {"state": "failed", "error": _told(error, project), "sound": True}
    except MemoryError:
        message = f"The job needs more than {memory / 2**30:.3g} GiB of memory."
        hint = "Give fewer runs or files, or a table of the finished models alone."
        failure = {"message": message, "hint": hint, "exit_code": 3}
        return {"state": "failed", "error": failure, "sound": False}
    except (Exception, RecursionError) as error:
        traceback.print_exc()
        hint = "This is a bug: the terminal of the dashboard shows where. Please report it."
        message = f"Unexpected {type(error).__name__}: {str(error)[:300]}"
        failure = {"message": message, "hint": hint, "exit_code": 1}
        return {"state": "failed", "error": failure, "sound": False}
    return {"state": "done", **told, "sound": True}


def _hold_to(memory: int) -> None:
    """Let the system refuse this process more memory; what it does not hold to is not limited."""
    try:
        import resource
    except ImportError:  # not on this system
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _peak() -> int:
    """The most memory that this process has held, in bytes; 0 where that is not told."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def _told(error: ScalewiseError, project: Project) -> dict[str, object]:
    """A failure without the places where uploads lie, which mean nothing to who sent them."""
    message, hint = (
        text.replace(f"{project.folder}{os.sep}", "") for text in (error.message, error.hint)
    )
    return {"message": message, "hint": hint, "exit_code": error.exit_code}


def _listen(waiting: Queue[str]) -> None:
    """A dashboard that was killed closes the pipe; what it had asked for is then not wanted."""
    # Unbuffered: a buffer's lock, held in a thread, would stop the process from ending by itself.
    with open(0, "rb", buffering=0, closefd=False) as given:
        for line in given:
            waiting.put(line.decode().strip())
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
