"""What is asked of a law, so that many fits can be asked the same: a loss, or how to split compute.

A target is either a model (params and tokens), of which the loss is asked, or a budget (flops), of
which tokens per parameter are asked. Either way a reading holds both, at the same compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np

from scalewise.core.errors import LawError, UnfitDataError, UsageError
from scalewise.core.quantities import format_count, format_flops
from scalewise.fit.prediction import inputs_for
from scalewise.fit.priors import Prior
from scalewise.fit.result import FitResult
from scalewise.laws.law import Law
from scalewise.plan.allocate import Interval, allocate, growth
from scalewise.plan.optimum import SIZES, optimal_size, size_of, trades
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Asked = Literal["loss", "tokens_per_param"]

_NEWTON_STEPS = 60


class FitSettings(TypedDict, total=False):
    """How fits of an analysis are made; each as in ``scalewise.fit``."""

    objective: str | None
    delta: float | None
    bounds: Mapping[str, tuple[float, float]] | None
    fixed: Mapping[str, float | str] | None
    priors: Mapping[str, Prior] | None
    bootstrap: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an answer is wanted: ``columns`` of a model, or a budget in ``flops``, never both."""

    columns: Mapping[str, float]
    flops: float

    @property
    def asked(self) -> Asked:
        """The quantity that is the answer."""
        return "loss" if self.columns else "tokens_per_param"

    def __str__(self) -> str:
        if not self.columns:
            return f"{format_flops(self.flops)} FLOP"
        asked = {name: self.columns[name] for name in ("params", "tokens")}
        return ", ".join(f"{format_count(value)} {name}" for name, value in asked.items())

    def columns_for(self, law: Law) -> dict[str, float]:
        """The columns that a law takes; one in flops takes them from params and tokens."""
        known = {name: self.columns[name] for name in law.columns if name in self.columns}
        return known if len(known) == len(law.columns) else dict(self.columns)

    def told(self, value: float) -> str:
        """An answer as it is written in a sentence, without its unit.

        >>> Target(columns={}, flops=1e24).told(18.3874)
        '18.4'
        """
        return f"{value:.4f}" if self.columns else f"{value:.3g}"

    @property
    def unit(self) -> str:
        """The unit of the answer, as in a sentence."""
        return "nats/token" if self.columns else "tokens per param"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one fit says of a target.

    ``loss`` (nats/token) is of the model, or of the best model of the budget. ``exponent``,
    ``size`` and ``tokens_per_param`` are of the best model of the same compute, None where the law
    does not trade size against tokens.
    """

    loss: Interval
    exponent: Interval | None
    size: Interval | None
    tokens_per_param: Interval | None


def target_at(
    runs: RunTable,
    *,
    params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
) -> Target:
    """The target that was asked for: ``params`` and ``tokens``, or ``flops``.

    A model's params_nonembed, for laws in that count, follow from the runs' own share of
    embeddings. Raises UsageError for half a target or both.

    >>> from scalewise.runs.read import read_runs
    >>> str(target_at(read_runs({"params": [1e6], "loss": [3.0]}), params=7e9, tokens=2e12))
    '7B params, 2T tokens'
    """
    given = {"params": params, "tokens": tokens, "flops": flops}
    for name, value in given.items():
        if value is not None and not (np.isfinite(value) and value > 0):
            raise UsageError(f"{name}={value} must be positive.", hint="Give a count above 0.")
    if flops is not None and params is None and tokens is None:
        return Target(columns={}, flops=float(flops))
    if flops is not None or params is None or tokens is None:
        told = ", ".join(name for name, value in given.items() if value is not None)
        raise UsageError(
            f"A target is params and tokens, or flops; given: {told or 'nothing'}.",
            hint="Give params=7e9, tokens=2e12 for a loss, or flops=1e24 for the best split.",
        )
    columns = {"params": float(params), "tokens": float(tokens)}
    if runs.has("params") and runs.has("params_nonembed"):
        columns["params_nonembed"] = nonembed(runs, float(params))
    return Target(columns=columns, flops=6.0 * params * tokens)


def nonembed(runs: RunTable, params: float) -> float:
    """Non-embedding params of a model of ``params``, built as those of the runs.

    N = N_E + omega N_E**(1/3) for models of one aspect ratio and vocabulary, with omega the median
    over the runs (Pearce & Song 2024, sec. 3).
    """
    total, bare = runs.column("params"), runs.column("params_nonembed")
    known = np.isfinite(total) & np.isfinite(bare) & (bare > 0)
    omega = max(float(np.median((total[known] - bare[known]) / np.cbrt(bare[known]))), 0.0)
    root = np.cbrt(params)  # of N_E: the cubic is monotonic, and Newton descends to it from above
    for _ in range(_NEWTON_STEPS):
        root -= (root**3 + omega * root - params) / (3 * root**2 + omega)
    return float(root**3)


def answers(law: Law, theta: Mapping[str, Any], target: Target) -> Array:
    """The answer for each of many sets of constants, shape (S,)."""
    columns = {name: np.atleast_1d(np.asarray(value, float)) for name, value in theta.items()}
    with np.errstate(all="ignore"):
        if target.columns:
            return np.asarray(law.value(columns, **inputs_for(law, target.columns)))
        size = optimal_size(law, columns, np.asarray(target.flops))
        return np.asarray(target.flops / (6.0 * size**2))


def answer(reading: Reading, target: Target) -> Interval:
    """The part of a reading that was asked for."""
    found = reading.loss if target.columns else reading.tokens_per_param
    assert found is not None  # noqa: S101 - `read` refuses a budget that a law cannot split
    return found


def read(result: FitResult, target: Target, *, level: float = 0.9) -> Reading:
    """What a fit says of a target.

    Raises LawError for a budget that its law cannot split, UnfitDataError where the constants put
    the best size at nothing or at infinity.
    """
    split = None
    if not target.columns or _splits(result, target):
        _refuse_no_price(result, target)
        with np.errstate(all="ignore"):  # of a far resample, which the interval then holds
            split = allocate(result, target.flops, level=level)
    if target.columns:
        said = result.predict(level=level, **target.columns)
        loss = Interval(value=float(said.value), low=float(said.low), high=float(said.high))
    else:
        assert split is not None  # noqa: S101 - else allocate has raised
        loss = split.loss
    return Reading(
        loss=loss,
        exponent=_exponent(result, target.flops, level) if split else None,
        size=split.params if split else None,
        tokens_per_param=split.tokens_per_param if split else None,
    )


def _splits(result: FitResult, target: Target) -> bool:
    """Whether the law has a best size at the target's compute."""
    try:
        return trades(result.law) and 0 < _best_size(result, target) < np.inf
    except LawError:
        return False


def _best_size(result: FitResult, target: Target) -> float:
    with np.errstate(all="ignore"):
        return float(optimal_size(result.law, result.theta, np.asarray(target.flops)))


def _refuse_no_price(result: FitResult, target: Target) -> None:
    if trades(result.law) and not 0 < (best := _best_size(result, target)) < np.inf:
        raise UnfitDataError(
            f"At {target} law {result.law.key!r} is least at a size of {best:g}: the runs show no "
            "price of size, or none of tokens.",
            hint="Add runs that vary tokens at one size and sizes at one token count.",
        )


def _exponent(result: FitResult, flops: float, level: float) -> Interval:
    """The slope d log N_opt / d log C at a budget, from budgets a factor 2 to either side."""
    with np.errstate(all="ignore"):
        return growth(result, np.array([flops / 2, flops * 2]), level=level)


def size_column_of(law: Law, table: RunTable) -> str:
    """The column by which the runs of a law are told large from small."""
    for column in (size_of(law), *SIZES, *law.columns):
        if column and table.has(column):
            return column
    return law.columns[0]
