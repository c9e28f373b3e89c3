"""A fit to a run table, kept with everything that its pages show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import LawError, UnfitDataError
from scalewise.core.records import atomic_write, to_json
from scalewise.fit.storage import fit_data, read_fit, write_fit
from scalewise.forecast.backtest import Backtest, Policy
from scalewise.forecast.choose import AUTO, backtest, choose
from scalewise.forecast.fitting import fit
from scalewise.report.card import Card, FigureSpec
from scalewise.report.cards.backtest import backtest_card
from scalewise.report.cards.unfit import unfit_card
from scalewise.report.chapters import (
    backtest_chapter,
    fit_chapter,
    forecast_chapters,
    runs_chapter,
    trajectory_chapter,
)
from scalewise.report.html import body_of, safe_text
from scalewise.report.interactive.card_figures import CardFigures
from scalewise.report.interactive.outlook import leaderboard
from scalewise.report.interactive.page import interactive_page
from scalewise.report.interactive.payload import payload
from scalewise.runs.health import Finding, check_health
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from scalewise.web.asked import FitQuestion, Question, key_of
from scalewise.web.project import Project

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.web.reading import Steps


def answer_fit(project: Project, question: FitQuestion, steps: Steps) -> dict[str, Any]:
    """Fit as asked, test the law on held-out sizes, and write the pages."""
    steps.begin("reading the run table")
    table = _rows(project, question)
    steps.begin("checking its health")
    findings = check_health(table)
    policy = Policy(level=question.level, seed=question.seed)
    steps.begin("fitting")
    if question.law == AUTO:
        result = _chosen(table, policy, question.bootstrap)
    else:
        result = fit(question.law, table, bootstrap=question.bootstrap, seed=question.seed)
    steps.begin("testing the law on runs held out")
    tested, absent = _tested(table, question, policy)
    steps.begin("writing the pages")
    facts = project.record("runs", question.runs, "facts.json")
    with project.staging() as staged:
        _write(
            staged, question, result, table, findings, tested,
            about={"absent": absent, "runs": question.runs, "read": facts["sha256"],
                   "source": facts["source"]},
        )  # fmt: skip
        project.confirm(staged, "fits", key := key_of(question))
    return {"runs": question.runs, "fit": key}


def fit_of_file(project: Project, question: Question, file: Path, steps: Steps) -> dict[str, Any]:
    """Take an uploaded fit file in as a fit without its runs."""
    steps.begin("reading the fit")
    result = read_fit(file)
    steps.begin("writing the pages")
    with project.staging() as staged:
        absent = "An uploaded fit comes without its runs, so there is nothing to hold out."
        about = {"absent": absent, "runs": None, "read": result.sha256, "source": file.name}
        _write(staged, question, result, None, (), None, about=about)
        project.confirm(staged, "fits", key := key_of(question))
    return {"fit": key}


def _rows(project: Project, question: FitQuestion) -> RunTable:
    """The run table as it was read, less what the question leaves out."""
    facts = project.record("runs", question.runs, "facts.json")
    stored = read_runs(project.place("runs", question.runs) / "runs.parquet")
    table = replace(stored, source=facts["source"], assumptions=tuple(facts["assumptions"]))
    if question.without:
        table = table.without(question.without)
    return table.where(question.where) if question.where else table


def _chosen(table: RunTable, policy: Policy, bootstrap: int) -> FitResult:
    """The best combination of laws; where the runs allow none, with the runs that would."""
    try:
        return choose(table, policy=policy, bootstrap=bootstrap)
    except UnfitDataError as error:
        raise UnfitDataError(unfit_card(table, error).conclusion, hint=error.hint) from error


def _tested(table: RunTable, question: FitQuestion, policy: Policy) -> tuple[Backtest | None, str]:
    """The backtest, or why there is none."""
    laws = None if question.law == AUTO else [question.law]
    try:
        return backtest(table, laws, policy=policy), ""
    except (UnfitDataError, LawError) as error:
        return None, str(error)


def _write(
    staged: Path,
    question: Question,
    result: FitResult,
    table: RunTable | None,
    findings: Sequence[Finding],
    tested: Backtest | None,
    *,
    about: dict[str, Any],
) -> None:
    key, level = key_of(question), getattr(question, "level", 0.9)
    found = {"data_sha256": result.sha256, "fit": key}
    by = f"{AUTO}, led by " if getattr(question, "law", "") == AUTO else ""
    title = f"{by}{result.law.key} on {about['source']}"
    content = payload(
        result, table, findings=findings, tested=tested, level=level, title=title, provenance=found
    )
    seed = getattr(question, "seed", 0)
    cards = _cards(result, table, findings, tested, level=level, seed=seed)
    report = interactive_page(content, cards, provenance=found)
    figures = CardFigures()
    details = body_of(cards, figures)
    content = replace(content, data={**content.data, "figures": figures.found})
    write_fit(result, staged / "fit.json")
    files = {
        "payload.json": content.json,
        "laws.js": content.laws,
        "cards.html": details,
        "report.html": report,
        "backtest.html": body_of([backtest_card(tested)], _told_figure) if tested else "",
        "backtest.json": to_json(leaderboard(tested) if tested else None),
        "about.json": to_json({
            **about, "fit": key, "title": title, "asked": question.record,
            "sha256": result.sha256, "data": fit_data(result, level=level),
            "warnings": [*result.warnings, *result.interval_doubts],
        }),
    }  # fmt: skip
    for name, text in files.items():
        atomic_write(staged / name, text)


def _told_figure(spec: FigureSpec, name: str) -> str:
    """A figure in a sentence: the component draws it, on the fit's own page."""
    del name
    return f"<p>{safe_text(spec.conclusion, 4000)}</p>"


def _cards(
    result: FitResult,
    table: RunTable | None,
    findings: Sequence[Finding],
    tested: Backtest | None,
    *,
    level: float,
    seed: int,
) -> list[Card]:
    """The chapters of ``scalewise report``, but for the slow one: users wait for these."""
    return [
        *([] if table is None else runs_chapter(table, tuple(findings))),
        *(backtest_chapter(tested) if tested else []),
        *fit_chapter(result),
        *trajectory_chapter(result),
        *forecast_chapters(result, table, tested, level=level, seed=seed, advised=False),
    ]
