"""Every task forecast by every method at every cut, and how far their intervals can be believed.

What forecasts from further down missed, of models that are fitted at a cut, says how wide the
intervals of that cut should be (split conformal prediction, Vovk et al. 2005). Misses of all tasks
count together, each task and cut the same: a single task has too few models to tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalewise.core.errors import ScalewiseError, UnfitDataError
from scalewise.fit.result import FitResult
from scalewise.forecast.backtest import Policy
from scalewise.forecast.calibration import weighted_quantile
from scalewise.forecast.splits import Split
from scalewise.forecast.task_methods import (
    DIRECT,
    TWO_STEP,
    Bands,
    from_compute,
    loss_forecast,
    through_loss,
)
from scalewise.forecast.task_splits import FEWEST
from scalewise.forecast.task_verdict import at_chance
from scalewise.forecast.tasks import Task, task_errors

if TYPE_CHECKING:
    from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

_FIRM = 5.0  # tasks times cuts whose misses weigh as much as the belief in what was stated


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A task with what is known of it: items, None if unknown, and the column of its loss."""

    task: Task
    items: float | None
    loss: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How every forecast is made."""

    level: float
    bootstrap: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """Bands by split, task (their numbers) and method; ``reasons`` for those that there are not."""

    bands: Mapping[tuple[int, int, str], Bands]
    reasons: Mapping[tuple[int, int, str], str]


def forecasts(splits: Sequence[Split], asked: Sequence[Asked], settings: Settings) -> Forecasts:
    """Forecast every task at every cut; what cannot be forecast says why."""
    bands: dict[tuple[int, int, str], Bands] = {}
    reasons: dict[tuple[int, int, str], str] = {}
    for s, split in enumerate(splits):
        laws: dict[str, FitResult | ScalewiseError] = {}
        for t, each in enumerate(asked):
            for method in (TWO_STEP, DIRECT):
                try:
                    bands[s, t, method] = _forecast(split, each, method, laws, settings)
                except ScalewiseError as error:
                    reasons[s, t, method] = str(error)
    return Forecasts(bands=bands, reasons=reasons)


def _forecast(
    split: Split,
    each: Asked,
    method: str,
    laws: dict[str, FitResult | ScalewiseError],
    settings: Settings,
) -> Bands:
    """One task at one cut; ``laws`` keeps the laws of loss of the cut, or why there is none."""
    if method == TWO_STEP and each.loss is None:
        raise UnfitDataError("The runs have no loss.", hint="Name the column of loss.")
    error = task_errors(split.fitted.finals(), each.task)
    known = error[np.isfinite(error)]
    if len(known) < FEWEST:
        raise UnfitDataError(
            f"{len(known)} fitted models have a value of task {each.task.name!r}; it takes "
            f"{FEWEST}.",
            hint="Add models.",
        )
    if said := at_chance(each.task, known, each.items):
        raise UnfitDataError(said, hint="Leave the task out, or fit larger models.")
    shared = {"level": settings.level, "bootstrap": settings.bootstrap, "seed": settings.seed}
    if method == TWO_STEP:
        assert each.loss is not None  # noqa: S101
        law = _loss_law(split, each.loss, laws, settings)
        found = through_loss(split, each.task, each.loss, law, **shared)  # type: ignore[arg-type]
    else:
        found = from_compute(split, each.task, **shared)  # type: ignore[arg-type]
    return found if each.items is None else found.with_items(each.items, settings.level)


def _loss_law(
    split: Split, column: str, laws: dict[str, FitResult | ScalewiseError], settings: Settings
) -> FitResult:
    if column not in laws:
        policy = Policy(level=settings.level, seed=settings.seed)
        try:
            laws[column] = loss_forecast(split, column, policy, bootstrap=settings.bootstrap)
        except ScalewiseError as error:
            laws[column] = error
    found = laws[column]
    if isinstance(found, ScalewiseError):
        raise found
    return found


def widened(
    made: Forecasts, asked: Sequence[Asked], splits: Sequence[Split], method: str, at: int, *,
    level: float,
) -> float:  # fmt: skip
    """The factor on the intervals of one cut, from the misses of all cuts further down.

    It is the quantile of the misses at the level, in arms of the intervals, drawn towards 1 where
    there are few.
    """
    fitted = keys_of(splits[at].fitted.finals())
    ratios, weights, count = [], [], 0
    for s in range(at + 1, len(splits)):
        seen = np.array([key in fitted for key in keys_of(splits[s].held_out)], dtype=bool)
        for t, each in enumerate(asked):
            if (s, t, method) not in made.bands or not seen.any():
                continue
            measured = task_errors(splits[s].held_out, each.task)
            ratio = made.bands[s, t, method].ratios(measured)[seen]
            ratio = ratio[np.isfinite(ratio)]
            if len(ratio):
                ratios.append(ratio)
                weights.append(np.full(len(ratio), 1 / len(ratio)))
                count += 1
    if not count:
        return 1.0
    missed = weighted_quantile(np.concatenate(ratios), np.concatenate(weights), level)
    return float(max(missed, 1e-3) ** (count / (count + _FIRM)))


def keys_of(models: RunTable) -> list[tuple[str, float]]:
    """What tells finished models apart: several of one trunk differ in compute."""
    return list(zip(models.text("run_id"), models.column("flops").tolist(), strict=True))
