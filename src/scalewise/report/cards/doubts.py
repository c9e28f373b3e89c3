"""Sentences that go with every number: how far it reaches, what it rests on, how it was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalewise.fit.result import FitResult
from scalewise.report.formats import counted, factor, listed, percent

STRONG = 0.9  # correlation from which two constants should not be read apart
_PAIRS_SHOWN = 4
FAR = 10.0  # extrapolation that a reader is warned of


def farthest(extrapolation: Mapping[str, Any]) -> tuple[float, str]:
    """The largest extrapolation factor and the column it concerns.

    >>> farthest({"params": 2.0, "flops": 40.0})
    (40.0, 'flops')
    """
    factors = {name: float(np.max(value)) for name, value in extrapolation.items()}
    if not factors:
        return 1.0, ""
    name = max(factors, key=lambda key: factors[key])
    return factors[name], name


def reach_sentence(reach: float, column: str, runs: int) -> str:
    """How far a number lies outside the runs it rests on."""
    if not runs:
        return "extrapolation unknown, from published constants without runs"
    base = f"from {counted(runs, 'run')}"
    if reach <= 1.0:
        return f"extrapolation ×1 (inside the fitted range), {base}"
    return f"extrapolation {factor(reach)} in {column}, {base}"


def published_reach(reach: float, column: str) -> str:
    """The reach of published constants whose range of runs is on record."""
    where = f" in {column}" if reach > 1 else " (inside the range of their runs)"
    return f"extrapolation {factor(reach)}{where}, from published constants"


def reach_told(extrapolation: Mapping[str, float], runs: int) -> str:
    """How far an answer lies outside the runs or the published ranges behind it."""
    reach, column = farthest(extrapolation)
    if runs or not column:
        return reach_sentence(reach, column, runs)
    return published_reach(reach, column)


def certificate_sentence(result: FitResult) -> str:
    """How the optimum is known.

    "16 of 16 refined starts out of 256 screened agree; next basin +3.1%".
    """
    found = result.certificate
    if not found.refined:
        return "not searched: the constants are given, not fitted"
    text = (
        f"{found.agreeing} of {found.refined} refined starts out of {found.screened} screened agree"
    )
    if found.basins:
        best = max(result.objective_value, 1e-300)
        text += f"; next basin {percent(found.basins[0].objective / best - 1, signed=True)}"
    else:
        text += "; no other basin found"
    return text + ("; multipliers prove the optimum exact" if found.exact else "")


def rests_on(result: FitResult) -> list[str]:
    """Each law behind a prediction with its weight."""
    return [f"{member.law.key} ({share:.0%})" for share, member in result.members]


def spread_sentence(result: FitResult) -> str:
    """What backtests and the calibration did to the intervals."""
    told = "intervals not widened by backtests (untested, or none was needed)"
    if result.spread > 1:
        told = f"intervals widened {factor(result.spread)} by what backtests found missing"
    return told if result.calibration is None else f"{told}, then {result.calibration}"


def correlation_caveats(result: FitResult) -> list[str]:
    """Constants that trade off so strongly that one alone says little."""
    names = result.law.constant_names
    strong = sorted(
        (
            (float(result.correlation[i, j]), names[i], names[j])
            for i in range(len(names))
            for j in range(i)
            if abs(result.correlation[i, j]) > STRONG
        ),
        key=lambda item: -abs(item[0]),
    )
    if not strong:
        return []
    pairs = [f"{b} and {a} ({value:+.3f})" for value, a, b in strong[:_PAIRS_SHOWN]]
    more = len(strong) - _PAIRS_SHOWN
    tail = [f"{counted(more, 'more pair')}"] if more > 0 else []
    return [
        f"Correlated constants: {listed(pairs + tail)}. They trade off, so their intervals must "
        "not be read one by one; predictions account for it."
    ]


def search_caveats(result: FitResult) -> list[str]:
    """Doubts about the search itself."""
    found = result.certificate
    if found.refined > 1 and found.agreeing == 1:
        return [
            f"Only 1 of {found.refined} starts reached the reported optimum; a better one may "
            "have been missed."
        ]
    return []


def reach_caveats(reach: float, column: str) -> list[str]:
    """A warning where the answer lies far outside the runs."""
    if reach < FAR:
        return []
    return [
        f"{column} lies {factor(reach)} outside the fitted runs; the interval assumes that the "
        "law goes on unchanged."
    ]
