"""Sources to a run table, kept with everything that its page shows."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scalewise.core.errors import ScalewiseError
from scalewise.core.records import atomic_write, to_json
from scalewise.report.cards.health import health_card
from scalewise.report.cards.logs import logs_card
from scalewise.report.cards.runs import runs_card
from scalewise.report.html import body_of, drawn_figure
from scalewise.report.interactive.run_facts import run_facts
from scalewise.runs.health import check_health
from scalewise.runs.write import write_runs
from scalewise.sources.logs.gather import gather
from scalewise.sources.logs.mapping import Corrections, read_corrections
from scalewise.sources.logs.propose import proposal
from scalewise.sources.logs.read import reading_of
from scalewise.web.asked import ReadQuestion, key_of
from scalewise.web.fitting import fit_of_file
from scalewise.web.project import Project

if TYPE_CHECKING:
    from scalewise.runs.table import RunTable

_NAMED = 5  # uploaded files, in the name of a source
_BEGIN = 4096


class Steps(Protocol):
    """Where progress is told."""

    def begin(self, doing: str) -> None:
        """A step begins."""


def answer_read(
    project: Project, question: ReadQuestion, steps: Steps, watched: Path | None
) -> dict[str, Any]:
    """Read what was uploaded or watched; an uploaded fit file is taken as the fit it is."""
    folders = [project.place("sources", source) / "files" for source in question.sources]
    if (file := _fit_file(folders)) is not None:
        return fit_of_file(project, question, file, steps)
    steps.begin("reading the logs")
    paths = [watched] if question.watched and watched is not None else folders
    with project.staging() as staged:
        corrections = _corrections(staged, question.mapping)
        gathering = gather(paths, mapping=corrections, every_metric=True)
        reading = reading_of(gathering)
        table = _named(reading.table, project, question, watched)
        steps.begin("checking their health")
        findings = check_health(table)
        steps.begin("writing the run table")
        cards = [runs_card(table), health_card(table, findings)]
        if reading.logs:
            cards = [logs_card(replace(reading, table=table)), *cards]
        write_runs(table, staged / "runs.parquet")
        write_runs(table, staged / "runs.csv")
        atomic_write(staged / "cards.html", _without_places(body_of(cards, drawn_figure), project))
        if reading.logs:
            atomic_write(staged / "mapping.toml", proposal(gathering))
        facts = run_facts(table, findings) | {"curves": None, "asked": question.record}
        atomic_write(staged / "facts.json", _without_places(to_json(facts), project))
        project.confirm(staged, "runs", key := key_of(question))
    return {"runs": key}


def _corrections(staged: Path, mapping: str) -> Corrections:
    if not mapping:
        return Corrections()
    path = staged / "given.toml"
    path.write_text(mapping, encoding="utf-8")
    try:
        return read_corrections(path)
    except ScalewiseError as error:
        told = error.message.replace(str(path), "The mapping")
        raise type(error)(told, hint=error.hint) from error
    finally:
        path.unlink()


def _named(
    table: RunTable, project: Project, question: ReadQuestion, watched: Path | None
) -> RunTable:
    """The table under the names of what was uploaded, not of where that lies."""
    if question.watched and watched is not None:
        return replace(table, source=f"{watched.name} (watched)")
    names = [
        name
        for source in question.sources
        for name in project.record("sources", source, "source.json")["files"]
    ]
    more = f" and {len(names) - _NAMED} more files" if len(names) > _NAMED else ""
    return replace(table, source=f"{', '.join(names[:_NAMED])}{more}")


def _without_places(text: str, project: Project) -> str:
    return text.replace(f"{project.folder}{os.sep}sources{os.sep}", "")


def _fit_file(folders: list[Path]) -> Path | None:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    if len(files) != 1:
        return None
    with files[0].open("rb") as file:
        begin = file.read(_BEGIN).lstrip()
    whole = b'"scalewise.fit/'
    if begin[:1] != b"{":
        return None
    return files[0] if whole in begin or whole in files[0].read_bytes() else None
