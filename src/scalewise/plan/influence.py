"""What each size and each run does to the answer: the same fit again, without it.

A run that moves the answer by more than the half width of its interval decides it, whatever the
interval says. Sizes are left out one by one by a search from scratch, because what is left may
have another optimum, or none; runs, of which there are many, by descents from the optimum, all in
one batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np

from scalewise.core.errors import UsageError
from scalewise.core.quantities import level_text
from scalewise.fit.engine import fit
from scalewise.fit.points import Rows
from scalewise.forecast.fitted_rows import fitted_rows
from scalewise.laws.catalogue import law_from
from scalewise.laws.law import Law
from scalewise.plan.allocate import Interval
from scalewise.plan.leave_out import NO_WIDTH, LeftOut, Scale, each_run_out, refitted, size_groups
from scalewise.plan.target import FitSettings, Target, answer, read, size_column_of, target_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """The answer at a target, and what it becomes without each size and each run.

    ``sizes`` are in order of size, ``each_run`` by the change, largest first. ``screened_out`` runs
    were not refitted, because to first order they change the answer less than those shown.
    """

    target: Target
    base: Interval
    level: float
    sizes: tuple[LeftOut, ...]
    each_run: tuple[LeftOut, ...]
    screened_out: int
    size: str
    law: str
    runs: int
    points: int
    seed: int
    sha256: str
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        kinds = [max_shift(rows) for rows in (self.sizes, self.each_run)]
        write = self.target.told
        told = [
            f"without {row.label} {write(row.value)}"
            for row in kinds
            if row is not None and row.value is not None
        ]
        value, low, high = (write(v) for v in (self.base.value, self.base.low, self.base.high))
        return f"{value} {self.target.unit} ({level_text(self.level)} interval {low} to {high})" + (
            f"; most moved {', '.join(told)}" if told else ""
        )


def influence(
    law: Law | str,
    runs: object,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    level: float = 0.9,
    rows: Rows = "finals",
    **settings: Unpack[FitSettings],
) -> Influence:
    """The answer at a target, with each size and each run left out in turn.

    The answer is the loss of a model (``params`` and ``tokens``), or the tokens per parameter of
    the best model of a budget (``flops``). ``settings`` are those of ``scalewise.fit``. More than
    a dozen sizes are left out by groups of neighbours.
    Raises UnfitDataError if the runs do not determine the law in the first place.
    """
    law = law_from(law) if isinstance(law, str) else law
    if settings.get("bootstrap") == 0:
        raise UsageError(
            "bootstrap=0 leaves no interval to measure a change by.", hint="Give 100 or more."
        )
    table = fitted_rows(law, runs, rows)
    base = fit(law, table, rows="all", **settings).required()
    target = target_at(table, params=params, tokens=tokens, flops=flops)
    centre = answer(read(base, target, level=level), target)
    half = 0.5 * float(np.log(centre.high / centre.low)) if centre.low > 0 else 0.0
    warnings = list(base.warnings)
    if half < NO_WIDTH:
        warnings.append("The interval has no width, so changes cannot be measured by it.")
    scale = Scale(target=target, centre=centre.value, half=half)
    column = size_column_of(law, table)
    sizes = [
        refitted("size", label, table, ~keep, law, scale, settings)
        for label, keep in size_groups(table.column(column))
    ]
    each_run, screened = each_run_out(base, table, scale, settings)
    return Influence(
        target=target,
        base=centre,
        level=level,
        sizes=marked(sizes),
        each_run=marked(sorted(each_run, key=lambda row: -abs(row.shift or 0.0))),
        screened_out=screened,
        size=column,
        law=law.key,
        runs=base.runs,
        points=base.points,
        seed=base.seed,
        sha256=base.sha256,
        warnings=tuple(warnings),
    )


def max_shift(rows: tuple[LeftOut, ...]) -> LeftOut | None:
    """The row that moves the answer most, of those that leave the law determined."""
    known = [row for row in rows if row.shift is not None and not row.doubt]
    return max(known, key=lambda row: abs(row.shift or 0.0)) if known else None


def marked(rows: list[LeftOut]) -> tuple[LeftOut, ...]:
    """The rows with those marked that exceed a half width, or are the largest."""
    largest = max_shift(tuple(rows))
    return tuple(
        replace(row, influential=row is largest or abs(row.shift or 0.0) > 1.0) for row in rows
    )
