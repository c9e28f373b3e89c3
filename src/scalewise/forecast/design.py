"""Which runs of a family a study fits: how many sizes, which, how far in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scalewise.core.errors import UsageError

Order = Literal["smallest", "windows", "own"]
ORDERS: tuple[Order, ...] = ("smallest", "windows", "own")

_MANY, _VERY_MANY = 20, 60  # sizes beyond which not every number of models is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """``models`` sizes from the ``first`` on, in order of size, up to a ``share`` of training."""

    models: int
    first: int
    share: float


def designs(
    sizes: int,
    *,
    models: Sequence[int] | None = None,
    shares: Sequence[float] = (1.0,),
    order: Order = "smallest",
) -> tuple[Design, ...]:
    """The designs for a family of so many sizes, whose largest is to be forecast.

    ``smallest`` takes the k smallest sizes; ``windows`` every k neighbours, which varies how far
    the largest lies beyond them; ``own`` the beginning of the largest itself. Without ``models``
    every k from 2 on is tried, or as many as Choshen et al. try where there are very many sizes.
    A k that the family is too small for has one design all the same, so that it can be told.

    >>> [(d.models, d.first) for d in designs(4, order="windows")]
    [(2, 0), (2, 1), (3, 0)]
    """
    if order not in ORDERS:
        raise UsageError(f"There is no order {order!r}.", hint=f"There are {', '.join(ORDERS)}.")
    for share in shares:
        if not 0 < share <= 1:
            raise UsageError(
                f"{share:g} is not a share of training.", hint="Give numbers above 0 and up to 1."
            )
    if order == "own":
        return tuple(Design(models=1, first=sizes - 1, share=share) for share in shares)
    wanted = tuple(models) if models is not None else _all_models(sizes)
    if any(k < 1 for k in wanted):
        raise UsageError(f"models={min(wanted)} is below 1.", hint="Fit two models or more.")
    return tuple(
        Design(models=k, first=first, share=share)
        for k in wanted
        for first in range(max(sizes - k, 1) if order == "windows" else 1)
        for share in shares
    )


def _all_models(sizes: int) -> tuple[int, ...]:
    """Every number of models; of many sizes every fifth part, of very many every tenth number."""
    step = 1 if sizes <= _MANY else sizes // 5 if sizes <= _VERY_MANY else 10
    return tuple(range(2, sizes, step))
