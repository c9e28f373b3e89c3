"""``scalewise report``: a fit or a run table as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalewise.cli import options
from scalewise.cli.chapters import (
    allocation_chapter,
    backtest_chapter,
    fit_chapter,
    runs_chapter,
    trajectory_chapter,
    write_page,
)
from scalewise.cli.inputs import STDIN, local_path, runs_from
from scalewise.cli.output import Answer
from scalewise.cli.plan_chapters import plane_chapter, sizes_chapter
from scalewise.cli.verb import verb
from scalewise.core.errors import UnfitDataError

if TYPE_CHECKING:
    from scalewise.report.card import Card


def report(
    *,
    source: str,
    out: str,
    mapping: Mapping[str, str] | None,
    where: str | None,
    level: float,
    seed: int,
) -> Answer:
    """Write one self-contained HTML page about FIT_OR_RUNS.

    A fit file or published constants are told with residuals and the compute-optimal frontier. A
    run table is checked, backtested and fitted first; where the data stop short of a forecast,
    the page says so and the exit code is 4.
    """
    failure = None
    with local_path(source) as path:
        if holds_fit(path):
            cards, sha256 = _fit_cards(path)
        else:
            cards, sha256, failure = _runs_cards(path, mapping, where, level=level, seed=seed)
    name = STDIN if source == "-" else Path(source).name
    write_page(cards, out, title=f"Report on {name}", sha256=sha256)
    return Answer(
        data={"out": out, "cards": [card.title for card in cards]},
        cards=list,
        warnings=tuple(dict.fromkeys(caveat for card in cards for caveat in card.caveats)),
        seed=seed,
        data_sha256=sha256,
        failure=failure,
    )


def _fit_cards(path: str) -> tuple[list[Card], str]:
    from scalewise.fit.storage import read_fit

    result = read_fit(path)
    return [
        *fit_chapter(result),
        *trajectory_chapter(result),
        *allocation_chapter(result),
        *plane_chapter(result),
    ], result.sha256


def _runs_cards(
    path: str, mapping: Mapping[str, str] | None, where: str | None, *, level: float, seed: int
) -> tuple[list[Card], str, UnfitDataError | None]:
    """What can be told of the runs; if that stops short of a forecast, why."""
    from scalewise.forecast.backtest import Policy
    from scalewise.forecast.choose import backtest, choose
    from scalewise.runs.health import check_health

    policy = Policy(level=level, seed=seed)
    table = runs_from(path, mapping, where)
    cards = runs_chapter(table, check_health(table))
    try:
        cards += backtest_chapter(backtest(table, policy=policy))
        result = choose(table, policy=policy)
        cards += [*fit_chapter(result), *allocation_chapter(result, table)]
        cards += [*plane_chapter(result), *sizes_chapter(table, result, level=level, seed=seed)]
    except UnfitDataError as error:
        cards.append(_absent(error))
        return cards, table.sha256, error
    return cards, table.sha256, None


def _absent(error: UnfitDataError) -> Card:
    from scalewise.report.card import Card, Table

    return Card(title="No forecast", conclusion=str(error), table=Table((), ()))


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
        options.level(),
        options.seed(),
    ),
    examples=(
        'report fit.json --out fit.html',
        'report runs.csv',
    ),
)  # fmt: skip
