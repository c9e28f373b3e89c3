"""A predicted value with its interval and how far it reaches beyond the fitted runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from scalewise.core.errors import LawError, UsageError
from scalewise.core.flops import training_flops
from scalewise.core.quantities import format_count, level_text
from scalewise.laws.formula import INPUT_COLUMNS
from scalewise.laws.law import Law, Quantity

Array = np.ndarray[Any, np.dtype[Any]]

UNIFORM_GUESS = 13.0  # nats/token of a uniform guess over 440,000 tokens: no loss is above it
_FLOP_RULES = (0.01, 5.0)  # times 6ND: sparse experts cost less, attention and vocabulary more
APART = 2.0  # times the fitted range of what a law leaves out, from where that is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Predicted loss (nats/token), downstream error or choice, with an interval for a new run.

    ``low`` and ``high`` bound what one newly trained model would measure with probability
    ``level``. ``extrapolation`` says by which factor each input leaves the fitted range: 1 is
    inside, 10 is ten times beyond its nearer edge.
    """

    quantity: Quantity
    value: Array | float
    low: Array | float
    high: Array | float
    level: float
    extrapolation: Mapping[str, Array | float]
    runs: int
    rests_on: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def relative_width(self) -> float:
        """Width of the interval of a single prediction as a share of the predicted value."""
        return float(self.high - self.low) / float(self.value)

    @property
    def loss(self) -> Array | float:
        """The predicted loss in nats/token."""
        return self._only("loss")

    @property
    def error(self) -> Array | float:
        """The predicted downstream error, 1 - accuracy."""
        return self._only("error")

    def _only(self, quantity: Quantity) -> Array | float:
        if quantity != self.quantity:
            own = self.quantity if self.quantity in ("loss", "error") else "value"
            raise LawError(
                f"This is a prediction of {self.quantity}, not of {quantity}.",
                hint=f"Read .{own} instead.",
            )
        return self.value

    def __str__(self) -> str:
        if np.ndim(self.value):
            return f"Prediction of {self.quantity} at {np.size(self.value)} points"
        unit = " nats/token" if self.quantity == "loss" else ""
        form = ".4f" if self.quantity in ("loss", "error") else ".4g"
        reach = max((float(np.max(v)) for v in self.extrapolation.values()), default=1.0)
        return (
            f"{self.quantity} {self.value:{form}}{unit}, {level_text(self.level)} interval "
            f"[{self.low:{form}}, {self.high:{form}}], extrapolation x{reach:.3g}, "
            f"from {self.runs} runs"
        )


def inputs_for(law: Law, given: Mapping[str, Any]) -> dict[str, Array]:
    """The law's inputs by symbol, from columns by name; flops and tokens follow from 6ND.

    Raises UsageError for a missing or non-positive column.
    """
    columns = {name: np.asarray(value, dtype=float) for name, value in given.items()}
    for name, values in columns.items():
        if not np.all(values > 0) or not np.all(np.isfinite(values)):
            raise UsageError(
                f"{name}={given[name]} must be positive and finite.", hint="Give a count above 0."
            )
    if {"params", "tokens"} <= set(columns):
        columns.setdefault("flops", training_flops(columns["params"], columns["tokens"]))
    elif {"params", "flops"} <= set(columns):
        columns.setdefault("tokens", columns["flops"] / (6.0 * columns["params"]))
    if "steps" in columns:
        columns.setdefault("step", columns["steps"])
    missing = [column for column in law.columns if column not in columns]
    if missing:
        raise UsageError(
            f"Law {law.key!r} needs {', '.join(missing)}; given: {', '.join(given) or 'nothing'}.",
            hint=f"Give all of {', '.join(law.columns)}.",
        )
    return {symbol: columns[column] for symbol, column in law.variables.items()}


def refuse_impossible(law: Law, values: Array, given: Mapping[str, Any]) -> None:
    """Raise LawError where a law of a choice, which is positive, gives nothing above zero."""
    if law.quantity in ("loss", "error") or np.all(values > 0):
        return
    at = ", ".join(f"{name}={np.max(value):g}" for name, value in given.items())
    raise LawError(
        f"Law {law.key!r} gives {law.quantity} = {np.min(values):.3g} at up to {at}.",
        hint="It holds only where it is positive; use a power law beyond.",
    )


def refuse_unknown(laws: Sequence[Law], given: Mapping[str, Any]) -> None:
    """Raise UsageError for a column that is an input of none of the laws nor a known word."""
    known = {column for law in laws for column in law.columns} | set(INPUT_COLUMNS)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UsageError(
            f"No law takes {', '.join(unknown)} as input.",
            hint=f"Give {', '.join(dict.fromkeys(c for law in laws for c in law.columns))}.",
        )


def refuse_contradiction(given: Mapping[str, float]) -> None:
    """Raise UsageError for compute that no way of counting makes of the size and the tokens."""
    if not {"params", "tokens", "flops"} <= set(given):
        return
    times = given["flops"] / training_flops(given["params"], given["tokens"])
    if not _FLOP_RULES[0] <= times <= _FLOP_RULES[1]:
        raise UsageError(
            f"flops={given['flops']:g} is {times:.3g} times 6 * params * tokens: they contradict "
            "each other.",
            hint="Give two of params, tokens and flops.",
        )


def reach(
    ranges: Mapping[str, tuple[float, float]], values: Mapping[str, Array]
) -> dict[str, Array | float]:
    """How far each value lies outside its fitted range, as a factor of at least 1."""
    factors: dict[str, Array | float] = {}
    for column, (low, high) in ranges.items():
        if column in values:
            factor = np.maximum(np.maximum(values[column] / high, low / values[column]), 1.0)
            factors[column] = scalar(factor)
    return factors


def doubts_at(
    quantity: Quantity,
    value: Array,
    unheard: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType({}),
    given: Mapping[str, Array] = MappingProxyType({}),
) -> tuple[str, ...]:
    """What is wrong with a prediction there, whatever its interval says.

    ``unheard`` has the fitted range of each column that a law leaves out, by the law's key.
    """
    told = []
    if quantity == "loss" and np.any(value > UNIFORM_GUESS):
        told.append(
            f"A loss of {np.max(value):.3g} nats/token is more than a uniform guess over any "
            f"vocabulary costs (about {UNIFORM_GUESS:g}): the law does not hold there."
        )
    for key, ranges in unheard.items():
        for column, ends in ranges.items():
            asked = given.get(column)
            if asked is None or np.all(np.asarray(reach({column: ends}, given)[column]) < APART):
                continue
            told.append(
                f"{key} does not know {column}: its runs had {_span(*ends)}, and asked at "
                f"{_span(np.min(asked), np.max(asked))} neither its loss nor its interval holds "
                "what that changes."
            )
    return tuple(told)


def _span(low: float, high: float) -> str:
    write = [f"{v:.3g}" if v < 1000 else format_count(v) for v in (low, high)]
    return write[0] if write[0] == write[1] else f"{write[0]} to {write[1]}"


def scalar(values: Array) -> Array | float:
    """A float where there is one value, else the array."""
    return float(values) if np.ndim(values) == 0 else values


def mixed_quantile(samples: Sequence[Array], weights: Sequence[float], probability: float) -> Array:
    """Quantile over the first axis of samples that share a weight per member."""
    values = np.concatenate(samples, axis=0)
    shares = np.concatenate(
        [np.full(len(s), w / max(len(s), 1)) for s, w in zip(samples, weights, strict=True)]
    )
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    cumulative = np.cumsum(shares[order], axis=0) / shares.sum()
    index = np.argmax(cumulative >= probability, axis=0)
    return np.take_along_axis(ordered, index[None], axis=0)[0]
