"""The processes that train one run together, each on its share of every batch.

All of them make the same updates of the same weights. One of them, the leader, holds the run's
folder; what it reads there, and what goes wrong there, it tells the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from scalewise.core.errors import ScalewiseError
from scalewise.train.batches import Tokens

T = TypeVar("T")
Gradient = tuple[Tensor, tuple[Tensor, ...]]  # the loss, and one gradient per leaf


class Team:
    """``size`` processes, of which this one is number ``rank``; alone, it adds nothing."""

    def __init__(self, rank: int = 0, size: int = 1, device: str = "cpu") -> None:
        self.rank, self.size, self._device = rank, size, torch.device(device)

    @property
    def is_leader(self) -> bool:
        """Whether this process keeps the run's folder."""
        return self.rank == 0

    def told(self, answer: Callable[[], T]) -> T:
        """The leader's answer, in every process; so is an error that it raises instead."""
        if self.size == 1:
            return answer()
        message: list[Any] = [None]
        if self.is_leader:
            try:
                message = [(answer(), None)]
            except (ScalewiseError, OSError) as raised:
                message = [(None, raised)]
        torch.distributed.broadcast_object_list(message, src=0, device=self._device)
        value, error = message[0]
        if error is not None:
            raise error
        return cast(T, value)

    def leading(self, thing: T) -> T:
        """A thing whose methods only the leader's does, and whose answers all get."""
        return thing if self.size == 1 else cast(T, _Led(self, thing))

    @contextmanager
    def entered(self, context: AbstractContextManager[Any]) -> Iterator[None]:
        """A context that only the leader is in; no process goes on if it cannot be entered."""
        self.told(lambda: context.__enter__() and None)
        try:
            yield
        finally:
            if self.is_leader:
                context.__exit__(None, None, None)

    def gradient(
        self,
        of: Callable[[Tokens, Tokens], Gradient],
        inputs: Tokens,
        targets: Tokens,
        leaves: Sequence[Tensor],
    ) -> Gradient:
        """Loss and gradient of a whole batch, of which each process computes a part.

        ``inputs`` (n, T) and ``targets`` (n * T,) are the same in every process; n may be any.
        """
        if self.size == 1:
            return of(inputs, targets)
        mine = np.array_split(np.arange(len(inputs)), self.size)[self.rank]
        sizes = [1, *(leaf.numel() for leaf in leaves)]
        total = torch.zeros(sum(sizes), device=self._device)
        if len(mine):
            width = inputs.shape[1]
            loss, grads = of(
                inputs[mine[0] : mine[-1] + 1],
                targets[mine[0] * width : (mine[-1] + 1) * width],
            )
            torch.cat([loss.reshape(1), *(grad.reshape(-1) for grad in grads)], out=total)
            total *= len(mine) / len(inputs)
        torch.distributed.all_reduce(total)
        loss, *parts = total.split_with_sizes(sizes)
        whole = (part.view_as(leaf) for part, leaf in zip(parts, leaves, strict=True))
        return loss.reshape(()), tuple(whole)

    def gathered(self, values: Tokens) -> Tokens:
        """An array of which each process has filled a part and left the rest zero, whole."""
        if self.size == 1:
            return values
        total = torch.from_numpy(values).to(self._device)
        torch.distributed.all_reduce(total)
        return total.cpu().numpy()


class _Led:
    """Stands for a thing of the leader's."""

    def __init__(self, team: Team, thing: object) -> None:
        self._team, self._thing = team, thing

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._thing, name)
        return lambda *given: self._team.told(lambda: method(*given))


ALONE = Team()
