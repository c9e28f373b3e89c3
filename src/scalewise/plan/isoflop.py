"""Approach 2: the size with the lowest loss at each of several compute budgets.

Hoffmann et al. 2022, sec. 3.2: at a fixed budget C, models of different sizes trained on the
tokens that the budget leaves them trace a valley in log N; its vertex is N_opt(C), and a line
through log N_opt against log C gives the exponent a of N_opt ~ C**a. See `plan.profiles` for the
three ways to find the vertex and why a plain parabola is biased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.core.quantities import format_flops
from scalewise.plan.allocate import Interval
from scalewise.plan.powerline import FEWEST, PowerLine, power_line
from scalewise.plan.profiles import (
    FEWEST_SIZES,
    Method,
    Profile,
    Shape,
    drawn,
    shape_of,
    vertices,
    why_none,
)
from scalewise.plan.readings import Readings, Rows, readings
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

TOLERANCE = 0.04  # decades of compute; published isoFLOP points stray 2 to 5 % from their budget
DEFAULT_BOOTSTRAP = 300
_FEWEST_POINTS = 5  # that make a budget when budgets are looked for
_STEADY = 0.9  # share of resamples that must still bracket the minimum
_LARGEST_DRAW = 2_000_000  # counts held at once: resamples times rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vertex:
    """The bottom of one isoFLOP valley. ``flops`` is the geometric mean of its points.

    ``bracketed`` is the share of resamples in which the minimum stays between the sampled sizes;
    the intervals are over those. ``sizes`` and ``losses`` are the points, ``curve`` the fitted
    profile as (size, loss).
    """

    flops: float
    points: int
    params: Interval
    tokens: Interval
    loss: float
    bracketed: float
    sizes: Array
    losses: Array
    curve: tuple[Array, Array]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A budget that has points but no usable vertex, and why."""

    flops: float
    points: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IsoFlop:
    """What approach 2 found: N_opt = params.at(C) and D_opt = tokens.at(C)."""

    size: str
    method: Method
    shape: Shape
    vertices: tuple[Vertex, ...]
    left_out: tuple[LeftOut, ...]
    params: PowerLine
    tokens: PowerLine
    level: float
    bootstrap: int
    seed: int
    warnings: tuple[str, ...]


def isoflop(
    runs: RunTable,
    *,
    size: str = "params",
    budgets: Sequence[float] | None = None,
    tolerance: float = TOLERANCE,
    method: Method = "parabola",
    window: float | None = None,
    rows: Rows = "finals",
    level: float = 0.9,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
) -> IsoFlop:
    """Approach 2 on a run table.

    ``budgets`` are the nominal FLOPs, each with the points within ``tolerance`` decades; without
    them they are looked for in the data. ``window`` keeps the points within that factor in size
    of the lowest one. A budget whose minimum is not bracketed by sampled sizes is left out, with
    the reason, never extrapolated. Resamples draw points within each budget; where one run has
    points at several budgets, whole runs. Raises UnfitDataError if fewer than three are left.
    """
    if not 0 < tolerance < 0.5:
        raise UsageError(
            f"tolerance={tolerance} decades is out of range.", hint="Use 0.04 for about 10 %."
        )
    data = readings(runs, size=size, rows=rows)
    nominal = (
        found_budgets(data.flops, tolerance) if budgets is None else np.unique(np.asarray(budgets))
    )
    profiles = [
        _profile(data.take(np.abs(np.log10(data.flops / c)) < tolerance), window) for c in nominal
    ]
    notes = [] if budgets is not None else [f"{len(nominal)} budgets were found in the data."]
    if data.left_out:
        notes.append(f"{data.left_out} rows lack a number and were left out")
    return from_profiles(
        [p for p in profiles if p is not None],
        size=size, method=method, level=level, bootstrap=bootstrap, seed=seed, notes=notes,
    )  # fmt: skip


def found_budgets(flops: Array, tolerance: float = TOLERANCE) -> Array:
    """Budgets at which points cluster: densest window first, its neighbourhood then set aside.

    >>> found_budgets(np.array([1e18] * 5 + [3e18] * 6 + [7e18]))
    array([1.e+18, 3.e+18])
    """
    logs = np.sort(np.log10(flops))
    centres: list[float] = []
    while len(logs):
        ends = np.searchsorted(logs, logs + 2 * tolerance, side="right")
        inside = ends - np.arange(len(logs))
        i = int(inside.argmax())
        if inside[i] < _FEWEST_POINTS:
            break
        window = logs[i : ends[i]]
        centre = 0.5 * (window[0] + window[-1])
        centres.append(float(centre))
        logs = logs[np.abs(logs - centre) > 2 * tolerance]
    return np.asarray(10.0 ** np.sort(np.asarray(centres)))


def from_profiles(
    profiles: Sequence[Profile],
    *,
    size: str,
    method: Method,
    level: float,
    bootstrap: int,
    seed: int,
    notes: Sequence[str] = (),
) -> IsoFlop:
    """Approach 2 on profiles that are at hand, one per budget."""
    wide = [p for p in profiles if p.sizes >= FEWEST_SIZES]
    shape = shape_of(wide, method)
    estimate = vertices(wide, method, shape)[0] if wide else ()
    kept = [(p, x) for p, x in zip(wide, estimate, strict=True) if np.isfinite(x)]
    gone = tuple(
        LeftOut(float(np.exp(p.log_flops)), len(p.x), why_none(p, method, shape))
        for p in profiles
        if not any(p is other for other, _ in kept)
    )
    if len(kept) < FEWEST:
        found = (
            f"{len(kept)} of {len(profiles)} budgets bracket their lowest loss"
            if profiles
            else "No budget has runs of several sizes"
        )
        raise UnfitDataError(
            f"{found}; {FEWEST} are needed."
            + "".join(f" {format_flops(g.flops)}: {g.reason}." for g in gone[:3]),
            hint="Add sizes on both sides of the lowest loss, or name the budgets.",
        )
    used = [p for p, _ in kept]
    best = np.array([x for _, x in kept])
    draws = _resampled(used, method, shape, bootstrap, seed)
    log_flops = np.array([p.log_flops for p in used])
    tokens, token_draws = _tokens(used, best), _tokens(used, draws)
    bottoms = tuple(
        _vertex(p, method, shape, (x, d), draws[:, i], token_draws[:, i], level)
        for i, (p, x, d) in enumerate(zip(used, best, tokens, strict=True))
    )
    return IsoFlop(
        size=size,
        method=method,
        shape=shape,
        vertices=bottoms,
        left_out=gone,
        params=power_line(log_flops, best, draws, level=level),
        tokens=power_line(log_flops, tokens, token_draws, level=level),
        level=level,
        bootstrap=bootstrap,
        seed=seed,
        warnings=(*notes, *_doubts(bottoms, gone)),
    )


def profile(log_flops: float, data: Readings) -> Profile:
    """The rows of one budget as a profile, in order of size."""
    order = np.argsort(data.size, kind="stable")
    return Profile(
        log_flops=log_flops,
        x=np.log(data.size)[order],
        loss=data.loss[order],
        log_tokens=np.log(data.tokens)[order],
        cluster=data.run[order],
    )


def _profile(data: Readings, window: float | None) -> Profile | None:
    if not len(data):
        return None
    if window is not None:
        near = np.abs(np.log(data.size / data.size[data.loss.argmin()])) < np.log(window)
        data = data.take(near)
    return profile(float(np.log(data.flops).mean()), data)


def _resampled(
    used: Sequence[Profile], method: Method, shape: Shape, bootstrap: int, seed: int
) -> Array:
    """The log N_opt of every resample, (count, budgets)."""
    total = sum(len(p.x) for p in used)
    if not bootstrap:
        return np.empty((0, len(used)))
    rng = np.random.default_rng(seed)
    count = min(bootstrap, max(_LARGEST_DRAW // total, 1))
    parts = [
        vertices(used, method, shape, _counts(used, min(count, bootstrap - start), rng))
        for start in range(0, bootstrap, count)
    ]
    return np.concatenate(parts)


def _counts(used: Sequence[Profile], count: int, rng: np.random.Generator) -> list[Array]:
    """How often each point is drawn: within its budget, or with its run where runs recur."""
    clusters = np.concatenate([np.unique(p.cluster) for p in used])
    codes = np.unique(clusters)
    if len(codes) == len(clusters):
        return [
            rng.multinomial(len(p.x), np.full(len(p.x), 1 / len(p.x)), size=count).astype(float)
            for p in used
        ]
    drawn_runs = rng.multinomial(len(codes), np.full(len(codes), 1 / len(codes)), size=count)
    return [drawn_runs[:, np.searchsorted(codes, p.cluster)].astype(float) for p in used]


def _tokens(used: Sequence[Profile], log_sizes: Array) -> Array:
    """The log D at the optimal sizes; log (D N / C) is smooth in log N, constant under 6 N D."""
    out = np.full(log_sizes.shape, np.nan)
    for i, p in enumerate(used):
        x = log_sizes[..., i]
        per_flop = p.log_tokens + p.x - p.log_flops
        if np.ptp(p.log_tokens + p.x) < 4 * np.log(10.0) * TOLERANCE:
            # Points that scatter around their budget scatter in D N / C too: no trend in size.
            out[..., i] = p.log_flops + _ratio(p) - x
        else:
            out[..., i] = p.log_flops - x + np.interp(x, p.x, per_flop)
    return out


def _ratio(p: Profile) -> float:
    return float((p.log_tokens + p.x).mean() - p.log_flops)


def _vertex(
    p: Profile,
    method: Method,
    shape: Shape,
    best: tuple[float, float],
    draws: Array,
    token_draws: Array,
    level: float,
) -> Vertex:
    at, loss = drawn(p, method, shape)
    share = float(np.isfinite(draws).mean()) if len(draws) else 1.0
    return Vertex(
        flops=float(np.exp(p.log_flops)),
        points=len(p.x),
        params=_interval(best[0], draws, level),
        tokens=_interval(best[1], token_draws, level),
        loss=float(np.interp(best[0], at, loss)),
        bracketed=share,
        sizes=np.exp(p.x),
        losses=p.loss,
        curve=(np.exp(at), loss),
    )


def _interval(value: float, draws: Array, level: float) -> Interval:
    known = draws[np.isfinite(draws)]
    edges = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if len(known) else [value, value]
    return Interval(
        value=float(np.exp(value)),
        low=float(np.exp(min(edges[0], value))),
        high=float(np.exp(max(edges[1], value))),
    )


def _doubts(bottoms: Sequence[Vertex], gone: Sequence[LeftOut]) -> list[str]:
    said = [f"Budget {format_flops(g.flops)} is left out: {g.reason}." for g in gone]
    shaky = [format_flops(v.flops) for v in bottoms if v.bracketed < _STEADY]
    if shaky:
        said.append(
            f"At {', '.join(shaky)} FLOP the minimum is hardly bracketed: it leaves the sampled "
            "sizes in more than one resample of ten."
        )
    return said
