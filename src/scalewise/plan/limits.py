"""What can limit a forecast, each measured on the user's own runs against a rule with a source.

Most are structural: how many sizes, how far the target lies beyond them, how far tokens vary at
equal size. Their effect is what a run that mends them would do to the interval. The others are
choices and odd data: their effect is the forecast without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.quantities import format_count, format_flops
from scalewise.forecast.fitted_rows import fitted_rows
from scalewise.plan.additions import (
    Forecaster,
    forecaster,
    half_width,
    last_points,
    told_half,
)
from scalewise.plan.diagnosis import Diagnosis
from scalewise.plan.leave_out import SAME_SIZE
from scalewise.plan.target import Target, target_at
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

ENOUGH_SIZES = 5
MATTERS = 0.5  # of the half width: a smaller change hides in the interval
WIDENS = 0.25  # of the half width: a source that, gone, would narrow it by less hardly limits it
INDEPENDENT = 4.0  # factor in tokens at equal size: less leaves size and tokens confounded
LEVELS = 3  # distinct values of an input that tell an exponent from an offset
RESEEDING = 0.035
BEST, COARSE = 0.04, 0.20

CHOSHEN = "Choshen et al. 2024, arXiv:2410.11840"
# Their mean error of the largest model's loss, by number of models and by factor in size.
ERROR_BY_SIZES: Mapping[int, float] = {2: 0.2, 3: 0.19, 4: 0.086, 5: 0.056, 6: 0.05, 7: 0.041}
ERROR_BY_FACTOR = ((4.0, 0.036), (8.0, 0.076), (32.0, 0.094), (float("inf"), 0.46))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One thing that was measured, and what it does to the forecast.

    ``value`` is the measured number in ``unit`` and ``fact`` the sentence that tells it;
    ``effect`` is of the logarithm of the answer, so nearly a share of it: by how much the forecast
    moves without it, or by how much the half width shrinks; None where that cannot be measured.
    ``told`` says the effect in words. ``limits`` is false where the ``rule`` is met: it was looked
    at, and is not what to work on.
    """

    name: str
    value: float
    unit: str
    fact: str
    effect: float | None
    told: str
    mend: str
    rule: str
    limits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """What the runs do not tell, and which column or run would."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A diagnosis with the interval taken apart and the rows that were fitted."""

    found: Diagnosis
    table: RunTable
    forecast: Forecaster

    @property
    def target(self) -> Target:
        """What was asked."""
        return self.found.target

    @property
    def base(self) -> float:
        """The answer as fitted."""
        return self.found.influence.base.value

    def shift(self, value: float) -> float:
        """How far another answer lies from the one as fitted, as a logarithm."""
        return abs(float(np.log(value / self.base)))

    def moved(self, value: float) -> str:
        """Another answer beside the one as fitted."""
        ratio = value / self.base
        change = f"{ratio - 1.0:+.1%}" if 0.5 < ratio < 2.0 else f"×{ratio:.3g}"
        return f"{self.target.told(value)} instead of {self.target.told(self.base)} ({change})"

    def narrowed(self, half: float) -> str:
        """A half width beside the present one."""
        return f"the interval would be {told_half(half)} instead of {told_half(self.forecast.half)}"


Check = Callable[[Case], Iterator[Limit | Unknown]]


def case_of(found: Diagnosis) -> Case:
    """What the checks need of a diagnosis."""
    law = found.result.law
    return Case(
        found=found,
        table=fitted_rows(law, found.table, found.rows),
        forecast=forecaster(found.result, found.target, level=found.influence.level),
    )


def size_levels(sizes: Array) -> Array:
    """The distinct sizes; those closer than a hundredth are one.

    >>> size_levels(np.array([1e6, 1.001e6, 2e6])).tolist()
    [1000000.0, 2000000.0]
    """
    ordered = np.unique(sizes)
    new = np.concatenate([[True], ordered[1:] > ordered[:-1] * (1 + SAME_SIZE)])
    return np.asarray(ordered[new])


def token_factor(params: Array, tokens: Array) -> float:
    """By which factor tokens vary at equal size: 10 % to 90 % about their trend with size.

    1 where one number of tokens, or one per size, was used for all.

    >>> token_factor(np.array([1e6, 2e6, 4e6]), np.array([2e7, 4e7, 8e7]))
    1.0
    """
    x, y = np.log(params), np.log(tokens)
    if len(x) < LEVELS:
        return 1.0
    columns = np.stack([np.ones_like(x), x - x.mean()], axis=1)
    rest = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    low, high = np.quantile(rest, [0.1, 0.9])
    return float(round(np.exp(high - low), 6))


def few_sizes(case: Case) -> Iterator[Limit | Unknown]:
    """Fewer sizes than laws are estimated well from."""
    size = case.found.influence.size
    levels = size_levels(case.table.column(size))
    half = _with_new_size(case, between=True)
    yield sizes_limit(len(levels), size, case.forecast.half - half, case.narrowed(half))


def sizes_limit(count: int, column: str, effect: float | None, told: str) -> Limit:
    """How many sizes there are, against the rule."""
    many = count > max(ERROR_BY_SIZES)
    error = 0.048 if many else ERROR_BY_SIZES.get(count, 1.0)
    others = f"; published families forecast from {'8 or more' if many else count} missed by "
    others += f"{error:.1%} on average"
    return Limit(
        name="few sizes", value=count, unit="sizes",
        fact=f"{count} size{'s' if count != 1 else ''} in {column}{others if count > 1 else ''}.",
        effect=None if effect is None else max(effect, 0.0), told=f"with a size more, {told}",
        mend=f"Train {max(ENOUGH_SIZES - count, 1)} more: many small sizes do, and sizes before "
        "seeds.",
        rule=f"at least {ENOUGH_SIZES} sizes: {CHOSHEN}", limits=count < ENOUGH_SIZES,
    )  # fmt: skip


def narrow_sizes(case: Case) -> Iterator[Limit | Unknown]:
    """A target farther beyond the largest size than the sizes span."""
    if "params" not in case.target.columns or not case.table.has("params"):
        return
    half = _with_new_size(case, between=False)
    yield range_limit(
        case.table.column("params"), case.target.columns["params"],
        case.forecast.half - half,
        f"with a size half way to the target, {case.narrowed(half)}",
    )  # fmt: skip


def range_limit(params: Array, target: float, effect: float | None, told: str) -> Limit:
    """The factor from the largest size to the target, against that between the sizes."""
    low, high = float(params.min()), float(params.max())
    factor, span = target / high, high / low
    error = next(e for most, e in ERROR_BY_FACTOR if factor <= most)
    others = f"; published families missed by {error:.1%} at such a factor" if factor > 1 else ""
    return Limit(
        name="narrow sizes", value=factor, unit="target / largest size",
        fact=f"Sizes span ×{format_count(span)} ({format_count(low)} to {format_count(high)}), the "
        f"target lies ×{format_count(factor)} beyond{others}.",
        effect=None if effect is None else max(effect, 0.0), told=told,
        mend="Widen the sizes at either end: small ones cost little, and one nearer the target "
        "shortens the reach.",
        rule=f"reach no farther than the sizes span, and ×32 at most: {CHOSHEN}",
        limits=factor > 1 and (factor > span or factor > 32),
    )  # fmt: skip


def flat_tokens(case: Case) -> Iterator[Limit | Unknown]:
    """Tokens that hardly vary except with size: exponents of the two are confounded."""
    law, table = case.found.result.law, case.table
    size = next((c for c in law.columns if c != "tokens" and c in table.columns), None)
    if "tokens" not in law.columns or size is None or not table.has("params"):
        return
    params, tokens = last_points(table)
    half = min(
        case.forecast.with_run(target_at(table, params=p, tokens=d).columns)
        for p, d in _other_tokens(params, tokens)
    )
    told = f"with one such run, {case.narrowed(half)}"
    yield tokens_limit(
        table.column(size), table.column("tokens"), table.run_count,
        case.forecast.half - half, told,
    )  # fmt: skip


def tokens_limit(params: Array, tokens: Array, runs: int, effect: float | None, told: str) -> Limit:
    """By which factor tokens vary at equal size, against the rule."""
    factor = token_factor(params, tokens)
    ratio = tokens / params
    constant = f"; every run saw {ratio[0]:.3g} tokens per param" if np.ptp(ratio) < 1e-3 * (
        ratio.max()) else ""  # fmt: skip
    same = f"; every run saw {format_count(float(tokens[0]))} tokens" if np.ptp(tokens) < 1e-3 * (
        tokens.max()) else ""  # fmt: skip
    single = " One point per run." if len(params) == runs else ""
    return Limit(
        name="flat tokens", value=factor, unit="tokens at equal size, 10% to 90%",
        fact=f"At equal size tokens vary ×{factor:.3g}{constant or same}.{single}",
        effect=None if effect is None else max(effect, 0.0), told=told,
        mend=f"Train a middle and a large size on {INDEPENDENT:g} times more and fewer tokens, or "
        "fit checkpoints of runs at constant rate (--rows all).",
        rule=f"×{INDEPENDENT:g} or more, {LEVELS} levels per input: Hoffmann et al. 2022, "
        "arXiv:2203.15556",
        limits=factor < INDEPENDENT,
    )  # fmt: skip


def far_target(case: Case) -> Iterator[Limit | Unknown]:
    """How much of the interval is the way from the largest run to the target."""
    result, table = case.found.result, case.table
    if not (case.target.columns and table.has("params") and table.has("tokens")):
        return
    flops = table.column("params") * table.column("tokens")
    most = int(np.nanargmax(flops))
    edge = {n: float(table.column(n)[most]) for n in case.target.columns if table.has(n)}
    said = result.predict(level=case.forecast.level, **edge)
    near = half_width(float(said.low), float(said.high))
    factor = case.target.flops / (6.0 * float(flops[most]))
    effect = max(case.forecast.half - near, 0.0)
    yield Limit(
        name="extrapolation", value=factor, unit="target / largest run in FLOP",
        fact=f"The target is ×{format_count(factor)} the largest run in compute "
        f"({format_flops(case.target.flops)} FLOP).",
        effect=effect,
        told=f"the interval is {told_half(near)} at the largest run and "
        f"{told_half(case.forecast.half)} at the target",
        mend="Train a run part of the way and forecast it first: what it misses by is what the "
        "interval cannot know.",
        rule=f"an interval that grows by less than a third on the way; errors grow with the "
        f"factor: {CHOSHEN}",
        limits=effect > WIDENS * case.forecast.half,
    )  # fmt: skip


def _with_new_size(case: Case, *, between: bool) -> float:
    """Half width with one size more: in the widest gap, or half way to the target."""
    if not (case.table.has("params") and case.table.has("tokens")):
        return case.forecast.half
    params, tokens = last_points(case.table)
    sizes = size_levels(params)
    if between and len(sizes) > 1:
        i = int(np.argmax(sizes[1:] / sizes[:-1]))
        size = float(np.sqrt(sizes[i] * sizes[i + 1]))
    else:
        size = float(np.sqrt(sizes[-1] * case.target.columns.get("params", sizes[-1] * 4)))
    ratio = float(np.median(tokens / params))
    return case.forecast.with_run(target_at(case.table, params=size, tokens=size * ratio).columns)


def _other_tokens(params: Array, tokens: Array) -> Iterator[tuple[float, float]]:
    """A middle and the largest size, each on more and on fewer tokens than it saw."""
    sizes = size_levels(params)
    for size in (sizes[len(sizes) // 2], sizes[-1]):
        seen = tokens[np.abs(params / size - 1) <= SAME_SIZE]
        yield float(size), float(seen.max()) * INDEPENDENT
        yield float(size), float(seen.min()) / INDEPENDENT
