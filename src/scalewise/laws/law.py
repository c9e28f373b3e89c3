"""What a law is: a formula, its constants, what it is a function of, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import LawError
from scalewise.core.expression import Expression, Program, as_float, parse, program
from scalewise.laws.dimensions import (
    carriers,
    constant_dimensions,
    is_unit_free,
    render_unit,
    rigid_variables,
    unit_groups,
)
from scalewise.laws.implicit import fixed_point
from scalewise.laws.linearity import linear_names

Array = np.ndarray[Any, np.dtype[Any]]
Theta = Mapping[str, Any]
Quantity = Literal[
    "loss",
    "error",
    "params",
    "params_nonembed",
    "tokens",
    "batch_tokens",
    "critical_batch_tokens",
    "steps_min",
    "lr_peak",
]
Role = Literal["offset", "amplitude", "exponent"]

QUANTITY_UNITS: Mapping[Quantity, str] = {
    "loss": "nats/token",
    "error": "error",
    "params": "params",
    "params_nonembed": "params",
    "tokens": "tokens",
    "batch_tokens": "tokens",
    "critical_batch_tokens": "tokens",
    "steps_min": "steps",
    "lr_peak": "1/step",
}

_DEFAULT_BOUNDS: Mapping[Role, tuple[float, float]] = {
    "offset": (0.0, float("inf")),
    "amplitude": (0.0, float("inf")),
    "exponent": (0.0, 5.0),
}


@lru_cache(maxsize=256)
def _compiled(formula: str, by: frozenset[str]) -> Program:
    # By the text, whose hash is kept: that of a parsed formula costs more than evaluating it.
    return program(parse(formula), by)


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant of a law.

    The role says how it is searched: an ``offset`` is a level of the predicted quantity, an
    ``amplitude`` is positive and searched by its logarithm, an ``exponent`` is a number of order
    one. The unit is not typed here: it follows from the formula, see ``Law.unit``.
    """

    name: str
    role: Role
    meaning: str = ""
    bounds: tuple[float, float] = (float("nan"), float("nan"))

    def __post_init__(self) -> None:
        if np.isnan(self.bounds[0]):
            object.__setattr__(self, "bounds", _DEFAULT_BOUNDS[self.role])
        if not self.bounds[0] <= self.bounds[1]:
            raise LawError(
                f"Constant {self.name!r} has bounds {self.bounds}.",
                hint="Give the lower bound first.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a formula or a set of constants was published."""

    key: str
    where: str = ""
    arxiv: str = ""

    def __str__(self) -> str:
        link = f"arXiv:{self.arxiv}" if self.arxiv else ""
        return ", ".join(part for part in (self.key, self.where, link) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published set of constants, usable by name wherever a fit is."""

    key: str
    theta: Mapping[str, float]
    source: Source
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A functional form: the formula is the law, all else follows from it.

    ``variables`` maps each symbol of the formula that is an input to the run-table column it
    stands for, so that Kaplan's N (``params_nonembed``) and Chinchilla's (``params``) cannot be
    exchanged by accident. ``implicit`` is the symbol of the predicted quantity where the formula
    itself contains it; the law's value is then the one that satisfies the formula.

    >>> law = Law(key="mine", title="", formula="E + A / N**alpha", variables={"N": "params"},
    ...           constants=(Constant("E", "offset"), Constant("A", "amplitude"),
    ...                      Constant("alpha", "exponent")))
    >>> round(float(law.value({"E": 1.0, "A": 20.0, "alpha": 0.5}, N=100)), 12)
    3.0
    >>> law.unit("A")
    'nats/token * params**alpha'
    """

    key: str
    title: str
    formula: str
    variables: Mapping[str, str]
    constants: tuple[Constant, ...]
    source: Source | None = None
    published: tuple[Published, ...] = ()
    quantity: Quantity = "loss"
    use_when: str = ""
    default_objective: str = "huber-log"
    implicit: str = ""

    def __post_init__(self) -> None:
        own = [self.implicit] if self.implicit else []
        declared = [*self.variables, *self.constant_names, *own]
        if len(set(declared)) < len(declared) or set(declared) != self.expression.names:
            raise LawError(
                f"Law {self.key!r} declares {sorted(declared)} but its formula uses "
                f"{sorted(self.expression.names)}.",
                hint="Every symbol is either a variable or a constant, once.",
            )
        if len(set(self.columns)) < len(self.columns):
            raise LawError(
                f"Law {self.key!r} has two symbols for one column: {self.variables}.",
                hint="Write the same symbol for the same column.",
            )
        if self.quantity in self.columns:
            raise LawError(
                f"Law {self.key!r} predicts {self.quantity} from itself.",
                hint="Name another quantity before the formula, as in 'lr_peak = k / N**p'.",
            )
        for published in self.published:
            self._check_published(published)

    def _check_published(self, published: Published) -> None:
        if set(published.theta) != set(self.constant_names):
            raise LawError(
                f"Constants {published.key!r} of law {self.key!r} name "
                f"{sorted(published.theta)}, the law has {sorted(self.constant_names)}.",
                hint="Give each constant one value.",
            )
        for constant in self.constants:
            value = published.theta[constant.name]
            if not constant.bounds[0] <= value <= constant.bounds[1]:
                raise LawError(
                    f"{published.key!r} has {constant.name}={value:g}, outside the bounds "
                    f"{constant.bounds} of law {self.key!r}.",
                    hint="Correct the value or widen the bounds.",
                )

    def __hash__(self) -> int:
        return hash((self.key, self.formula))

    @property
    def expression(self) -> Expression:
        """The parsed formula."""
        return parse(self.formula)

    @property
    def constant_names(self) -> tuple[str, ...]:
        """Names of the constants, in the order in which they are declared."""
        return tuple(constant.name for constant in self.constants)

    @property
    def columns(self) -> tuple[str, ...]:
        """Run-table columns that the law needs, in the order of its variables."""
        return tuple(self.variables.values())

    def value(self, theta: Theta, **inputs: Array | float) -> Array:
        """The predicted quantity; ``inputs`` by symbol, shapes broadcast.

        Works for complex ``theta``, so that a derivative can be checked by a complex step.
        Raises LawError if a constant or an input is missing or unknown.
        """
        values = self._values(theta, inputs)
        if self.implicit:
            formula = _compiled(self.formula, frozenset({self.implicit}))
            return fixed_point(formula, self.implicit, values)[0]
        return np.asarray(_compiled(self.formula, frozenset()).run(values)[0])

    def gradient(self, theta: Theta, **inputs: Array | float) -> dict[str, Array]:
        """Derivative of the predicted quantity by each constant, exact, in the value's shape."""
        value, gradient = self.evaluate(self._values(theta, inputs))
        shape = np.shape(value)
        return {name: np.broadcast_to(gradient[name], shape) for name in self.constant_names}

    def evaluate(
        self, values: Mapping[str, Any], *, start: Any = 1.0, data: dict[int, Any] | None = None
    ) -> tuple[Array, Mapping[str, Array]]:
        """Value and derivatives at constants and inputs by symbol, as a search needs them.

        ``data`` keeps between calls what depends on the inputs alone; an implicit law is solved
        from ``start``.
        """
        by = frozenset(self.constant_names)
        if not self.implicit:
            return _compiled(self.formula, by).run(values, data)
        formula = _compiled(self.formula, by | {self.implicit})
        return fixed_point(formula, self.implicit, values, start=start, data=data)

    def by_constants(self, names: Iterable[str]) -> Program:
        """The formula as a program that differentiates by some of its constants."""
        return _compiled(self.formula, frozenset(names))

    def explicit(self, column: str) -> Law:
        """An implicit law with the predicted quantity on the right read from a column."""
        return replace(
            self,
            key=f"{self.key} by {column}",
            variables={**self.variables, self.implicit: column},
            published=(),
            implicit="",
        )

    @property
    def _symbols(self) -> frozenset[str]:
        """What carries a unit of its own: the variables, and the quantity of an implicit law."""
        return frozenset(self.variables) | ({self.implicit} if self.implicit else frozenset())

    def _values(self, theta: Theta, inputs: Mapping[str, Any]) -> dict[str, Array]:
        if not set(self.constant_names) <= set(theta):
            raise LawError(
                f"Law {self.key!r} was given the constants {sorted(theta)}.",
                hint=f"It needs {', '.join(self.constant_names)}.",
            )
        if set(inputs) != set(self.variables):
            raise LawError(
                f"Law {self.key!r} was given the inputs {sorted(inputs)}.",
                hint=f"It needs {', '.join(self.variables)}.",
            )
        return {name: as_float(value) for name, value in {**theta, **inputs}.items()}

    def unit(self, name: str) -> str:
        """Unit of a constant, derived from the formula.

        Writing ``A / N**alpha`` for a loss makes A a loss times params**alpha.
        """
        if name not in self.constant_names:
            raise LawError(
                f"Law {self.key!r} has no constant {name!r}.",
                hint=f"It has {', '.join(self.constant_names)}.",
            )
        carrying = carriers(self.expression, self._symbols)
        carried = QUANTITY_UNITS[self.quantity] if name in carrying else ""
        columns = {**self.variables, self.implicit: self.quantity}
        dimensions = constant_dimensions(self.expression, self._symbols)
        return render_unit(dimensions[name], columns, quantity=carried)

    @property
    def dimensions(self) -> Mapping[str, Mapping[str, Expression]]:
        """For each constant, the power of each variable that its unit contains."""
        every = constant_dimensions(self.expression, self._symbols)
        if not self.implicit:
            return every
        return {
            name: {s: power for s, power in unit.items() if s != self.implicit}
            for name, unit in every.items()
        }

    @property
    def is_unit_free(self) -> bool:
        """Whether constants absorb a change of unit of each input alone, by ``dimensions``.

        False for formulas such as ``E - k * log(N)``, which hold in one unit of N, and for those
        in which two inputs share one, see ``unit_groups``.
        """
        return is_unit_free(self.expression, self._symbols)

    @property
    def unit_groups(self) -> tuple[frozenset[str], ...]:
        """The variables, those together that must be counted in one unit, as in ``min(D, U)``."""
        return unit_groups(self.expression, frozenset(self.variables))

    @property
    def rigid(self) -> frozenset[str]:
        """The variables that the formula takes in one unit only, as N in ``E - k * log(N)``."""
        return rigid_variables(self.expression, self._symbols)

    @property
    def linear(self) -> frozenset[str]:
        """Constants in which the formula is jointly linear; an implicit one is in none."""
        if self.implicit:
            return frozenset()
        return linear_names(
            self.expression, frozenset(c.name for c in self.constants if c.role != "exponent")
        )
