"""What the browser needs to make the interval that ``FitResult.predict`` makes.

Constants and draws of every law behind a result, their shares, and what widens the interval: the
noise of a run, the spread found by backtests, the calibration. Draws travel as base64 of
little-endian float64, so that not a digit is lost.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalewise.core.errors import LawError
from scalewise.fit.calibration import STATED_LEVEL
from scalewise.fit.result import FitResult, t_quantile
from scalewise.laws.law import Law
from scalewise.plan.allocate import trading_laws
from scalewise.plan.optimum import size_of

Array = np.ndarray[Any, np.dtype[Any]]
Members = list[tuple[float, FitResult]]

LEVELS = (0.5, 0.8, 0.9, 0.95)
MOST_DRAWS = 500  # of one law


@dataclass(slots=True)
class Shelf:
    """The laws that a page evaluates, each once."""

    laws: list[Law] = field(default_factory=list)

    def place(self, law: Law) -> int:
        """Where a law stands, which is its evaluator's number."""
        for i, known in enumerate(self.laws):
            same = known.formula == law.formula and known.implicit == law.implicit
            if same and _order(known) == _order(law):
                return i
        self.laws.append(law)
        return len(self.laws) - 1


def _order(law: Law) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(law.variables), law.constant_names


def encoded(values: Array) -> str:
    """Numbers as base64 of little-endian float64."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def mixtures(result: FitResult, shelf: Shelf, level: float = STATED_LEVEL) -> dict[str, Any]:
    """For predictions, and for splits of compute where a law trades size against tokens.

    ``trade`` is None where none does; ``unique`` says that its laws ask for the unique tokens.
    """
    found: dict[str, Any] = {"predict": mixture(result, list(result.members), shelf, level)}
    found |= {"trade": None, "size": None, "unique": False}
    for unique in (None, 1.0):
        try:
            members = trading_laws(result, unique)
        except LawError:
            continue
        (share, leader), *_ = members
        combined = leader.combined_with((), weight=share, spread=result.spread)
        found["trade"] = mixture(combined, members, shelf, level)
        found["size"], found["unique"] = size_of(leader.law), unique is not None
        break
    return found


def mixture(
    leader: FitResult, members: Members, shelf: Shelf, level: float = STATED_LEVEL
) -> dict[str, Any]:
    """The laws that share in a prediction, and how their leader's interval is made."""
    told = [_member(share, result, shelf) for share, result in members]
    counts = [member["count"] for member in told]
    shares = [np.full(n, share / n) for n, (share, _) in zip(counts, members, strict=True)]
    levels = sorted({*LEVELS, STATED_LEVEL, level})
    degrees = max(min(leader.points - len(leader.theta), leader.runs - 1), 1)
    return {
        "members": told,
        # Summed as a quantile of the draws sums it: the last bit can decide which draw is the end.
        "total": float(np.concatenate(shares).sum()),
        "inLogs": leader.objective.in_logs,
        "noise": leader.noise,
        "spread": leader.spread,
        "stated": str(STATED_LEVEL),
        "levels": {str(each): _level(leader, each, degrees) for each in levels},
        "exponent": leader.calibration.exponent if leader.calibration else None,
    }


def _level(leader: FitResult, level: float, degrees: int) -> dict[str, float]:
    low, high = (1 - level) / 2, (1 + level) / 2
    return {
        "low": low,
        "high": high,
        "zLow": t_quantile(low, degrees),
        "zHigh": t_quantile(high, degrees),
        "factor": leader.calibration.factor(level) if leader.calibration else 1.0,
    }


def _member(share: float, result: FitResult, shelf: Shelf) -> dict[str, Any]:
    law, draws = result.law, thinned(result.draws)
    return {
        "key": law.key,
        "formula": law.formula,
        "share": share,
        "evaluator": shelf.place(law),
        "columns": list(law.columns),
        "constants": list(law.constant_names),
        "theta": [float(result.theta[name]) for name in law.constant_names],
        "draws": encoded(draws) if len(draws) else "",
        "count": max(len(draws), 1),
        "inLogs": result.objective.in_logs,
    }


def thinned(draws: Array, most: int = MOST_DRAWS) -> Array:
    """At most so many of the draws, evenly taken."""
    if len(draws) <= most:
        return draws
    return draws[np.linspace(0, len(draws) - 1, most).round().astype(int)]
