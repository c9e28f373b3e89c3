"""The process that answers one job: ``python -m scalewise.web.worker PROJECT JOB [WATCHED]``.

It prints a line of JSON for every step and a last one for the answer, writes that answer into the
project, and ends when whoever started it does.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from threading import Thread
from typing import TextIO

from scalewise.core.errors import ScalewiseError
from scalewise.core.records import to_json
from scalewise.web.asked import FitQuestion, question_of
from scalewise.web.project import Project

_NICE = 5  # the dashboard answers first


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
    """Answer the job; failures that were foreseen are answers too."""
    out = sys.stdout
    Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    project = Project(Path(given[0]))
    watched = Path(given[2]) if len(given) > 2 else None
    question = question_of(project.record("jobs", given[1], "request.json"))
    with redirect_stdout(sys.stderr):
        try:
            if isinstance(question, FitQuestion):
                from scalewise.web.fitting import answer_fit

                told = answer_fit(project, question, Steps(out, 5))
            else:
                from scalewise.web.reading import answer_read

                told = answer_read(project, question, Steps(out, 3), watched)
        except ScalewiseError as error:
            tell(out, state="failed", error=_told(error, project))
        except (Exception, RecursionError) as error:
            traceback.print_exc()
            hint = "This is a bug: the terminal of the dashboard shows where. Please report it."
            message = f"Unexpected {type(error).__name__}: {str(error)[:300]}"
            tell(out, state="failed", error={"message": message, "hint": hint, "exit_code": 1})
        else:
            tell(out, state="done", **told)
    return 0


def _told(error: ScalewiseError, project: Project) -> dict[str, object]:
    """A failure without the places where uploads lie, which mean nothing to who sent them."""
    message, hint = (
        text.replace(f"{project.folder}{os.sep}", "") for text in (error.message, error.hint)
    )
    return {"message": message, "hint": hint, "exit_code": error.exit_code}


def _end_with_parent() -> None:
    """A dashboard that was killed closes the pipe; what it had asked for is then not wanted."""
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
