"""``scalewise diagnose``: the twin of ``scalewise.plan.diagnosis.diagnose``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.fit import OBJECTIVES, moot_findings
from scalewise.cli.inputs import runs_from, tell_health
from scalewise.cli.output import Answer, tell, write_text
from scalewise.cli.plan_data import advice_data, checklist_data
from scalewise.cli.verb import verb
from scalewise.core.errors import UnfitDataError, UsageError

if TYPE_CHECKING:
    from scalewise.fit.likelihood import Compatibility
    from scalewise.fit.priors import Prior
    from scalewise.fit.result import FitResult
    from scalewise.plan.diagnosis import Diagnosis
    from scalewise.report.cards.checklist import Item
    from scalewise.runs.table import RunTable


def diagnose(
    *,
    runs: str,
    mapping: Mapping[str, str] | None,
    where: str | None,
    law: str,
    force: bool,
    fixed: Mapping[str, float | str],
    priors: Mapping[str, Prior],
    bounds: Mapping[str, tuple[float, float]],
    params: float | None,
    tokens: float | None,
    flops: float | None,
    against: tuple[str, ...] | None,
    checklist: str | None,
    **settings: Any,
) -> Answer:
    """Ask of a fit to RUNS what limits its answer, and what it depends on.

    The answer is the loss of a model (--params and --tokens) or the best split of a budget
    (--flops). Told are: what limits it now, each thing with its measured effect and the mend, and
    what one more run would do; what scatters (seeds, evaluation, the law itself), how far each
    constant and the loss at the target can be moved, what each size and each run does to the
    answer, and what other choices of outlier rule, objective, delta, counting and law would have
    made of it.
    With --against also whether published constants could have made these runs.
    --checklist writes the nine things that a published fit must state, filled in, as Markdown.

    Exits with 4 if the runs do not determine the law; why they do not is then told.
    """
    if flops is None and (params is None or tokens is None):
        raise UsageError(
            "The answer that is in question is not given.",
            hint="Write --params 7B --tokens 2T for a loss, or --flops 1e24 for the best split.",
        )
    from scalewise.fit.storage import read_fit
    from scalewise.plan.diagnosis import diagnose as look_into

    stated = {name: read_fit(name) for name in against or ()}  # a misspelt one is told at once

    table = runs_from(runs, mapping, where)
    moot = moot_findings(curves=False, every_row=settings["rows"] == "all")
    findings = tell_health(table, force=force, excused=("fewer than three sizes",), ignored=moot)
    at: dict[str, Any] = {"params": params, "tokens": tokens, "flops": flops}
    try:
        found = look_into(
            law,
            table,
            **at,
            fixed=fixed or None,
            priors=priors or None,
            bounds=bounds or None,
            **settings,
        )
    except UnfitDataError as error:
        return _undetermined(law, table, error, at, settings, findings)
    return _answer(found, stated, checklist, findings)


def _answer(
    found: Diagnosis,
    stated: Mapping[str, FitResult],
    checklist: str | None,
    findings: tuple[str, ...],
) -> Answer:
    """A diagnosis with its advice, its checklist and the constants it is held against."""
    from scalewise.fit.likelihood import compatible
    from scalewise.plan.advice import advise
    from scalewise.report.cards.checklist import checklist_items

    advice = advise(found)
    items = checklist_items(found.result, found.table)
    compared = {name: compatible(found.result, other) for name, other in stated.items()}

    def cards() -> Iterable[Any]:
        from scalewise.report.cards.compatibility import compatibility_card
        from scalewise.report.cards.diagnosis import diagnosis_cards

        more = [compatibility_card(compared)] if compared else []
        return [*diagnosis_cards(found, advice), *more]

    return Answer(
        data=diagnosis_data(found)
        | {
            "advice": advice_data(advice),
            "checklist": checklist_data(items),
            "against": compatibility_data(compared),
        },
        cards=cards,
        text=_written(checklist, items),
        warnings=(*findings, *found.result.warnings, *found.noise.warnings),
        seed=found.result.seed,
        data_sha256=found.result.sha256,
    )


def _undetermined(
    law: str,
    table: RunTable,
    error: UnfitDataError,
    at: Mapping[str, Any],
    settings: Mapping[str, Any],
    findings: tuple[str, ...],
) -> Answer:
    """Why runs do not determine a law, as far as their design tells; the exit code stays 4."""
    from scalewise.plan.advice import unfit_advice
    from scalewise.report.cards.advice import advice_cards

    advice = unfit_advice(law, table, error, **at, rows=settings["rows"], level=settings["level"])
    return Answer(
        data={"advice": advice_data(advice)},
        cards=lambda: advice_cards(advice),
        warnings=findings,
        data_sha256=table.sha256,
        failure=error,
    )


def _written(out: str | None, items: tuple[Item, ...]) -> str | None:
    """The checklist as Markdown into a file; for standard output, the text."""
    from scalewise.report.cards.checklist import checklist_markdown

    if out is None:
        return None
    text = checklist_markdown(items)
    if out == "-":
        return text
    write_text(out, text)
    tell(f"Wrote {out}.")
    return None


def compatibility_data(compared: Mapping[str, Compatibility]) -> dict[str, Any]:
    """Published constants against the fit, by name."""
    names = ("distance", "distance_p", "likelihood_ratio", "likelihood_ratio_p", "degrees")
    return {
        key: {name: getattr(one, name) for name in names} | {"mean_residual": one.mean_residual}
        for key, one in compared.items()
    }


def diagnosis_data(found: Diagnosis) -> dict[str, Any]:
    """A diagnosis: fields by name, with the sentences that the cards conclude with."""
    from dataclasses import asdict

    return {
        "law": found.result.law.key,
        "target": {"asked": found.target.asked, **asdict(found.target)},
        "answer": asdict(found.influence.base) | {"level": found.influence.level},
        "noise": asdict(found.noise),
        "profiles": [{**asdict(p), "verdict": p.verdict} for p in found.profiles],
        "influence": {
            "conclusion": str(found.influence),
            "sizes": [asdict(row) for row in found.influence.sizes],
            "runs": [asdict(row) for row in found.influence.each_run],
            "screened_out": found.influence.screened_out,
        },
        "sensitivity": {
            "conclusion": str(found.sensitivity),
            "range": found.sensitivity.range,
            "spans": dict(found.sensitivity.spans),
            "base": asdict(found.sensitivity.base),
            "variants": [asdict(row) for row in found.sensitivity.variants],
            "omitted": dict(found.sensitivity.omitted),
        },
    }


command = verb(
    "diagnose",
    diagnose,
    (
        click.Argument(["runs"], metavar="RUNS"),
        click.Option(
            ["--law"], default="chinchilla", show_default=True, metavar="NAME|FORMULA",
            help="The law to look into.",
        ),
        options.quantity("--params", "Parameters of the model in question, N."),
        options.quantity("--tokens", "Its training tokens, D."),
        options.quantity("--flops", "Or the compute budget in question, C."),
        click.Option(["--objective"], type=click.Choice(OBJECTIVES), help="What to minimise."),
        options.quantity("--delta", "Where huber-log turns linear; 1e-3 unless given."),
        options.where(),
        options.mapping(),
        click.Option(
            ["--rows"], type=click.Choice(("finals", "all")), default="finals", show_default=True,
            help="Finished models, or every checkpoint.",
        ),
        options.fixed(),
        options.priors(),
        options.bounds(),
        options.names("--against", "Published constants to test: besiroglu2024,hoffmann2022."),
        click.Option(
            ["--checklist"], metavar="FILE",
            help="Write what a published fit must state, as Markdown; - is standard output.",
        ),
        options.level(),
        options.count("--bootstrap", "Resamples for the intervals.", default="300"),
        options.seed(),
        options.force(),
    ),
    examples=(
        "diagnose runs.csv --flops 1e24",
        "diagnose runs.csv --law overtraining --params 7B --tokens 2T",
        "diagnose runs.csv --flops 1e24 --against besiroglu2024,hoffmann2022",
    ),
)  # fmt: skip
