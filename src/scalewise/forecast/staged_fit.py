"""A law of whole curves fitted like any other law: in stages where the runs carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalewise.core.errors import RunDataError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.points import Rows
from scalewise.fit.priors import Prior
from scalewise.fit.result import FitResult
from scalewise.forecast.estimate import DELTA, FORMS, fit_trajectory
from scalewise.forecast.stage_notes import NOT_POSSIBLE
from scalewise.laws.law import Law
from scalewise.laws.trajectory import TRAJECTORY_LAWS

Array = np.ndarray[Any, np.dtype[Any]]

TRAJECTORY_AUTO = "trajectory-auto"


def forms_of(law: Law | str) -> tuple[str, ...]:
    """The forms of a trajectory that a law stands for; none for other laws.

    >>> forms_of("trajectory-floor"), forms_of("chinchilla"), len(forms_of(TRAJECTORY_AUTO))
    (('trajectory-floor',), (), 3)
    """
    if law == TRAJECTORY_AUTO:
        return FORMS
    return tuple(known.key for known in TRAJECTORY_LAWS if law in (known, known.key))


def fit_in_stages(
    law: Law | str,
    runs: object,
    *,
    objective: str | None = None,
    delta: float | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    fixed: Mapping[str, float | str] | None = None,
    priors: Mapping[str, Prior] | None = None,
    weights: str | Array | None = None,
    rows: Rows | None = None,
    bootstrap: int = 300,
    seed: int = 0,
) -> FitResult:
    """Fit a law of whole curves by the stages of `fit_trajectory`, which the result tells.

    The name trajectory-auto stands for the form that held-out curves choose. Where the rows form
    no usable curves, all of them are fitted at once, with a warning. Raises UsageError for
    weights and rows, and for constants of one form together with trajectory-auto.
    """
    forms = forms_of(law)
    constants = {"bounds": bounds, "fixed": fixed, "priors": priors}
    refused = ["weights"] if weights is not None else []
    refused += [f"rows={rows!r}"] if rows is not None else []
    if len(forms) > 1:
        refused += [name for name, value in constants.items() if value is not None]
    if refused:
        raise UsageError(
            f"{', '.join(refused)} cannot be used with the stages of {_name(law)!r}.",
            hint="Name one form, and rows='all' to fit every row at once.",
        )
    shared: dict[str, Any] = {
        "objective": objective, "delta": delta, "bootstrap": bootstrap, "seed": seed, **constants
    }  # fmt: skip
    try:
        return fit_trajectory(runs, forms=forms, **shared).result
    except (RunDataError, UnfitDataError) as error:
        if delta is None and objective in (None, "huber-log"):
            shared["delta"] = DELTA
        plain = fit(forms[0], runs, rows="all", **shared)
        why = f"{error.message} {error.hint}".strip()
        told = f"Fitted at once, all rows as they are, for want of curves for the stages: {why}"
        return replace(
            plain, warnings=(*plain.warnings, told), stages={"curves": NOT_POSSIBLE + why}
        )


def _name(law: Law | str) -> str:
    return law if isinstance(law, str) else law.key
