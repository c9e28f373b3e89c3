"""The gradient noise scale, from the gradients of a batch and of its parts.

B_simple = tr(Sigma) / |G|**2, with G the true gradient and Sigma the covariance of the gradient
of one token (McCandlish et al. 2018, 1812.06162, app. A.1). It is a local quantity: what one more
update gains at this point, not what the whole run to a loss takes; and for Adam it is known to
understate the critical batch, at large models by orders of magnitude (Merrill et al. 2025,
2505.23971). Compare it with a scan of batch sizes before trusting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scalewise.core.errors import UsageError

MEMORY = 0.95  # of the averages, per measurement
PARTS = 8  # of a batch, at most: more lower the variance of the estimate little


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScale:
    """Running averages of |G|**2 and tr(Sigma), and the number of measurements in them.

    The two are averaged apart: the mean of their ratios would be biased upward, and a single
    measurement of either may be negative.
    """

    grad_sq: float = 0.0  # not yet corrected for the start at zero
    trace: float = 0.0
    count: int = 0

    def add(
        self, *, small_sq: float, big_sq: float, small_tokens: float, big_tokens: float
    ) -> NoiseScale:
        """The averages with one more measurement: see `unbiased`."""
        grad_sq, trace = unbiased(
            small_sq=small_sq, big_sq=big_sq, small_tokens=small_tokens, big_tokens=big_tokens
        )
        return NoiseScale(
            grad_sq=MEMORY * self.grad_sq + (1 - MEMORY) * grad_sq,
            trace=MEMORY * self.trace + (1 - MEMORY) * trace,
            count=self.count + 1,
        )

    @property
    def means(self) -> tuple[float, float]:
        """|G|**2 and tr(Sigma); the weights of the measurements made so far sum to one."""
        weight = 1 - MEMORY**self.count
        return (self.grad_sq / weight, self.trace / weight) if self.count else (0.0, 0.0)

    @property
    def batch_tokens(self) -> float | None:
        """B_simple in tokens; None while the averages are not both positive.

        >>> NoiseScale().add(small_sq=32.25, big_sq=2.953125, small_tokens=16, big_tokens=256
        ...     ).batch_tokens
        500.0
        """
        grad_sq, trace = self.means
        return trace / grad_sq if grad_sq > 0 and trace > 0 else None


def unbiased(
    *, small_sq: float, big_sq: float, small_tokens: float, big_tokens: float
) -> tuple[float, float]:
    """|G|**2 and tr(Sigma) from squared gradient norms at two batch sizes, both unbiased.

    E|g_B|**2 = |G|**2 + tr(Sigma) / B, solved at the two sizes. ``small_sq`` is best the mean
    over all parts of the big batch. Norms are of raw gradients, before any clipping.

    >>> unbiased(small_sq=32.25, big_sq=2.953125, small_tokens=16, big_tokens=256)
    (1.0, 500.0)
    """
    if not 0 < small_tokens < big_tokens:
        raise UsageError(
            f"small_tokens={small_tokens}, big_tokens={big_tokens}.",
            hint="Two different batch sizes are needed, the smaller one first.",
        )
    grad_sq = (big_tokens * big_sq - small_tokens * small_sq) / (big_tokens - small_tokens)
    trace = (small_sq - big_sq) / (1 / small_tokens - 1 / big_tokens)
    return grad_sq, trace


def parts_of(sequences: int) -> int:
    """Into how many equal parts a batch is cut: at most `PARTS` unless its size is a prime.

    >>> [parts_of(sequences) for sequences in (1, 2, 12, 17, 64)]
    [1, 2, 6, 17, 8]
    """
    divisors = [n for n in range(2, PARTS + 1) if sequences % n == 0]
    return max(divisors, default=sequences)


def facts(noise: NoiseScale) -> dict[str, float | None]:
    """The columns that a noise scale adds to the rows of a run."""
    grad_sq, trace = noise.means
    return {
        "noise_scale_tokens": noise.batch_tokens,
        "grad_sq": grad_sq,
        "grad_noise": trace,
    }


def restored(state: Sequence[float]) -> NoiseScale:
    """The averages of a checkpoint."""
    grad_sq, trace, count = state
    return NoiseScale(grad_sq=grad_sq, trace=trace, count=int(count))
