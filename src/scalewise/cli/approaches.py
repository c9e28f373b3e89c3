"""``scalewise approaches``: the twin of ``scalewise.approaches`` and ``scalewise.conventions``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli import options
from scalewise.cli.inputs import runs_from, tell_health
from scalewise.cli.output import Answer, write_page
from scalewise.cli.plan_data import approaches_data, conventions_data
from scalewise.cli.verb import verb
from scalewise.core.errors import UnfitDataError
from scalewise.core.quantities import parse_quantity
from scalewise.report.chapters import approaches_chapter, conventions_or_why

if TYPE_CHECKING:
    from scalewise.plan.approaches import Approaches

SIZES = ("params", "params_nonembed")


def approaches(
    *,
    runs: str,
    flops: float,
    mapping: Mapping[str, str] | None,
    where: str | None,
    out: str | None,
    force: bool,
    level: float,
    bootstrap: int,
    seed: int,
    **asked: Any,
) -> Answer:
    """How the best size grows with compute, by every approach that RUNS allow.

    Approach 1 takes the lowest training curve at each compute, 2 the lowest point of each isoFLOP
    profile (by parabola, and corrected for its bias), 3 a law fitted to all runs. What was not
    run, and where and why the answers part, is said. A second table gives the exponent under each
    convention of counting parameters and FLOPs, which is why Kaplan and Chinchilla disagree; it
    needs params_nonembed, and vocab_size, d_model, n_layer and context_length for all of its rows.

    Exits with 4 if no approach can be run, or if the health checks find what would make a fit
    wrong, unless --force is given.
    """
    from scalewise.plan.approaches import approaches as compare

    table = runs_from(runs, mapping, where)
    findings = tell_health(table, force=force, excused=("fewer than three sizes",))
    found = compare(table, flops, level=level, bootstrap=bootstrap, seed=seed, **asked)
    counted, missing = conventions_or_why(table, level=level, bootstrap=bootstrap, seed=seed)
    cards = approaches_chapter(found, counted, missing=missing)
    if out is not None:
        write_page(cards, out, title="Compute-optimal size", sha256=table.sha256)
    data = approaches_data(found)
    data["conventions"] = (
        {"rows": [], "missing": [missing]} if counted is None else conventions_data(counted)
    )
    return Answer(
        data=data | ({} if out is None else {"out": out}),
        cards=lambda: cards if out != "-" else [],
        warnings=(*findings, *dict.fromkeys(w for card in cards for w in card.caveats)),
        seed=seed,
        data_sha256=table.sha256,
        failure=_nothing(found),
    )


def _nothing(found: Approaches) -> UnfitDataError | None:
    if found.entries:
        return None
    return UnfitDataError(
        "No approach can be run on this table.",
        hint="The answer says what each lacks; four sizes, each trained to several token counts, "
        "carry two of them.",
    )


def _budgets(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    return tuple(parse_quantity(part, name="--budgets") for part in text.split(","))


command = verb(
    "approaches",
    approaches,
    (
        click.Argument(["runs"], metavar="RUNS"),
        options.quantity("--flops", "Compute budget at which they are compared.", required=True),
        click.Option(
            ["--size"], type=click.Choice(SIZES), default="params", show_default=True,
            help="The count of parameters that is optimised.",
        ),
        click.Option(
            ["--budgets"], metavar="NUMBER,...", callback=lambda ctx, param, text: _budgets(text),
            help="Nominal isoFLOP budgets, 6e18,1e19,...; looked for in the runs if absent.",
        ),
        click.Option(
            ["--law"], default="chinchilla", show_default=True, metavar="auto|NAME|FORMULA",
            help="What approach 3 fits.",
        ),
        options.where(),
        options.mapping(),
        options.level(),
        options.count("--bootstrap", "Resamples for the intervals.", zero=True, default="200"),
        options.seed(),
        options.force(),
        click.Option(
            ["--out"], metavar="FILE", help="Write the cards with figures as a page; - for stdout."
        ),
    ),
    examples=(
        'approaches runs.csv --flops 5.76e23',
        'approaches runs.csv --flops 1e24 --budgets 1e19,3e19,1e20 --out approaches.html',
    ),
)  # fmt: skip
