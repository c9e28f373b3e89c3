"""Is a live run on track? Its curve against the band that was forecast for it.

A point may leave a 90 % band by chance, and a run a little off the law stays off it. So a run has
left the band for good when its latest points all lie outside on one side, at least five of them,
over at least a fifth more steps than the first. How often a run that obeys the law would do that is
simulated for the very steps of the log, with constants drawn from the fit's resamples and noise
like that of the fitted runs, and told as ``false_alarm``: 0 to 3 % at a level of 0.9 in simulated
experiments, most where noise is shared along a curve, and about 1 - level at most.

The forecast of the end is updated by what was seen: constants and the run's own departure are
jointly normal in log loss, and a departure is kept to exp(-x) over x in log step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import RunDataError, UnfitDataError
from scalewise.fit.prediction import Prediction
from scalewise.fit.result import FitResult, t_quantile
from scalewise.forecast.curves import WARMUPS, Curve, read_curves
from scalewise.forecast.estimate import GAP
from scalewise.forecast.live_log import (
    Stages,
    as_planned,
    end_of,
    incomparable,
    one_run,
    stages_to,
    with_given,
)
from scalewise.forecast.trajectory import Trajectory, tails
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Side = Literal["", "above", "below"]

PERSISTENT = 5  # points outside on one side, up to the last
LASTING = 1.2  # factor in step that they must cover
POINTS = 200  # of the log, evenly in log step
_SIMULATED = 500
_ANOTHER_KIND = 1.15  # factor of loss at every point, beyond what recipes differ by
_FADE = 1.0  # in log step, over which a run's departure from the law fades: its correlation length


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnTrack:
    """A live run beside its forecast; arrays have an entry per judged point of the log.

    ``first_departure`` is the first step outside the band and ``left_at`` the step from which the
    run stayed outside on one ``side`` long enough to count; None and "" where there is none.
    ``planned`` is the loss at the end as forecast before the run, ``projected`` after what was
    seen of it. ``false_alarm`` is the share of simulated runs of the law that would count as gone.
    """

    params_nonembed: float
    step: Array
    loss: Array
    predicted: Array
    low: Array
    high: Array
    level: float
    first_departure: float | None
    left_at: float | None
    side: Side
    false_alarm: float
    until: float
    planned: Prediction
    projected: Prediction
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def has_left(self) -> bool:
        """Whether the run has left the band for good: exit code 5."""
        return self.left_at is not None

    @property
    def outside(self) -> Array:
        """Which points lie outside the band."""
        return (self.loss < self.low) | (self.loss > self.high)


def on_track(
    result: FitResult,
    log: object,
    *,
    stages: Stages | None = None,
    until: float | None = None,
    params_nonembed: float | None = None,
    batch_tokens: float | None = None,
    level: float = 0.9,
    warmups: float = WARMUPS,
    seed: int = 0,
) -> OnTrack:
    """Judge the log of one run by a joint fit of a trajectory law.

    ``log`` has step and loss, one row per checkpoint; ``params_nonembed`` and ``batch_tokens``
    stand in for columns that it lacks. ``stages`` are the pairs (batch_tokens, steps) planned for
    the whole run: its end and the batches still to come, instead of ``until`` and
    ``batch_tokens``. Without them the updates up to a row count at that row's batch, and ``until``
    is the last step planned, by default that of the column steps, else the last one logged.
    Points within ``warmups`` times the warm-up, or forecast to lie 1.5 nats/token above the floor,
    are not judged. Raises LawError for other laws, UnfitDataError for a fit without noise,
    RunDataError for a log that cannot be judged, UsageError for one of another size or of other
    batches than planned.
    """
    tails(level)
    path = Trajectory.from_fit(result)
    if not (np.isfinite(result.noise) and result.points):
        raise UnfitDataError(
            "These constants come without runs: how far a run may be off them is not known.",
            hint="Fit the trajectory to runs of your own.",
        )
    table = one_run(log)
    if stages is not None:
        table = as_planned(table, stages, until=until, batch_tokens=batch_tokens)
        until, batch_tokens = sum(steps for _, steps in stages), None
    table = with_given(table, params_nonembed=params_nonembed, batch_tokens=batch_tokens)
    read = read_curves(table, warmups=warmups, by_batch=False).thinned(POINTS)
    curve = read.curves[0]
    end = end_of(table, until, float(curve.step[-1]))
    band, late = _band(result, path, (table, stages), curve, end, level)
    left_out, y = read.left_out, np.log(curve.loss[late])
    if early := int((~late).sum()):
        left_out = (*left_out, f"{early} points {GAP:g} nats/token or more above the floor")
    low, high = (edge[:-1] for edge in band.edges())
    gone, side = _left(band.step[:-1], y, low, high)
    outside = np.flatnonzero((y < low) | (y > high))
    planned, projected = _predictions(band, path, curve.params_nonembed, y)
    return OnTrack(
        params_nonembed=curve.params_nonembed,
        step=band.step[:-1],
        loss=np.exp(y),
        predicted=np.exp(band.centre[:-1]),
        low=np.exp(low),
        high=np.exp(high),
        level=level,
        first_departure=float(band.step[outside[0]]) if len(outside) else None,
        left_at=gone,
        side=side,
        false_alarm=band.false_alarm(seed),
        until=end,
        planned=planned,
        projected=projected,
        left_out=left_out,
        warnings=(
            *incomparable(table, result.facts, stages),
            *_scaled(y - band.centre[:-1], (y < low) | (y > high)),
            *_doubts(result, len(y), gone),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Band:
    """Forecast of log loss at the points of the log and, last, at the end; draws (count, n)."""

    result: FitResult
    step: Array
    centre: Array
    draws: Array
    level: float

    @property
    def t(self) -> float:
        """Student's quantile, on as many degrees as the fit's own intervals have."""
        r = self.result
        return t_quantile(tails(self.level)[1], max(min(r.points - len(r.theta), r.runs - 1), 1))

    def edges(self) -> tuple[Array, Array]:
        """Both ends of the interval of a new run, as the fit's own: draws and noise in squares."""
        noise = self.t * self.result.noise
        ends = []
        for probability, sign in zip(tails(self.level), (-1.0, 1.0), strict=True):
            distance = np.zeros(len(self.centre))
            if len(self.draws):
                distance = np.quantile(self.draws, probability, axis=0) - self.centre
            ends.append(self.centre + sign * self.result.spread * np.hypot(distance, noise))
        return ends[0], ends[1]

    def covariance(self) -> Array:
        """Of log losses: constants, the run's fading departure, and what differs by point."""
        apart = np.abs(np.subtract.outer(np.log(self.step), np.log(self.step)))
        kept = _kept_share(self.result)
        own = kept * np.exp(-apart / _FADE) + (1 - kept) * np.eye(len(apart))
        off = self.draws - self.centre
        common = off.T @ off / max(len(off), 1)
        return np.asarray(self.result.spread**2 * (common + self.result.noise**2 * own))

    def conditioned(self, y: Array) -> tuple[float, float]:
        """The last point's mean and standard deviation in log loss, given all the others."""
        C = self.covariance()
        gain = np.linalg.lstsq(C[:-1, :-1], C[:-1, -1], rcond=None)[0]
        mean = self.centre[-1] + gain @ (y - self.centre[:-1])
        return float(mean), float(np.sqrt(max(C[-1, -1] - gain @ C[:-1, -1], 0.0)))

    def false_alarm(self, seed: int) -> float:
        """The share of simulated runs of this law whose log would count as gone for good."""
        low, high = (edge[:-1] for edge in self.edges())
        rng = np.random.default_rng(seed)
        C = self.covariance()[:-1, :-1]
        values, axes = np.linalg.eigh(C)
        chance = rng.standard_normal((_SIMULATED, len(C))) * np.sqrt(np.maximum(values, 0.0))
        runs = self.centre[:-1] + chance @ axes.T
        gone = [_left(self.step[:-1], y, low, high)[0] is not None for y in runs]
        return float(np.mean(gone))


def _band(
    result: FitResult, path: Trajectory, planned: tuple[RunTable, Stages | None], curve: Curve,
    end: float, level: float,
) -> tuple[_Band, Array]:  # fmt: skip
    """The forecast at the points past the transient and at the end, and which points those are."""
    wanted, N = np.append(curve.step, end), curve.params_nonembed
    forecast = _forecast(path, stages_to(*planned, wanted), N)
    late = forecast[0] - float(path.floor(N)) < GAP
    if not late[:-1].any():
        raise RunDataError(
            f"The log ends at step {curve.step[-1]:g}, where the forecast is still {GAP:g} "
            "nats/token or more above the floor.",
            hint="Wait: the law does not hold in the early transient.",
        )
    late[-1] = True
    logs = np.log(forecast[:, late])
    return _Band(result, wanted[late], logs[0], logs[1:], level), late[:-1]


def _predictions(
    band: _Band, path: Trajectory, N: float, y: Array
) -> tuple[Prediction, Prediction]:
    """The loss at the end, before the run and after what was seen of it."""
    low, high = (float(np.exp(edge[-1])) for edge in band.edges())
    planned = Prediction(
        quantity="loss",
        value=float(np.exp(band.centre[-1])),
        low=low,
        high=high,
        level=band.level,
        extrapolation=path.extrapolation(params_nonembed=N, step=float(band.step[-1])),
        runs=band.result.runs,
        rests_on=(band.result.law.key,),
        warnings=band.result.warnings,
    )
    mean, sd = band.conditioned(y)
    low, value, high = (float(np.exp(mean + z * sd)) for z in (-band.t, 0.0, band.t))
    return planned, replace(planned, value=value, low=low, high=high)


def _left(step: Array, y: Array, low: Array, high: Array) -> tuple[float | None, Side]:
    """The step from which a run stays outside on one side long enough, and which side."""
    sides: tuple[tuple[Side, Array], ...] = (("above", y > high), ("below", y < low))
    for side, out in sides:
        inside = np.flatnonzero(~out)
        first = int(inside[-1]) + 1 if len(inside) else 0
        if len(out) - first >= PERSISTENT and step[-1] >= LASTING * step[first]:
            return float(step[first]), side
    return None, ""


def _kept_share(result: FitResult) -> float:
    """The share of the noise's variance that neighbours on a curve have in common."""
    order = np.lexsort((result.inputs["S"], result.cluster))
    r, run = result.residuals[order], result.cluster[order]
    same = run[1:] == run[:-1]
    total = float(np.mean(r**2))
    if not same.any() or total == 0:
        return 0.0
    return float(np.clip(np.mean((r[1:] * r[:-1])[same]) / total, 0.0, 1.0))


def _forecast(
    path: Trajectory, schedule: tuple[list[tuple[float, float]], Array], N: float
) -> Array:
    """Losses at the wanted steps, shape (1 + draws, steps): the estimate first."""
    stages, wanted = schedule
    ways = [path] if not len(path.draws) else [path, path.sampled()]
    found = []
    for way in ways:
        if len({batch for batch, _ in stages}) == 1:
            at = np.cumsum([steps for _, steps in stages])[wanted]
            spread = at.reshape(-1, *(1,) * np.ndim(way.N_c))
            losses = np.asarray(way.loss(N, spread, stages[0][0]))
        else:
            losses = way.loss_through(N, stages)[wanted]
        found.append(losses.reshape(len(wanted), -1).T)
    return np.concatenate(found)


def _scaled(off: Array, out: Array) -> tuple[str, ...]:
    """A log that lies as far off from its first point to its last is often of another kind."""
    factor = float(np.exp(np.median(off)))
    if len(off) < PERSISTENT or not out.all() or max(factor, 1 / factor) < _ANOTHER_KIND:
        return ()
    return (
        f"The whole log lies x{factor:.3g} of its forecast: losses in other units (bits are x1.44 "
        "of nats), per byte instead of token, or of another tokenizer or text look like this.",
    )


def _doubts(result: FitResult, points: int, gone: float | None) -> tuple[str, ...]:
    told = []
    if points < PERSISTENT:
        told.append(
            f"{points} points are too few to tell whether the run has left the band for good; "
            f"it takes {PERSISTENT}."
        )
    if gone is not None:
        told.append(
            "The run does not follow the fitted law: its projected loss leans on that law and is "
            "too sure of itself."
        )
    if not len(result.draws):
        told.append("The fit was not resampled: the band holds the noise of runs alone.")
    return tuple(told)
