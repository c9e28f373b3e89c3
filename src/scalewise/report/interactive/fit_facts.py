"""The fit as the page shows it: law, constants, correlation, residuals, profile curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.errors import ScalewiseError
from scalewise.core.flops import training_flops
from scalewise.fit.profile import profile
from scalewise.fit.result import FitResult
from scalewise.laws.law import QUANTITY_UNITS
from scalewise.report.cards.fit import fit_card
from scalewise.report.cards.fit_figure import relative_residuals
from scalewise.report.formats import clean
from scalewise.report.interactive.snippets import snippets

Array = np.ndarray[Any, np.dtype[Any]]

MOST_POINTS = 4000  # whose residuals are drawn
_MOST_PROFILED = 20_000  # points of a fit whose profiles are traced while a page is written


def fit_facts(result: FitResult, *, level: float, run_ids: tuple[str, ...]) -> dict[str, Any]:
    """Everything the fit's screen shows; ``run_ids`` names its points, where that is known."""
    card, law = fit_card(result, level=level), result.law
    return {
        "key": law.key,
        "title": law.title,
        "formula": law.formula,
        "quantity": law.quantity,
        "unit": QUANTITY_UNITS[law.quantity],
        "columns": list(dict.fromkeys(c for _, m in result.members for c in m.law.columns)),
        "code": snippets(result),
        "conclusion": card.conclusion,
        "facts": [[fact.name, fact.text, fact.format] for fact in card.facts],
        "caveats": list(card.caveats),
        "members": [
            {"key": m.law.key, "share": share, "formula": m.law.formula}
            for share, m in result.members
        ],
        "constants": [list(row) for row in card.table.rows],
        "correlation": _correlation(result),
        "residuals": _residuals(result, run_ids),
        "profiles": _profiles(result, level),
        "points": result.points,
        "runs": result.runs,
        "draws": len(result.draws),
        "ranges": {name: list(ends) for name, ends in result.ranges.items()},
    }


def _correlation(result: FitResult) -> dict[str, Any] | None:
    free = [i for i, n in enumerate(result.law.constant_names) if n not in result.fixed]
    matrix = np.asarray(result.correlation)
    if matrix.ndim != 2 or len(matrix) != len(result.law.constants) or not result.points:
        return None
    names = result.law.constant_names
    return {"names": [names[i] for i in free], "values": matrix[np.ix_(free, free)].round(4)}


def columns_of(result: FitResult) -> dict[str, Array]:
    """The inputs of a fit's points by column, with the compute that follows from them."""
    columns = {column: result.inputs[s] for s, column in result.law.variables.items()}
    size = next((c for c in ("params", "params_nonembed") if c in columns), None)
    if size and "tokens" in columns:
        columns.setdefault("flops", training_flops(columns[size], columns["tokens"]))
    return columns


def _residuals(result: FitResult, run_ids: tuple[str, ...]) -> dict[str, Any] | None:
    if not result.points:
        return None
    keep = np.unique(np.linspace(0, result.points - 1, MOST_POINTS).round().astype(int))
    values = relative_residuals(result)[keep]
    names = run_ids or tuple(f"run {i + 1}" for i in result.cluster)
    return {
        "columns": {name: rounded(each[keep]) for name, each in columns_of(result).items()},
        "values": rounded(values),
        "observed": rounded(result.observed[keep]),
        "runs": [clean(names[i]) for i in keep],
        "order": (keep + 1).tolist(),
        "points": result.points,
        "noise": result.noise,
    }


def _profiles(result: FitResult, level: float) -> list[dict[str, Any]]:
    """How the objective rises as each constant is held away from its best value."""
    if not 0 < result.points <= _MOST_PROFILED:
        return []
    found = []
    for name in result.law.constant_names:
        if name in result.fixed:
            continue
        try:
            curve = profile(result, name, level=level)
        except ScalewiseError:
            continue
        rise = curve.threshold - curve.least
        if not np.isfinite(rise) or rise <= 0:
            continue
        found.append({
            "name": name, "unit": curve.unit, "best": curve.best,
            "values": rounded(curve.values),
            "rise": rounded((curve.objective - curve.least) / rise),
            "low": curve.low, "high": curve.high, "ends": [curve.low_end, curve.high_end],
        })  # fmt: skip
    return found


def rounded(values: Array, digits: int = 6) -> list[float | None]:
    """Numbers to so many significant digits; what is not finite becomes None."""
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in np.asarray(values)]
