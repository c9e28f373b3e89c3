"""``scalewise demo``: the main job, end to end, on real small runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scalewise.cli import options
from scalewise.cli.output import Answer, tell, write_page
from scalewise.cli.result_data import held_out_data
from scalewise.cli.verb import verb
from scalewise.report.chapters import (
    allocation_chapter,
    backtest_chapter,
    checklist_chapter,
    fit_chapter,
    held_out_chapter,
    runs_chapter,
)

if TYPE_CHECKING:
    from scalewise.forecast.holdout import HeldOutForecast
    from scalewise.report.card import Card
    from scalewise.runs.table import RunTable

LARGER = 10.0  # the budget that is allocated, in budgets of the largest run


def demo(*, live: bool, out: str, folder: str, workers: int, seed: int) -> Answer:
    """Walk through the whole job on real small runs that ship with the package.

    Checks the runs, scores every law by backtest, fits, forecasts the two largest models, which
    were held out, beside what they reached, and allocates ten times the compute of the largest.
    Everything is printed, and written to one self-contained HTML page.

    --live trains a ladder of small models first, forecasts its largest before training it, and
    compares; this takes minutes, needs the extra 'train', and goes on where it was left.
    """
    if live:
        from scalewise.cli.live import live_runs

        table, sizes = live_runs(Path(folder), workers=workers, seed=seed), 1
    else:
        from scalewise.runs.example import HELD_OUT_SIZES, settled_runs

        table, sizes = settled_runs(), HELD_OUT_SIZES
    cards, forecast = walk(table, sizes=sizes, seed=seed)
    write_page(
        cards,
        out,
        title="scalewise demo",
        subtitle=f"{table.run_count} real training runs, the largest {sizes} sizes held out",
        sha256=table.sha256,
    )
    if out != "-":
        tell(f"Open it in a browser: {Path(out).resolve().as_uri()}")
    return Answer(
        data=held_out_data(forecast) | {"out": out},
        cards=lambda: cards if out != "-" else [],
        warnings=forecast.result.warnings,
        seed=seed,
        data_sha256=table.sha256,
    )


def walk(table: RunTable, *, sizes: int, seed: int) -> tuple[list[Card], HeldOutForecast]:
    """Every chapter, from the runs to the allocation; laws see only what was not held out."""
    from scalewise.forecast.backtest import Policy
    from scalewise.forecast.choose import backtest
    from scalewise.forecast.holdout import forecast_held_out
    from scalewise.runs.health import check_health

    policy = Policy(seed=seed)
    forecast = forecast_held_out(table, sizes=sizes, policy=policy)
    tested = backtest(forecast.split.fitted, policy=policy)
    cards = [
        *runs_chapter(table, check_health(table)),
        *backtest_chapter(tested),
        *fit_chapter(forecast.result),
        *held_out_chapter(forecast),
        *allocation_chapter(forecast.result, table, flops=LARGER * forecast.split.max_target_flops),
        *checklist_chapter(forecast.result, forecast.split.fitted, tested),
    ]
    return cards, forecast


command = verb(
    "demo",
    demo,
    (
        click.Option(["--live"], is_flag=True, help="Train the small runs now."),
        click.Option(
            ["--out"], metavar="FILE", default="scalewise-demo.html", show_default=True,
            help="Where the page goes; - is standard output.",
        ),
        click.Option(
            ["--folder"], default="scalewise-runs", show_default=True, metavar="FOLDER",
            help="Where --live keeps its runs.",
        ),
        options.count("--workers", "Processes that --live trains with.", default="2"),
        options.seed(),
    ),
    examples=(
        'demo',
        'demo --live',
    ),
)  # fmt: skip
