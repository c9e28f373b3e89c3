"""How the answer depends on choices that nobody reports: one table, one choice changed per row.

The choices are those on which published analyses differ: which outliers are left out, what is
minimised and with which delta, what counts as a parameter, whether checkpoints join the finished
models, and the law itself. Every row is a whole fit of its own, with its own interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np

from scalewise.core.errors import ScalewiseError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.points import Rows
from scalewise.fit.prediction import inputs_for
from scalewise.fit.result import FitResult
from scalewise.forecast.fitted_rows import fitted_rows
from scalewise.laws.catalogue import law_from
from scalewise.laws.law import Law
from scalewise.plan.allocate import Interval
from scalewise.plan.target import FitSettings, Reading, Target, answer, read, target_at
from scalewise.plan.variations import FACTORS, Change, changes, omitted
from scalewise.runs.table import RunTable

DRAWS = 100  # resamples behind the interval of a row
WIDER = 5.0  # an interval this many times as wide (in logs) says that the choice decides nothing
WORSE = 1.25  # residuals this much wider than those of the stated law: the runs reject the other
_EXACT = 1e-6  # of log loss: residuals below are rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row: a choice changed, and what the fit then says of the target.

    ``reading`` is None where the fit failed. A row with a ``doubt`` (not identified, not converged,
    a law that the runs reject) is shown and has no say in the range.
    """

    factor: str
    label: str
    points: int
    reading: Reading | None
    status: str
    doubt: str
    law: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The table, and by factor the range of answers that its choices span, widest first.

    ``omitted`` says which choices the table offers no way to vary.
    """

    target: Target
    base: Variant
    variants: tuple[Variant, ...]
    spans: Mapping[str, tuple[float, float]]
    omitted: Mapping[str, str]
    level: float
    law: str
    runs: int
    seed: int
    sha256: str
    warnings: tuple[str, ...]

    @property
    def sound(self) -> tuple[Variant, ...]:
        """The base and every row that can be relied on."""
        return tuple(
            v for v in (self.base, *self.variants) if v.reading is not None and not v.doubt
        )

    def value(self, variant: Variant) -> float | None:
        """The answer of a row, None where it has none."""
        return None if variant.reading is None else answer(variant.reading, self.target).value

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest answer of the sound rows."""
        values = [value for v in self.sound if (value := self.value(v)) is not None]
        return min(values), max(values)

    def farthest(self, factor: str) -> Variant:
        """The sound row of a factor whose answer differs most from the base's, as a ratio."""
        base = self.value(self.base) or 1.0
        rows = [v for v in self.sound if v.factor == factor and (self.value(v) or 0.0) > 0]
        return max(rows, key=lambda v: abs(np.log((self.value(v) or base) / base)))

    def __str__(self) -> str:
        write, unit = self.target.told, self.target.unit
        low, high = (write(value) for value in self.range)
        if not self.spans:
            return f"No choice could be varied; the answer is {low} {unit}."
        told = f"The answer ranges from {low} to {high} {unit}: "
        ranges = [
            f"the {factor} {{}}({write(least)} to {write(most)}, farthest with "
            f"{self.farthest(factor).label})"
            for factor, (least, most) in self.spans.items()
        ]
        told += ranges[0].format("matters most ")
        if len(ranges) > 1:
            told += f", then {ranges[1].format('')}"
        return f"{told}."


def sensitivity(
    law: Law | str,
    runs: object,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    level: float = 0.9,
    rows: Rows = "finals",
    **settings: Unpack[FitSettings],
) -> Sensitivity:
    """The answer at a target under other choices than those made, one changed at a time.

    The answer is the loss of a model (``params`` and ``tokens``), or the tokens per parameter of
    the best model of a budget (``flops``). ``settings`` are those of ``scalewise.fit``; bounds,
    priors and fixed constants do not carry over to other laws.
    Raises UnfitDataError if the runs do not determine the law in the first place.
    """
    from scalewise.runs.read import read_runs

    law = law_from(law) if isinstance(law, str) else law
    if settings.get("bootstrap") == 0:
        raise UsageError("bootstrap=0 leaves no row an interval.", hint="Give 100 or more.")
    whole = runs if isinstance(runs, RunTable) else read_runs(runs)
    table = fitted_rows(law, whole, rows)
    target = target_at(table, params=params, tokens=tokens, flops=flops)
    result = fit(law, table, rows="all", **settings).required()
    reading = read(result, target, level=level)
    stated = answer(reading, target)
    base = Variant(
        factor="base",
        label=_choices(result),
        points=result.points,
        reading=reading,
        status=result.status.name,
        doubt="",
        law=law.key,
    )
    quick: FitSettings = {**settings, "bootstrap": min(settings.get("bootstrap", DRAWS), DRAWS)}
    start = Change(factor="", label="", law=law, table=table, settings=quick)
    tried = list(changes(start, result, whole, rows, target))
    variants = tuple(_variant(change, result, stated, target, level) for change in tried)
    found = Sensitivity(
        target=target,
        base=base,
        variants=variants,
        spans={},
        omitted=omitted({change.factor for change in tried}, result),
        level=level,
        law=law.key,
        runs=result.runs,
        seed=result.seed,
        sha256=result.sha256,
        warnings=result.warnings,
    )
    return replace(found, spans=_spans(found))


def _choices(result: FitResult) -> str:
    delta = f", delta {result.objective.delta:g}" if result.objective.name == "huber-log" else ""
    return f"{result.law.key}, {result.objective.name}{delta}, every point"


def _variant(
    change: Change, base: FitResult, stated: Interval, target: Target, level: float
) -> Variant:
    reading, points = None, len(change.table)
    try:
        result = fit(change.law, change.table, rows="all", **change.settings)
        status, points = result.status.name, result.points
        reading = read(result, target, level=level)
        found = answer(reading, target)
        doubt = _doubt(change, result, base) or _vague(found, stated) or _worse(found, base, target)
    except ScalewiseError as error:
        status, doubt = "FAILED", error.message
    return Variant(
        factor=change.factor,
        label=change.label,
        points=points,
        reading=reading,
        status=status,
        doubt=doubt,
        law=change.law.key,
    )


def _doubt(change: Change, result: FitResult, base: FitResult) -> str:
    """Why a row has no say in the range, or nothing."""
    try:
        result.required()
    except UnfitDataError:
        return result.status.value
    if change.factor != "law":
        return ""
    if result.at_bound and not base.at_bound:
        return f"{', '.join(result.at_bound)} stopped at a bound"
    # A law with as many constants as points leaves no residuals to hold another against.
    if base.noise > _EXACT and result.noise > WORSE * base.noise:
        return f"residuals {result.noise / base.noise:.2g} times as wide: the runs reject this law"
    return ""


def _vague(found: Interval, stated: Interval) -> str:
    """Why an interval is too wide for its middle to mean anything, or nothing."""
    if not (np.isfinite(found.value) and found.value > 0):
        return f"the answer is {found.value:g}"
    with np.errstate(divide="ignore"):
        width, usual = (float(np.log(i.high) - np.log(i.low)) for i in (found, stated))
    if not np.isfinite(width) or width > WIDER * usual > 0:
        return f"interval {found.low:.2g} to {found.high:.2g}: the runs do not determine the answer"
    return ""


def _worse(found: Interval, base: FitResult, target: Target) -> str:
    """Why a loss is no forecast: a run no larger, on no more tokens, is clearly below it already.

    Told for the columns that the law takes; or nothing.
    """
    if not target.columns:
        return ""
    place = inputs_for(base.law, target.columns)
    within = np.ones(base.points, dtype=bool)
    for symbol, values in base.inputs.items():
        within &= values <= place[symbol]
    least = float(np.min(base.observed[within], initial=np.inf))
    if found.low > least:
        return f"a smaller run has {least:.4g} already: the law does not fall towards the target"
    return ""


def _spans(found: Sensitivity) -> dict[str, tuple[float, float]]:
    """The range of sound answers by factor, the base among them, widest ratio first."""
    spans = {}
    for factor in FACTORS:
        rows = [v for v in found.sound if v.factor in (factor, "base")]
        values = [value for v in rows if (value := found.value(v)) is not None and value > 0]
        if len(rows) > 1 and len(values) > 1:
            spans[factor] = (min(values), max(values))
    return dict(sorted(spans.items(), key=lambda item: -item[1][1] / item[1][0]))
