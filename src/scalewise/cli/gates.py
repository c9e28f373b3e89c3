"""Gates: limits that the user states, so that a script stops where a person would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalewise.core.errors import GateError
from scalewise.core.quantities import level_text

if TYPE_CHECKING:
    from scalewise.fit.prediction import Prediction


def broken_gate(
    prediction: Prediction, *, widest: float | None, farthest: float | None
) -> GateError | None:
    """The first stated limit that a single prediction does not keep.

    What is not known keeps no limit: published constants have neither interval nor fitted range.
    """
    if widest is not None:
        if not prediction.runs:
            return GateError(
                "--max-interval cannot be kept: there are no runs behind this prediction, so its "
                "interval is not known.",
                hint="Fit the law to runs of your own.",
            )
        # Not `>`: a width that is not a number keeps no limit either.
        width = prediction.relative_width
        if not width <= widest:
            return GateError(
                f"The {level_text(prediction.level)} interval is {width:.3g} of the "
                f"{prediction.quantity} wide; --max-interval is {widest:g}.",
                hint="Add runs nearer to the target, or widen the gate.",
            )
    if farthest is None:
        return None
    if not prediction.extrapolation:
        return GateError(
            "--max-extrapolation cannot be kept: the range of the fitted runs is not known.",
            hint="Fit the law to runs of your own.",
        )
    column, factor = max(prediction.extrapolation.items(), key=lambda item: float(item[1]))
    if not float(factor) <= farthest:
        return GateError(
            f"{column} lies {float(factor):.3g} times beyond the fitted runs; "
            f"--max-extrapolation is {farthest:g}.",
            hint="Train a larger pilot run, or widen the gate.",
        )
    return None
