"""The unit that a formula forces on each of its constants.

A loss is a sum of losses, so in ``E + A / N**alpha`` the constant A must carry the unit
nats/token * params**alpha. The same bookkeeping tells how A changes when N is counted in
millions, which is what makes a fit independent of the units of its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from scalewise.core.expression import Expression, evaluate, render, walk

Dimension = Mapping[str, Expression]
"""The power of each variable in a unit; a power may contain constants, as in N**alpha."""

_ONE = Expression("number", number=1.0)
_NONE: Dimension = {}
_PREDICTION = "<prediction>"  # no name of a formula can look like this


@lru_cache(maxsize=256)
def constant_dimensions(
    expression: Expression, variables: frozenset[str]
) -> Mapping[str, Dimension]:
    """For each constant of a formula, the power of each variable in its unit.

    Only the units of the inputs are followed, not that of the prediction. Exponents are
    dimensionless, and so are the arguments of exp and log as a whole.
    """
    return {
        name: {symbol: power for symbol, power in unit.items() if symbol != _PREDICTION}
        for name, unit in _all_dimensions(expression, variables).items()
    }


def carriers(expression: Expression, variables: frozenset[str]) -> frozenset[str]:
    """Constants whose unit contains that of the prediction as a plain factor."""
    dimensions = _all_dimensions(expression, variables)
    return frozenset(name for name, unit in dimensions.items() if unit.get(_PREDICTION) == _ONE)


@lru_cache(maxsize=256)
def _all_dimensions(expression: Expression, variables: frozenset[str]) -> Mapping[str, Dimension]:
    search = _Search(variables, names_in_exponents(expression) - variables)
    search.run(expression, {_PREDICTION: _ONE})
    constants = sorted(expression.names - variables)
    return {name: search.found.get(name, _NONE) for name in constants}


def names_in_exponents(expression: Expression) -> frozenset[str]:
    """Names that stand in the exponent of a power."""
    powers = (node.parts[1].names for node in walk(expression) if node.kind == "**")
    return frozenset().union(*powers)


@lru_cache(maxsize=256)
def is_unit_free(expression: Expression, variables: frozenset[str]) -> bool:
    """Whether constants can absorb every change of unit of each input alone.

    True for ``E + A / N**alpha``; false for ``E - k * log(N)``, which holds in one unit of N only,
    and for ``A / min(D, U)**b``, in which two inputs must share one.
    """
    groups = unit_groups(expression, variables)
    return not rigid_variables(expression, variables) and all(len(group) == 1 for group in groups)


@lru_cache(maxsize=256)
def rigid_variables(expression: Expression, variables: frozenset[str]) -> frozenset[str]:
    """The variables that the formula takes in one unit only, see ``unit_groups`` for the others.

    Decided by trying: a group is rescaled, each constant by its derived unit.

    >>> from scalewise.core.expression import parse
    >>> sorted(rigid_variables(parse("E - k * log(N) + B / D**b"), frozenset("ND")))
    ['N']
    """
    dimensions = constant_dimensions(expression, variables)
    powers = [power for unit in dimensions.values() for power in unit.values()]
    if any(power.names & variables for power in powers):
        return variables
    rng = np.random.default_rng(0)
    theta = {name: rng.uniform(0.3, 1.5) for name in dimensions}
    inputs = {name: rng.uniform(0.5, 3.0, 16) for name in sorted(variables)}
    rigid: set[str] = set()
    with np.errstate(all="ignore"):
        before = evaluate(expression, {**theta, **inputs})
        for group in unit_groups(expression, variables):
            factors = dict.fromkeys(sorted(group), 1.7)
            scaled = rescaled(theta, dimensions, factors)
            moved = {name: 1.7 * inputs[name] for name in group}
            after = evaluate(expression, {**scaled, **inputs, **moved})
            # What is nowhere finite, as exp(1e9 / N), cannot show that it absorbs anything.
            if not np.isfinite(before).any() or not _same(before, after):
                rigid |= group
    return frozenset(rigid)


def _same(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-9, equal_nan=True))


def unit_groups(expression: Expression, variables: frozenset[str]) -> tuple[frozenset[str], ...]:
    """The variables, those together that must be counted in one unit.

    >>> from scalewise.core.expression import parse
    >>> groups = unit_groups(parse("A / N**a + B / min(D, U)**b"), frozenset("NDU"))
    >>> [sorted(group) for group in groups]
    [['D', 'U'], ['N']]
    """
    group = {name: frozenset({name}) for name in sorted(variables)}
    for node in walk(expression):
        names = [part.name for part in node.parts if part.name in variables]
        if node.kind in ("+", "-", "min", "max") and len(names) == len(node.parts):
            together = frozenset().union(*(group[name] for name in names))
            group.update(dict.fromkeys(together, together))
    return tuple(dict.fromkeys(group.values()))


def rescaled(
    theta: Mapping[str, float], dimensions: Mapping[str, Dimension], factors: Mapping[str, float]
) -> dict[str, float]:
    """Constants after each variable has been multiplied by its factor, such as 1e-6 for millions.

    >>> from scalewise.core.expression import parse
    >>> unit = constant_dimensions(parse("A / N**alpha"), frozenset("N"))
    >>> round(rescaled({"A": 1e3, "alpha": 0.5}, unit, {"N": 1e-6})["A"], 12)
    1.0
    """
    out = {}
    for name, value in theta.items():
        powers = dimensions[name].items()
        factor = np.prod([factors.get(s, 1.0) ** float(evaluate(p, theta)) for s, p in powers])
        out[name] = value * float(factor)
    return out


@dataclass(frozen=True, slots=True)
class _Search:
    """A walk down a formula that notes what each constant must carry."""

    variables: frozenset[str]
    pure: frozenset[str]  # constants that stand in an exponent somewhere
    found: dict[str, Dimension] = field(default_factory=dict)
    later: list[tuple[Expression, Dimension]] = field(default_factory=list)

    def run(self, node: Expression, wanted: Dimension) -> None:
        """Note what every constant of a formula must carry for it to have ``wanted``."""
        self.require(node, wanted)
        while self.later:
            self.require(*self.later.pop(0))

    def require(self, node: Expression, wanted: Dimension) -> None:
        """Note what the constants below ``node`` must carry for it to have ``wanted``."""
        match node.kind:
            case "name" if node.name not in self.variables | self.pure:
                self.found.setdefault(node.name, wanted)
            case "+" | "-" | "neg" | "min" | "max":
                for part in node.parts:
                    self.require(part, wanted)
            case "*" | "/":
                self._require_product(node, wanted)
            case "**":
                base, exponent = node.parts
                self.require(base, _scaled(wanted, exponent, "/"))
            case "sqrt":
                self.require(node.parts[0], _scaled(wanted, Expression("number", number=2.0), "*"))
            case "exp" | "log":
                self.require(node.parts[0], _NONE)

    def _require_product(self, node: Expression, wanted: Dimension) -> None:
        remaining = wanted
        free: list[tuple[Expression, int]] = []
        for factor, sign in _factors(node, 1):
            known = self._known(factor)
            if known is None:
                free.append((factor, sign))
                continue
            # The constant in front of a factor may stand inside it again: name it first.
            self.later.append((factor, known))
            remaining = _added(remaining, known if sign < 0 else _negated(known))
        # The first bare constant takes the unit; every other factor must be dimensionless.
        free.sort(key=lambda item: (item[0].kind != "name", item[0].kind != "**"))
        for index, (factor, sign) in enumerate(free):
            mine = _NONE if index else remaining
            self.require(factor, mine if sign > 0 else _negated(mine))

    def _known(self, node: Expression) -> Dimension | None:
        """The dimension that a factor has whatever its constants carry, else None."""
        match node.kind:
            case "number" | "exp" | "log":
                return _NONE
            case "name" if node.name in self.variables:
                return {node.name: _ONE}
            case "name" if node.name in self.pure:
                return _NONE
            case "+" | "-" if any(part.kind == "number" for part in node.parts):
                return _NONE  # (N / 1e9)**a - 1 can only be a bare number
            case "neg" | "+" | "-" | "min" | "max":
                known = (self._known(part) for part in node.parts)
                return next((dimension for dimension in known if dimension is not None), None)
            case "**":
                base = self._known(node.parts[0])
                return None if base is None else _scaled(base, node.parts[1], "*")
            case "sqrt":
                base = self._known(node.parts[0])
                half = Expression("number", number=0.5)
                return None if base is None else _scaled(base, half, "*")
            case "*" | "/":
                return self._known_product(node)
        return None

    def _known_product(self, node: Expression) -> Dimension | None:
        total = _NONE
        for factor, sign in _factors(node, 1):
            known = self._known(factor)
            if known is None:
                return None
            total = _added(total, known if sign > 0 else _negated(known))
        return total


def _factors(node: Expression, sign: int) -> list[tuple[Expression, int]]:
    if node.kind == "*":
        return _factors(node.parts[0], sign) + _factors(node.parts[1], sign)
    if node.kind == "/":
        return _factors(node.parts[0], sign) + _factors(node.parts[1], -sign)
    return [(node, sign)]


def _added(a: Dimension, b: Dimension) -> Dimension:
    total = dict(a)
    for symbol, power in b.items():
        total[symbol] = Expression("+", (total[symbol], power)) if symbol in total else power
    return total


def _negated(dimension: Dimension) -> Dimension:
    return {symbol: _minus(power) for symbol, power in dimension.items()}


def _minus(power: Expression) -> Expression:
    if power.kind == "neg":
        return power.parts[0]
    if power.kind == "number":
        return Expression("number", number=-power.number)
    return Expression("neg", (power,))


def _scaled(dimension: Dimension, by: Expression, operator: str) -> Dimension:
    return {
        symbol: by if power == _ONE and operator == "*" else Expression(operator, (power, by))
        for symbol, power in dimension.items()
    }


def render_unit(dimension: Dimension, columns: Mapping[str, str], *, quantity: str) -> str:
    """A unit as text, such as ``nats/token * params**alpha``; ``1`` for a bare number.

    ``quantity`` is the unit of the prediction if the constant carries it, else empty.
    """
    factors = [quantity] if quantity else []
    for symbol, power in dimension.items():
        column = Expression("name", name=columns[symbol])
        factors.append(render(column if power == _ONE else Expression("**", (column, power))))
    return " * ".join(factors) or "1"
