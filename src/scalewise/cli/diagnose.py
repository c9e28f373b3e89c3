"""``scalewise diagnose``: the twin of ``scalewise.plan.diagnosis.diagnose``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.fit import OBJECTIVES
from scalewise.cli.inputs import runs_from, tell_health
from scalewise.cli.output import Answer
from scalewise.cli.verb import verb
from scalewise.core.errors import UsageError

if TYPE_CHECKING:
    from scalewise.fit.priors import Prior
    from scalewise.plan.diagnosis import Diagnosis


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
    **settings: Any,
) -> Answer:
    """Ask of a fit to RUNS what its answer depends on.

    The answer is the loss of a model (--params and --tokens) or the best split of a budget
    (--flops). Told are: what scatters (seeds, evaluation, the law itself), how far each constant
    and the loss at the target can be moved, what each size and each run does to the answer, and
    what other choices of outlier rule, objective, delta, counting and law would have made of it.

    Exits with 4 if the runs do not determine the law.
    """
    if flops is None and (params is None or tokens is None):
        raise UsageError(
            "The answer that is in question is not given.",
            hint="Write --params 7B --tokens 2T for a loss, or --flops 1e24 for the best split.",
        )
    from scalewise.plan.diagnosis import diagnose as look_into

    table = runs_from(runs, mapping, where)
    findings = tell_health(table, force=force, excused=("fewer than three sizes",))
    found = look_into(
        law,
        table,
        params=params,
        tokens=tokens,
        flops=flops,
        fixed=fixed or None,
        priors=priors or None,
        bounds=bounds or None,
        **settings,
    )

    def cards() -> Iterable[Any]:
        from scalewise.report.cards.diagnosis import diagnosis_cards

        return diagnosis_cards(found)

    return Answer(
        data=diagnosis_data(found),
        cards=cards,
        warnings=(*findings, *found.result.warnings, *found.noise.warnings),
        seed=found.result.seed,
        data_sha256=found.result.sha256,
    )


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
        options.level(),
        options.count("--bootstrap", "Resamples for the intervals.", default="300"),
        options.seed(),
        options.force(),
    ),
    examples=(
        "diagnose runs.csv --flops 1e24",
        "diagnose runs.csv --law overtraining --params 7B --tokens 2T",
    ),
)  # fmt: skip
