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
    from scalewise.fit.likelihood import Compatibility
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
    against: tuple[str, ...] | None,
    **settings: Any,
) -> Answer:
    """Ask of a fit to RUNS what its answer depends on.

    The answer is the loss of a model (--params and --tokens) or the best split of a budget
    (--flops). Told are: what scatters (seeds, evaluation, the law itself), how far each constant
    and the loss at the target can be moved, what each size and each run does to the answer, and
    what other choices of outlier rule, objective, delta, counting and law would have made of it.
    With --against also whether published constants could have made these runs.

    Exits with 4 if the runs do not determine the law.
    """
    if flops is None and (params is None or tokens is None):
        raise UsageError(
            "The answer that is in question is not given.",
            hint="Write --params 7B --tokens 2T for a loss, or --flops 1e24 for the best split.",
        )
    from scalewise.fit.likelihood import compatible
    from scalewise.fit.storage import read_fit
    from scalewise.plan.diagnosis import diagnose as look_into

    stated = {name: read_fit(name) for name in against or ()}  # a misspelt one is told at once

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

    compared = {name: compatible(found.result, other) for name, other in stated.items()}

    def cards() -> Iterable[Any]:
        from scalewise.report.cards.compatibility import compatibility_card
        from scalewise.report.cards.diagnosis import diagnosis_cards

        more = [compatibility_card(compared)] if compared else []
        return [*diagnosis_cards(found), *more]

    return Answer(
        data=diagnosis_data(found) | {"against": compatibility_data(compared)},
        cards=cards,
        warnings=(*findings, *found.result.warnings, *found.noise.warnings),
        seed=found.result.seed,
        data_sha256=found.result.sha256,
    )


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
