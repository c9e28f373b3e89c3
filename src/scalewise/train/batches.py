"""Which tokens each step sees: a function of seed and step, so that nothing needs resuming."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalewise.core.errors import RunDataError

Tokens = np.ndarray[Any, Any]


class Windows:
    """Overlapping views of T + 1 tokens, T apart: T inputs and the T targets that follow them."""

    def __init__(self, tokens: Tokens, context_length: int) -> None:
        self.context_length = context_length
        self.count = (len(tokens) - 1) // context_length
        if self.count < 1:
            raise RunDataError(
                f"{len(tokens)} tokens do not fill one context of {context_length} + 1 tokens.",
                hint="Give more text, or a smaller context_length.",
            )
        self._views = np.lib.stride_tricks.sliding_window_view(tokens, context_length + 1)[
            ::context_length
        ]

    def take(self, indices: Tokens | slice) -> tuple[Tokens, Tokens]:
        """Inputs (n, T) and targets (n * T,) of the chosen windows, as int64."""
        chosen = self._views[indices].astype(np.int64)
        return chosen[:, :-1], chosen[:, 1:].reshape(-1)


def epoch_order(seed: int, epoch: int, count: int) -> Tokens:
    """A permutation of ``count`` windows, its own for each epoch.

    It sorts raw generator output, whose stream NumPy promises to keep for ever; the result of
    ``Generator.permutation`` may change between NumPy versions.
    """
    draws = np.random.PCG64([seed, epoch]).random_raw(count)
    return np.argsort(draws, kind="stable")


class Batches:
    """The batch of any step: windows in the order of their epoch's permutation."""

    def __init__(
        self, tokens: Tokens, *, context_length: int, batch_tokens: int, seed: int
    ) -> None:
        self.windows = Windows(tokens, context_length)
        self._per_batch = batch_tokens // context_length
        self._seed = seed
        self._orders: dict[int, Tokens] = {}

    def batch(self, step: int) -> tuple[Tokens, Tokens]:
        """Inputs (n, T) and targets (n * T,) of the update after ``step`` updates."""
        return self.span(step * self._per_batch, self._per_batch)

    def span(self, first: int, count: int) -> tuple[Tokens, Tokens]:
        """Inputs (count, T) and targets (count * T,) of the windows from the ``first`` on."""
        places = np.arange(first, first + count)
        epochs, offsets = np.divmod(places, self.windows.count)
        if epochs[0] == epochs[-1]:
            return self.windows.take(self._order(int(epochs[0]))[offsets])
        chosen = [self._order(int(e))[o] for e, o in zip(epochs, offsets, strict=True)]
        return self.windows.take(np.array(chosen))

    def _order(self, epoch: int) -> Tokens:
        if epoch not in self._orders:
            if len(self._orders) > 1:  # two are alive only while a batch straddles epochs
                self._orders.clear()
            self._orders[epoch] = epoch_order(self._seed, epoch, self.windows.count)
        return self._orders[epoch]
