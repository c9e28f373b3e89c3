"""Evaluations of checkpoints put beside the training that made them, so that both share a row.

lm-evaluation-harness knows the path or the name of a model, not its run. Where exactly one run
that was read has that name, the evaluation is taken for it, and this is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from scalewise.runs.quote import bare
from scalewise.sources.logs.log import Log

EVALUATION = "lm-eval"


def attached(logs: Sequence[Log]) -> list[Log]:
    """The logs, evaluations behind the one run of their name and as part of it.

    An evaluation without a step is taken for the last step of a finished run. One that no run or
    more than one answers to stays on its own.
    """
    runs: dict[str, set[tuple[str, str]]] = {}
    for log in logs:
        if log.kind != EVALUATION:
            for name in {_last(log.run_id), log.name}:
                runs.setdefault(name, set()).add((log.kind, log.run_id))
    last = {(log.kind, log.run_id): log for log in logs}
    evaluations: list[Log] = []
    others: list[Log] = []
    for log in logs:
        known = runs.get(_last(log.run_id), set()) if log.kind == EVALUATION else set()
        home = last[next(iter(known))] if len(known) == 1 else None
        placed = _placed(log, home) if home is not None else None
        (others if placed is None else evaluations).append(placed or log)
    return [*others, *evaluations]


def _placed(log: Log, home: Log) -> Log | None:
    """An evaluation as a part of a run, or None where it cannot be said at which step."""
    points = log.points
    told = f"evaluations of {bare(log.name, 80)} are taken for the run of that name"
    if points["step"].null_count():
        end = home.points["step"].max()
        if home.state != "finished" or not isinstance(end, int):
            return None
        points = points.with_columns(points["step"].fill_null(end))
        told += ", and for its last step where they name none"
    notes = (*log.notes, told)
    return replace(
        log, kind=home.kind, run_id=home.run_id, name=home.name, points=points, notes=notes,
        state=home.state, config={},
    )  # fmt: skip


def _last(run_id: str) -> str:
    return PurePosixPath(run_id).name or run_id
