"""How fast the excess loss falls: updates at a batch against updates of unlimited batch.

After s updates of unlimited batch the loss lies (S_c/s)**alpha_S above its floor, and E_min(s)
tokens are the fewest to it. Where B_crit goes by the loss reached, a batch B takes
s + E_min(s)/B updates to the same loss; where it goes by the tokens D = B S seen, S updates do
what S / (1 + B_crit(D)/B) of unlimited batch do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Value = Array | float
CriticalBy = Literal["loss", "tokens"]

_ITERATIONS = 100  # halvings alone would resolve any bracket to 53 bits
_CLOSE = 1e-13  # of two successive solutions: Newton's error is then far below


@dataclass(frozen=True, slots=True)
class Pace:
    """Four constants of a trajectory, scalars or arrays of draws; all arguments broadcast.

    B_crit is ``B_star / L**(1/alpha_B)`` or ``B_star * D**(1/alpha_B)`` tokens.
    """

    S_c: Value
    alpha_S: Value  # noqa: N815 - the paper's letter
    B_star: Value
    alpha_B: Value  # noqa: N815 - the paper's letter
    critical_by: CriticalBy

    def tokens(self, s: Array, L_inf: Value) -> Array:
        """E_min in tokens after ``s`` updates of unlimited batch; 0 at the start."""
        p = 1 / np.asarray(self.alpha_B)
        if self.critical_by == "tokens":
            return np.asarray((s * self.B_star) ** (1 / (1 - p)))
        with np.errstate(divide="ignore"):
            loss = L_inf + (self.S_c / s) ** self.alpha_S
        return np.asarray(s * self.B_star / loss**p)

    def updates(self, s: Array, B: Value, L_inf: Value) -> Array:
        """Updates at batch ``B`` that do what ``s`` of unlimited batch do; 0 and infinity stay."""
        if self.critical_by == "loss":
            return np.asarray(s + self.tokens(s, L_inf) / B)
        p = 1 / np.asarray(self.alpha_B)
        moving = (s > 0) & np.isfinite(s)
        target = np.log(np.where(moving, s, 1.0))

        def short(x: Array) -> tuple[Array, Array]:
            share = self.share(np.exp(x), B)
            return target - x + np.log1p(share), p * share / (1 + share) - 1

        # S grows with the share of S, which is at least that of s, at the power p at most.
        first = np.log1p(self.share(np.exp(target), B))
        solved = np.exp(_solved(short, target + first, target + first / (1 - p)))
        return np.asarray(np.where(moving, solved, s))

    def share(self, step: Array, B: Value) -> Array:
        """B_crit/B after ``step`` updates, where it goes by tokens: B_star S**p B**(p - 1)."""
        p = 1 / np.asarray(self.alpha_B)
        return np.asarray(self.B_star * step**p * np.asarray(B) ** (p - 1))

    def excess(self, step: Array, B: Value, L_inf: Value) -> Array:
        """The loss above the floor after ``step`` updates at batch ``B``, in nats/token.

        By loss, S = S_min(L) (1 + B_crit(L)/B) is solved for x = log(L - L_inf), in which it falls
        steadily: x lies between that of unlimited batch and that with B_crit taken at the floor.
        """
        if self.critical_by == "tokens":
            return np.asarray((self.S_c / step * (1 + self.share(step, B))) ** self.alpha_S)
        p, pace = 1 / np.asarray(self.alpha_B), 1 / np.asarray(self.alpha_S)
        ahead, unit = np.log(self.S_c / step), self.B_star / B

        def too_low(x: Array) -> tuple[Array, Array]:
            gap = np.exp(x)
            loss = L_inf + gap
            critical = unit * np.exp(-p * np.log(loss))
            return (
                ahead - pace * x + np.log1p(critical),
                -pace - p * critical / (1 + critical) * gap / loss,
            )

        low = self.alpha_S * ahead
        high = low + self.alpha_S * np.log1p(unit * L_inf**-p)
        return np.asarray(np.exp(_solved(too_low, low, high)))


def _solved(falling: Callable[[Array], tuple[Array, Array]], low: Value, high: Value) -> Array:
    """Where a function that falls from ``low`` to ``high`` is 0; it gives its value and slope.

    Newton's method, and a halving of the bracket wherever that would leave it.
    """
    low, high = np.asarray(low), np.asarray(high)
    x = np.asarray(0.5 * (low + high))
    for _ in range(_ITERATIONS):
        value, slope = falling(x)
        low, high = np.where(value > 0, x, low), np.where(value > 0, high, x)
        better = x - value / slope
        better = np.where((better >= low) & (better <= high), better, 0.5 * (low + high))
        moved = np.abs(better - x) > _CLOSE * np.maximum(np.abs(better), 1.0)
        x = better
        if not np.any(moved):
            break
    return np.asarray(x)
