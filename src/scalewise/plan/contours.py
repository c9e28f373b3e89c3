"""Lines of equal loss in the plane of size and tokens, and the frontier that crosses them.

Hoffmann et al. 2022, fig. 4: every model on one line reaches the same loss; the line touches one
isoFLOP line C = 6 N D where it is cheapest, and the efficient frontier runs through these points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.fit.result import FitResult
from scalewise.laws.law import Law
from scalewise.plan.allocate import (
    Frontier,
    Interval,
    drawn_range,
    frontier,
    given_tokens,
    left_out,
    pooled_band,
    theta_of_draws,
    trading_laws,
)
from scalewise.plan.optimum import Theta, inputs_at, optimal_size

Array = np.ndarray[Any, np.dtype[Any]]

_LEVELS = 7
_PLACES = 81  # along the frontier
_DRAWN = 321  # along a contour, which is steep at its ends
_SECTIONS, _CUTS = 32, 9  # 45 bits of a log
_REACH = float(np.log(1e6))  # by which a contour may leave the frontier in size and in tokens
_LOG_FLOPS = (0.0, float(np.log(1e36)))  # within which a loss is looked for
_BEFORE, _AFTER = float(np.log(1e3)), float(np.log(1e6))  # where resamples may reach it instead
_STEP = 0.3  # of log FLOP


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """One loss: the models that reach it, and the cheapest of them to train.

    ``sizes`` and ``tokens`` are the line; ``params``, ``optimal_tokens`` and ``flops`` are where
    the frontier crosses it. An upper edge is infinite where too many resamples never get there, or
    with a million times that compute only.
    """

    loss: float
    sizes: Array
    tokens: Array
    params: Interval
    optimal_tokens: Interval
    flops: Interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contours:
    """Contours by falling loss, and the frontier over the same range of compute.

    ``fitted`` are (sizes, tokens) of the points behind the result; empty for published constants.
    """

    contours: tuple[Contour, ...]
    fitted: tuple[Array, Array]
    frontier: Frontier
    size: str
    level: float
    law: str
    runs: int
    extrapolation: float
    warnings: tuple[str, ...]


def iso_loss(
    result: FitResult,
    losses: Sequence[float] | None = None,
    *,
    flops: tuple[float, float] | None = None,
    tokens_unique: float | None = None,
    level: float = 0.9,
) -> Contours:
    """Lines of equal predicted loss, with the compute-optimal model on each.

    ``losses`` in nats/token; without them, round losses between what the frontier reaches at both
    ends of ``flops`` (FLOP), by default from the smallest run to a hundred times the largest.
    Raises LawError if no law trades size against tokens, UnfitDataError for a loss that none
    reaches.

    >>> from scalewise.fit.storage import read_fit
    >>> (line,) = iso_loss(read_fit("besiroglu2024"), [2.0]).contours
    >>> f"{line.params.value / 1e9:.1f}B and {line.optimal_tokens.value / 1e12:.2f}T tokens"
    '46.9B and 0.88T tokens'
    """
    members = trading_laws(result, tokens_unique)
    low, high = flops or drawn_range(result)
    line = frontier(
        result, np.geomspace(low, high, _PLACES), tokens_unique=tokens_unique, level=level
    )
    wanted = _round_losses(line) if losses is None else np.unique(_checked(losses))[::-1]
    surface = _Surface(result, members, given_tokens(tokens_unique))
    contours = surface.contours(wanted, level)
    largest = result.ranges.get("flops", (np.inf, np.inf))[1]
    farthest = max(c.flops.value for c in contours)
    lost = [c for c in contours if not np.isfinite(c.flops.high)]
    return Contours(
        contours=contours,
        fitted=_fitted(members[0][1], line.size),
        frontier=line,
        size=line.size,
        level=level,
        law=result.law.key,
        runs=result.runs,
        extrapolation=max(farthest / largest, 1.0),
        warnings=(
            *result.warnings,
            *left_out(result, members),
            *(f"Some resamples never reach a loss of {c.loss:.4g} nats/token." for c in lost),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Surface:
    """The laws behind a result as one: their weighted mean on the scale of the fit."""

    result: FitResult
    members: list[tuple[float, FitResult]]
    given: dict[str, float]

    @property
    def shares(self) -> list[float]:
        return [share for share, _ in self.members]

    def contours(self, losses: Array, level: float) -> tuple[Contour, ...]:
        at = self._optima(losses)
        if not np.isfinite(at).all():
            first = losses[~np.isfinite(at).all(axis=0)][0]
            raise UnfitDataError(
                f"No model reaches a loss of {first:g} nats/token under {self.result.law.key!r}.",
                hint="Ask for a loss above the law's irreducible part.",
            )
        grid = np.arange(at[2].min() - _BEFORE, at[2].max() + _AFTER, _STEP)
        # Resamples are of one law each: their distances from that law's own optimum are pooled.
        centres = [_crossings(m.law, _as_rows(m.theta), losses, grid, self.given)
                   for _, m in self.members]  # fmt: skip
        samples = [_crossings(m.law, theta_of_draws(m), losses, grid, self.given)
                   for _, m in self.members]  # fmt: skip
        centre = np.average([c[0] for c in centres], axis=0, weights=self.shares)
        ends = pooled_band(samples, self.shares, centre, spread=self.result.spread, level=level)
        edges = np.exp(at + np.stack(ends) - centre)
        return tuple(
            Contour(
                float(loss), *self._line(float(loss), at[:2, i]), *map(_interval, edges[:, :, i].T)
            )
            for i, loss in enumerate(losses)
        )

    def _loss(self, log_size: Array, log_tokens: Array) -> Array:
        values = [
            m.on_scale(m.law.value(m.theta, **inputs_at(m.law, log_size, log_tokens, self.given)))
            for _, m in self.members
        ]
        return self.result.off_scale(np.average(values, axis=0, weights=self.shares))

    def _optima(self, losses: Array) -> Array:
        """Logs of size, tokens and FLOP, (3, losses), at which the frontier reaches each loss."""

        def split(log_flops: Array) -> tuple[Array, Array]:
            sizes = [
                np.log(optimal_size(m.law, m.theta, np.exp(log_flops), self.given))
                for _, m in self.members
            ]
            log_size = np.average(sizes, axis=0, weights=self.shares)
            return log_size, log_flops - np.log(6.0) - log_size

        log_flops = _falling_to(
            losses, lambda at: self._loss(*split(at)), np.zeros_like(losses), _LOG_FLOPS
        )
        with np.errstate(invalid="ignore"):
            return np.stack([*split(log_flops), log_flops])

    def _line(self, loss: float, at: Array) -> tuple[Array, Array]:
        """The tokens at which sizes around the optimum reach a loss, where they do."""
        sizes = at[0] + np.linspace(-_REACH, _REACH, _DRAWN)
        ends = (float(at[1]) - _REACH, float(at[1]) + _REACH)
        tokens = _falling_to(loss, lambda t: self._loss(sizes, t), np.zeros_like(sizes), ends)
        reached = np.isfinite(tokens) & (tokens > ends[0] + 1e-9)
        return np.exp(sizes[reached]), np.exp(tokens[reached])


def _interval(edges: Array) -> Interval:
    low, value, high = (float(edge) for edge in edges)
    return Interval(low=low, value=value, high=high)


def _as_rows(theta: Theta) -> dict[str, Array]:
    return {name: np.array([[value]]) for name, value in theta.items()}


def _crossings(
    law: Law, theta: Theta, losses: Array, grid: Array, given: dict[str, float]
) -> Array:
    """Logs of size, tokens and FLOP, (draws, 3, losses), where a law's frontier reaches each loss.

    Read off ``grid`` of log FLOP: what the coarse steps lose, the law's own centre loses as well.
    """
    sizes = np.log(optimal_size(law, theta, np.exp(grid)[None], given))
    reached = law.value(theta, **inputs_at(law, sizes, grid - np.log(6.0) - sizes, given))
    out = np.full((len(sizes), 3, len(losses)), np.inf)
    for row, (log_size, falling) in enumerate(zip(sizes, reached, strict=True)):
        log_flops = np.interp(-losses, -np.minimum.accumulate(falling), grid, right=np.inf)
        known = np.isfinite(log_flops)
        own = np.interp(log_flops[known], grid, log_size)
        out[row][:, known] = own, log_flops[known] - np.log(6.0) - own, log_flops[known]
    return out


def _falling_to(losses: Any, of: Any, like: Array, ends: tuple[float, float]) -> Array:
    """Where a falling function of a log reaches a loss, by sections; infinite where it never does.

    Many places at a time: a law costs little more for an array than for a number.
    """
    low, high = like + ends[0], like + ends[1]
    reached = of(high) <= losses
    shares = np.linspace(0, 1, _SECTIONS + 1).reshape((-1,) + (1,) * like.ndim)
    for _ in range(_CUTS):
        at = low + (high - low) * shares
        first = np.argmax(of(at) <= losses, axis=0)[None]
        low, high = (
            np.take_along_axis(at, index, axis=0)[0] for index in (np.maximum(first - 1, 0), first)
        )
    return np.where(reached, high, np.inf)


def _checked(losses: Sequence[float]) -> Array:
    values = np.asarray(losses, dtype=float)
    if not values.size or not np.all(np.isfinite(values) & (values > 0)):
        raise UsageError(
            f"losses={list(losses)} are no losses.", hint="Give losses in nats/token, above 0."
        )
    return values


def _fitted(leader: FitResult, size: str) -> tuple[Array, Array]:
    symbols = {column: symbol for symbol, column in leader.law.variables.items()}
    nothing = np.empty(0)
    return leader.inputs.get(symbols[size], nothing), leader.inputs.get(symbols["tokens"], nothing)


def _round_losses(line: Frontier) -> Array:
    """Losses between both ends of a frontier, at even steps of compute, rounded where they part."""
    inner = np.linspace(0, len(line.flops) - 1, _LEVELS + 2).round().astype(int)[1:-1]
    values = line.loss[1][inner]
    gap = float(np.min(-np.diff(values)))
    digits = max(0, int(np.ceil(-np.log10(gap))))
    return np.unique(values.round(digits))[::-1]
