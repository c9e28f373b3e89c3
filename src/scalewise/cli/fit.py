"""``scalewise fit``: the twin of ``scalewise.fit``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.inputs import runs_from, tell_health
from scalewise.cli.output import Answer, file_text, tell
from scalewise.cli.verb import verb
from scalewise.core.errors import UnfitDataError

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult

OBJECTIVES = ("huber-log", "lad-log", "ls-log", "ls")


def fit(
    *,
    runs: str,
    mapping: Mapping[str, str] | None,
    where: str | None,
    out: str | None,
    law: str,
    force: bool,
    fixed: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    **settings: Any,
) -> Answer:
    """Fit a law to RUNS: a CSV, JSONL or Parquet table, or - for standard input.

    --law is a key of `scalewise laws`, a formula such as "E + A / params**alpha", or auto, which
    scores the laws that the data can carry by backtest and combines them.

    Exits with 4 if the health checks find what would make the fit wrong (--force goes on all the
    same), or if the data do not determine the constants or the search did not converge; what was
    found is then printed.
    """
    from scalewise.forecast.choose import fit as fit_law

    table = runs_from(runs, mapping, where)
    # Whether a named law needs three sizes is for the fit to say: it knows the law.
    excused = () if law == "auto" else ("fewer than three sizes",)
    findings = tell_health(table, force=force, excused=excused)
    result = fit_law(law, table, fixed=fixed or None, bounds=bounds or None, **settings)
    text = None if out != "-" else fit_text(result)
    if out is not None and text is None:
        from scalewise.fit.storage import write_fit

        write_fit(result, out)
        tell(f"Wrote {out}.")
    return answer(result, warnings=(*findings, *result.warnings), text=text)


def fit_text(result: FitResult) -> str:
    """A fit as its file would read."""
    from scalewise.fit.storage import write_fit

    return file_text("fit.json", lambda path: write_fit(result, path))


def answer(result: FitResult, *, warnings: tuple[str, ...] = (), text: str | None = None) -> Answer:
    """A fit as an answer; its status makes the exit code."""
    from scalewise.fit.storage import fit_data

    def cards() -> list[Any]:
        from scalewise.report.cards.fit import fit_card

        return [fit_card(result)]

    return Answer(
        data=fit_data(result),
        cards=cards,
        warnings=warnings or result.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        text=text,
        failure=doubt(result),
    )


def doubt(result: FitResult) -> UnfitDataError | None:
    """Why a fit cannot be relied on, or nothing."""
    try:
        result.required()
    except UnfitDataError as error:
        return error
    return None


command = verb(
    "fit",
    fit,
    (
        click.Argument(["runs"], metavar="RUNS"),
        click.Option(
            ["--law"], default="auto", show_default=True, metavar="auto|NAME|FORMULA",
            help="What to fit.",
        ),
        click.Option(
            ["--objective"], type=click.Choice(OBJECTIVES), help="What to minimise."
        ),
        options.quantity("--delta", "Where huber-log turns linear; 1e-3 unless given."),
        options.where(),
        options.mapping(),
        click.Option(
            ["--rows"], type=click.Choice(("finals", "all")), default="finals", show_default=True,
            help="Finished models, or every checkpoint.",
        ),
        options.fixed(),
        options.bounds(),
        options.count("--bootstrap", "Resamples for the intervals.", zero=True, default="300"),
        options.seed(),
        options.force(),
        click.Option(["--out"], metavar="FIT", help="Write the fit to this file, or - ."),
    ),
    examples=(
        'fit runs.csv --out fit.json',
        'fit runs.csv --law chinchilla --where "params < 1B"',
        "fit runs.csv --law 'E + A / params**alpha' --fix E=1.69",
    ),
)  # fmt: skip
