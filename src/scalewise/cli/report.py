"""``scalewise report``: a fit or a run table as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalewise.cli import batch_methods, options
from scalewise.cli.inputs import STDIN, local_path, runs_from
from scalewise.cli.output import Answer, provenance_of, tell, write_page, write_text
from scalewise.cli.verb import verb
from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.report.chapters import (
    backtest_chapter,
    fit_chapter,
    forecast_chapters,
    runs_chapter,
    trajectory_chapter,
)

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.forecast.backtest import Backtest
    from scalewise.report.card import Card
    from scalewise.runs.health import Finding
    from scalewise.runs.table import RunTable


@dataclass(slots=True, kw_only=True)
class _Told:
    """What a page tells: its cards, and what the interactive screens are made of."""

    cards: list[Card]
    sha256: str
    result: FitResult | None = None
    table: RunTable | None = None
    findings: tuple[Finding, ...] = ()
    tested: Backtest | None = None
    failure: UnfitDataError | None = None


def report(
    *,
    source: str,
    out: str,
    mapping: Mapping[str, str] | None,
    where: str | None,
    runs: str | None,
    branches: str | None,
    is_static: bool,
    level: float,
    seed: int,
) -> Answer:
    """Write one self-contained HTML page about FIT_OR_RUNS, to open, mail and ask.

    The law and its resamples are evaluated in the browser: what a budget buys, the compute plane,
    the fit, the runs and what each decides, curves, batch size, downstream tasks, backtests, and a
    report of chosen parts with notes. Nothing is fetched, and without a script every card is
    there to read; --static writes these cards alone.

    A fit file or published constants are told with residuals and the compute-optimal frontier;
    --runs adds the table that the fit was made from. A run table is checked, backtested and
    fitted first; where the data stop short of a forecast, the page says so and the exit code is
    4. What limits a forecast ten times beyond the largest run is told, and the nine things that a
    published fit must state are filled in.

    --runs and --branches add to a fit of whole curves the critical batch by every method that
    measured it, see `scalewise steps`.
    """
    with local_path(source) as path:
        if holds_fit(path):
            told = _of_fit(path, runs, branches, level=level)
        elif runs is not None or branches is not None:
            raise UsageError(
                f"--runs and --branches go with a fit; {source} holds runs.",
                hint="Fit them first: scalewise fit --law trajectory --out fit.json.",
            )
        else:
            told = _of_runs(path, mapping, where, level=level, seed=seed)
    name = STDIN if source == "-" else Path(source).name
    _write(told, out, title=f"Report on {name}", is_static=is_static, level=level)
    cards = told.cards
    return Answer(
        data={"out": out, "cards": [card.title for card in cards], "interactive": not is_static},
        cards=list,
        warnings=tuple(dict.fromkeys(caveat for card in cards for caveat in card.caveats)),
        seed=seed,
        data_sha256=told.sha256,
        failure=told.failure,
    )


def _write(told: _Told, out: str, *, title: str, is_static: bool, level: float) -> None:
    if is_static:
        write_page(told.cards, out, title=title, sha256=told.sha256)
        return
    from scalewise.report.interactive.page import interactive_page
    from scalewise.report.interactive.payload import payload

    provenance = {k: v for k, v in provenance_of(data_sha256=told.sha256).items() if v is not None}
    content = payload(
        told.result, told.table, findings=told.findings, tested=told.tested, level=level,
        title=title, failure=told.failure,
    )  # fmt: skip
    write_text(out, interactive_page(content, told.cards, provenance=provenance))
    if out != "-":
        tell(f"Wrote {out}.")


def _of_fit(path: str, runs: str | None, branches: str | None, *, level: float) -> _Told:
    from scalewise.fit.storage import read_fit
    from scalewise.runs.health import check_health

    result = read_fit(path)
    has_curves = bool(trajectory := trajectory_chapter(result))
    # Only a law of whole curves has a critical batch to compare, and says so where one is asked.
    methods = (
        batch_methods.chapter(result, runs, branches, level=level)
        if has_curves or branches is not None
        else []
    )
    table = None if runs is None else runs_from(runs, None, None)
    cards = [
        *fit_chapter(result),
        *trajectory,
        *methods,
        *forecast_chapters(result, level=level),
    ]
    findings = () if table is None else check_health(table)
    return _Told(cards=cards, sha256=result.sha256, result=result, table=table, findings=findings)


def _of_runs(
    path: str, mapping: Mapping[str, str] | None, where: str | None, *, level: float, seed: int
) -> _Told:
    """What can be told of the runs; if that stops short of a forecast, why."""
    from scalewise.forecast.backtest import Policy
    from scalewise.forecast.choose import backtest, choose
    from scalewise.report.cards.unfit import unfit_card
    from scalewise.runs.health import check_health

    policy = Policy(level=level, seed=seed)
    table = runs_from(path, mapping, where)
    findings = check_health(table)
    told = _Told(
        cards=runs_chapter(table, findings), sha256=table.sha256, table=table, findings=findings
    )
    try:
        told.tested = backtest(table, policy=policy)
        told.cards += backtest_chapter(told.tested)
        result = choose(table, policy=policy)
        told.result = result
        told.cards += fit_chapter(result)
        told.cards += forecast_chapters(result, table, told.tested, level=level, seed=seed)
    except UnfitDataError as error:
        told.cards.append(unfit_card(table, error))
        told.failure = error
    return told


def holds_fit(source: str) -> bool:
    """Whether a source is a fit rather than a run table: by its content, else by its name."""
    path = Path(source)
    if not path.is_file():
        return path.suffix in ("", ".json") and not path.exists()
    content = path.read_bytes()
    return content.lstrip()[:1] == b"{" and b'"scalewise.fit/' in content


command = verb(
    "report",
    report,
    (
        click.Argument(["source"], metavar="FIT_OR_RUNS"),
        click.Option(
            ["--out"], metavar="FILE", default="scalewise-report.html", show_default=True,
            help="Where the page goes; - is standard output.",
        ),
        options.where(),
        options.mapping(),
        *batch_methods.OPTIONS,
        click.Option(
            ["--static", "is_static"], is_flag=True,
            help="Write the cards alone, without a script.",
        ),
        options.level(),
        options.seed(),
    ),
    examples=(
        'report fit.json --out fit.html',
        'report fit.json --runs runs.csv',
        'report runs.csv',
    ),
)  # fmt: skip
