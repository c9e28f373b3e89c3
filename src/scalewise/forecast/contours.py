"""Lines of equal loss in the plane of steps and tokens, and the critical batch along them.

Each curve of a batch scan is smoothed, made to fall, and read where it crosses a loss: the steps
that batch took. At each loss the steps of all batches lie on a hyperbola, whose two ends are S_min
and E_min and whose middle is the critical batch (Kaplan et al. 2020, sec. 5.1). Smoothing is a
straight line in log loss by log step through the points within a factor exp(``smoothing``) in
step of each, then the running minimum; log steps are interpolated straight in log loss. At each
batch and loss the learning rate that took the fewest steps counts; seeds are averaged in logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.core.quantities import format_count
from scalewise.fit.result import FitResult
from scalewise.forecast.critical_batch import (
    SCALE,
    BatchScan,
    fit_critical_batch,
    fit_critical_batch_by_tokens,
    fit_hyperbola,
    influence,
    weights_of,
)
from scalewise.forecast.curves import WARMUPS, Curve, read_curves

Array = np.ndarray[Any, np.dtype[Any]]

LEVELS = 15  # losses per size
SMOOTHING = 0.15  # in log step, to both sides
FEWEST_BATCHES = 4
_INSIDE = 1e-9  # of log loss: a curve that ends at a loss has reached it
_FLIPS = np.sqrt(np.array([0.5, 1.0, 1.5]))  # Webb's six-point distribution, with its negatives


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contour:
    """The steps that each batch took to one loss at one size, and the hyperbola through them.

    ``lr_peak`` is the learning rate that took the fewest, NaN where rates are not known.
    """

    loss: float
    params_nonembed: float
    batch_tokens: Array
    steps: Array
    lr_peak: Array
    scan: BatchScan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contours:
    """Contours of one or more sizes from the highest loss to the lowest."""

    contours: tuple[Contour, ...]
    warnings: tuple[str, ...]

    @property
    def straddling(self) -> tuple[Contour, ...]:
        """Those whose batches reach a factor of three to both sides of the critical one."""
        return tuple(contour for contour in self.contours if contour.scan.straddles)

    def columns(self, level: float = 0.9) -> dict[str, Array]:
        """One table: per contour the loss, size, S_min, E_min and B_crit with both ends each."""
        table: dict[str, list[float]] = {}
        for contour in self.contours:
            scan = contour.scan
            row = {"loss": contour.loss, "params_nonembed": contour.params_nonembed}
            for name, (low, high) in scan.intervals(level).items():
                row |= {name: getattr(scan, name), f"{name}_low": low, f"{name}_high": high}
            row |= {"scatter": scan.scatter, "batches": scan.points, "straddles": scan.straddles}
            for name, value in row.items():
                table.setdefault(name, []).append(value)
        return {name: np.array(values) for name, values in table.items()}

    def critical_batch_by_loss(self, *, bootstrap: int = 300, seed: int = 0) -> FitResult:
        """B_crit = B_star / L**(1/alpha_B) along the straddling contours, resampled by run.

        Raises UnfitDataError if there are fewer than three of them.
        """
        losses, scans = [c.loss for c in self.contours], [c.scan for c in self.contours]
        result = fit_critical_batch(losses, scans, bootstrap=0)
        if not bootstrap:
            return result
        shifts = self._resampled(bootstrap, seed)
        x = -np.log([c.loss for c in self.straddling])
        height, slope = _lines(np.tile(x, (bootstrap, 1)), shifts, self.straddling)
        # A slope of 0 would be an exponent without end; 5 is the law's bound.
        return _redrawn(result, np.exp(height), 1 / np.maximum(slope, 0.2), seed)

    def critical_batch_by_tokens(self, *, bootstrap: int = 300, seed: int = 0) -> FitResult:
        """B_crit = k E_min**p along the straddling contours, resampled by run.

        Raises UnfitDataError if there are fewer than three of them.
        """
        result = fit_critical_batch_by_tokens([c.scan for c in self.contours], bootstrap=0)
        if not bootstrap:
            return result
        shifts = self._resampled(bootstrap, seed)
        x = np.log([c.scan.tokens_min for c in self.straddling]) + shifts.sum(axis=2)
        height, slope = _lines(x, shifts, self.straddling)
        return _redrawn(result, np.exp(height), slope, seed)

    def _resampled(self, count: int, seed: int) -> Array:
        """Shifts of (log S_min, log B_crit) of the straddling contours, (count, contours, 2).

        Contours of one scan share its runs, so each batch's residuals are flipped together in all
        of them (wild cluster bootstrap), and the hyperbolas follow to first order. A scan is few
        runs: each resample is stretched as Student's t is against the normal distribution.
        """
        rng = np.random.default_rng(seed)
        keys = {(c.params_nonembed, b): 0 for c in self.straddling for b in c.batch_tokens.tolist()}
        place = {key: i for i, key in enumerate(keys)}
        flips = rng.choice(np.concatenate([-_FLIPS, _FLIPS]), size=(count, len(place)))
        degrees = max(len(place) - 2 * len({size for size, _ in place}), 1)
        flips *= np.sqrt(degrees / rng.chisquare(degrees, size=(count, 1)))
        shifts = []
        for c in self.straddling:
            moved, residuals = influence(c.scan, c.batch_tokens, c.steps)
            own = [place[c.params_nonembed, b] for b in c.batch_tokens.tolist()]
            shifts.append((flips[:, own] * residuals) @ moved.T)
        return np.stack(shifts, axis=1)


def batch_contours(
    runs: object,
    *,
    losses: int | Sequence[float] = LEVELS,
    warmups: float = WARMUPS,
    smoothing: float = SMOOTHING,
    scale: float = SCALE,
) -> Contours:
    """Equal-loss contours of every size that was trained at four batches or more.

    ``losses`` are the levels, or how many of them to space evenly in log loss between the highest
    and lowest that every batch of a size crosses. ``scale`` is that of `fit_hyperbola`, whose
    warnings the contours carry. Raises UnfitDataError if no loss is crossed by four batches.
    """
    if isinstance(losses, int) and losses < 1:
        raise UsageError(f"{losses} losses are none.", hint="10 to 20 levels are usual.")
    if not smoothing >= 0:
        raise UsageError(f"smoothing={smoothing:g} is negative.", hint="0 leaves curves as read.")
    read = read_curves(runs, warmups=warmups)
    sizes: dict[float, list[Curve]] = {}
    for curve in read.curves:
        smooth = _falling(curve, smoothing)
        sizes.setdefault(curve.params_nonembed, []).append(smooth)
    scans = {
        size: curves
        for size, curves in sizes.items()
        if len({c.batch_tokens for c in curves}) >= FEWEST_BATCHES
    }
    if not scans:
        most = max(len({c.batch_tokens for c in curves}) for curves in sizes.values())
        raise UnfitDataError(
            f"No size was trained at {FEWEST_BATCHES} batches; the most at one size is {most}.",
            hint="Train one size at six batches or more, over a factor of 32.",
        )
    found, told = [], [f"{text}: left out." for text in read.left_out]
    for size, curves in scans.items():
        levels = _levels(curves, losses) if isinstance(losses, int) else np.asarray(losses)
        contours = [_contour(curves, float(level), scale) for level in levels]
        found += [contour for contour in contours if contour is not None]
        told += _untuned(size, curves, found)
    if not found:
        raise UnfitDataError(
            f"No loss is crossed by {FEWEST_BATCHES} batches of one size.",
            hint="Train the slowest batches for longer, or leave them out.",
        )
    told += _one_sided(found)
    found.sort(key=lambda c: -c.loss)
    return Contours(contours=tuple(found), warnings=tuple(told))


def _falling(curve: Curve, smoothing: float) -> Curve:
    """The curve smoothed and made to fall, with only the points at which it does."""
    smooth = _smoothed(np.log(curve.step), np.log(curve.loss), smoothing)
    lowest = np.minimum.accumulate(smooth)
    falls = np.append(True, lowest[1:] < lowest[:-1])
    return replace(curve, step=curve.step[falls], loss=np.exp(lowest[falls]))


def _smoothed(x: Array, y: Array, half_width: float) -> Array:
    """Local straight lines through the points within ``half_width`` of each, by running sums."""
    if not half_width:
        return y
    begin = np.searchsorted(x, x - half_width, side="left")
    end = np.searchsorted(x, x + half_width, side="right")
    x = x - x.mean()

    def inside(values: Array) -> Array:
        sums = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray((sums[end] - sums[begin]) / (end - begin))

    centre, mean = inside(x), inside(y)
    width = inside(x * x) - centre**2
    lean = inside(x * y) - centre * mean
    # Fewer than three points are a straight line already.
    slope = np.where(end - begin > 2, lean / np.where(width > 0, width, 1.0), 0.0)
    return np.where(end - begin > 2, mean + slope * (x - centre), y)


def _levels(curves: Sequence[Curve], count: int) -> Array:
    """Losses that some rate of every batch crosses, evenly spaced in logs."""
    highest: dict[float, float] = {}
    lowest: dict[float, float] = {}
    for c in curves:
        highest[c.batch_tokens] = max(highest.get(c.batch_tokens, -np.inf), float(c.loss[0]))
        lowest[c.batch_tokens] = min(lowest.get(c.batch_tokens, np.inf), float(c.loss[-1]))
    top, bottom = min(highest.values()), max(lowest.values())
    if not bottom < top:
        late = max(lowest, key=lambda b: lowest[b])
        early = min(highest, key=lambda b: highest[b])
        raise UnfitDataError(
            f"No loss is crossed by every batch of {format_count(curves[0].params_nonembed)} "
            f"params_nonembed: batch {late:g} ends at {bottom:.4g} nats/token and batch "
            f"{early:g} begins at {top:.4g}.",
            hint=f"Train batch {late:g} for longer, or leave one of them out.",
        )
    return np.geomspace(top, bottom, count + 2)[1:-1]


def _contour(curves: Sequence[Curve], loss: float, scale: float) -> Contour | None:
    """The contour of one loss; none where fewer than four batches cross it."""
    seeds: dict[tuple[float, float], list[float]] = {}
    for i, c in enumerate(curves):
        step = _crossing(c, np.log(loss))
        # Runs of unknown rate may differ in it: each stands alone.
        rate = c.lr_peak if np.isfinite(c.lr_peak) else -1.0 - i
        seeds.setdefault((c.batch_tokens, rate), []).append(step)
    best: dict[float, tuple[float, float]] = {}
    for (batch, rate), steps in seeds.items():
        taken = float(np.mean(steps))  # infinite where one of the seeds never got there
        if np.isfinite(taken) and taken < best.get(batch, (np.inf, 0.0))[0]:
            best[batch] = (taken, rate)
    if len(best) < FEWEST_BATCHES:
        return None
    batches = np.array(sorted(best))
    fewest = np.exp([best[b][0] for b in batches.tolist()])
    rates = np.array([best[b][1] for b in batches.tolist()])
    return Contour(
        loss=loss,
        params_nonembed=curves[0].params_nonembed,
        batch_tokens=batches,
        steps=fewest,
        lr_peak=np.where(rates > 0, rates, np.nan),
        scan=fit_hyperbola(batches, fewest, scale=scale),
    )


def _crossing(curve: Curve, log_loss: float) -> float:
    """The log step at which a falling curve reaches a loss; infinite where it does not."""
    level, x = np.log(curve.loss), np.log(curve.step)
    if not level[-1] - _INSIDE <= log_loss <= level[0] + _INSIDE:
        return float("inf")
    return float(np.interp(-log_loss, -level, x))


def _untuned(size: float, curves: Sequence[Curve], found: Sequence[Contour]) -> list[str]:
    """Batches whose best rate is the lowest or highest of those tried."""
    edge = set()
    for c in (c for c in found if c.params_nonembed == size):
        for batch, rate in zip(c.batch_tokens.tolist(), c.lr_peak.tolist(), strict=True):
            tried = sorted({k.lr_peak for k in curves if k.batch_tokens == batch})
            if len(tried) > 1 and rate in (tried[0], tried[-1]):
                edge.add(batch)
    if not edge:
        return []
    return [
        f"At {', '.join(f'{b:g}' for b in sorted(edge))} batch_tokens the best learning rate is at "
        "the edge of those tried: an untuned batch looks slower than it is."
    ]


def _one_sided(found: Sequence[Contour]) -> list[str]:
    beyond = [c.loss for c in found if not c.scan.straddles]
    if not beyond:
        return []
    return [
        f"{len(beyond)} of {len(found)} contours, at losses {min(beyond):.4g} to "
        f"{max(beyond):.4g}, have no batches a factor of three to both sides of the critical one: "
        "their critical batch is an extrapolation and enters no law."
    ]


def _lines(x: Array, shifts: Array, contours: Sequence[Contour]) -> tuple[Array, Array]:
    """Height and slope of weighted lines of log B_crit by ``x``, per resample."""
    y = np.log([c.scan.critical_batch_tokens for c in contours]) + shifts[:, :, 1]
    w = weights_of([c.scan for c in contours])
    w = w / w.sum()
    x0, y0 = x @ w, y @ w
    slope = ((x - x0[:, None]) * (y - y0[:, None])) @ w / (((x - x0[:, None]) ** 2) @ w)
    return y0 - slope * x0, slope


def _redrawn(result: FitResult, scale: Array, exponent: Array, seed: int) -> FitResult:
    return replace(
        result,
        draws=np.stack([scale, exponent], axis=1),
        resampling="wild cluster bootstrap by run",
        seed=seed,
    )
