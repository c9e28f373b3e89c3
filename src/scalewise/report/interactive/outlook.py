"""What the forecasts see, precomputed for the page: frontier, contours, tasks, backtest."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, ScalewiseError
from scalewise.fit.result import FitResult
from scalewise.forecast.backtest import Backtest
from scalewise.forecast.downstream import predict_error, task_warnings
from scalewise.forecast.trajectory import Trajectory
from scalewise.plan.allocate import Band, Frontier, drawn_range, frontier
from scalewise.plan.contours import iso_loss
from scalewise.report.formats import clean
from scalewise.report.interactive.fit_facts import rounded

Array = np.ndarray[Any, np.dtype[Any]]

_BUDGETS = 41
_ALONG = 25
_MOST_POINTS = 3000  # of one task, or of one law's held-out runs


def plane(result: FitResult, *, level: float) -> dict[str, Any] | None:
    """The compute-optimal frontier with its band, and lines of equal loss.

    None for laws that do not trade size against tokens, and for fits that show no price of one.
    """
    line = _frontier(result, _BUDGETS, level)
    if line is None:
        return None
    return {
        "size": line.size,
        "flops": rounded(line.flops),
        "params": _band(line.params),
        "tokens": _band(line.tokens),
        "loss": _band(line.loss),
        "contours": _contours(result, level),
    }


def _frontier(result: FitResult, budgets: int, level: float) -> Frontier | None:
    try:
        with np.errstate(all="ignore"):  # of constants that the data leave at zero
            line = frontier(result, np.geomspace(*drawn_range(result), num=budgets), level=level)
    except ScalewiseError:
        return None
    return line if np.all(np.isfinite(line.params[1])) else None


def _contours(result: FitResult, level: float) -> list[dict[str, Any]]:
    try:
        lines = iso_loss(result, level=level).contours
    except ScalewiseError:
        return []
    return [
        {"loss": line.loss, "params": rounded(line.sizes, 5), "tokens": rounded(line.tokens, 5)}
        for line in lines
    ]


def _band(band: Band) -> dict[str, list[float | None]]:
    low, value, high = band
    return {"low": rounded(low), "value": rounded(value), "high": rounded(high)}


def downstream(result: FitResult, *, level: float) -> list[dict[str, Any]]:
    """Each task: its points, its law by loss, and its error along the frontier."""
    line = _frontier(result, _ALONG, level) if result.tasks else None
    found = []
    for name, law in result.tasks.items():
        (losses,) = law.inputs.values()
        least, most = float(losses.min()), float(losses.max())
        reached = least if line is None else min(least, float(line.loss[1][-1]))
        grid = np.linspace(reached, most, 2 * _ALONG)
        curve = law.predict(loss=grid, level=level)
        task: dict[str, Any] = {
            "name": clean(name, 60), "formula": law.law.formula, "noise": law.noise,
            "runs": law.runs,
            "theta": {n: float(v) for n, v in law.theta.items()},
            "chance": float(law.theta["eps"]) if "eps" in law.theta else None,
            "warnings": list(task_warnings(law, name)),
            "fitted": [least, most],
            "loss": rounded(losses[:_MOST_POINTS]),
            "error": rounded(law.observed[:_MOST_POINTS]),
            "curve": {"loss": rounded(grid), "low": _shares(curve.low),
                      "value": _shares(curve.value), "high": _shares(curve.high)},
        }  # fmt: skip
        if line is not None:
            columns = {line.size: line.params[1], "tokens": line.tokens[1]}
            try:
                ahead = predict_error(result, name, level=level, **columns)
            except ScalewiseError:
                ahead = None
            if ahead is not None:
                task["ahead"] = {
                    "flops": rounded(line.flops), "low": _shares(ahead.low),
                    "value": _shares(ahead.error), "high": _shares(ahead.high),
                }  # fmt: skip
        found.append(task)
    return found


def _shares(values: Any) -> list[float | None]:
    return rounded(np.clip(values, 0.0, 1.0))


def leaderboard(tested: Backtest) -> dict[str, Any]:
    """Every law on the runs it had not seen."""
    return {
        "level": tested.level,
        "recommended": tested.recommended,
        "splits": len(tested.splits),
        "reach": max((s.reach for s in tested.splits if isfinite(s.reach)), default=None),
        "warnings": list(tested.warnings),
        "policy": tested.policy,
        "scores": [
            {
                "law": s.law, "title": s.title, "splits": s.splits, "held": len(s.points),
                "error": s.mean_abs_error, "worst": s.worst_error, "bias": s.bias,
                "coverage": s.coverage, "width": s.mean_width, "status": s.status,
                "points": [
                    [clean(p.run_id), p.flops, p.measured, p.predicted, p.low, p.high]
                    for p in s.points[:_MOST_POINTS]
                ],
            }
            for s in tested.scores
        ],
    }  # fmt: skip


def curve_law(result: FitResult) -> dict[str, Any] | None:
    """For a law of whole curves: where its questions start; None for other laws."""
    try:
        found = Trajectory.from_fit(result)
    except LawError:
        return None
    ranges = {name: list(ends) for name, ends in found.ranges.items()}
    return {"ranges": ranges, "criticalBy": found.critical_by}
