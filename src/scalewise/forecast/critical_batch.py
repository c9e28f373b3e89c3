"""The critical batch from a batch scan: steps to one loss at several batch sizes.

At a fixed loss S = S_min (1 + B_crit/B), which is the hyperbola (S/S_min - 1)(E/E_min - 1) = 1 with
E = B S and B_crit = E_min/S_min (McCandlish et al. 2018, eq. 2.11; Kaplan et al. 2020, eq. 5.1).

==============================  ================================================================
`fit_hyperbola`                 one scan -> S_min, E_min, B_crit, with intervals and doubts
`fit_critical_batch`            scans to several losses -> the law B_crit(L), a fit like any other
`fit_critical_batch_by_tokens`  the same scans -> B_crit as a power of E_min
`batch_at_overhead`             the batch at which tokens exceed the ideal by a stated share
`batch_for_cost`                the batch that is cheapest where steps and tokens have prices
==============================  ================================================================

Batches and tokens share one unit, tokens unless said otherwise; steps are optimizer updates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scalewise.core.errors import RunDataError, UnfitDataError, UsageError
from scalewise.fit.engine import fit
from scalewise.fit.prediction import scalar
from scalewise.fit.result import FitResult, t_quantile
from scalewise.forecast.trajectory import tails

Array = np.ndarray[Any, np.dtype[Any]]

SCALE = 0.03  # of residuals in log S beyond which a point counts less: run-to-run spread in steps
STRADDLE = 3.0  # the batches must reach this factor to both sides of the critical one
_FEWEST = 3  # batches that leave a residual
_FALL = 0.20  # of tokens from a smaller to a larger batch: four times the scatter of public scans
_LEAST_ERROR = 1e-3  # of log B_crit, so that no level of a noise-free scan outweighs all others


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchScan:
    """The trade of steps against tokens to one loss.

    ``scatter`` is the standard deviation of log steps around the hyperbola; ``covariance`` that of
    (log S_min, log B_crit). ``straddles`` says whether the batches reach a factor of three to
    both sides of the critical one; where they do not, it is an extrapolation. Residuals beyond
    ``scale`` counted less.
    """

    steps_min: float
    critical_batch_tokens: float
    scatter: float
    covariance: Array
    straddles: bool
    points: int
    scale: float
    warnings: tuple[str, ...]

    @property
    def tokens_min(self) -> float:
        """E_min = B_crit S_min, in the unit of the batch."""
        return self.critical_batch_tokens * self.steps_min

    def steps(self, batch_tokens: ArrayLike) -> Array | float:
        """Updates at a batch: S_min (1 + B_crit/B)."""
        B = np.asarray(batch_tokens, dtype=float)
        return scalar(self.steps_min * (1 + self.critical_batch_tokens / B))

    def intervals(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Student's interval of each quantity, in logs, on ``points - 2`` degrees of freedom."""
        t = t_quantile(tails(level)[1], self.points - 2)
        along = {"steps_min": (1, 0), "critical_batch_tokens": (0, 1), "tokens_min": (1, 1)}
        spread = {
            name: exp(t * float(np.sqrt(np.array(w) @ self.covariance @ np.array(w))))
            for name, w in along.items()
        }
        return {
            name: (getattr(self, name) / factor, getattr(self, name) * factor)
            for name, factor in spread.items()
        }


def fit_hyperbola(batch_tokens: ArrayLike, steps: ArrayLike, *, scale: float = SCALE) -> BatchScan:
    """Fit S = S_min (1 + B_crit/B) to the steps that each batch took to one loss.

    Least squares in log S with a soft-L1 loss: residuals beyond ``scale`` count less, and
    ``scale=inf`` is plain least squares in logs. Regressing E on B instead, in tokens, puts B_crit
    up to 16 % lower on public scans. One entry per batch, each at its best learning rate.
    Raises RunDataError for values that are no counts, UnfitDataError for fewer than three batches.

    >>> scan = fit_hyperbola([64, 256, 1024, 4096], [2100.0, 600.0, 225.0, 131.25])
    >>> round(scan.steps_min, 6), round(scan.tokens_min, 6), scan.straddles
    (100.0, 128000.0, True)
    """
    B, S = _scan(batch_tokens, steps)
    if not scale > 0:
        raise UsageError(f"scale={scale} must be positive.", hint="0.03 is the usual spread.")
    from scipy.optimize import least_squares

    def residuals(q: Array) -> Array:
        return np.asarray(q[0] + np.log1p(np.exp(q[1]) / B) - np.log(S))

    def jacobian(q: Array) -> Array:
        share = np.exp(q[1]) / B
        return np.stack([np.ones_like(B), share / (1 + share)], axis=1)

    loss = {"loss": "soft_l1", "f_scale": scale} if np.isfinite(scale) else {}
    found = least_squares(
        residuals, _start(B, S), jac=jacobian, x_scale="jac", xtol=1e-14, ftol=1e-14, gtol=1e-14,
        **loss,
    )  # fmt: skip
    left, slope = residuals(found.x), jacobian(found.x)
    weight = _soft_weight(left, scale)
    variance = float(weight @ left**2) / (len(B) - 2)
    steps_min, critical = exp(found.x[0]), exp(found.x[1])
    straddles = bool(B.max() >= STRADDLE * critical and B.min() <= critical / STRADDLE)
    return BatchScan(
        steps_min=steps_min,
        critical_batch_tokens=critical,
        scatter=variance**0.5,
        covariance=variance * np.linalg.pinv(slope.T @ (weight[:, None] * slope)),
        straddles=straddles,
        points=len(B),
        scale=scale,
        warnings=(*_reach(B, critical, straddles), *_monotone(B, S)),
    )


def fit_critical_batch(
    losses: Sequence[float], scans: Sequence[BatchScan], *, bootstrap: int = 300, seed: int = 0
) -> FitResult:
    """Fit B_crit = B_star / L**(1/alpha_B) to the critical batches at several losses.

    Levels whose batches do not straddle the critical one are dropped, and said so; the others
    weigh by one over the variance of log B_crit (`weights_of`). Raises UnfitDataError if fewer
    than three stay.
    """
    kept = _straddling(scans)
    table = {
        "loss": [loss for loss, keep in zip(losses, kept, strict=True) if keep],
        "critical_batch_tokens": _critical(scans, kept),
    }
    dropped = [f"{loss:g}" for loss, keep in zip(losses, kept, strict=True) if not keep]
    told = f"Dropped the losses {', '.join(dropped)}: no batches on both sides of the critical one."
    return _fitted("kaplan-critical-batch", table, scans, told, bootstrap=bootstrap, seed=seed)


def fit_critical_batch_by_tokens(
    scans: Sequence[BatchScan], *, bootstrap: int = 300, seed: int = 0
) -> FitResult:
    """Fit B_crit = k E_min**p, the critical batch by the fewest tokens to the same loss.

    Bergsma et al. 2025 (arXiv:2505.13738). As `fit_critical_batch` otherwise; the errors of E_min
    are those of B_crit and are not modelled.
    """
    kept = _straddling(scans)
    tokens = [scan.tokens_min for scan, keep in zip(scans, kept, strict=True) if keep]
    table = {"tokens": tokens, "critical_batch_tokens": _critical(scans, kept)}
    told = f"Dropped {kept.count(False)} scans: no batches on both sides of the critical one."
    return _fitted("critical-batch-by-tokens", table, scans, told, bootstrap=bootstrap, seed=seed)


def weights_of(scans: Sequence[BatchScan]) -> Array:
    """One over the variance of log B_crit, as far as no scan outweighs all others.

    The scatter is that of all scans together. A scan of seven batches knows its own on five
    degrees of freedom: weighed by it, a law leans on those that scatter least by chance, and takes
    that for its error, which is then too small by half.
    """
    scatter = np.array([scan.scatter**2 for scan in scans])
    own = np.array([scan.covariance[1, 1] for scan in scans])
    degrees = np.array([scan.points - 2 for scan in scans])
    shape = np.divide(own, scatter, out=np.ones_like(own), where=scatter > 0)
    return np.asarray(1 / (shape * np.average(scatter, weights=degrees) + _LEAST_ERROR**2))


def influence(scan: BatchScan, batch_tokens: Array, steps: Array) -> tuple[Array, Array]:
    """How (log S_min, log B_crit) move with each log step, shape (2, points), and the residuals.

    Residuals are of log steps, scaled up by their leverage to the size of the errors behind them.
    """
    share = scan.critical_batch_tokens / batch_tokens
    slope = np.stack([np.ones_like(share), share / (1 + share)], axis=1)
    left = np.log(steps) - np.log(np.asarray(scan.steps(batch_tokens)))
    weight = _soft_weight(left, scan.scale)
    moved = np.linalg.pinv(slope.T @ (weight[:, None] * slope)) @ (slope.T * weight)
    leverage = np.einsum("ip,pi->i", slope, moved)
    return moved, left / (1 - np.minimum(leverage, 0.9))


def steps_ratio(batch_over_critical: ArrayLike) -> Array | float:
    """S/S_min = 1 + B_crit/B. McCandlish et al. 2018, eq. 2.11.

    >>> steps_ratio(5.0)
    1.2
    """
    return scalar(1 + 1 / np.asarray(batch_over_critical, dtype=float))


def tokens_ratio(batch_over_critical: ArrayLike) -> Array | float:
    """E/E_min = 1 + B/B_crit, which is also the ratio of compute."""
    return scalar(1 + np.asarray(batch_over_critical, dtype=float))


def batch_at_overhead(
    critical_batch_tokens: ArrayLike, overhead: float = 0.2, *, reference_batch_tokens: float = 0.0
) -> Array | float:
    """The batch that needs ``overhead`` more tokens to the loss than the reference batch does.

    B = overhead B_crit + (1 + overhead) B_ref. With B_ref = 0 the reference is E_min, the
    fewest tokens. An overhead of 0.2 in tokens is one of 20 % in steps over linear scaling from
    B_ref, the critical batch size of Zhang et al. 2024 (arXiv:2410.21676).
    """
    if not overhead > 0:
        raise UsageError(f"overhead={overhead} must be positive.", hint="0.2 is 20 % more tokens.")
    critical = np.asarray(critical_batch_tokens, dtype=float)
    return scalar(overhead * critical + (1 + overhead) * reference_batch_tokens)


def batch_for_cost(
    critical_batch_tokens: ArrayLike, *, steps_power: float = 1.0, tokens_power: float = 1.0
) -> Array | float:
    """The batch that makes steps**p tokens**q least: B = (p/q) B_crit.

    Equal powers give B_crit itself, where steps and tokens are each twice the least.
    """
    if not (steps_power > 0 and tokens_power > 0):
        raise UsageError(
            f"steps_power={steps_power} and tokens_power={tokens_power} must be positive.",
            hint="Without a price of either, the best batch is as large or as small as can be.",
        )
    return scalar(steps_power / tokens_power * np.asarray(critical_batch_tokens, dtype=float))


def _straddling(scans: Sequence[BatchScan]) -> list[bool]:
    kept = [scan.straddles for scan in scans]
    if sum(kept) < _FEWEST:
        raise UnfitDataError(
            f"{sum(kept)} of {len(kept)} losses have batches a factor of {STRADDLE:g} to both "
            f"sides of the critical one; the law needs {_FEWEST}.",
            hint="Scan larger and smaller batches, or more losses.",
        )
    return kept


def _critical(scans: Sequence[BatchScan], kept: Sequence[bool]) -> list[float]:
    return [s.critical_batch_tokens for s, keep in zip(scans, kept, strict=True) if keep]


def _fitted(
    law: str,
    table: dict[str, list[float]],
    scans: Sequence[BatchScan],
    told: str,
    *,
    bootstrap: int,
    seed: int,
) -> FitResult:
    """The law of the scans that straddle, each by its weight; ``told`` of those that do not."""
    weights = weights_of([scan for scan in scans if scan.straddles])
    result = fit(
        law, table, objective="ls-log", weights=weights / weights.mean(), bootstrap=bootstrap,
        seed=seed,
    )  # fmt: skip
    is_whole = len(weights) == len(scans)
    return result if is_whole else replace(result, warnings=(*result.warnings, told))


def _soft_weight(residuals: Array, scale: float) -> Array:
    """The weight that soft-L1 gives a residual; 1 for plain least squares."""
    return np.asarray(1 / np.sqrt(1 + (residuals / scale) ** 2))


def _scan(batch_tokens: ArrayLike, steps: ArrayLike) -> tuple[Array, Array]:
    B, S = np.asarray(batch_tokens, dtype=float), np.asarray(steps, dtype=float)
    if B.ndim != 1 or B.shape != S.shape:
        raise RunDataError(
            f"{B.size} batches came with {S.size} numbers of steps.", hint="Give one per batch."
        )
    if not (np.all(np.isfinite(B * S)) and np.all(B > 0) and np.all(S > 0)):
        raise RunDataError(
            "Batches and steps must be positive and finite.",
            hint="Leave out batches that never reached the loss.",
        )
    if len(np.unique(B)) < _FEWEST:
        raise UnfitDataError(
            f"A batch scan of {len(np.unique(B))} batch sizes cannot carry the hyperbola and its "
            f"error: it needs {_FEWEST}.",
            hint="Scan from a third of the expected critical batch to three times it.",
        )
    order = np.argsort(B, kind="stable")
    return B[order], S[order]


def _start(B: Array, S: Array) -> Array:
    """The line S = S_min + E_min/B by least squares in relative terms, exact without noise."""
    design = np.stack([1 / S, 1 / (B * S)], axis=1)
    size = np.abs(design).max(axis=0)
    fewest, tokens = np.linalg.lstsq(design / size, np.ones_like(S), rcond=None)[0] / size
    fewest = max(fewest, 0.01 * S.min())
    tokens = max(tokens, 0.01 * (B * S).min())
    return np.array([log(fewest), log(tokens / fewest)])


def _reach(B: Array, critical: float, straddles: bool) -> tuple[str, ...]:
    if straddles:
        return ()
    return (
        f"The critical batch {critical:.4g} is an extrapolation: the batches run from "
        f"{B.min():.4g} to {B.max():.4g} and should reach a factor of {STRADDLE:g} to both sides.",
    )


def _monotone(B: Array, S: Array) -> tuple[str, ...]:
    """The hyperbola says that a larger batch never needs fewer tokens; schedules may differ."""
    E = B * S
    fewest_later = np.minimum.accumulate(E[::-1])[::-1]
    falls = E / fewest_later - 1
    worst = int(np.argmax(falls))
    if falls[worst] <= _FALL:
        return ()
    return (
        f"Batch {B[worst]:.4g} needs {falls[worst]:.0%} more tokens than a larger one, which no "
        "hyperbola allows: as in the stable phase of warm-up-stable-decay (arXiv:2601.05034) "
        "or where the learning rate was not tuned at each batch. Leave such small batches out.",
    )
