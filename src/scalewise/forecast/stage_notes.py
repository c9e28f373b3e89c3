"""What each stage in the estimation of a trajectory found, in one sentence each.

The sentences stay with the fit, so that a fit file says by itself how its constants came about
and which stage its runs could not carry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.fit.result import FitResult, FitStatus
from scalewise.forecast.asymptotes import Asymptote
from scalewise.forecast.contours import Contours

NOT_POSSIBLE = "not possible: "
NOT_TESTED = "Too few sizes and batches to hold any out"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormScore:
    """One form's mean absolute error of log loss on each set of held-out curves.

    ``error`` is their mean, NaN without any; ``told`` says why a form could not be scored.
    """

    law: str
    errors: Mapping[str, float]
    told: str = ""

    @property
    def error(self) -> float:
        """The mean over the sets; infinite where one could not be forecast."""
        if self.told:
            return float("inf")
        return float(np.mean(list(self.errors.values()))) if self.errors else float("nan")


def stage_notes(
    result: FitResult,
    scores: Sequence[FormScore],
    held_out: Sequence[str],
    *,
    contours: Contours,
    floors: Sequence[Asymptote],
    left_out: Sequence[str],
) -> dict[str, str]:
    """By stage, in the order in which they were gone through, what it found."""
    return {
        "curves": _curves(result, left_out),
        "contours": _contours(contours),
        "critical batch": _critical_batch(contours),
        "form": _form(result.law.key, scores, held_out),
        "joint fit": _joint(result),
        "floors": _floors(result, floors),
    }


def _curves(result: FitResult, left_out: Sequence[str]) -> str:
    sizes, batches = (len(np.unique(result.inputs[symbol])) for symbol in ("N", "B"))
    told = (
        f"{result.points} points of {result.runs} curves, {sizes} sizes and {batches} batches, at "
        "constant rate"
    )
    return told + (f"; left out: {'; '.join(left_out)}" if left_out else "")


def _contours(found: Contours) -> str:
    if not found.contours:
        return NOT_POSSIBLE + " ".join(found.warnings).removeprefix("No contours: ")
    sizes = len({contour.params_nonembed for contour in found.contours})
    return (
        f"{len(found.contours)} losses of {sizes} size{'s' * (sizes > 1)}, "
        f"{found.contours[0].loss:.4g} to {found.contours[-1].loss:.4g} nats/token; at "
        f"{len(found.straddling)} of them the batches lie to both sides of the critical one"
    )


def _critical_batch(found: Contours) -> str:
    if not found.contours:
        return f"{NOT_POSSIBLE}there are no contours"
    try:
        by_loss = found.critical_batch_by_loss(bootstrap=0).theta
        by_tokens = found.critical_batch_by_tokens(bootstrap=0).theta
    except UnfitDataError as error:
        return NOT_POSSIBLE + error.message
    (scale, exponent), (k, p) = by_loss.values(), by_tokens.values()
    return (
        f"along the contours alone {scale:.4g} / loss**{1 / exponent:.3g} tokens by loss, "
        f"{k:.4g} * tokens_min**{p:.3g} by tokens"
    )


def _form(chosen: str, scores: Sequence[FormScore], held_out: Sequence[str]) -> str:
    if not held_out:
        return f"{chosen}, not tested: {NOT_TESTED[0].lower()}{NOT_TESTED[1:]}"
    errors = (f"{score.law} {score.told or _errors(score)}" for score in scores)
    return f"{chosen}; held out were the {' and the '.join(held_out)}: {'; '.join(errors)}"


def _errors(score: FormScore) -> str:
    return "missed by " + " and ".join(f"{error:.2%}" for error in score.errors.values())


def _joint(result: FitResult) -> str:
    goal = result.objective
    delta = f" of delta {goal.delta:g}" if goal.name == "huber-log" else ""
    free = len(result.theta) - len(result.fixed)
    return (
        f"{free} constants of {result.law.key} at once, by {goal.name}{delta}, to "
        f"{result.noise:.2%}"
    )


def _floors(result: FitResult, floors: Sequence[Asymptote]) -> str:
    if result.status is FitStatus.NOT_IDENTIFIED:
        return f"{NOT_POSSIBLE}the runs do not determine them"
    excess = [each.excess for each in floors]
    ended = sum(each.is_converged for each in floors)
    return (
        f"{floors[0].floor:.4g} to {floors[-1].floor:.4g} nats/token by size; the runs end "
        f"{min(excess):.1%} to {max(excess):.1%} above them, {ended} of {len(floors)} sizes within "
        "half a per cent"
    )
