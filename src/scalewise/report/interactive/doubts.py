"""The doubts that Python's answers tell, for the answers that the browser makes.

Sentences about a fit are written out. Those about one answer hold its number, so they go as what
stands before and after it, with the threshold from which they are told: cut from the sentence
that ``doubts_at`` makes, so that it is worded in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalewise.core.errors import ScalewiseError
from scalewise.fit.prediction import APART, UNIFORM_GUESS, doubts_at
from scalewise.fit.result import FitResult
from scalewise.plan.allocate import allocate

_FAR = 7.77e32  # beyond every threshold, and written as no other number of a sentence
_WRITTEN = ("7.77e+32", "7.77e32")  # by Python itself, and as counts are
_BUDGET, _UNIQUE = 1e23, 1e12  # FLOP and tokens, where no runs say what is usual


def doubts(result: FitResult, mixtures: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of every answer, of every split, and of answers beyond a threshold."""
    (guess,) = (_cut(text) for text in doubts_at("loss", np.asarray(_FAR)))
    return {
        "fit": [*result.warnings, *result.interval_doubts],
        "split": _of_splits(result, unique=mixtures["unique"]) if mixtures["trade"] else [],
        "guess": {"above": UNIFORM_GUESS, "said": guess},
        "unheard": [
            {"column": column, "range": list(ends), "apart": APART, "said": said}
            for key, columns in result.unheard.items()
            for column, ends in columns.items()
            for said in _unheard(key, column, ends)
        ],
    }


def _unheard(key: str, column: str, ends: tuple[float, float]) -> list[list[str]]:
    asked = {column: np.asarray(_FAR)}
    return [_cut(text) for text in doubts_at("loss", np.asarray(1.0), {key: {column: ends}}, asked)]


def _of_splits(result: FitResult, *, unique: bool) -> list[str]:
    """What ``allocate`` says beyond the fit's own doubts, but for the size of its loss."""
    budget = 10 * result.ranges["flops"][1] if "flops" in result.ranges else _BUDGET
    try:
        with np.errstate(all="ignore"):
            found = allocate(result, budget, tokens_unique=_UNIQUE if unique else None)
    except ScalewiseError:
        return []
    known = {
        *result.warnings,
        *result.interval_doubts,
        *doubts_at("loss", np.asarray(found.loss.value)),
    }
    return [text for text in found.warnings if text not in known]


def _cut(sentence: str) -> list[str]:
    """What stands before the number that a sentence was told for, and after it."""
    (written,) = (text for text in _WRITTEN if text in sentence)
    return sentence.split(written)
