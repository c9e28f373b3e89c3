"""``scalewise fit``: the twin of ``scalewise.fit``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.borrowed import naming_the_door
from scalewise.cli.inputs import runs_from, tell_health
from scalewise.cli.output import Answer, file_text, tell
from scalewise.cli.tasks import (
    TaskChoice,
    checks_data,
    doubts_of_tasks,
    fit_task_laws,
    task_cards,
    task_checks,
    task_options,
)
from scalewise.cli.verb import verb
from scalewise.core.errors import UnfitDataError

if TYPE_CHECKING:
    from scalewise.fit.priors import Prior
    from scalewise.fit.result import FitResult
    from scalewise.forecast.downstream_backtest import DownstreamBacktest
    from scalewise.runs.table import RunTable

OBJECTIVES = ("huber-log", "lad-log", "ls-log", "ls")
_MIXED, _ONE_LENGTH = "unfinished checkpoints among finals", "one value of tokens"


def fit(
    *,
    runs: str,
    mapping: Mapping[str, str] | None,
    where: str | None,
    out: str | None,
    law: str,
    force: bool,
    fixed: Mapping[str, float | str],
    priors: Mapping[str, Prior],
    bounds: Mapping[str, tuple[float, float]],
    tasks: Mapping[str, tuple[str, ...]],
    task_law: str,
    chance: Mapping[str, float],
    task_where: str | None,
    task_held_out: str | None,
    **settings: Any,
) -> Answer:
    """Fit a law to RUNS: a CSV, JSONL or Parquet table, or - for standard input.

    --law is a key of `scalewise laws`, a formula such as "E + A / params**alpha", or auto, which
    scores the laws that the data can carry by backtest and combines them.

    The laws of whole curves (trajectory, trajectory-floor, trajectory-tokens) are estimated in
    stages, from curves and equal-loss contours to the joint fit, and each stage is told;
    trajectory-auto chooses among them by held-out curves. --rows all fits every row at once.

    Each --task adds a law of downstream error by measured loss, for `scalewise predict --task`.

    Exits with 4 if the health checks find what would make the fit wrong (--force goes on all the
    same), or if the data do not determine the constants or the search did not converge; what was
    found is then printed.
    """
    from scalewise.forecast.fitting import fit as fit_law
    from scalewise.runs.stated import stated

    choice = TaskChoice(
        tasks=tasks, law=task_law, chance=chance, where=task_where, held_out=task_held_out
    )
    whole = runs_from(runs, mapping, None if tasks else where)
    table = whole.where(where) if tasks and where else whole
    # Whether a named law needs three sizes is for the fit to say: it knows the law.
    excused = () if law == "auto" else ("fewer than three sizes",)
    ignored = _ignored(law, table, settings)
    with naming_the_door(table):
        findings = tell_health(table, force=force, excused=excused, ignored=ignored)
        result = fit_law(
            law, table, fixed=fixed or None, priors=priors or None, bounds=bounds or None,
            **settings,
        )  # fmt: skip
    checks: tuple[DownstreamBacktest, ...] = ()
    if tasks:
        result = fit_task_laws(result, whole, where, choice, settings)
        checks = task_checks(result, whole, choice)
    if out is not None:
        result = replace(result, facts=stated(table))
    text = None if out != "-" else fit_text(result)
    if out is not None and text is None:
        from scalewise.fit.storage import write_fit

        write_fit(result, out)
        tell(f"Wrote {out}.")
    doubts = (*result.warnings, *result.interval_doubts, *doubts_of_tasks(result))
    warnings = (*findings, *doubts)
    return answer(result, warnings=warnings, text=text, checks=checks)


def _ignored(law: str, table: RunTable, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Findings that mean nothing to a law, or to a fit that asks for checkpoints."""
    from scalewise.forecast.policy import policy_named
    from scalewise.forecast.splits import estimation_for
    from scalewise.forecast.staged_fit import forms_of
    from scalewise.laws.catalogue import law_from

    policy = settings.get("policy")
    asked = policy_named(policy) if policy else estimation_for(table)
    curves = bool(forms_of(law)) or (asked.is_of_curves and bool(policy or law == "auto"))
    moot = moot_findings(curves=curves, every_row=settings.get("rows") == "all")
    if curves or law == "auto":
        return moot
    named = law_from(law)
    return moot if "loss" in (named.quantity, *named.columns) else (*moot, "no loss")


def moot_findings(*, curves: bool, every_row: bool = False) -> tuple[str, ...]:
    """Findings that a fit has no use for: on mixtures it does not make, or finals it goes beyond.

    ``curves`` are fitted as such; ``every_row`` takes checkpoints for finished models.
    """
    if curves:
        return (_MIXED, _ONE_LENGTH)
    return (_ONE_LENGTH,) if every_row else (_MIXED,)


def fit_text(result: FitResult) -> str:
    """A fit as its file would read."""
    from scalewise.fit.storage import write_fit

    return file_text("fit.json", lambda path: write_fit(result, path))


def answer(
    result: FitResult,
    *,
    warnings: tuple[str, ...] = (),
    text: str | None = None,
    checks: tuple[DownstreamBacktest, ...] = (),
) -> Answer:
    """A fit as an answer, with its tasks; its status and theirs make the exit code."""
    from scalewise.fit.storage import fit_data

    def cards() -> list[Any]:
        from scalewise.report.cards.fit import fit_card
        from scalewise.report.cards.stages import stage_cards

        return [fit_card(result), *stage_cards(result), *task_cards(result, checks)]

    return Answer(
        data=fit_data(result) | checks_data(checks),
        cards=cards,
        warnings=warnings or result.warnings,
        seed=result.seed,
        data_sha256=result.sha256,
        text=text,
        failure=first_doubt(result),
    )


def doubt(result: FitResult) -> UnfitDataError | None:
    """Why a fit cannot be relied on, or nothing."""
    try:
        result.required()
    except UnfitDataError as error:
        return error
    return None


def first_doubt(result: FitResult) -> UnfitDataError | None:
    """Why a fit or one of its tasks cannot be relied on, or nothing."""
    found = (doubt(each) for each in (result, *result.tasks.values()))
    return next((error for error in found if error is not None), None)


command = verb(
    "fit",
    fit,
    (
        click.Argument(["runs"], metavar="RUNS"),
        click.Option(
            ["--law"], default="auto", show_default=True, metavar="auto|NAME|FORMULA",
            help="What to fit; trajectory-auto for whole curves.",
        ),
        click.Option(
            ["--objective"], type=click.Choice(OBJECTIVES), help="What to minimise."
        ),
        options.quantity("--delta", "Where huber-log turns linear; 1e-3 unless given."),
        options.where(),
        options.mapping(),
        click.Option(
            ["--rows"], type=click.Choice(("finals", "all")),
            help="Finished models, or every checkpoint; finals unless given, for trajectory laws "
            "whole curves in stages.",
        ),
        options.policy(),
        options.fixed(),
        options.priors(),
        options.bounds(),
        *task_options(),
        options.count("--bootstrap", "Resamples for the intervals.", zero=True, default="300"),
        options.seed(),
        options.force(),
        click.Option(["--out"], metavar="FIT", help="Write the fit to this file, or - ."),
    ),
    examples=(
        'fit runs.csv --out fit.json',
        'fit runs.csv --law chinchilla --where "params < 1B"',
        "fit curves.csv --law trajectory --out fit.json",
        "fit runs.csv --law 'E + A / params**alpha' --fix E=1.69",
        "fit runs.csv --law overtraining --task acc_arc_easy --chance acc_arc_easy=0.25",
    ),
)  # fmt: skip
