"""The critical batch by every method that measured it, side by side at the same losses.

====================  ======  ====================================================================
contours              global  E_min/S_min from batches that ran all the way to the loss
noise scale           local   tr(Sigma)/|G|**2 of raw gradients at the loss: without the optimizer
branches              local   the largest batch that still comes to the same loss from a checkpoint
====================  ======  ====================================================================

Global and local are different numbers even without error: b = B_crit (1 + alpha_S/alpha_B
(L - L_inf)/L). Each method is held against the joint fit's number of its own kind; `batch_methods`
puts together all that a fit, a run table and a file of branches hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import LawError, RunDataError, UnfitDataError, UsageError
from scalewise.fit.result import FitResult
from scalewise.forecast.contours import Contours
from scalewise.forecast.fitted_contours import fitted_contours
from scalewise.forecast.trajectory import Trajectory, positive
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Method = Literal["contours", "noise scale", "branches"]

GLOBAL: tuple[Method, ...] = ("contours",)
NOISE_SCALE = "noise_scale_tokens"
_NEAR = 0.02  # of log loss, within which checkpoints count for a level
_FEWEST = 3  # checkpoints of one level
LEVELS = 5  # losses of a table of all methods


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchMeasurement:
    """One critical batch in tokens, measured at a loss by one method, with its interval."""

    method: Method
    loss: float
    params_nonembed: float
    critical_batch_tokens: float
    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("loss", "params_nonembed", "critical_batch_tokens"):
            positive(name, getattr(self, name))
        if not self.low <= self.critical_batch_tokens <= self.high:
            raise UsageError(
                f"The interval {self.low:g} to {self.high:g} does not hold the critical batch "
                f"{self.critical_batch_tokens:g}.",
                hint="Give low <= critical_batch_tokens <= high.",
            )

    @property
    def is_global(self) -> bool:
        """Whether it is that of the whole way to the loss, not of one more step at it."""
        return self.method in GLOBAL


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodComparison:
    """Measurements from the highest loss to the lowest, each with the joint fit's own number.

    ``expected`` is the joint fit's critical batch of the same kind, ``ratios`` the measured over
    it; ``lacking`` says what could not be compared.
    """

    measurements: tuple[BatchMeasurement, ...]
    expected: Array
    source: str
    lacking: tuple[str, ...] = ()

    @property
    def ratios(self) -> Array:
        """Measured over expected."""
        measured = [m.critical_batch_tokens for m in self.measurements]
        return np.asarray(measured / self.expected)

    def median_ratio(self, method: Method) -> float:
        """By which factor a method differs from the joint fit; UsageError if it has no rows."""
        mine = [r for m, r in zip(self.measurements, self.ratios, strict=True)
                if m.method == method]  # fmt: skip
        if not mine:
            raise UsageError(
                f"Nothing was measured by {method!r}.",
                hint=f"Measured by: {', '.join(dict.fromkeys(self.methods))}.",
            )
        return float(np.exp(np.median(np.log(mine))))

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods that measured anything, in the order of the module."""
        present = {m.method for m in self.measurements}
        order: tuple[Method, ...] = ("contours", "noise scale", "branches")
        return tuple(method for method in order if method in present)


def batch_methods(
    result: FitResult,
    *,
    runs: RunTable | None = None,
    branches: Sequence[Mapping[str, Any]] = (),
    level: float = 0.9,
) -> MethodComparison:
    """Critical batches of a trajectory fit by its own contours, noise scales and branches.

    ``runs`` hold the noise scales (column noise_scale_tokens) and the losses of the runs that were
    branched. Contours and noise scales are compared at up to five losses. Raises UnfitDataError if
    nothing was measured, LawError for a fit of another law.
    """
    path = Trajectory.from_fit(result)
    found: list[BatchMeasurement] = []
    lacking: list[str] = []
    losses: list[float] = []
    try:
        contours = _spread_out(fitted_contours(result))
    except (LawError, UnfitDataError) as error:
        lacking.append(f"No contours: {error.message}")
    else:
        found += contour_measurements(contours, level=level)
        losses = [contour.loss for contour in contours.contours]
    if runs is not None and runs.has(NOISE_SCALE):
        found += noise_scale_measurements(runs, losses or _levels(runs), level=level)
    else:
        lacking.append(f"No noise scales: no runs with a column {NOISE_SCALE}.")
    if branches and runs is None:
        raise UsageError(
            "Branches were given without the runs that they left.",
            hint="Give the table of those runs too: it has their losses.",
        )
    if runs is not None and branches:
        found += branch_measurements(runs, branches)
    reached = [m for m in found if m.is_global or path.floor(m.params_nonembed) < m.loss]
    if below := len(found) - len(reached):
        lacking.append(f"{below} measurements at losses below the fitted floor of their size.")
    return replace(compare_methods(path, reached), lacking=tuple(lacking))


def _spread_out(contours: Contours) -> Contours:
    """Up to five of the straddling contours, evenly among them; of any if none straddles."""
    usable = contours.straddling or contours.contours
    places = np.unique(np.linspace(0, len(usable) - 1, LEVELS).round().astype(int))
    return replace(contours, contours=tuple(usable[i] for i in places))


def _levels(runs: RunTable) -> list[float]:
    """Losses within the range in which noise scales were measured, evenly in logs."""
    scale, loss = runs.column(NOISE_SCALE), runs.column("loss")
    usable = loss[(scale > 0) & (loss > 0) & np.isfinite(scale) & np.isfinite(loss)]
    if not len(usable):
        return []
    return list(np.geomspace(usable.max(), usable.min(), LEVELS + 2)[1:-1].tolist())


def compare_methods(
    trajectory: Trajectory, measurements: Sequence[BatchMeasurement]
) -> MethodComparison:
    """Hold critical batches measured by several methods against a joint fit.

    Raises UnfitDataError without measurements, LawError for one below the floor of its size.
    """
    if not measurements:
        raise UnfitDataError(
            "No critical batch was measured.", hint="Scan batches, or train with noise scales."
        )
    ordered = sorted(measurements, key=lambda m: -m.loss)
    expected = [
        trajectory.critical_batch(m.loss, m.params_nonembed)
        if m.is_global
        else trajectory.local_critical_batch(m.params_nonembed, m.loss)
        for m in ordered
    ]
    return MethodComparison(
        measurements=tuple(ordered),
        expected=np.asarray(expected, dtype=float),
        source=trajectory.source,
    )


def contour_measurements(contours: Contours, *, level: float = 0.9) -> tuple[BatchMeasurement, ...]:
    """The critical batch of every contour that straddles it."""
    found = []
    for contour in contours.straddling:
        low, high = contour.scan.intervals(level)["critical_batch_tokens"]
        found.append(
            BatchMeasurement(
                method="contours", loss=contour.loss, params_nonembed=contour.params_nonembed,
                critical_batch_tokens=contour.scan.critical_batch_tokens, low=low, high=high,
            )
        )  # fmt: skip
    return tuple(found)


def noise_scale_measurements(
    runs: RunTable, losses: Sequence[float], *, level: float = 0.9
) -> tuple[BatchMeasurement, ...]:
    """The gradient noise scale of each size at each loss, from checkpoints within 2 % of it.

    The geometric mean, with the spread of checkpoints and batches as its interval. Levels with
    fewer than three checkpoints are left out. Raises RunDataError without the column.
    """
    if not runs.has(NOISE_SCALE):
        raise RunDataError(
            f"The runs have no column {NOISE_SCALE!r}.",
            hint="Train them with noise scales measured.",
        )
    scale, loss = runs.column(NOISE_SCALE), runs.column("loss")
    size = runs.column("params_nonembed")
    # Running averages that are not yet positive say nothing.
    usable = (scale > 0) & np.isfinite(scale) & (loss > 0)
    found = []
    for N in np.unique(size[usable]).tolist():
        for level_loss in losses:
            near = usable & (size == N)
            near &= np.abs(np.log(np.where(usable, loss, 1.0) / level_loss)) < _NEAR
            if near.sum() < _FEWEST:
                continue
            logs = np.log(scale[near])
            low, high = np.quantile(logs, [(1 - level) / 2, (1 + level) / 2])
            found.append(
                BatchMeasurement(
                    method="noise scale", loss=float(level_loss), params_nonembed=N,
                    critical_batch_tokens=float(np.exp(logs.mean())),
                    low=float(np.exp(min(low, logs.mean()))),
                    high=float(np.exp(max(high, logs.mean()))),
                )
            )  # fmt: skip
    return tuple(found)


def branch_measurements(
    runs: RunTable, branches: Sequence[Mapping[str, Any]]
) -> tuple[BatchMeasurement, ...]:
    """Branched training as measurements; each has run_id, step, low_tokens and high_tokens.

    The loss is that of the run's checkpoint nearest to the step; a run named after another with
    its tokens (name-t1000000) is the beginning of that one. Without an upper end the largest branch
    that kept up stands for the critical batch. Raises RunDataError for a run that the table does
    not have.
    """
    names = np.array(runs.text("run_id"))
    step, loss, size = (runs.column(name) for name in ("step", "loss", "params_nonembed"))
    found = []
    for branch in branches:
        whole = re.sub(r"-t\d+$", "", str(branch["run_id"]))
        name = branch["run_id"] if branch["run_id"] in names else whole
        mine = np.flatnonzero((names == name) & np.isfinite(loss) & (step > 0))
        if not len(mine):
            raise RunDataError(
                f"The runs do not hold {branch['run_id']!r}, which branches started from.",
                hint="Give the table of the runs that were branched.",
            )
        at = mine[np.argmin(np.abs(np.log(step[mine] / branch["step"])))]
        low, high = float(branch["low_tokens"]), float(branch["high_tokens"])
        found.append(
            BatchMeasurement(
                method="branches", loss=float(loss[at]), params_nonembed=float(size[at]),
                critical_batch_tokens=low**0.5 * high**0.5 if np.isfinite(high) else low,
                low=low, high=high,
            )
        )  # fmt: skip
    return tuple(found)
