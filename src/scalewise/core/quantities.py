"""Numbers the way people write them: 7B, 2T, 4M, 100k, 1e24.

Reading accepts ``k`` 1e3, ``M`` 1e6, ``B`` or ``G`` 1e9, ``T`` 1e12 and ``P`` 1e15, in either case
(``m`` is a million, never a thousandth), a space before the suffix, an exponent instead of a
suffix, and ``,`` or ``_`` between groups of three digits. Writing uses k, M, B, T and, from 1e15
up, an exponent. What is written reads back to the digits shown.
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite
from numbers import Integral, Real
from typing import SupportsFloat

from scalewise.core.errors import UsageError

_POWERS = {"": 0, "k": 3, "m": 6, "b": 9, "g": 9, "t": 12, "p": 15}
_SUFFIXES = (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3))
_NUMBER = re.compile(
    r"""(?P<sign>[+-]?)
        (?P<digits> [0-9]{1,3}(?:(?P<group>[,_])[0-9]{3})(?:(?P=group)[0-9]{3})*(?:\.[0-9]*)?
                  | [0-9]+\.?[0-9]* | \.[0-9]+ )
        (?: e(?P<exponent>[+-]?[0-9]{1,4}) | [ ]?(?P<suffix>[kmbgtp]) )?""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_HINT = "Write a number such as 512, 100k, 4M, 7B, 2T or 1e24."
_LONGEST = 64  # of a number that a person wrote; anything longer is a pasted mistake


def check_level(level: float) -> float:
    """The probability of an interval, if it is one. Raises UsageError for anything else.

    >>> check_level(0.9)
    0.9
    """
    if not 0 < level < 1:
        raise UsageError(
            f"level={level:g} is not a probability.", hint="Use 0.9 for 90 % intervals."
        )
    return level


def level_text(level: float) -> str:
    """The probability of an interval, to the digits that were asked for.

    >>> level_text(0.9), level_text(0.999), level_text(0.683)
    ('90%', '99.9%', '68.3%')
    """
    return f"{100 * level:.10g}%"


def parse_quantity(
    text: str | SupportsFloat,
    *,
    name: str = "quantity",
    allow_zero: bool = False,
    allow_negative: bool = False,
) -> float:
    """The number that ``text`` stands for, correctly rounded; a number passes through.

    Must be positive unless ``allow_zero`` or ``allow_negative`` (which allows zero too). ``name``
    is what the error calls it. Raises UsageError for anything else, NaN and infinity included.

    >>> parse_quantity("7B"), parse_quantity("1.5e9"), parse_quantity("100 k")
    (7000000000.0, 1500000000.0, 100000.0)
    """
    value = _read(text, name)
    if not isfinite(value):
        raise UsageError(f"{name}={_shown(text)} is not a finite number.", hint=_HINT)
    if value < 0 and not allow_negative:
        least = "0 or more" if allow_zero else "above 0"
        raise UsageError(f"{name}={_shown(text)} is negative.", hint=f"Give {name} {least}.")
    if value == 0 and not (allow_zero or allow_negative):
        raise UsageError(f"{name}={_shown(text)} is zero.", hint=f"Give {name} above 0.")
    return value


def parse_count(text: str | SupportsFloat, *, name: str = "count", allow_zero: bool = False) -> int:
    """A whole number of things, as an int; otherwise as `parse_quantity`.

    >>> parse_count("1.44B")
    1440000000
    """
    parse_quantity(text, name=name, allow_zero=allow_zero)  # refuses what is no positive number
    # Not int(value): above 2**53 a float has lost the last digits.
    exact = _exactly(text, name)
    if exact != int(exact):
        raise UsageError(
            f"{name}={_shown(text)} is not a whole number.",
            hint=f"Give {name} as a count, such as 512, 4M or 7B.",
        )
    return int(exact)


def format_count(value: float, *, digits: int = 3) -> str:
    """``value`` with a suffix and at most ``digits`` significant digits.

    NaN and infinity are shown as ``nan`` and ``inf``: showing is not judging.

    >>> [format_count(n) for n in (7e9, 1.4398e9, 614_400, 999_999, 512, 2.5e16)]
    ['7B', '1.44B', '614k', '1M', '512', '2.5e16']
    """
    if value == 0 or not isfinite(value):
        return f"{abs(value) if value == 0 else value:g}"
    # Rounded first, so that 999,999 becomes 1M and not 1000k.
    rounded = float(f"{value:.{digits - 1}e}")
    size = abs(rounded)
    if size >= 1e15 or size < 1e-3:
        return _exponent_form(rounded, digits)
    scale, suffix = next(((one, s) for s, one in _SUFFIXES if size >= one), (1.0, ""))
    return f"{rounded / scale:.12g}{suffix}"


def format_flops(flops: float, *, digits: int = 3) -> str:
    """FLOPs with an exponent, ``digits`` significant digits at most.

    >>> format_flops(3.1e23), format_flops(5.8765e23), format_flops(1e24)
    ('3.1e23', '5.88e23', '1e24')
    """
    if flops == 0 or not isfinite(flops):
        return format_count(flops)
    return _exponent_form(flops, digits)


def _read(text: str | SupportsFloat, name: str) -> float:
    if isinstance(text, bool) or not isinstance(text, (str, Real)):
        raise UsageError(f"{name}={_shown(text)} is not a number.", hint=_HINT)
    if not isinstance(text, str):
        try:
            return float(text)
        except OverflowError:
            raise UsageError(f"{name}={_shown(text)} is too large.", hint=_HINT) from None
    # One conversion of the decimal text, so that 1.1B is exactly the float of 1100000000.
    return float(_decimal_text(text, name))


def _exactly(text: str | SupportsFloat, name: str) -> Decimal:
    if isinstance(text, str):
        return Decimal(_decimal_text(text, name))
    return Decimal(int(text) if isinstance(text, Integral) else float(text))


def _decimal_text(text: str, name: str) -> str:
    """The same number as plain digits and an exponent."""
    stripped = text.strip()
    if not stripped:
        raise UsageError(f"{name} is empty.", hint=_HINT)
    found = _NUMBER.fullmatch(stripped) if len(stripped) <= _LONGEST else None
    if found is None:
        raise UsageError(f"{name}={_shown(text)} is not a number.", hint=_HINT)
    digits = re.sub("[,_]", "", found["digits"])
    power = found["exponent"] or _POWERS[(found["suffix"] or "").lower()]
    return f"{found['sign']}{digits}e{power}"


def _shown(text: object) -> str:
    shown = repr(text) if not isinstance(text, int) or abs(text) < 10**30 else "an integer"
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}...'"


def _exponent_form(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def format_duration(seconds: float) -> str:
    """A time as people say it.

    >>> format_duration(45), format_duration(200), format_duration(9000), format_duration(200_000)
    ('45 s', '3.3 min', '2.5 h', '2.3 days')
    >>> format_duration(1e15)
    '1.16e+10 days'
    """
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.{0 if unit == 's' else 1}f} {unit}"
    days = seconds / 86_400
    return f"{days:.1f} days" if days < 1e6 else f"{days:.3g} days"
