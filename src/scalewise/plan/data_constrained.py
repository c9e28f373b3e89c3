"""Splitting a budget when unique tokens are scarce and must be repeated.

Muennighoff et al. 2023 (2305.16264): of D tokens only U are unique, and the k-th epoch over them
is worth less than the one before, so that the best model is smaller and trained longer than
Chinchilla's until repeating buys nothing more. There is no closed form; the size with the least
predicted loss is searched for along C = 6 N D at the given U.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.fit.result import FitResult
from scalewise.plan.allocate import (
    Allocation,
    Interval,
    allocate,
    pooled_band,
    theta_of_draws,
    trading_laws,
)
from scalewise.plan.serving import scaled

Array = np.ndarray[Any, np.dtype[Any]]

DECAY = "R_D"  # the constant of the law that says how fast repeated tokens lose their worth
_SPENT = 0.1  # worth of one more epoch, in fresh ones, below which repeating is called spent


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConstrained:
    """The best split of a budget over ``tokens_unique``, beside that of unlimited data.

    ``epochs`` is tokens over unique tokens. ``worth`` is what they are worth in epochs over fresh
    data, D'/U, and ``next_epoch`` what one more would add; both None if no law has an R_D.
    """

    allocation: Allocation
    tokens_unique: float
    epochs: Interval
    worth: Interval | None
    next_epoch: Interval | None
    unlimited: Allocation
    warnings: tuple[str, ...]


def worth_of_epochs(epochs: Any, decay: Any) -> Array:
    """Worth of ``epochs`` over the same tokens, in epochs over fresh ones: D'/U.

    1 + R_D (1 - exp(-(epochs - 1) / R_D)); below one epoch nothing is repeated.
    Muennighoff et al. 2023, eq. 5.

    >>> round(float(worth_of_epochs(4, 15.387756)), 5)
    3.72567
    """
    repeats = np.maximum(np.asarray(epochs, dtype=float) - 1, 0.0)
    return np.asarray(np.minimum(epochs, 1.0) - decay * np.expm1(-repeats / decay))


def allocate_repeated(
    result: FitResult, flops: float, *, tokens_unique: float, level: float = 0.9
) -> DataConstrained:
    """Split a budget (FLOP) so that loss is least, with ``tokens_unique`` to train on.

    Raises LawError if no law behind the result has tokens_unique, and names one that has.

    >>> from scalewise.fit.storage import read_fit
    >>> best = allocate_repeated(read_fit("muennighoff2023"), 1e22, tokens_unique=25e9)
    >>> f"{best.allocation.params.value / 1e9:.3f}B for {best.epochs.value:.2f} epochs"
    '7.026B for 9.49 epochs'
    """
    allocation = allocate(result, flops, tokens_unique=tokens_unique, level=level)
    epochs = scaled(allocation.tokens, 1 / tokens_unique)
    worth = _by_decay(result, tokens_unique, level, lambda r: worth_of_epochs(epochs.value, r))
    following = _by_decay(
        result,
        tokens_unique,
        level,
        lambda r: worth_of_epochs(epochs.value + 1, r) - worth_of_epochs(epochs.value, r),
    )
    return DataConstrained(
        allocation=allocation,
        tokens_unique=float(tokens_unique),
        epochs=epochs,
        worth=worth,
        next_epoch=following,
        # No run on this budget sees more tokens than it has FLOPs.
        unlimited=allocate(result, flops, tokens_unique=flops, level=level),
        warnings=(*allocation.warnings, *_doubts(result, epochs, following)),
    )


def _by_decay(result: FitResult, tokens_unique: float, level: float, of: Any) -> Interval | None:
    """A function of R_D with the interval of R_D alone, over the laws that have one."""
    members = [(s, m) for s, m in trading_laws(result, tokens_unique) if DECAY in m.theta]
    if not members:
        return None
    shares = [share for share, _ in members]
    samples = [np.log(theta_of_draws(m)[DECAY][:, 0]) for _, m in members]
    centre = np.average([np.log(m.theta[DECAY]) for _, m in members], axis=0, weights=shares)
    # Widened as R_D and not as its worth, which then stays within what is possible.
    decay = np.exp(pooled_band(samples, shares, centre, spread=result.spread, level=level))
    low, _, high = (float(of(end)) for end in decay)
    value = float(np.average([of(m.theta[DECAY]) for _, m in members], weights=shares))
    return Interval(value=value, low=min(low, value), high=max(high, value))


def _doubts(result: FitResult, epochs: Interval, following: Interval | None) -> list[str]:
    said = []
    symbols = {column: symbol for symbol, column in result.law.variables.items()}
    if result.points and {"tokens", "tokens_unique"} <= set(symbols):
        unique = result.inputs[symbols["tokens_unique"]]
        most = float(np.max(result.inputs[symbols["tokens"]] / unique))
        if epochs.value > most:
            said.append(
                f"The fitted runs repeat their tokens {most:.3g} times at most; "
                f"{epochs.value:.3g} epochs are beyond what was seen."
            )
    if following is not None and following.value < _SPENT:
        said.append(
            f"One more epoch would be worth {following.value:.1%} of a fresh one: repeating is "
            "spent, and only more unique tokens would help."
        )
    return said
