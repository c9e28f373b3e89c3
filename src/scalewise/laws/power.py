"""Power laws in one input, with and without an irreducible offset: E + A / x**alpha."""

from __future__ import annotations

from typing import NamedTuple

from scalewise.laws.law import Constant, Law


class _Axis(NamedTuple):
    """One input that a loss can be followed along."""

    suffix: str
    symbol: str
    column: str
    words: str
    kept: str  # what must not limit the loss for the law to hold


_AXES = (
    _Axis("", "N", "params", "model size", "every model saw plenty of tokens"),
    _Axis("-tokens", "D", "tokens", "training tokens", "model size and recipe stay the same"),
    _Axis("-flops", "C", "flops", "training compute", "size and tokens grow together by one rule"),
)


def _power(axis: _Axis, *, offset: bool) -> Law:
    """The power law along one axis, with its floor or without."""
    decay = f"A / {axis.symbol}**alpha"
    tail = (
        Constant("A", "amplitude", f"reducible loss of one unit of {axis.column}"),
        Constant("alpha", "exponent", f"how fast loss falls with {axis.words}"),
    )
    floor = Constant("E", "offset", f"loss that no amount of {axis.words} removes")
    return Law(
        key=f"power{axis.suffix}{'' if offset else '-pure'}",
        title=f"Power law in {axis.words}{' with a floor' if offset else ''}",
        formula=f"E + {decay}" if offset else decay,
        variables={axis.symbol: axis.column},
        constants=(floor, *tail) if offset else tail,
        use_when=(
            f"Only {axis.column} varies and {axis.kept}; needs runs that already bend towards "
            "a floor, at least four sizes."
            if offset
            else f"Only {axis.column} varies, {axis.kept}, and the runs are too few or too far "
            "from a floor to tell one; expect optimism far outside them."
        ),
    )


POWER_LAWS = tuple(_power(axis, offset=offset) for axis in _AXES for offset in (True, False))
