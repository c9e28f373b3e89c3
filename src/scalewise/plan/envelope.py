"""Approach 1: the model with the lowest loss at each compute value, read off training curves.

Hoffmann et al. 2022, sec. 3.1: interpolate every training curve to loss against FLOP, take at each
of 1500 log-spaced FLOP values the run that is lowest, and regress its N and D on C. Where a table
has no curves, `pareto` takes the finished runs that no cheaper run beats: a proxy that uses fewer
numbers and is noisier, and is named as one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.plan.powerline import PowerLine, power_line
from scalewise.plan.readings import Readings, Rows, readings
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Source = Literal["curves", "finals"]

GRID = 1500  # FLOP values, as in the paper
DEFAULT_BOOTSTRAP = 200
_SIZES_ON_ENVELOPE = 3
_UNFINISHED = 0.8  # of a run's compute, before which its learning rate has not decayed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """One training curve in logs, in order of compute."""

    run_id: str
    log_size: float
    log_flops: Array
    log_loss: Array
    log_tokens: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Envelope:
    """The lowest loss by compute: N_opt = params.at(C) and D_opt = tokens.at(C).

    The arrays have one entry per FLOP value (``source="curves"``) or per run of the Pareto
    frontier (``source="finals"``, the proxy). ``unfinished`` is the share of them that lie in the
    first four fifths of their run.
    """

    source: Source
    size: str
    flops: Array
    sizes: Array
    losses: Array
    run_ids: tuple[str, ...]
    params: PowerLine
    tokens: PowerLine
    unfinished: float
    level: float
    seed: int
    warnings: tuple[str, ...]


def envelope(
    runs: RunTable,
    *,
    size: str = "params",
    rows: Rows = "all",
    grid: int = GRID,
    smoothing: float = 0.0,
    level: float = 0.9,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
) -> Envelope:
    """Approach 1 proper, from runs that have several checkpoints.

    ``smoothing`` is the standard deviation, in checkpoints, of a Gaussian window over each curve
    (Hoffmann et al. used ten steps). A FLOP value counts only where the lowest run has both a
    smaller and a larger one beside it at the same compute: at the ends of the ladder the lowest
    run is whatever was trained. The interval resamples runs.
    Raises UnfitDataError without curves, or with fewer than three sizes on the envelope.
    """
    curves = curves_of(readings(runs, size=size, rows=rows), smoothing=smoothing)
    if len(curves) < _SIZES_ON_ENVELOPE:
        raise UnfitDataError(
            f"{len(curves)} runs have two checkpoints or more; approach 1 needs training curves "
            f"of {_SIZES_ON_ENVELOPE} sizes.",
            hint="Read logs with checkpoints, or use approach 2 or 3.",
        )
    flops = np.linspace(
        min(c.log_flops[0] for c in curves), max(c.log_flops[-1] for c in curves), grid
    )
    losses, tokens = _interpolated(curves, flops)
    log_sizes = np.array([c.log_size for c in curves])
    winner, held = _lowest(losses, log_sizes)
    sizes = len(np.unique(log_sizes[winner[held]]))
    if sizes < _SIZES_ON_ENVELOPE:
        raise UnfitDataError(
            f"{sizes} sizes are lowest at some compute with a smaller and a larger one beside "
            f"them; approach 1 needs {_SIZES_ON_ENVELOPE}.",
            hint="Train more sizes over overlapping ranges of compute.",
        )
    rng = np.random.default_rng(seed)
    drawn_sizes = np.full((bootstrap, int(held.sum())), np.nan)
    drawn_tokens = drawn_sizes.copy()
    for row in range(bootstrap):
        chosen = np.unique(rng.integers(len(curves), size=len(curves)))
        best, known = _lowest(losses[chosen], log_sizes[chosen])
        best, known = chosen[best], known & held
        drawn_sizes[row, known[held]] = log_sizes[best[known]]
        drawn_tokens[row, known[held]] = tokens[best[known], np.flatnonzero(known)]
    at, best = np.flatnonzero(held), winner[held]
    ends = np.array([c.log_flops[-1] for c in curves])[best]
    unfinished = float((flops[at] < ends + np.log(_UNFINISHED)).mean())
    return Envelope(
        source="curves",
        size=size,
        flops=np.exp(flops[at]),
        sizes=np.exp(log_sizes[best]),
        losses=np.exp(losses[best, at]),
        run_ids=tuple(curves[i].run_id for i in best),
        params=power_line(flops[at], log_sizes[best], drawn_sizes, level=level),
        tokens=power_line(flops[at], tokens[best, at], drawn_tokens, level=level),
        unfinished=unfinished,
        level=level,
        seed=seed,
        warnings=_doubts(unfinished, held, sizes),
    )


def pareto(
    runs: RunTable,
    *,
    size: str = "params",
    level: float = 0.9,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
) -> Envelope:
    """The proxy for approach 1 where there are no curves: finished runs that none cheaper beats.

    Nothing is interpolated, so each point carries the noise of one run, lucky ones first, and the
    ends of the ladder are in it. Raises UnfitDataError for fewer than three such runs.
    """
    data = readings(runs, size=size)
    on = _frontier(data, np.arange(len(data)))
    log_flops, log_sizes, log_tokens = (np.log(v[on]) for v in (data.flops, data.size, data.tokens))
    line = power_line(log_flops, log_sizes, np.empty((0, len(on))), level=level)
    token_line = power_line(log_flops, log_tokens, np.empty((0, len(on))), level=level)
    rng = np.random.default_rng(seed)
    size_draws, token_draws = np.empty((bootstrap, 2)), np.empty((bootstrap, 2))
    for row in range(bootstrap):
        drawn = _frontier(data, np.unique(rng.integers(len(data), size=len(data))))
        x = np.log(data.flops[drawn]) - line.centre
        for out, values in ((size_draws, data.size), (token_draws, data.tokens)):
            slope, height = np.polyfit(x, np.log(values[drawn]), 1)
            out[row] = height, slope
    return Envelope(
        source="finals",
        size=size,
        flops=data.flops[on],
        sizes=data.size[on],
        losses=data.loss[on],
        run_ids=tuple(data.run_ids[i] for i in data.run[on]),
        params=_with_draws(line, size_draws),
        tokens=_with_draws(token_line, token_draws),
        unfinished=0.0,
        level=level,
        seed=seed,
        warnings=(
            f"A proxy for approach 1: {len(on)} finished runs that no cheaper run beats, not the "
            "envelope of training curves.",
        ),
    )


def curves_of(data: Readings, *, smoothing: float = 0.0) -> list[Curve]:
    """Every run with two checkpoints or more, in order of compute; of equal compute the last."""
    curves = []
    for code in np.unique(data.run):
        own = data.take(data.run == code)
        order = np.argsort(own.flops, kind="stable")
        own = own.take(order)
        own = own.take(np.r_[np.diff(own.flops) > 0, True])
        if len(own) < 2:
            continue
        log_loss = np.log(own.loss)
        if smoothing > 0:
            log_loss = _smoothed(log_loss, smoothing)
        curves.append(
            Curve(
                run_id=data.run_ids[int(code)],
                log_size=float(np.log(own.size[-1])),
                log_flops=np.log(own.flops),
                log_loss=log_loss,
                log_tokens=np.log(own.tokens),
            )
        )
    return curves


def _smoothed(values: Array, deviation: float) -> Array:
    """A Gaussian mean over neighbouring checkpoints, its weights renewed at the ends."""
    index = np.arange(len(values))
    weights = np.exp(-0.5 * ((index[:, None] - index) / deviation) ** 2)
    return np.asarray(weights @ values / weights.sum(axis=1))


def _interpolated(curves: list[Curve], flops: Array) -> tuple[Array, Array]:
    """Log loss and log tokens of every run on the grid, infinite and NaN outside a curve."""
    losses = [np.interp(flops, c.log_flops, c.log_loss, left=np.inf, right=np.inf) for c in curves]
    tokens = [np.interp(flops, c.log_flops, c.log_tokens) for c in curves]
    return np.stack(losses), np.stack(tokens)


def _lowest(losses: Array, log_sizes: Array) -> tuple[Array, Array]:
    """The lowest run at each FLOP value, and whether a smaller and a larger one lie beside it."""
    winner = losses.argmin(axis=0)
    there = np.isfinite(losses)
    smallest = np.where(there, log_sizes[:, None], np.inf).min(axis=0)
    largest = np.where(there, log_sizes[:, None], -np.inf).max(axis=0)
    return winner, (smallest < log_sizes[winner]) & (log_sizes[winner] < largest)


def _frontier(data: Readings, rows: Array) -> Array:
    """The rows with less loss than every row of no more compute, in order of compute."""
    order = rows[np.lexsort((data.loss[rows], data.flops[rows]))]
    loss = data.loss[order]
    before = np.minimum.accumulate(np.r_[np.inf, loss[:-1]])
    return np.asarray(order[loss < before])


def _with_draws(line: PowerLine, draws: Array) -> PowerLine:
    return replace(line, draws=draws)


def _doubts(unfinished: float, held: Array, sizes: int) -> tuple[str, ...]:
    said = [
        f"{sizes} sizes are on the envelope; {int((~held).sum())} of {len(held)} FLOP values are "
        "left out because no smaller or no larger model was trained beside the lowest one."
    ]
    if unfinished > 0.5:
        said.append(
            f"{unfinished:.0%} of the envelope lies in the first four fifths of its run: unless "
            "the learning rate was constant, such checkpoints are above what a run planned to "
            "end there would reach, by an amount that differs between sizes and bends the exponent."
        )
    return tuple(said)
