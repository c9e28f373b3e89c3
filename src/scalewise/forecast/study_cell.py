"""One chunk of a study: every design of one family under one law, objective and policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from scalewise.core.errors import RunDataError, ScalewiseError
from scalewise.core.flops import training_flops
from scalewise.core.quantities import format_count
from scalewise.core.records import to_json
from scalewise.fit.engine import fit_many
from scalewise.fit.points import Points
from scalewise.fit.result import FitResult, FitStatus
from scalewise.fit.search import THOROUGH, Effort
from scalewise.forecast.design import Design
from scalewise.forecast.policy import EstimationPolicy, warmup_tokens
from scalewise.laws.law import Law
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]
Status = Literal[
    "converged", "at bound", "not identified", "not converged", "too few sizes", "too few points",
    "not fitted",
]  # fmt: skip

IDENTIFIED: frozenset[Status] = frozenset({"converged", "at bound"})
_FEW_SIZES = 3
_STATUS: Mapping[FitStatus, Status] = {
    FitStatus.CONVERGED: "converged",
    FitStatus.AT_BOUND: "at bound",
    FitStatus.NOT_IDENTIFIED: "not identified",
    FitStatus.MAX_ITERATIONS: "not converged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One law fitted to one design, and how well it forecast the family's largest size.

    ``mean_abs_error`` is the mean size of forecast / measured - 1 over the target's checkpoints
    that count, ``bias`` the same with signs, ``last_error`` that of the last of them.
    ``best_seen_error`` and ``most_compute_error`` are the mean absolute errors of the two naive
    rules, ``skill`` is one minus the law's error over the better of theirs. ``scale_up`` is the
    target's size over the largest fitted one, ``fitted_flops`` the sum over fitted runs of 6 times
    size times the most tokens used. Whatever is None is so for the ``reason``, which a status
    other than converged always has.
    """

    family: str
    law: str
    objective: str
    policy: str
    models: int
    first: int
    share: float
    status: Status
    reason: str = ""
    points: int = 0
    runs: int = 0
    fitted_params: float | None = None
    target_params: float
    scale_up: float | None = None
    fitted_flops: float | None = None
    target_points: int
    mean_abs_error: float | None = None
    bias: float | None = None
    last_error: float | None = None
    best_seen_error: float | None = None
    most_compute_error: float | None = None
    skill: float | None = None
    objective_value: float | None = None
    theta: Mapping[str, float] = field(default_factory=dict)

    @property
    def naive_error(self) -> float | None:
        """The error of the better naive rule."""
        errors = [e for e in (self.best_seen_error, self.most_compute_error) if e is not None]
        return min(errors) if errors else None

    @property
    def is_identified(self) -> bool:
        """Whether the data determine the constants behind the forecast."""
        return self.status in IDENTIFIED and self.mean_abs_error is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What one process computes at a time; ``sizes`` are the family's, the last is the target."""

    family: str
    table: RunTable
    size_column: str
    sizes: tuple[float, ...]
    law: Law
    objective: str
    delta: float | None
    policy: EstimationPolicy
    designs: tuple[Design, ...]
    tail: float
    fixed: Mapping[str, float]
    effort: Effort

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """The policy's bounds of constants that the law has and that are free."""
        free = set(self.law.constant_names) - set(self.fixed)
        return {name: ends for name, ends in self.policy.bounds.items() if name in free}


def cells_of(chunk: Chunk) -> str:
    """The cells of a chunk as JSON, one per design in their order."""
    return to_json([_plain(cell) for cell in _Study(chunk).cells()])


def _plain(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in Cell.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class _Part:
    """The points of one design."""

    design: Design
    points: Points
    compute: Array  # 6 N D of each point
    fitted_flops: float
    largest: float
    sizes: int  # that any point is left of


class _Study:
    """The work on one chunk."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._target = _Target.of(chunk)

    def cells(self) -> list[Cell]:
        chunk = self._chunk
        found: list[Cell | _Part]
        try:
            reader = _Reader(chunk)
            self._target.require_inputs()
        except ScalewiseError as error:
            return [self._cell(d, status="not fitted", reason=str(error)) for d in chunk.designs]
        found = [self._part_or_reason(reader, design) for design in chunk.designs]
        parts = [part for part in found if isinstance(part, _Part)]
        results = iter(_fitted(chunk, parts))
        return [
            part if isinstance(part, Cell) else self._scored(part, next(results)) for part in found
        ]

    def _cell(self, design: Design, **known: Any) -> Cell:
        chunk = self._chunk
        return Cell(
            family=chunk.family,
            law=chunk.law.key,
            objective=chunk.objective,
            policy=chunk.policy.name,
            models=design.models,
            first=design.first,
            share=design.share,
            target_params=chunk.sizes[-1],
            target_points=len(self._target.loss),
            **known,
        )

    def _part_or_reason(self, reader: _Reader, design: Design) -> Cell | _Part:
        chunk, end = self._chunk, design.first + design.models
        below = len(chunk.sizes) - 1
        if design.first < below < end:
            text = f"{design.models} sizes were to be fitted; below the largest there are {below}."
            return self._cell(design, status="too few sizes", reason=text)
        part = reader.part(design)
        free = len(chunk.law.constant_names) - len(chunk.fixed)
        if len(part.points) < max(free, 1):
            text = (
                f"Policy {chunk.policy.name!r} leaves {len(part.points)} points of "
                f"{design.share:.0%} of training for {free} constants."
            )
            known = {"points": len(part.points), "runs": part.points.runs}
            return self._cell(design, status="too few points", reason=text, **known)
        return part

    def _scored(self, part: _Part, fitted: FitResult | ScalewiseError) -> Cell:
        target, points = self._target, part.points
        naive = (
            float(points.observed.min()),
            float(points.observed[int(np.argmax(part.compute))]),
        )
        best_seen, most_compute = (float(np.abs(n / target.loss - 1).mean()) for n in naive)
        known: dict[str, Any] = {
            "points": len(points),
            "runs": points.runs,
            "fitted_params": part.largest,
            "scale_up": self._chunk.sizes[-1] / part.largest,
            "fitted_flops": part.fitted_flops,
            "best_seen_error": best_seen,
            "most_compute_error": most_compute,
        }
        if isinstance(fitted, ScalewiseError):
            return self._cell(part.design, status="not fitted", reason=str(fitted), **known)
        known |= {"theta": dict(fitted.theta), "objective_value": fitted.objective_value}
        with np.errstate(all="ignore"):
            errors = fitted.law.value(fitted.theta, **target.inputs) / target.loss - 1.0
        if not np.isfinite(errors).all():
            text = f"The fitted law is not a number at the target. {_reason(fitted)}".strip()
            return self._cell(part.design, status="not fitted", reason=text, **known)
        error = float(np.abs(errors).mean())
        status, reason = _status(fitted, part.sizes, self._chunk)
        better = min(best_seen, most_compute)
        return self._cell(
            part.design,
            status=status,
            reason=reason,
            mean_abs_error=error,
            bias=float(errors.mean()),
            last_error=float(errors[target.is_last].mean()),
            skill=1.0 - error / better if better > 0 else None,
            **known,
        )


class _Reader:
    """A family's points under a policy, read once; designs take parts of them."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        # Smoothed is what was seen by the end of a design, not what came after it.
        self._every, table = replace(chunk.policy, smoothing=0.0).every(chunk.law, chunk.table)
        self._size = table.column(chunk.size_column)
        self._tokens = table.column("tokens")
        self._warmup = warmup_tokens(table)
        self._compute = training_flops(self._size, self._tokens)

    def part(self, design: Design) -> _Part:
        chosen = self._chunk.sizes[design.first : design.first + design.models]
        rows = np.flatnonzero((self._size >= chosen[0]) & (self._size <= chosen[-1]))
        policy, run = self._chunk.policy, self._every.cluster
        warmup = None if self._warmup is None else self._warmup[rows]
        kept = rows[policy.keeps(self._tokens[rows], run[rows], warmup, share=design.share)]
        points = self._smoothed(rows, design.share).take(kept)
        points = Points(
            inputs=points.inputs, observed=points.observed, cluster=points.cluster, flops=None,
            weights=policy.weights(points.cluster), sha256=points.sha256, source=points.source,
        )  # fmt: skip
        sizes = np.unique(self._size[kept]) if len(kept) else np.array([chosen[-1]])
        spent = np.zeros(points.runs)
        np.maximum.at(spent, points.cluster, self._compute[kept])
        return _Part(
            design, points, self._compute[kept], float(spent.sum()), float(sizes[-1]), len(sizes)
        )

    def _smoothed(self, rows: Array, share: float) -> Points:
        policy, every = self._chunk.policy, self._every
        if not (policy.smoothing and policy.is_of_curves):
            return every
        seen = rows[policy.seen(self._tokens[rows], share)]
        observed = every.observed.copy()
        observed[seen] = policy.smoothed(self._tokens[seen], observed[seen], every.cluster[seen])
        return replace(every, observed=observed)


@dataclass(frozen=True, slots=True)
class _Target:
    """The checkpoints of the largest size that count."""

    family: str
    law: Law
    inputs: Mapping[str, Array]
    loss: Array
    is_last: Array

    @staticmethod
    def of(chunk: Chunk) -> _Target:
        table = chunk.table
        size, tokens, loss = (table.column(c) for c in (chunk.size_column, "tokens", "loss"))
        rows = size == chunk.sizes[-1]
        longest = tokens[rows].max()
        rows &= tokens >= chunk.tail * longest
        inputs = {
            symbol: table.column(column)[rows]
            for symbol, column in chunk.law.variables.items()
            if table.has(column)
        }
        return _Target(chunk.family, chunk.law, inputs, loss[rows], tokens[rows] == longest)

    def require_inputs(self) -> None:
        for symbol, column in self.law.variables.items():
            values = self.inputs.get(symbol, np.full(1, np.nan))
            if not np.all(values > 0):
                raise RunDataError(
                    f"The largest model of {self.family!r} lacks {column} at a checkpoint that "
                    "counts.",
                    hint=f"Fill it in, or leave out law {self.law.key!r}.",
                )


def _fitted(chunk: Chunk, parts: list[_Part]) -> list[FitResult | ScalewiseError]:
    """One result per part, or why there is none; those in a flat valley get a longer search."""
    tables = [part.points for part in parts]
    found: list[FitResult | ScalewiseError]
    try:
        found = [*_fit(chunk, tables, chunk.effort)] if tables else []
    except ScalewiseError:  # of one of them: each on its own
        found = [_alone(chunk, table) for table in tables]
    lost = [
        i
        for i, result in enumerate(found)
        if isinstance(result, FitResult) and result.status is FitStatus.MAX_ITERATIONS
    ]
    if lost and chunk.effort is not THOROUGH:
        again = _fit(chunk, [tables[i] for i in lost], THOROUGH)
        for i, result in zip(lost, again, strict=True):
            found[i] = result
    return found


def _fit(chunk: Chunk, tables: list[Points], effort: Effort) -> list[FitResult]:
    return fit_many(
        chunk.law,
        tables,
        objective=chunk.objective,
        delta=chunk.delta,
        bounds=chunk.bounds,
        fixed=dict(chunk.fixed) or None,
        bootstrap=0,
        effort=effort,
    )


def _alone(chunk: Chunk, table: Points) -> FitResult | ScalewiseError:
    try:
        return _fit(chunk, [table], chunk.effort)[0]
    except ScalewiseError as error:
        return error


def _status(fitted: FitResult, sizes: int, chunk: Chunk) -> tuple[Status, str]:
    """How a fit ended; two sizes leave the offset open even where a bound stops it."""
    status, reason = _STATUS[fitted.status], _reason(fitted)
    offset = any(c.role == "offset" and c.name not in chunk.fixed for c in chunk.law.constants)
    of_size = chunk.size_column in chunk.law.columns and not chunk.fixed
    if sizes < _FEW_SIZES and offset and of_size and status in IDENTIFIED:
        return "not identified", f"{sizes} sizes cannot tell an exponent from the offset. {reason}"
    return status, reason


def _reason(fitted: FitResult) -> str:
    if fitted.status is FitStatus.CONVERGED:
        return ""
    names = fitted.not_identified or fitted.at_bound
    about = f" ({', '.join(names)})" if names else ""
    return f"{fitted.status.value}{about}"


def sizes_of(table: RunTable, column: str) -> tuple[float, ...]:
    """The sizes of a family, smallest first."""
    return tuple(np.unique(table.column(column)).tolist())


def refusal(table: RunTable, column: str, least: int, worst_loss: float) -> str:
    """Why a family cannot be studied, or nothing."""
    sizes = sizes_of(table, column)
    if len(sizes) < least:
        many = f"{len(sizes)} size{'s' * (len(sizes) != 1)}"
        return f"It has {many}; to fit {least - 1} and forecast one takes {least}."
    loss = table.column("loss")[table.column(column) == sizes[-1]]
    lowest = float(loss.min())
    if lowest > worst_loss:
        return (
            f"The best loss of its largest model, of {format_count(sizes[-1])}, is {lowest:.3g}; "
            f"above {worst_loss:g} it is no loss in nats, or nothing was learnt."
        )
    return ""
