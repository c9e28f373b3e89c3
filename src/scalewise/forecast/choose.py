"""Which law to trust: score all that the data can carry by backtest, and combine them.

No single law is right, and the one that fits best in-sample is often not the one that forecasts
best (in-sample error cannot see extrapolation). Laws are therefore weighted by the inverse of
their mean squared held-out error (Bates & Granger 1969), and what the combination's own held-out
errors exceed its intervals by widens the interval it gives. What such intervals were worth on
public families of runs decides their width at last, see ``forecast.calibration``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.fit.engine import DEFAULT_BOOTSTRAP
from scalewise.fit.result import FitResult, Rival
from scalewise.forecast.backtest import (
    DEFAULT_POLICY,
    QUICK_DRAWS,
    Backtest,
    HeldOutPoint,
    LawScore,
    Policy,
    fit_by,
    held_out_points,
    law_candidates,
    naive_scores,
    score,
    score_laws,
)
from scalewise.forecast.calibration import calibration
from scalewise.forecast.candidates import parameter_count
from scalewise.forecast.policy import FINALS
from scalewise.forecast.splits import Split, loss_rows, splits_by_size
from scalewise.laws.law import Law
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

AUTO = "auto"
AUTO_STATED = "auto, as stated"
# A law whose held-out error is this many times the best one's adds nothing but its name.
_WORST_RATIO = 2.5
# What is believed before any split is seen: squared errors this many times the stated ones, with
# the weight of so many splits. Intervals from few runs are known to be too narrow.
_PRIOR_SPLITS, _PRIOR_RATIO = 2.0, 1.5
UNTESTED_SPREAD = 1.5
_INADEQUATE = 2.5  # times the noise around the best law, where backtests can tell the rest apart
_PLAINLY_WORSE = 6.0  # the same where they cannot
_NEAR_TIE = 1.2  # squared errors within this ratio are no reason to leave the usual count
# A fit through every point knows no noise, and an interval without width makes no claim to test.
_NO_WIDTH = 1e-6


def choose(
    runs: object,
    laws: Sequence[str | Law] | None = None,
    *,
    policy: Policy = DEFAULT_POLICY,
    bootstrap: int = DEFAULT_BOOTSTRAP,
) -> FitResult:
    """Fit by backtest: the leading law, with the rivals that share in its predictions.

    Raises UnfitDataError if no law can be fitted. With too few sizes to hold any out, laws share
    in equal parts and the result says that it is untested.
    """
    table, options, policy = _asked(runs, laws, policy)
    result = _chosen(table, options, policy, final=policy, bootstrap=bootstrap)
    return replace(result, policy=_policy_told(policy))


def backtest(
    runs: object,
    laws: Sequence[str | Law] | None = None,
    *,
    policy: Policy = DEFAULT_POLICY,
) -> Backtest:
    """Hold out the largest sizes, step by step, and score every law, ``auto`` and naive rules.

    ``auto`` is chosen anew within each split from the runs it may see, so its score is as honest
    as a single law's. Raises UnfitDataError with fewer than four sizes.
    """
    table, options, policy = _asked(runs, laws, policy)
    splits = splits_by_size(table)
    scores = [*score_laws(options, splits, policy)]
    scores += _scores_of_auto(options, splits, policy)
    scores += naive_scores(splits, level=policy.level)
    scores.sort(key=lambda s: s.mean_abs_error)
    best_naive = min(s.mean_abs_error for s in scores if s.coverage is None and s.points)
    beaten = [
        s.law
        for s in scores
        if s.coverage is not None and s.mean_abs_error < best_naive and s.law != AUTO_STATED
    ]
    warnings = []
    if not beaten:
        warnings.append(
            f"No law beat the naive rules (best of them: {best_naive:.2%}); do not extrapolate."
        )
    return Backtest(
        scores=tuple(scores),
        splits=splits,
        level=policy.level,
        recommended=AUTO if AUTO in beaten else (beaten[0] if beaten else "none"),
        warnings=tuple(warnings),
        policy=_policy_told(policy),
    )


def _asked(
    runs: object, laws: Sequence[str | Law] | None, policy: Policy
) -> tuple[RunTable, tuple[Law, ...], Policy]:
    """The rows that every law can be asked of, the laws, and how they are fitted."""
    table, how = loss_rows(runs, policy.estimation)
    policy = replace(policy, estimation=how)
    options = law_candidates(table, laws, policy)
    return table.measured(*sorted({c for law in options for c in law.columns})), options, policy


def combine(
    table: RunTable,
    laws: Sequence[Law],
    scores: Sequence[LawScore],
    splits: Sequence[Split],
    policy: Policy,
    *,
    bootstrap: int,
) -> FitResult:
    """Fit the laws that did well to the whole table and let them share in predictions."""
    shares = law_weights(on_one_count(laws, adequate(scores)))
    if not shares:
        least = min(splits, key=lambda split: len(split.fitted))
        raise UnfitDataError(
            "No law could be fitted to every part of these runs, of which the least, "
            f"{least.label}, has {len(least.fitted)} points.",
            hint="Add sizes or token budgets, or name one law.",
        )
    by_key = {law.key: law for law in laws}
    fitted = {key: _attempt(by_key[key], table, policy, bootstrap=bootstrap) for key in shares}
    usable = {key: result for key, result in fitted.items() if isinstance(result, FitResult)}
    if not usable:
        raise UnfitDataError(
            f"None of {', '.join(shares)} is determined by the whole of these runs.",
            hint="Add runs of other sizes or token budgets, or name one law.",
        )
    total = sum(shares[key] for key in usable)
    result = _combined(
        [(shares[key] / total, result) for key, result in usable.items()],
        _spread(scores, shares, splits, level=policy.level),
    )
    reach = max(split.reach for split in splits)
    if not reach > 1:
        return result
    note = f"Backtested up to {reach:.3g} times the fitted compute; beyond that it is untested."
    return replace(result, warnings=(*result.warnings, note))


def adequate(scores: Sequence[LawScore]) -> tuple[LawScore, ...]:
    """The laws that describe the runs they were fitted to nearly as closely as the best does.

    A law of compute alone may be lucky on a few held-out runs; where size and tokens vary freely
    its own residuals show that it is not the law.
    """
    # A law with as many constants as points leaves no residuals: that is no closeness.
    told = [s.noise for s in scores if s.noise is not None and s.noise > _NO_WIDTH]
    worst = _INADEQUATE * min(told, default=np.inf)
    return tuple(s for s in scores if s.noise is not None and s.noise <= worst)


def on_one_count(laws: Sequence[Law], scores: Sequence[LawScore]) -> tuple[LawScore, ...]:
    """The scores of laws that share the parameter count that did best.

    A combination asks for each of its inputs; one that mixed total and non-embedding params could
    only be asked by someone who knows both.
    """
    squared = {s.law: _squared_error(s) for s in scores if s.points}
    kept = _of_best_count([law for law in laws if law.key in squared], squared)
    return tuple(s for s in scores if s.law in kept)


def _of_best_count(laws: Sequence[Law], squared: Mapping[str, float]) -> set[str]:
    """Keys of the laws on the parameter count of the best law; total params at a near tie."""
    least: dict[str, float] = {}
    for law in laws:
        count = parameter_count(law)
        least[count] = min(squared[law.key], least.get(count, np.inf))
    ranked = {c: v * (1.0 if c == "params" else _NEAR_TIE) for c, v in least.items() if c}
    if not ranked:
        return {law.key for law in laws}
    best = min(ranked, key=lambda count: ranked[count])
    # Laws in flops alone go with total params, from which 6 N D gives the flops.
    wanted = {best, ""} if best == "params" else {best}
    return {law.key for law in laws if parameter_count(law) in wanted}


def _squared_error(score: LawScore) -> float:
    return float(np.mean(np.log1p(score.errors) ** 2))


def law_weights(scores: Sequence[LawScore]) -> dict[str, float]:
    """Inverse mean squared held-out log error, with laws far behind the best left out."""
    return _inverse_square({s.law: _squared_error(s) for s in scores if s.points})


def _inverse_square(squared: Mapping[str, float]) -> dict[str, float]:
    """Shares in inverse proportion to squared errors, without those far behind."""
    if not squared:
        return {}
    # Errors below half a per mille are luck at any noise level seen in practice.
    floor = max(min(squared.values()), 2.5e-7)
    kept = {k: max(v, floor) for k, v in squared.items() if v <= floor * _WORST_RATIO**2}
    total = sum(1.0 / v for v in kept.values())
    return {key: 1.0 / value / total for key, value in kept.items()}


def _spread(
    scores: Sequence[LawScore],
    shares: Mapping[str, float],
    splits: Sequence[Split],
    *,
    level: float,
) -> float:
    """By how much the combination's held-out errors exceeded its intervals, at least 1.

    Errors within a split are nearly one error, so each split counts once.
    """
    members = [next(s.points for s in scores if s.law == key) for key in shares]
    weights = list(shares.values())
    z = NormalDist().inv_cdf((1 + level) / 2)
    squared = []
    begin = 0
    for split in splits:
        rows = slice(begin, begin + len(split.held_out))
        begin = rows.stop
        ratios = [
            _ratio(points, weights, z) for points in zip(*(m[rows] for m in members), strict=True)
        ]
        known = [ratio**2 for ratio in ratios if ratio is not None]
        if known:
            squared.append(float(np.mean(known)))
    evidence, weight = sum(squared), _PRIOR_SPLITS + len(squared)
    return float(max(1.0, np.sqrt((_PRIOR_SPLITS * _PRIOR_RATIO + evidence) / weight)))


def _ratio(points: Sequence[HeldOutPoint], weights: Sequence[float], z: float) -> float | None:
    """Error of the laws' mean forecast of one run, in its standard deviations.

    ``z`` is how many of them half an interval is wide.
    """
    centre, low, high = (
        np.average([np.log(getattr(point, name)) for point in points], weights=weights)
        for name in ("predicted", "low", "high")
    )
    between = np.ptp([np.log(point.predicted) for point in points]) / 2
    sd = np.hypot((high - low) / 2, between) / z
    return None if sd <= _NO_WIDTH else float((np.log(points[0].measured) - centre) / sd)


def _scores_of_auto(
    laws: Sequence[Law], splits: Sequence[Split], policy: Policy
) -> tuple[LawScore, ...]:
    """``auto`` with calibrated intervals, and with those that its own backtests lead to."""
    calibrated: list[HeldOutPoint] = []
    stated: list[HeldOutPoint] = []
    for split in splits:
        result = _auto_within(split, laws, policy)
        if result is not None:
            calibrated += held_out_points(result, split.held_out, level=policy.level)
            plain = replace(result, calibration=None)
            stated += held_out_points(plain, split.held_out, level=policy.level)
    title = "laws combined by their own backtests"
    status = "fitted" if calibrated else "no split leaves enough sizes to choose by"
    return tuple(
        score(key, told, points, level=policy.level, splits=len(splits), status=status)
        for key, told, points in (
            (AUTO, f"{title}, intervals calibrated on public families", calibrated),
            (AUTO_STATED, f"{title}, intervals as stated", stated),
        )
    )


def _auto_within(split: Split, laws: Sequence[Law], policy: Policy) -> FitResult | None:
    """What ``choose`` would have answered from the small side of a split alone."""
    try:
        return _chosen(split.fitted, laws, policy, final=policy.quick, bootstrap=QUICK_DRAWS)
    except UnfitDataError:
        return None


def _chosen(
    table: RunTable, laws: Sequence[Law], policy: Policy, *, final: Policy, bootstrap: int
) -> FitResult:
    """The laws weighted by backtest, or in equal parts; ``final`` is how they are fitted at last.

    Raises UnfitDataError if none can be fitted.
    """
    try:
        splits = splits_by_size(table)
        scores = score_laws(laws, splits, policy)
        return combine(table, laws, scores, splits, final, bootstrap=bootstrap)
    except UnfitDataError as error:
        return _untested(table, laws, str(error), final, bootstrap=bootstrap)


def _untested(
    table: RunTable, laws: Sequence[Law], reason: str, policy: Policy, *, bootstrap: int
) -> FitResult:
    """The laws in equal parts, for want of sizes to test them on.

    Closeness of fit only rules out what plainly does not describe the runs: the law that fits
    few sizes best is often the one that extrapolates worst.
    """
    fitted = {law.key: _attempt(law, table, policy, bootstrap=bootstrap) for law in laws}
    usable = {key: result for key, result in fitted.items() if isinstance(result, FitResult)}
    if not usable:
        raise UnfitDataError(
            f"No law is determined by these {len(table)} points. {_causes(fitted)}",
            hint="Add runs of other sizes or token budgets.",
        )
    squared = {key: result.noise**2 for key, result in usable.items()}
    told = [value for value in squared.values() if value > _NO_WIDTH**2]
    worst = _PLAINLY_WORSE**2 * min(told, default=np.inf)
    near = [key for key, value in squared.items() if value <= worst]
    kept = _of_best_count([usable[key].law for key in near], squared)
    result = _combined(
        [(1.0 / len(kept), usable[key]) for key in near if key in kept], UNTESTED_SPREAD
    )
    note = f"Untested: {reason} Intervals are widened by {UNTESTED_SPREAD:g} on principle."
    return replace(result, warnings=(*result.warnings, note))


def _attempt(law: Law, table: RunTable, policy: Policy, *, bootstrap: int) -> FitResult | str:
    """A law fitted to the table, or why it cannot be, in words that name no law."""
    try:
        result = fit_by(policy, law, table, bootstrap=bootstrap)
    except UnfitDataError as error:
        return error.message.removeprefix(f"Law {law.key!r} ")
    return result if result.reliable else result.status.value


def _causes(fitted: Mapping[str, FitResult | str]) -> str:
    """Why laws could not be fitted, those of one reason together."""
    keys: dict[str, list[str]] = {}
    for key, reason in fitted.items():
        keys.setdefault(str(reason), []).append(key)
    return " ".join(f"{', '.join(named)}: {reason}" for reason, named in keys.items())


def _combined(members: Sequence[tuple[float, FitResult]], spread: float) -> FitResult:
    """The heaviest result leading the others, with intervals of the width that held elsewhere."""
    (weight, leader), *others = sorted(members, key=lambda member: -member[0])
    rivals = tuple(Rival(weight=share, result=result) for share, result in others)
    result = leader.combined_with(rivals, weight=weight, spread=spread)
    return replace(result, calibration=calibration())


def _policy_told(policy: Policy) -> str:
    """The estimation policy in words, empty for the usual one of finished models."""
    how = policy.estimation
    return "" if how is None or how == FINALS else str(how)
