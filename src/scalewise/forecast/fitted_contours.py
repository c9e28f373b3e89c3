"""Equal-loss contours of the curves behind a fit, from what the fit itself remembers."""

from __future__ import annotations

from typing import Any

from scalewise.core.errors import LawError
from scalewise.fit.result import FitResult
from scalewise.forecast.contours import Contours, batch_contours


def fitted_contours(result: FitResult, **settings: Any) -> Contours:
    """The contours of the points that a trajectory law was fitted to; settings as there.

    Raises LawError for a fit without points or of another law, UnfitDataError where no size was
    trained at four batches.
    """
    symbols = {column: symbol for symbol, column in result.law.variables.items()}
    needed = ("params_nonembed", "step", "batch_tokens")
    if not (set(needed) <= set(symbols) and len(result.observed)):
        raise LawError(
            f"The fit of {result.law.key!r} holds no curves by size, step and batch.",
            hint="Give a fit of trajectory to whole curves.",
        )
    points = {name: result.inputs[symbols[name]] for name in needed}
    runs = [str(number) for number in result.cluster]
    # What was fitted is past its warm-up already.
    return batch_contours({"run_id": runs, **points, "loss": result.observed}, **settings)
