"""What else can limit a forecast: scatter, odd and early data, loose constants, unstated choices.

Every effect is the forecast of a fit without the thing in question, most of which a diagnosis has
made already; only cuts of early checkpoints and loose constants take fits of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from scalewise.core.errors import ScalewiseError
from scalewise.fit.engine import fit
from scalewise.forecast.fitted_rows import kept_rows
from scalewise.forecast.noise import UNLIKELY, NoisePart
from scalewise.plan.additions import half_width, told_half
from scalewise.plan.influence import max_shift
from scalewise.plan.leave_out import LeftOut, Scale, refitted
from scalewise.plan.limits import CHOSHEN, MATTERS, RESEEDING, WIDENS, Case, Limit, Unknown
from scalewise.plan.sensitivity import DRAWS, Variant
from scalewise.plan.target import FitSettings, answer, answers, read
from scalewise.plan.variations import FACTORS
from scalewise.runs.stated import ends_assumed
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

LOOSE = "loose "  # begins the name of the limit that a constant which runs leave open is
CUTS = (0.1, 0.3)  # of each run, from its beginning
CUT_TOKENS = 1e10
_WIDE = 1.5  # times the half width: an interval this much wider is told with its middle
_LEAST_LEFT = 0.5  # of the points: a cut that leaves fewer is no cut of the beginning
_CONSTANT = "const"

_SEEDS = f"re-seeding moves a loss by up to {RESEEDING:.1%}: {CHOSHEN}"
_MENDS = {
    "law": "Quote the range; a larger run is what tells laws apart, not their fit to small ones.",
    "objective": "Quote the range; look at the residuals for outliers that the two weigh "
    "differently.",
    "delta": "Quote the range; prefer a delta near the noise of a run.",
    "outlier rule": "Look at the runs that are dropped, and say which were and why.",
    "counting": "State which count, and use the one in which the target is known.",
    "rows": "Prefer finished models unless the rate is constant: running ones read too high. Let a "
    "backtest choose, not the answer.",
}
_RULES = {
    "law": "choose a law by hold-out, and state the spread: Li et al. 2025 ((Mis)Fitting), "
    "arXiv:2502.18969",
    "objective": "state what was minimised: Besiroglu et al. 2024, arXiv:2404.10102",
    "delta": "state delta and what others give: Besiroglu et al. 2024, arXiv:2404.10102",
    "outlier rule": "state what was dropped: Besiroglu et al. 2024, arXiv:2404.10102",
    "counting": "count parameters as the target's are: Pearce & Song 2024, arXiv:2406.12907",
    "rows": f"checkpoints help some families and harm others: {CHOSHEN}",
}


def scatter(case: Case) -> Iterator[Limit | Unknown]:
    """What runs scatter about the law by: between seeds, from lack of fit, or unsplit."""
    noise = case.found.noise
    total = noise.part("total")
    parts = {part.name: part for part in noise.parts}
    if "run-to-run" not in parts:
        yield Unknown(
            name="noise between seeds",
            reason=f"{noise.unknown.get('run-to-run', 'no run was repeated')}",
        )
        yield _scatter(
            case, "scatter", total,
            f"One run scatters {_sd(case, total.sd)} about the law; seeds and lack of fit share it "
            "unsplit.",
            "Train the smallest size twice more with other seeds: that splits it.",
            limits=False,
        )  # fmt: skip
        return
    seeds, lack = parts["run-to-run"], parts["lack of fit"]
    same = "" if case.table.has("seed") else "; no column seed says whether they differ in it"
    large = f", more than the {RESEEDING:.1%} that re-seeding moved MultiBERTs by" if (
        noise.in_logs and seeds.sd > RESEEDING) else ""  # fmt: skip
    yield _scatter(
        case, "noise between seeds", seeds,
        f"Repeated runs scatter {_sd(case, seeds.sd)}{large} ({seeds.degrees} degrees of "
        f"freedom{same}).",
        "Compare recipes over several seeds each; for the constants, new sizes tell more than "
        "seeds.",
        limits=bool(large),
    )  # fmt: skip
    test = noise.test
    rejected = test is not None and test.p < UNLIKELY
    told = f" (F = {test.F:.3g}, p = {test.p:.2g})" if test is not None else ""
    yield _scatter(
        case, "lack of fit", lack,
        f"The law misses the means of repeated runs by {_sd(case, lack.sd)}{told}{same}.",
        "Try another law or cut the beginning of runs; more seeds will not help.",
        limits=rejected,
        rule="repeats explain what the law misses by: the F test of lack of fit",
    )  # fmt: skip


def _scatter(
    case: Case,
    name: str,
    part: NoisePart,
    fact: str,
    mend: str,
    *,
    limits: bool,
    rule: str = _SEEDS,
) -> Limit:
    """A part of the scatter, and the half width of a forecast run that had none of it."""
    forecast = case.forecast
    share = min(part.share or 0.0, 1.0)
    without = float(np.sqrt(max(forecast.half**2 - share * forecast.noise**2, 0.0)))
    effect = forecast.half - without
    return Limit(
        name=name, value=part.sd, unit="log loss" if case.found.noise.in_logs else "nats/token",
        fact=fact, effect=effect,
        told=f"for a run without it {case.narrowed(without)}"
        if forecast.noise else "none: the answer is not of one run",
        mend=mend,
        rule=rule,
        limits=limits or effect > WIDENS * forecast.half,
    )  # fmt: skip


def _sd(case: Case, value: float) -> str:
    return f"{value:.2%}" if case.found.noise.in_logs else f"{value:.3g} nats/token"


def odd_size(case: Case) -> Iterator[Limit | Unknown]:
    """The size without which the forecast moves most."""
    found = case.found.influence
    lost = [row.label for row in found.sizes if row.doubt]
    worst = max_shift(found.sizes)
    if worst is None or worst.value is None or worst.shift is None:
        yield Unknown(
            name="odd size", reason="Without any one size the rest do not determine the law."
        )
        return
    more = f" Without {', '.join(lost)} the rest do not determine the law." if lost else ""
    ends = {found.sizes[0].label: "smallest", found.sizes[-1].label: "largest"}
    if worst.label in ends:
        more = f" It is the {ends[worst.label]}: its place alone gives it weight.{more}"
    yield Limit(
        name="odd size", value=worst.shift, unit="half widths",
        fact=f"Without the size {worst.label} ({worst.points} points) the forecast moves by "
        f"{abs(worst.shift):.2f} half widths, more than without any other.{more}",
        effect=case.shift(worst.value), told=case.moved(worst.value),
        mend="Look for what sets it apart (learning rate, batch, data order) and train it again; "
        "do not drop it for its effect: a held-out error cannot tell a bad model.",
        rule=f"leave one size out, look at the target: {CHOSHEN}: the size hardest to predict was "
        "the worst to drop in 58% of families",
        limits=abs(worst.shift) > MATTERS,
    )  # fmt: skip


def unannealed(case: Case) -> Iterator[Limit | Unknown]:
    """Checkpoints of running models among finished ones: they move the forecast and widen it."""
    hot, known = running(case.table)
    count, total = int(hot.sum()), len(hot)
    if not known:
        yield Unknown(
            name="un-annealed points",
            reason="No column is_annealed or is_final says which points had their rate decayed.",
        )
        return
    if not 0 < count < total:
        return
    row = _without(case, hot, "running models")
    found = _of_cut(
        case, row, name="un-annealed points", value=count, unit="points",
        fact=f"{count} of {total} points were measured before the rate had decayed, "
        f"{total - count} after.",
        mend="Fit one kind: --rows finals, or --where is_annealed; a law of finished models reads "
        "running ones too high.",
        rule="losses of finished and running models differ: Hägele et al. 2024, arXiv:2405.18392",
    )  # fmt: skip
    if row.doubt:
        mend = (
            "The finished ones alone do not carry the law: train other token budgets to their end. "
            "Until then the forecast reads too high for a finished model."
        )
        yield replace(found, mend=mend)
        return
    half = _half_without(case, hot)
    if np.isfinite(half):
        effect = max(found.effect or 0.0, case.forecast.half - half)
        told = f"{found.told}; {case.narrowed(half)}"
        found = replace(found, effect=effect, told=told)
    yield replace(found, limits=True)


def _half_without(case: Case, lost: Array) -> float:
    """The half width of the interval of a fit without some points, infinite if it has none."""
    found = case.found
    settings: FitSettings = {**found.settings, "bootstrap": DRAWS}
    try:
        result = fit(found.result.law, kept_rows(case.table, ~lost), rows="all", **settings)
        stated = answer(
            read(result.required(), case.target, level=case.forecast.level), case.target
        )
    except ScalewiseError:
        return float("inf")
    return half_width(stated.low, stated.high)


def running(table: RunTable) -> tuple[Array, bool]:
    """Which points were measured before a learning rate had decayed, and whether it is known.

    Under a constant rate none was.
    """
    none = np.zeros(len(table), dtype=bool)
    if table.has("is_annealed"):
        return table.column("is_annealed") == 0, True
    steady = none
    if table.has("schedule"):
        steady = np.array([s.casefold().startswith(_CONSTANT) for s in table.text("schedule")])
    if steady.all():
        return none, True
    if ends_assumed(table):
        return none, False
    return (table.column("is_final") != 1) & ~steady, True


def early_part(case: Case) -> Iterator[Limit | Unknown]:
    """What cutting the beginning of the runs does."""
    table = case.table
    if not table.has("tokens"):
        return
    rows = [_without(case, early, name) for name, early in early_cuts(table)]
    known = [row for row in rows if row.value is not None and not row.doubt]
    if not known:
        why = rows[0].doubt if rows else "Too few points are of the beginning of their runs."
        yield Unknown(name="early part", reason=why)
        return
    worst = max(known, key=lambda row: case.shift(row.value or case.base))
    yield _of_cut(
        case, worst, name="early part", value=worst.points, unit="points",
        fact=f"{worst.points} of {len(table)} points are {worst.label}.",
        mend="Choose the cut by backtest, and state it: no one cut is best for all families.",
        rule=f"drop the first tenth or 10B tokens: {CHOSHEN}",
    )  # fmt: skip


def early_cuts(table: RunTable) -> Iterator[tuple[str, Array]]:
    """Points of the beginning of training, by name of the cut; none that leave too few.

    Of finished models, whose rate has decayed, those that saw the fewest tokens per param.
    """
    tokens = table.column("tokens")
    cuts: dict[str, Array] = {}
    if not _curves(table):
        if table.has("params"):
            ratio = tokens / table.column("params")
            cuts["the tenth with the fewest tokens per param"] = ratio < np.quantile(ratio, 0.1)
    else:
        run = np.unique(np.asarray(table.text("run_id")), return_inverse=True)[1]
        last = np.zeros(int(run.max()) + 1)
        np.maximum.at(last, run, np.nan_to_num(tokens))
        for share in CUTS:
            cuts[f"of the first {share:.0%} of their run"] = tokens < share * last[run]
        cuts["of the first 10B tokens"] = tokens < CUT_TOKENS
    for name, early in cuts.items():
        if 0 < early.sum() <= (1 - _LEAST_LEFT) * len(early):
            yield name, early


def _curves(table: RunTable) -> bool:
    """Whether the points are curves of runs, not ends of them."""
    ends = any(
        table.has(name) and bool((table.column(name) == 1).all())
        for name in ("is_final", "is_annealed")
    )
    return len(table) > table.run_count and not ends


def _without(case: Case, lost: Array, label: str) -> LeftOut:
    scale = Scale(target=case.target, centre=case.base, half=case.forecast.half)
    found = case.found
    return refitted("run", label, case.table, ~lost, found.result.law, scale, found.settings)


def _of_cut(
    case: Case, row: LeftOut, *, name: str, value: float, unit: str, fact: str, mend: str, rule: str
) -> Limit:
    """A limit whose effect is the forecast without some of the points."""
    known = row.value is not None and not row.doubt
    moved = case.shift(row.value or case.base) if known else None
    told = f"without them {case.moved(row.value)}" if known and row.value else (
        f"not measurable, without them: {row.doubt}")  # fmt: skip
    return Limit(
        name=name, value=value, unit=unit, fact=fact, effect=moved, told=told, mend=mend, rule=rule,
        limits=moved is None or moved > MATTERS * case.forecast.half,
    )  # fmt: skip


def loose_constants(case: Case) -> Iterator[Limit | Unknown]:
    """Constants at a bound, or that the runs leave open on one side."""
    found = case.found
    result, profiles = found.result, {p.name: p for p in found.profiles}
    for name in result.law.constant_names:
        profile = profiles.get(name)
        open_ = profile is not None and "open" in (profile.low_end, profile.high_end)
        if name not in result.at_bound and not open_:
            continue
        values = [] if profile is None else _ends(profile.values, profile.objective,
                                                  profile.threshold)  # fmt: skip
        forecasts = [v for v in (_held(case, name, value) for value in values) if v is not None]
        worst = max(forecasts, key=case.shift, default=None)
        effect = case.shift(worst) if worst is not None else None
        what = f"{name} stopped at its bound, {result.theta[name]:.4g}" if (
            name in result.at_bound) else f"{name} has no limit on one side"  # fmt: skip
        why = f": {profile.verdict}" if profile is not None and open_ else ""
        yield Limit(
            name=f"{LOOSE}{name}", value=result.theta[name], unit=result.law.unit(name),
            fact=f"{what}{why}.", effect=effect,
            told=f"at the other end of what the runs allow {case.moved(worst)}"
            if worst is not None else "not measurable: no profile",
            mend="Add runs that vary what it multiplies, fix it at a published value (--fix), or "
            "give it a prior (--prior).",
            rule="profile what is not identified: Raue et al. 2009, doi:10.1093/bioinformatics/"
            "btp358",
            limits=True,
        )  # fmt: skip


def _ends(values: Array, objective: Array, threshold: float) -> list[float]:
    inside = values[objective <= threshold]
    return [float(inside[0]), float(inside[-1])] if len(inside) else []


def _held(case: Case, name: str, value: float) -> float | None:
    """The answer with one constant held, None where that fit says nothing."""
    found = case.found
    held: FitSettings = {**found.settings, "bootstrap": 0}
    held["fixed"] = {**(found.settings.get("fixed") or {}), name: value}
    held["bounds"] = {n: b for n, b in (held.get("bounds") or {}).items() if n != name}
    try:
        result = fit(found.result.law, case.table, rows="all", **held).required()
    except ScalewiseError:
        return None
    found_there = float(answers(result.law, result.theta, case.target)[0])
    return found_there if np.isfinite(found_there) and found_there > 0 else None


def choices(case: Case) -> Iterator[Limit | Unknown]:
    """Law, objective, outlier rule and the others that another analyst would make otherwise."""
    found = case.found.sensitivity
    for factor in FACTORS:
        if factor not in found.spans:
            yield Unknown(name=f"choice of {factor}", reason=_why_not(case, factor))
            continue
        low, high = found.spans[factor]
        far = found.farthest(factor)
        value = found.value(far) or case.base
        effect = case.shift(value)
        tried = [v for v in found.variants if v.factor == factor]
        sound = [v for v in found.sound if v.factor == factor]
        yield Limit(
            name=f"choice of {factor}", value=high / low - 1.0, unit="span of the answer",
            fact=f"{len(sound)} of {len(tried)} other choices are sound; with them the answer is "
            f"{case.target.told(low)} to {case.target.told(high)} {case.target.unit}.",
            effect=effect, told=f"with {far.label} {case.moved(value)}{_own(case, far)}",
            mend=_mend(case, factor), rule=_RULES[factor],
            limits=effect > MATTERS * case.forecast.half,
        )  # fmt: skip


def _mend(case: Case, factor: str) -> str:
    """What to do about a choice; of checkpoints, by what the schedule says of them."""
    if factor != "rows":
        return _MENDS[factor]
    hot, known = running(case.found.table)
    if known and not hot.any():
        return "The rate is constant, so checkpoints are as good as ends: --rows all uses them."
    return _MENDS[factor]


def _own(case: Case, variant: Variant) -> str:
    """The half width of a variant's own interval, where it is much wider than the base's."""
    if variant.reading is None:
        return ""
    interval = answer(variant.reading, case.target)
    half = half_width(interval.low, interval.high)
    return f", itself {told_half(half)}" if half > _WIDE * case.forecast.half else ""


def _why_not(case: Case, factor: str) -> str:
    found = case.found.sensitivity
    tried = [v for v in found.variants if v.factor == factor]
    if not tried:
        return f"{found.omitted.get(factor, 'it could not be varied')}."
    return "; ".join(f"{v.label}: {v.doubt}" for v in tried[:2])
