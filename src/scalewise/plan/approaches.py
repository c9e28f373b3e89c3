"""All three Chinchilla approaches on one run table, and where and why they disagree.

Hoffmann et al. 2022, sec. 3. Each answers the same question, how N_opt and D_opt grow with
compute, from different numbers: approach 1 from training curves, 2 from finished runs at equal
compute, 3 from a law fitted to all finished runs. Three answers that agree are worth more than one
narrow interval; where they part, the reasons are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import ScalewiseError, UsageError
from scalewise.core.quantities import check_level, format_count, format_flops
from scalewise.fit.result import FitResult
from scalewise.forecast.choose import AUTO
from scalewise.forecast.fitting import fit
from scalewise.laws.catalogue import law_from, on_count
from scalewise.plan.allocate import Interval, allocate, growth, trading_laws
from scalewise.plan.envelope import Envelope, envelope, pareto
from scalewise.plan.isoflop import IsoFlop, isoflop
from scalewise.plan.optimum import size_of
from scalewise.plan.readings import Readings, readings
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Key = Literal["envelope", "pareto", "parabola", "additive", "law"]

DEFAULT_LAW = "chinchilla"
_DECADE = np.log(10.0)
_NEAR = 1.25  # of the sizes at the budget, below which overlapping answers are called equal
_SAME_RULE = 0.03  # of the ratio of two counts of FLOPs, below which they are called one rule
_APART = 1.15  # sizes closer than this inside the data are called equal

TITLES: dict[Key, str] = {
    "envelope": "1 envelope of training curves",
    "pareto": "1 (proxy) Pareto frontier of finished runs",
    "parabola": "2 isoFLOP, parabola",
    "additive": "2 isoFLOP, bias-corrected",
    "law": "3 parametric law",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """One approach's answer: N_opt ~ C**a, D_opt ~ C**b, and the optimum at the budget.

    ``inside`` is N_opt at the middle of the data, where nothing is extrapolated. ``points`` is what
    the answer rests on, in words, and ``notes`` what may have moved it.
    """

    key: Key
    title: str
    a: Interval
    b: Interval
    params: Interval
    tokens: Interval
    inside: float
    points: str
    notes: tuple[str, ...]

    @property
    def tokens_per_param(self) -> Interval:
        """D_opt / N_opt at the budget, where more of one is less of the other."""
        return Interval(
            value=self.tokens.value / self.params.value,
            low=self.tokens.low / self.params.high,
            high=self.tokens.high / self.params.low,
        )


@dataclass(frozen=True, slots=True)
class NotRun:
    """An approach that the data do not allow, and why."""

    key: Key
    title: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approaches:
    """Every approach that the data allow, side by side at one budget.

    ``details`` holds the full results of approaches 1 and 2 for figures; ``middle`` is the compute
    in the middle of the data.
    """

    size: str
    flops: float
    middle: float
    extrapolation: float
    entries: tuple[Approach, ...]
    not_run: tuple[NotRun, ...]
    disagreement: str
    level: float
    runs: int
    seed: int
    details: tuple[IsoFlop | Envelope, ...]


def approaches(
    runs: RunTable,
    flops: float,
    *,
    law: str = DEFAULT_LAW,
    result: FitResult | None = None,
    size: str = "params",
    budgets: Sequence[float] | None = None,
    level: float = 0.9,
    bootstrap: int = 200,
    seed: int = 0,
) -> Approaches:
    """Run approaches 1, 2 and 3 as far as the table allows, and compare them at ``flops``.

    Approach 3 fits ``law``, stated in ``size``, or takes a fit that is at hand as ``result``.
    ``budgets`` are the nominal isoFLOP budgets of approach 2, else they are looked for. Where there
    are no training curves, a proxy that is named as one stands in for approach 1.
    """
    if not (np.isfinite(flops) and flops > 0):
        raise UsageError(f"flops={flops} is no compute budget.", hint="Give a positive number.")
    if law != AUTO:
        law_from(law)  # a name that is none is told before anything is run
    check_level(level)
    data = readings(runs, size=size)
    middle = float(np.exp(np.log(data.flops).mean()))
    other_rule = _other_rule(data)
    options: dict[str, Any] = {"size": size, "level": level, "bootstrap": bootstrap, "seed": seed}
    attempts: list[tuple[Key, Callable[[], IsoFlop | Envelope | FitResult]]] = [
        ("envelope", lambda: _envelope(runs, **options)),
        ("parabola", lambda: isoflop(runs, budgets=budgets, method="parabola", **options)),
        ("additive", lambda: isoflop(runs, budgets=budgets, method="additive", **options)),
        ("law", lambda: result or _fitted(law, runs, size, bootstrap, seed)),
    ]
    entries: list[Approach] = []
    details: list[IsoFlop | Envelope] = []
    not_run: list[NotRun] = []
    while attempts:
        key, run = attempts.pop(0)
        try:
            found = run()
            if isinstance(found, FitResult):
                entries.append(_of_law(found, flops, middle, level, size, other_rule))
            else:
                entries.append(_of_lines(key, found, flops, middle))
                details.append(found)
        except ScalewiseError as error:
            not_run.append(NotRun(key, TITLES[key], str(error)))
            if key == "envelope":
                attempts.insert(0, ("pareto", lambda: pareto(runs, **options)))
    top = float(data.flops.max())
    return Approaches(
        size=size,
        flops=float(flops),
        middle=middle,
        extrapolation=max(flops / top, float(data.flops.min()) / flops, 1.0),
        entries=tuple(entries),
        not_run=tuple(not_run),
        disagreement=_disagreement(entries, flops, middle, top, size),
        level=level,
        runs=len(np.unique(data.run)),
        seed=seed,
        details=tuple(details),
    )


def _fitted(law: str, runs: RunTable, size: str, bootstrap: int, seed: int) -> FitResult:
    if law == AUTO:
        return fit(law, runs, bootstrap=bootstrap, seed=seed).required()
    stated = law_from(law)
    if size_of(stated) not in (None, size):
        stated = on_count(stated, size)
    return fit(stated, runs, bootstrap=bootstrap, seed=seed).required()


def _envelope(runs: RunTable, **options: Any) -> Envelope:
    """Approach 1 on the evaluation that has most checkpoints, where a table has several."""
    if not runs.has("eval_set"):
        return envelope(runs, **options)
    names, counts = np.unique(np.asarray(runs.text("eval_set")), return_counts=True)
    if len(names) == 1:
        return envelope(runs, **options)
    chosen = str(names[counts.argmax()])
    found = envelope(replace(runs, frame=runs.frame.filter(eval_set=chosen)), **options)
    note = (
        f"The table mixes {len(names)} evaluation sets; the curves are those of {chosen[:40]!r}, "
        f"which has most rows ({counts.max()} of {counts.sum()})."
    )
    return replace(found, warnings=(note, *found.warnings))


def _of_lines(key: Key, found: IsoFlop | Envelope, flops: float, middle: float) -> Approach:
    if isinstance(found, IsoFlop):
        points = f"{len(found.vertices)} budgets"
    else:
        kind = "FLOP values" if found.source == "curves" else "runs"
        points = f"{len(found.flops)} {kind}, {len(np.unique(found.sizes))} sizes"
    return Approach(
        key=key,
        title=TITLES[key],
        a=found.params.exponent,
        b=found.tokens.exponent,
        params=found.params.at(flops),
        tokens=found.tokens.at(flops),
        inside=found.params.at(middle).value,
        points=points,
        notes=found.warnings,
    )


def _other_rule(data: Readings) -> tuple[str, ...]:
    """What is to be said if the table counts FLOPs by another rule than the law's optimum does."""
    ratio = float(np.median(data.flops / (6.0 * data.size * data.tokens)))
    if abs(ratio - 1) < _SAME_RULE:
        return ()
    return (
        f"The law is minimised under C = 6 N D; the table's flops are {ratio:.3g} times that, so "
        "its budget buys it other models than those of the other approaches.",
    )


def _of_law(
    result: FitResult,
    flops: float,
    middle: float,
    level: float,
    size: str,
    remarks: tuple[str, ...],
) -> Approach:
    """Approach 3: the slope of the law's own optimum, over the decade around the budget."""
    own = str(size_of(trading_laws(result)[0][1].law))
    if own != size:
        raise UsageError(
            f"Law {result.law.key!r} counts {own}, not {size}.",
            hint=f"Compare with size={own!r}, or fit a law in {size}.",
        )
    a = growth(result, flops * np.exp(np.array([-0.5, 0.5]) * _DECADE), level=level)
    best = allocate(result, flops, level=level)
    return Approach(
        key="law",
        title=f"{TITLES['law']} ({result.law.key})",
        a=a,
        b=Interval(value=1 - a.value, low=1 - a.high, high=1 - a.low),
        params=best.params,
        tokens=best.tokens,
        inside=allocate(result, middle, level=level).params.value,
        points=f"{result.points} points",
        notes=(*result.warnings, *remarks),
    )


def _disagreement(
    entries: Sequence[Approach], flops: float, middle: float, top: float, size: str
) -> str:
    """Where and why the approaches part, in sentences a reader may quote."""
    if len(entries) < 2:
        return "Fewer than two approaches could be run, so nothing checks the answer."
    low, high = (f(entries, key=lambda e: e.params.value) for f in (min, max))
    inside = [e.inside for e in entries]
    spread_inside, spread = max(inside) / min(inside), high.params.value / low.params.value
    beyond = f"{format_flops(flops)} FLOP"
    if flops > top:
        beyond += f", {format_count(flops / top)} times beyond the runs,"
    where = (
        f"In the middle of the data ({format_flops(middle)} FLOP) the approaches put the best "
        f"{size} between {format_count(min(inside))} and {format_count(max(inside))} "
        f"({_factor(spread_inside)}); at {beyond} {low.title} says "
        f"{format_count(low.params.value)} and {high.title} {format_count(high.params.value)} "
        f"({_factor(spread)})."
    )
    overlap = high.params.low <= low.params.high
    if overlap and spread < _NEAR:
        return f"{where} The intervals overlap: the data show no disagreement."
    judged = (
        "The intervals overlap, so this may be chance; what may be behind it:"
        if overlap
        else "The intervals do not overlap."
    )
    return " ".join([where, judged, *_reasons(entries, low, high, spread_inside)])


def _factor(ratio: float) -> str:
    return "the same" if ratio < 1.005 else f"a factor of {ratio:.3g}"


def _reasons(
    entries: Sequence[Approach], low: Approach, high: Approach, spread_inside: float
) -> list[str]:
    said = []
    if spread_inside < _APART:
        said.append(
            f"They agree inside the data, so it is the exponent: a = {low.a.value:.3f} against "
            f"{high.a.value:.3f}, which a longer range of compute would settle."
        )
    else:
        said.append("They already differ inside the data, so it is not only extrapolation.")
    keys = {low.key, high.key}
    if "pareto" in keys:
        said.append(
            "The proxy for approach 1 rests on single runs, lucky ones first, and on the ends of "
            "the ladder."
        )
    if "envelope" in keys:
        notes = next(e.notes for e in entries if e.key == "envelope")
        said += [note for note in notes if "learning rate" in note]
    if keys == {"parabola", "additive"}:
        said.append(
            "The parabola is biased where the valleys are lopsided or sampled off their centre; "
            "trust the bias-corrected profile."
        )
    if "law" in keys:
        said.append(
            "The law shares one E, A and B over all budgets and weighs every run, those far from "
            "the optimum too; outliers among those move it (refit without the least trained)."
        )
        notes = next(e.notes for e in entries if e.key == "law")
        said += [note for note in notes if "minimised under C = 6 N D" in note]
    if keys & {"parabola", "additive"}:
        dropped = [n for e in entries if e.key in keys for n in e.notes if "left out:" in n]
        said += list(dict.fromkeys(dropped))[:2]
    return said
