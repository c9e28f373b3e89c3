"""What one more run would do to an interval, before it is trained: linearised, under the law.

With V the variance that the constants give to the answer, a new run at a place x with noise sigma
leaves V - cov(answer, x)**2 / (var(x) + sigma**2), as any observation does of a linear model.
The covariances are the fit's own, see ``fit.information``, scaled so that V is that of the
resamples. The update knows nothing of a law that is wrong, and takes the noise for what it is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.quantities import format_count
from scalewise.fit.information import information
from scalewise.fit.profile import points_behind, space_behind
from scalewise.fit.result import FitResult, t_quantile
from scalewise.plan.leave_out import SAME_SIZE
from scalewise.plan.optimum import SIZES
from scalewise.plan.target import Target, answer, answers, read, target_at
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

OTHER_TOKENS = 4.0  # times fewer or more tokens than a size was trained on
LARGER = (2.0, 4.0)  # times the largest size
GAP = 2.0  # between neighbouring sizes, from which one between them is proposed
# Half widths of refits with one run more over those computed here, nine in ten of 552 such runs in
# simulated designs; 28 % came out wider than without the run (benchmarks/synthetic_worlds.py).
REFOUND = (0.7, 1.5)
_STEP = 1e-5
_WIDE = 0.5  # half widths from here on are told as factors
_ROBUST = np.pi / 2  # variance of least absolute deviations over that of least squares
_SCALES = (*SIZES, "tokens", "flops")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """One more run, and the half width of the interval with it, as a logarithm.

    ``narrowing`` is the share of the half width that it takes away, ``spent`` its cost over that
    of all runs so far (6 N D).
    """

    kind: str
    params: float
    tokens: float
    flops: float
    spent: float
    half_width: float
    narrowing: float

    def __str__(self) -> str:
        return f"{format_count(self.params)} params on {format_count(self.tokens)} tokens"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecaster:
    """A fit at one target: the half width of its interval, and what a new run leaves of it.

    Half widths are of the logarithm of the answer. ``known`` is the part that the constants leave
    open and ``noise`` that of the forecast run itself; their squares add up. ``covariance`` is of
    the coordinates of the search, ``gradient`` of the logarithm of the answer by them.
    """

    result: FitResult
    target: Target
    level: float
    value: float
    half: float
    known: float
    noise: float
    covariance: Array
    gradient: Array

    @property
    def sigma(self) -> float:
        """Standard deviation of the log loss of one run around the law."""
        result = self.result
        return result.noise if result.objective.in_logs else result.noise / result.observed.mean()

    def with_run(self, columns: Mapping[str, float]) -> float:
        """The half width of the answer's interval once there is a run at ``columns``."""
        x = _slope(self.result, Target(columns=columns, flops=_flops(columns)))
        # A small delta makes the fit one of least absolute deviations, which learns less.
        learns = _ROBUST if self.result.objective.delta < 0.5 * self.result.noise else 1.0
        variance = float(self.gradient @ self.covariance @ self.gradient)
        at_x = float(x @ self.covariance @ x) + learns * self.sigma**2
        shared = float(self.gradient @ self.covariance @ x) ** 2 / max(at_x, 1e-300)
        left = max(1.0 - shared / variance, 0.0) if variance > 0 else 1.0
        noise = self.noise * _t(self.result, self.level, 1) / _t(self.result, self.level)
        return float(np.hypot(self.known * np.sqrt(left), noise))


def forecaster(result: FitResult, target: Target, *, level: float = 0.9) -> Forecaster:
    """The interval of a fit at a target, taken apart."""
    space, points = space_behind(result), points_behind(result)
    q, observed = space.q_of(result.theta), result.objective.observed(points.observed)
    covariance = information(space, q, observed, points.weights, points.cluster).covariance
    stated = answer(read(result, target, level=level), target)
    half = half_width(stated.low, stated.high)
    noise = 0.0
    if target.columns:
        relative = result.noise if result.objective.in_logs else result.noise / stated.value
        noise = min(result.spread * _t(result, level) * relative, half)
    known = float(np.sqrt(half**2 - noise**2)) if np.isfinite(half) else half
    gradient = _slope(result, target)
    linear = float(np.sqrt(max(float(gradient @ covariance @ gradient), 0.0)))
    z = t_quantile((1 + level) / 2, 10**6)
    if linear > 0 and known > 0 and np.isfinite(known):
        covariance = covariance * (known / (z * linear)) ** 2
    return Forecaster(
        result=result,
        target=target,
        level=level,
        value=stated.value,
        half=half,
        known=known,
        noise=noise,
        covariance=covariance,
        gradient=gradient,
    )


def half_width(low: float, high: float) -> float:
    """Half the distance of two ends in logarithms, infinite where one is not positive.

    >>> round(half_width(1.9, 2.1), 4)
    0.05
    """
    return 0.5 * float(np.log(high / low)) if low > 0 and np.isfinite(high) else float("inf")


def told_half(half: float, digits: int = 1) -> str:
    """A half width in logarithms as it is read: a percentage, or a factor where it is wide.

    >>> told_half(0.038), told_half(1.2)
    ('±3.8%', '×/÷3.32')
    """
    if not np.isfinite(half):
        return "without end"
    return f"±{half:.{digits}%}" if half < _WIDE else f"×/÷{np.exp(half):.3g}"


def additions(found: Forecaster, table: RunTable) -> tuple[Addition, ...]:
    """Runs worth a thought, the most narrowing first; ``table`` holds the fitted rows.

    A larger size below the target, one between two sizes, the largest size on fewer and on more
    tokens, and the largest run again. None for laws of other inputs than size, tokens and compute.
    """
    if not set(found.result.law.columns) <= set(_SCALES) or not np.isfinite(found.half):
        return ()
    if not (table.has("params") and table.has("tokens")) or found.half <= 0:
        return ()
    params, tokens = last_points(table)
    total = float(np.sum(6.0 * params * tokens))
    made = []
    for kind, size, seen in _places(found, params, tokens):
        half = found.with_run(target_at(table, params=size, tokens=seen).columns)
        flops = 6.0 * size * seen
        made.append(
            Addition(
                kind=kind,
                params=size,
                tokens=seen,
                flops=flops,
                spent=flops / total,
                half_width=half,
                narrowing=1.0 - half / found.half,
            )
        )
    return tuple(sorted(made, key=lambda one: -one.narrowing))


def last_points(table: RunTable) -> tuple[Array, Array]:
    """Params and tokens of the longest of each run's rows, of every size that it has."""
    import polars as pl

    last = table.frame.group_by("run_id", "params", maintain_order=True).agg(pl.col("tokens").max())
    return (
        np.asarray(last["params"].cast(pl.Float64).to_numpy()),
        np.asarray(last["tokens"].cast(pl.Float64).to_numpy()),
    )


def _places(found: Forecaster, params: Array, tokens: Array) -> Iterator[tuple[str, float, float]]:
    """Kind, params and tokens of each run that is considered."""
    largest = float(params.max())
    ends = np.sort(tokens / params)
    ratio = float(np.clip(_target_ratio(found), ends[0], ends[-1]))
    farthest = found.target.columns.get("params", np.sqrt(found.target.flops / (6.0 * ratio)))
    for factor in LARGER:
        if largest * factor < farthest * (1 - SAME_SIZE):
            yield f"a size ×{factor:g} larger", largest * factor, largest * factor * ratio
    sizes = np.unique(params)
    gaps = sizes[1:] / sizes[:-1]
    if len(gaps) and gaps.max() >= GAP:
        widest = int(np.argmax(gaps))
        between = float(np.sqrt(sizes[widest] * sizes[widest + 1]))
        yield "a size in the widest gap", between, between * ratio
    seen = tokens[params >= largest * (1 - SAME_SIZE)]
    least, most = float(seen.min()), float(seen.max())
    if least / OTHER_TOKENS >= float(tokens.min()):  # laws describe runs past their beginning
        yield "the largest size on fewer tokens", largest, least / OTHER_TOKENS
    yield "the largest size on more tokens", largest, most * OTHER_TOKENS
    yield "the largest run again, another seed", largest, most


def _target_ratio(found: Forecaster) -> float:
    """Tokens per param of the target."""
    columns = found.target.columns
    return columns["tokens"] / columns["params"] if columns else found.value


def _flops(columns: Mapping[str, float]) -> float:
    return 6.0 * columns.get("params", 1.0) * columns.get("tokens", 1.0)


def _t(result: FitResult, level: float, more: int = 0) -> float:
    """The quantile that widens the noise of a new run, as in ``FitResult.predict``."""
    degrees = min(result.points - len(result.theta), result.runs - 1) + more
    return t_quantile((1 + level) / 2, max(degrees, 1))


def _slope(result: FitResult, target: Target) -> Array:
    """Derivative of the logarithm of the answer at a target by the coordinates of the search."""
    space = space_behind(result)
    q = space.q_of(result.theta)
    moved = np.repeat(q[None], 2 * len(q), axis=0)
    for i in range(len(q)):
        moved[2 * i, i] -= _STEP
        moved[2 * i + 1, i] += _STEP
    steps = np.log(answers(result.law, space.theta(moved), target)).reshape(len(q), 2)
    return np.asarray((steps[:, 1] - steps[:, 0]) / (2 * _STEP) * space.free)
