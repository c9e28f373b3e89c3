"""What one run leaves open about its family: draws of the law that pass through the run.

A draw takes the size term from what public families have, and holds it; floor and token term are
then fitted to the run, with what the families say of them as a prior. Draws count by how well the
run agrees with them. Losses of one run share its deviation from the law, and those of one curve
wander off it slowly; a new run is forecast relative to where this one stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.core.quantities import format_count
from scalewise.forecast.calibration import weighted_quantile
from scalewise.forecast.families import COORDINATES, SIZE_ANCHOR, TOKEN_ANCHOR, Between

Array = np.ndarray[Any, np.dtype[Any]]

BINS_PER_EFOLD = 4.0  # of log tokens: a curve counts by its length, not by how often it was logged
WANDER = 0.015  # of log loss, by root of e-folds of tokens: how far a curve strays from its law
FEWEST_POSSIBLE = 0.05  # share of draws that must leave room for the observed loss
ROOM = 0.98  # of the observed loss that the size term alone may take

_BORROWED = tuple(COORDINATES.index(name) for name in ("size_term", "alpha"))
_FITTED = tuple(COORDINATES.index(name) for name in ("E", "token_term", "beta"))
_LOG_EXPONENT = (-6.0, 1.2)  # exponents between 0.0025 and 3.3
_STEPS = 60
_LONGEST = 1.0  # a step never changes a constant by more than this e-fold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneRun:
    """The observations of one size: log loss by tokens, a curve binned evenly in log tokens."""

    params: float
    tokens: Array
    log_loss: Array
    is_curve: bool

    @property
    def log_tokens(self) -> Array:
        """Logarithms of the tokens, from the anchor."""
        return np.log(self.tokens / TOKEN_ANCHOR)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Posterior:
    """Draws of one run's law: ``size_term`` and exponents per draw, log constants that were fitted.

    ``fitted`` (S, 3) are logs of E, token term at its anchor and beta at their best, ``root``
    (S, 3, 3) a square root of their covariance. ``weight`` adds up to one. ``impossible`` is the
    share of draws whose size term left no room for the observed loss.
    """

    run: OneRun
    between: Between
    size_term: Array  # at SIZE_ANCHOR
    alpha: Array
    noise: Array
    fitted: Array
    root: Array
    weight: Array
    impossible: float

    @property
    def effective(self) -> float:
        """How many equally weighted draws these are worth."""
        return float(1 / np.sum(self.weight**2))

    def log_losses(
        self, params: float, tokens: float, *, count: int, seed: int
    ) -> tuple[Array, Array]:
        """Log losses that a run might reach, (count,), and those of the borrowed part alone."""
        random = np.random.default_rng(seed)
        pick = random.choice(len(self.weight), size=count, p=self.weight)
        at, noise, best = np.log(tokens / TOKEN_ANCHOR), self.noise[pick], self.fitted[pick]
        moved = np.einsum("kij,kj->ki", self.root[pick], random.standard_normal((count, 3)))
        size = self.size_term[pick] * (params / SIZE_ANCHOR) ** -self.alpha[pick]
        own = self.size_term[pick] * (self.run.params / SIZE_ANCHOR) ** -self.alpha[pick]
        expected, slope = _predicted(best, own, self.run.log_tokens)
        goes_on = _goes_on(self.run, params, tokens)
        # What a drift was measured to be holds the wandering on the way.
        end = float(self.run.log_tokens.max() if goes_on else at)
        gain, left = _shared(self.run, noise, end)
        carried = np.einsum("kj,kj->k", gain, self.run.log_loss - expected)
        shifted = np.einsum("kj,kij,ki->k", gain, slope, moved)
        central = np.log(_loss(best, size, float(at))) + carried
        full = np.log(_loss(best + moved, size, float(at))) + carried - shifted
        full = full + np.sqrt(left + noise**2) * random.standard_normal(count)
        if goes_on:
            further = np.log(tokens / self.run.tokens.max())
            mean, sd = self.between.drift
            full = full + further * (mean + sd * random.standard_normal(count))
            central = central + further * mean
        return full, central

    def medians(self) -> dict[str, float]:
        """The middle of the draws, by coordinate."""
        columns = (self.fitted[:, 0], np.log(self.size_term), np.log(self.alpha),
                   self.fitted[:, 1], self.fitted[:, 2])  # fmt: skip
        return {
            name: float(np.exp(weighted_quantile(column, self.weight, 0.5)))
            for name, column in zip(COORDINATES, columns, strict=True)
        }

    def narrowed(self) -> dict[str, float]:
        """By which share the run narrows what families say of each fitted constant."""
        told = {}
        for i, coordinate in enumerate(_FITTED):
            mean = float(self.weight @ self.fitted[:, i])
            variance = float(self.weight @ ((self.fitted[:, i] - mean) ** 2))
            variance += float(self.weight @ np.sum(self.root[:, i] ** 2, axis=1))
            name = COORDINATES[coordinate]
            told[name] = max(0.0, 1 - float(np.sqrt(variance)) / self.between.sd(name))
        return told


def one_run(params: float, tokens: Array, loss: Array, *, is_curve: bool) -> OneRun:
    """Observations as they enter: geometric means over bins of log tokens."""
    bins = np.floor(np.log(tokens) * BINS_PER_EFOLD)
    _, index = np.unique(bins, return_inverse=True)
    count = np.bincount(index)
    return OneRun(
        params=params,
        tokens=np.exp(np.bincount(index, weights=np.log(tokens)) / count),
        log_loss=np.bincount(index, weights=np.log(loss)) / count,
        is_curve=is_curve,
    )


def posterior(run: OneRun, between: Between, *, count: int = 400, seed: int = 0) -> Posterior:
    """Draws of the law behind one run. Raises UnfitDataError if hardly a draw has room for it."""
    random = np.random.default_rng(seed)
    root = np.linalg.cholesky(between.predictive)
    drawn = between.mean + random.standard_normal((count, len(COORDINATES))) @ root.T
    usual, spread = between.noise
    noise = np.exp(usual + spread * random.standard_normal(count))
    borrowed = drawn[:, _BORROWED]
    size_term, alpha = np.exp(borrowed[:, 0]), np.exp(np.clip(borrowed[:, 1], *_LOG_EXPONENT))
    own = size_term * (run.params / SIZE_ANCHOR) ** -alpha
    least = float(np.exp(run.log_loss.min()))
    possible = own < ROOM * least
    if possible.mean() < FEWEST_POSSIBLE:
        raise UnfitDataError(
            f"The borrowed size term alone exceeds the observed loss: at "
            f"{format_count(run.params)} params it is {np.median(own):.3g} nats/token in the "
            f"median of public families, and the loss {least:.3g}; {possible.mean():.1%} of "
            f"{count} draws leave room for it.",
            hint="Is the loss in nats per token of next-token prediction? Otherwise no constant "
            "of a public family applies.",
        )
    borrowed, noise, own = borrowed[possible], noise[possible], own[possible]
    fitted, spread_root, log_weight = _fitted(run, between, borrowed, own, noise)
    weight = np.exp(log_weight - log_weight.max())
    return Posterior(
        run=run,
        between=between,
        size_term=size_term[possible],
        alpha=alpha[possible],
        noise=noise,
        fitted=fitted,
        root=spread_root,
        weight=weight / weight.sum(),
        impossible=float(1 - possible.mean()),
    )


def _fitted(
    run: OneRun, between: Between, borrowed: Array, own: Array, noise: Array
) -> tuple[Array, Array, Array]:
    """Floor and token term of each draw at their best, a root of their covariance, log evidence.

    Levenberg-Marquardt for all draws at once; evidence by Laplace's method.
    """
    covariance = between.predictive
    f, b = np.array(_FITTED), np.array(_BORROWED)
    slope = covariance[np.ix_(f, b)] @ np.linalg.inv(covariance[np.ix_(b, b)])
    mean = between.mean[f] + (borrowed - between.mean[b]) @ slope.T
    belief = np.linalg.inv(covariance[np.ix_(f, f)] - slope @ covariance[np.ix_(b, f)])
    spread = _spread(run, noise)
    weight, size = np.linalg.inv(spread), np.eye(len(f))

    def at(q: Array) -> tuple[Array, Array, Array]:
        expected, jacobian = _predicted(q, own, run.log_tokens)
        miss, apart = run.log_loss - expected, q - mean
        value = np.einsum("ki,kij,kj->k", miss, weight, miss)
        return value + np.einsum("ki,ij,kj->k", apart, belief, apart), miss, jacobian

    q, damping = mean, np.full(len(mean), 1e-2)
    value, miss, jacobian = at(q)
    for _ in range(_STEPS):
        hessian = np.einsum("kai,kij,kbj->kab", jacobian, weight, jacobian) + belief
        downhill = np.einsum("kai,kij,kj->ka", jacobian, weight, miss) - (q - mean) @ belief
        diagonal = np.einsum("kaa->ka", hessian)[:, :, None] * size
        step = np.linalg.solve(hessian + damping[:, None, None] * diagonal, downhill[:, :, None])
        tried = q + np.clip(step[:, :, 0], -_LONGEST, _LONGEST)
        reached, missed, slopes = at(tried)
        better = reached <= value
        q, value = np.where(better[:, None], tried, q), np.where(better, reached, value)
        miss = np.where(better[:, None], missed, miss)
        jacobian = np.where(better[:, None, None], slopes, jacobian)
        damping = np.where(better, damping * 0.3, damping * 5)
    hessian = np.einsum("kai,kij,kbj->kab", jacobian, weight, jacobian) + belief
    evidence = -0.5 * (value + np.linalg.slogdet(hessian)[1] + np.linalg.slogdet(spread)[1])
    return q, np.linalg.cholesky(np.linalg.inv(hessian)), evidence


def _loss(q: Array, size: Array, log_tokens: float) -> Array:
    exponent = np.exp(np.clip(q[:, 2], *_LOG_EXPONENT))
    return np.asarray(np.exp(q[:, 0]) + size + np.exp(q[:, 1] - exponent * log_tokens))


def _predicted(q: Array, size: Array, log_tokens: Array) -> tuple[Array, Array]:
    """Log losses (S, n) and their derivatives (S, 3, n) by log E, log token term, log beta."""
    floor = np.exp(q[:, 0])[:, None]
    exponent = np.exp(np.clip(q[:, 2], *_LOG_EXPONENT))[:, None]
    term = np.exp(q[:, 1])[:, None] * np.exp(-exponent * log_tokens)
    loss = floor + size[:, None] + term
    slope = np.stack([floor / loss, term / loss, -term * exponent * log_tokens / loss], axis=1)
    return np.log(loss), slope


def _spread(run: OneRun, noise: Array) -> Array:
    """Covariance of the observed log losses around the law, (S, n, n)."""
    count = len(run.tokens)
    level = noise[:, None, None] ** 2
    shared = level * (np.eye(count) + 1)
    if not run.is_curve:
        return np.asarray(shared)
    since = _since(run, run.log_tokens)
    return np.asarray(shared + WANDER**2 * np.minimum(since[:, None], since))


def _shared(run: OneRun, noise: Array, at: float) -> tuple[Array, Array]:
    """How the deviations observed carry over to a run ending ``at`` log tokens, (S, n).

    Also the variance that they leave of its deviation, (S,).
    """
    common = np.broadcast_to(noise[:, None] ** 2, (len(noise), len(run.tokens)))
    variance = noise**2
    if run.is_curve:
        end = _since(run, np.array(at))
        common = common + WANDER**2 * np.minimum(_since(run, run.log_tokens), end)
        variance = variance + WANDER**2 * end
    gain = np.linalg.solve(_spread(run, noise), common[:, :, None])[:, :, 0]
    return gain, np.maximum(variance - np.einsum("kj,kj->k", gain, common), 0.0)


def _since(run: OneRun, log_tokens: Array) -> Array:
    """E-folds of tokens since the first bin began, over which a curve has wandered."""
    least = 1 / BINS_PER_EFOLD
    return np.maximum(log_tokens - run.log_tokens.min() + least, least)


def _goes_on(run: OneRun, params: float, tokens: float) -> bool:
    """Whether what is forecast is the rest of this very run."""
    return run.is_curve and params == run.params and tokens > run.tokens.max()
