"""The backtest at scale: which design, law, objective and policy would have forecast which family?

Every family's largest size is forecast from smaller ones again and again: from so many of them, so
far in training, under each law, objective and policy. One table holds it all, naive rules beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalewise.core.errors import RunDataError, UnfitDataError, UsageError
from scalewise.core.records import sha256_of_json
from scalewise.fit.objective import objective_named
from scalewise.fit.search import QUICK, Effort
from scalewise.forecast.design import Order, designs
from scalewise.forecast.mappers import Mapper, map_here
from scalewise.forecast.policy import DEFAULT, EstimationPolicy, policy_named
from scalewise.forecast.splits import size_column
from scalewise.forecast.study_cache import answers
from scalewise.forecast.study_cell import Cell, Chunk, refusal, sizes_of
from scalewise.laws.catalogue import law_from
from scalewise.laws.law import Law
from scalewise.runs.derive import UNNAMED
from scalewise.runs.table import RunTable

if TYPE_CHECKING:
    import polars as pl

# A backtest's quick search, but to the bottom: published errors are compared to 0.02 points.
CLOSE = replace(QUICK, tolerance=1e-10, max_iterations=200)
Setting = tuple[str, str, str]  # law, objective, policy
THRESHOLDS = (0.15, 0.10, 0.05, 0.02)
WORST_LOSS = 10.0  # of a target, nats/token: Choshen et al. leave out what never came below


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheapest:
    """The cheapest design of a family that would have come within a threshold, in hindsight.

    ``cell`` is None where no identified fit came so near; ``closest`` is the best error there was.
    """

    family: str
    threshold: float
    cell: Cell | None
    closest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The mean over families of their mean errors in one bin of designs."""

    law: str
    objective: str
    policy: str
    by: str
    bin: str
    families: int
    cells: int
    mean_abs_error: float
    best_seen_error: float
    most_compute_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Every cell of a backtest at scale, and why families without cells have none."""

    cells: tuple[Cell, ...]
    skipped: Mapping[str, str]
    policies: tuple[EstimationPolicy, ...]
    tail: float
    order: Order
    sha256: str
    families: tuple[str, ...]
    computed: int = 0  # chunks that were fitted now rather than found in the cache

    @property
    def frame(self) -> pl.DataFrame:
        """One row per cell; constants in columns ``theta.E`` and so on."""
        import polars as pl

        names = sorted({name for cell in self.cells for name in cell.theta})
        plain = [name for name in Cell.__dataclass_fields__ if name != "theta"]
        columns: dict[str, list[Any]] = {
            name: [getattr(cell, name) for cell in self.cells] for name in plain
        }
        columns |= {f"theta.{n}": [cell.theta.get(n) for cell in self.cells] for n in names}
        whole = {"models", "first", "points", "runs", "target_points"}
        words = {"family", "law", "objective", "policy", "status", "reason"}
        kinds = {
            name: pl.Int64 if name in whole else pl.String if name in words else pl.Float64
            for name in columns
        }
        return pl.DataFrame(columns, schema=kinds)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The combinations of law, objective and policy, in their order."""
        return tuple(dict.fromkeys((c.law, c.objective, c.policy) for c in self.cells))

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of training, smallest first."""
        return tuple(sorted({cell.share for cell in self.cells}))

    def of(self, family: str | None = None, setting: Setting | None = None) -> Study:
        """The cells of one family, one setting, or both."""
        kept = tuple(
            cell
            for cell in self.cells
            if family in (None, cell.family)
            and setting in (None, (cell.law, cell.objective, cell.policy))
        )
        return replace(self, cells=kept)

    def is_forecast(self, cell: Cell) -> bool:
        """Whether none of the checkpoints by which a cell is scored was fitted."""
        return self.order != "own" or cell.share < self.tail

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps errors of this study from being errors of forecasts."""
        if all(self.is_forecast(cell) for cell in self.cells):
            return ()
        return (
            f"Shares of the target's own training from {self.tail:.0%} on hold checkpoints by "
            "which it is scored: those errors are none of a forecast.",
        )

    def cheapest(self, thresholds: Sequence[float] = THRESHOLDS) -> tuple[Cheapest, ...]:
        """Per family and threshold the cheapest design that would have come so near.

        Known in hindsight only: nobody could have chosen it so. Fits whose constants the data do
        not determine are left out, which could come near by chance alone, and those of checkpoints
        that are scored.
        """
        answer = []
        for family in self.families:
            own = [c for c in self.cells if c.family == family and self.is_forecast(c)]
            usable = [c for c in own if c.is_identified]
            errors = [_error(c) for c in usable]
            for threshold in thresholds:
                near = [c for c in usable if _error(c) <= threshold]
                best = min(near, key=_cost, default=None)
                answer.append(
                    Cheapest(
                        family=family,
                        threshold=threshold,
                        cell=best,
                        closest=min(errors, default=None),
                    )
                )
        return tuple(answer)

    def macro(
        self, by: str = "models", *, share: float | None = None, identified: bool = False
    ) -> tuple[Mean, ...]:
        """Mean over families of their mean errors, by number of models or by scale-up factor.

        At one share of training, the largest unless it is given. ``identified`` leaves out fits
        whose constants the data do not determine.
        """
        if by not in _BINS:
            raise UsageError(f"There are no means by {by!r}.", hint=f"Use {' or '.join(_BINS)}.")
        at = max(self.shares, default=1.0) if share is None else share
        groups: dict[tuple[str, ...], dict[str, list[Cell]]] = {}
        for cell in self.cells:
            if cell.share == at and cell.mean_abs_error is not None:
                if identified and not cell.is_identified:
                    continue
                key = (cell.law, cell.objective, cell.policy, _BINS[by](cell))
                groups.setdefault(key, {}).setdefault(cell.family, []).append(cell)
        order = {setting: i for i, setting in enumerate(self.settings)}
        keys = sorted(groups, key=lambda key: (order[key[0], key[1], key[2]], _rank(key[3])))
        return tuple(_mean(key, by, groups[key]) for key in keys)


def study(
    families: Mapping[str, RunTable],
    *,
    laws: Sequence[str | Law] | None = None,
    objectives: Sequence[str] | None = None,
    policies: Sequence[str | EstimationPolicy] = (DEFAULT,),
    models: Sequence[int] | None = None,
    shares: Sequence[float] = (1.0,),
    order: Order = "smallest",
    tail: float = 0.7,
    fixed: Mapping[str, float] | None = None,
    mapper: Mapper = map_here,
    cache: str | Path | None = None,
    effort: Effort = CLOSE,
    on_chunk: Callable[[int, int], None] | None = None,
) -> Study:
    """Forecast each family's largest size from smaller ones, under every setting and design.

    ``models`` are the numbers of sizes to fit (default all), ``shares`` how much of the fitted
    runs' longest training is used, ``order`` which sizes: see ``design.designs``. Scored are the
    target's checkpoints from ``tail`` of its training on. ``objectives`` replace the policies'
    own; ``fixed`` constants are borrowed. Without ``laws`` that is chinchilla, or power-tokens
    where nothing is fixed and only the target's own beginning is fitted: one size tells no more.
    The answer does not depend on the ``mapper``; with a ``cache`` folder, what was computed before
    is not computed again. ``on_chunk`` hears how many parts of how many are done.

    Raises UnfitDataError if no family can be studied.
    """
    if not 0 < tail <= 1:
        raise UsageError(f"tail={tail:g} is not a share of training.", hint="0.7 scores the last "
                         "30 %.")  # fmt: skip
    hows = tuple(policy_named(policy) for policy in policies)
    if len({how.name for how in hows}) < len(hows):
        names = ", ".join(how.name for how in hows)
        raise UsageError(f"Two policies have one name: {names}.", hint="Name each of them.")
    if laws is None:
        laws = ("power-tokens",) if order == "own" and not fixed else ("chinchilla",)
    formulas = tuple(law_from(law) if isinstance(law, str) else law for law in laws)
    least = 1 if order == "own" else 2 if models and min(models) < 2 else 3
    chunks: list[Chunk] = []
    skipped: dict[str, str] = {}
    for family, table in families.items():
        try:
            column = _size_column(table)
            measured = table.measured(column, "tokens", "loss")
        except (RunDataError, UnfitDataError) as error:
            skipped[family] = str(error)
            continue
        if why := refusal(measured, column, least, WORST_LOSS):
            skipped[family] = why
            continue
        sizes = sizes_of(measured, column)
        chosen = designs(len(sizes), models=models, shares=shares, order=order)
        for law, how in product(formulas, hows):
            for objective, delta in _objectives(law, how, objectives):
                chunks.append(
                    Chunk(
                        family=family, table=measured, size_column=column, sizes=sizes, law=law,
                        objective=objective, delta=delta, policy=how, designs=chosen, tail=tail,
                        fixed=dict(fixed or {}), effort=effort,
                    )
                )  # fmt: skip
    if not chunks:
        told = "; ".join(f"{family}: {why}" for family, why in list(skipped.items())[:3])
        raise UnfitDataError(
            f"None of the {len(families)} families can be studied. {told}",
            hint="Give families of three sizes or more, with losses in nats per token.",
        )
    found, computed = answers(chunks, mapper, cache, on_chunk)
    return Study(
        cells=tuple(Cell(**row) for rows in found for row in rows),
        skipped=skipped,
        policies=hows,
        tail=tail,
        order=order,
        sha256=sha256_of_json({name: table.sha256 for name, table in families.items()}),
        computed=computed,
        families=tuple(dict.fromkeys(chunk.family for chunk in chunks)),
    )


def families_of(table: RunTable, column: str = "family") -> dict[str, RunTable]:
    """A run table by the values of a column; rows without one are left out, unless all are.

    Raises RunDataError if the table has no such column.
    """
    import polars as pl

    words = pl.Series(table.text(column))
    names = words.unique(maintain_order=True).to_list()
    named = [name for name in names if name.strip() and name != UNNAMED] or names
    return {name: replace(table, frame=table.frame.filter(words == name)) for name in named}


def _size_column(table: RunTable) -> str:
    column = size_column(table)
    if column not in ("params", "params_nonembed"):
        raise UnfitDataError(
            "Its runs have no params to order them by.", hint="Map that column: --map params=N."
        )
    for needed in ("tokens", "loss"):
        table.column(needed)
    return column


def _objectives(
    law: Law, how: EstimationPolicy, named: Sequence[str] | None
) -> list[tuple[str, float | None]]:
    """Name and delta of each objective: those named, or the policy's, or the law's own."""
    own = how.objective or law.default_objective
    names = [own] if named is None else [objective_named(name).name for name in named]
    return [(name, how.delta if name == own else None) for name in names]


def _error(cell: Cell) -> float:
    return float("inf") if cell.mean_abs_error is None else cell.mean_abs_error


def _cost(cell: Cell) -> float:
    return float("inf") if cell.fitted_flops is None else cell.fitted_flops


def _mean(key: tuple[str, ...], by: str, groups: Mapping[str, Sequence[Cell]]) -> Mean:
    def mean(name: str) -> float:
        own = [[getattr(cell, name) for cell in cells] for cells in groups.values()]
        return sum(sum(values) / len(values) for values in own) / len(own)

    law, objective, policy, label = key
    return Mean(
        law=law,
        objective=objective,
        policy=policy,
        by=by,
        bin=label,
        families=len(groups),
        cells=sum(map(len, groups.values())),
        mean_abs_error=mean("mean_abs_error"),
        best_seen_error=mean("best_seen_error"),
        most_compute_error=mean("most_compute_error"),
    )


_MOST_MODELS, _FARTHEST = 8, 32.0  # where the bins of Choshen et al. end


def _models_bin(cell: Cell) -> str:
    return f"{_MOST_MODELS}+" if cell.models >= _MOST_MODELS else str(cell.models)


def _scale_bin(cell: Cell) -> str:
    factor = cell.scale_up or 1.0
    if factor > _FARTHEST:
        return f">{_FARTHEST:g}"
    low = 1.0
    while factor > 2 * low:
        low *= 2
    return f"{low:g}-{2 * low:g}"


def _rank(label: str) -> float:
    return float(label.rstrip("+").lstrip(">").partition("-")[0]) + label.startswith(">")


_BINS: Mapping[str, Callable[[Cell], str]] = {"models": _models_bin, "scale_up": _scale_bin}
