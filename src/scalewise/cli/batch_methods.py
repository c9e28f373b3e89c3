"""Critical batches by every method that measured them: options and answer of several verbs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from scalewise.cli.inputs import runs_from
from scalewise.cli.output import Answer
from scalewise.core.errors import UsageError

if TYPE_CHECKING:
    from scalewise.fit.result import FitResult
    from scalewise.forecast.batch_methods import MethodComparison
    from scalewise.report.card import Card

OPTIONS = (
    click.Option(
        ["--runs"], metavar="RUNS",
        help="Compare critical batches by method: contours, and the noise scales of this table.",
    ),
    click.Option(
        ["--branches"], metavar="FILE",
        help="Branches from checkpoints of --runs, a JSON file: compare them as well.",
    ),
)  # fmt: skip


def measured(
    result: FitResult, runs: str | None, branches: str | None, *, level: float
) -> MethodComparison | None:
    """The critical batches that the options give; None where they ask for nothing."""
    if branches is not None and runs is None:
        raise UsageError(
            f"--branches {branches} needs --runs: the losses of the runs that were branched.",
            hint="Write --runs runs.jsonl --branches branches.json.",
        )
    if runs is None:
        return None
    from scalewise.forecast.batch_methods import batch_methods
    from scalewise.forecast.branch_file import read_branches

    left = () if branches is None else read_branches(branches)
    return batch_methods(result, runs=runs_from(runs, None, None), branches=left, level=level)


def with_methods(answer: Answer, found: MethodComparison | None, *, level: float) -> Answer:
    """An answer with the comparison added to its cards, data and warnings."""
    if found is None:
        return replace(answer, data={**answer.data, "critical_batch_by_method": None})

    def cards() -> list[Any]:
        from scalewise.report.cards.batch_methods import batch_methods_card

        return [*answer.cards(), batch_methods_card(found, level=level)]

    return replace(
        answer,
        data={**answer.data, "critical_batch_by_method": methods_data(found, level=level)},
        cards=cards,
        warnings=(*answer.warnings, *found.lacking),
    )


def chapter(
    result: FitResult, runs: str | None, branches: str | None, *, level: float
) -> list[Card]:
    """The comparison as part of a page; nothing where it was not asked for."""
    from scalewise.report.cards.batch_methods import batch_methods_card

    found = measured(result, runs, branches, level=level)
    return [] if found is None else [batch_methods_card(found, level=level)]


def methods_data(found: MethodComparison, *, level: float) -> dict[str, Any]:
    """Measured critical batches: fields by name, with what each method measures."""
    from scalewise.report.cards.batch_methods import MEASURES

    return {
        "median_ratio": {name: found.median_ratio(name) for name in found.methods},
        "measurements": [
            {
                "method": m.method,
                "kind": "global" if m.is_global else "local",
                "loss": m.loss,
                "params_nonembed": m.params_nonembed,
                "critical_batch_tokens": m.critical_batch_tokens,
                "interval": [m.low, m.high],
                "joint_fit": float(found.expected[i]),
                "over_joint_fit": float(found.ratios[i]),
            }
            for i, m in enumerate(found.measurements)
        ],
        "measures": {name: MEASURES[name] for name in found.methods},
        "lacking": list(found.lacking),
        "level": level,
        "source": found.source,
    }
