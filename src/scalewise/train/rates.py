"""Learning rates by a small search: short runs at a few rates for every size and batch size.

The critical batch is a statement about runs that are tuned at each batch size; with one rate for
all of them it measures the rate instead (Kaplan et al. 2020, sec. 5.1; Zhang et al. 2024).
Trials are ordinary runs in a folder of their own: what is done is never trained again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, isfinite, log
from pathlib import Path

import numpy as np

from scalewise.core import counting
from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.core.records import atomic_write, to_json
from scalewise.runs.spec import RunSpec
from scalewise.train.executor import train_all
from scalewise.train.progress import OnProgress
from scalewise.train.ray_cluster import RayCluster

TRIALS = "rate-trials"
SEARCH = "rates.json"
REWEIGHTINGS = 100
LEAST_DEVIATION = 1e-4  # of log rate: below it a cell lies on the rule
AVERAGING = 0.1  # of trials of runs that average nothing: one last loss is too noisy to choose by

Cell = tuple[int, int, int]  # width (d_model), params_nonembed and batch_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRate:
    """What the search found for one model size and batch size."""

    d_model: int
    params_nonembed: int
    batch_tokens: int
    lr_peak: float  # lowest point of a parabola in log rate through the best trial
    loss: float  # of the best trial, nats/token
    trials: tuple[tuple[float, float], ...]  # (rate, loss), by rate; a diverged one is infinite
    is_edge: bool  # the best rate was the lowest or the highest tried


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRule:
    """lr_peak = scale * batch_tokens**batch_exponent * params_nonembed**size_exponent."""

    scale: float
    batch_exponent: float
    size_exponent: float

    def rate(self, *, params_nonembed: float, batch_tokens: float) -> float:
        """The rate for a model and batch that need not have been tried.

        >>> rule = RateRule(scale=1e-4, batch_exponent=0.5, size_exponent=0.0)
        >>> round(rule.rate(params_nonembed=1e5, batch_tokens=400), 6)
        0.002
        """
        return float(
            self.scale * batch_tokens**self.batch_exponent * params_nonembed**self.size_exponent
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSearch:
    """The tuned rates of all cells, and the power law through them.

    ``warnings`` are about the machines that the trials ran on.
    """

    cells: tuple[CellRate, ...]
    rule: RateRule
    warnings: tuple[str, ...] = ()

    def tuned(self, specs: Iterable[RunSpec]) -> tuple[RunSpec, ...]:
        """The same runs, each at the rate of its own cell, or of the rule where none was tried."""
        found = {(c.d_model, c.params_nonembed, c.batch_tokens): c.lr_peak for c in self.cells}
        return tuple(
            replace(spec, lr_peak=found.get(_cell(spec)) or self._ruled(spec)) for spec in specs
        )

    def ruled(self, specs: Iterable[RunSpec]) -> tuple[RunSpec, ...]:
        """The same runs, each at the rate of the rule: smooth in size and batch."""
        return tuple(replace(spec, lr_peak=self._ruled(spec)) for spec in specs)

    def _ruled(self, spec: RunSpec) -> float:
        params = counting.params_nonembed(spec.shape)
        return self.rule.rate(params_nonembed=params, batch_tokens=spec.batch_tokens)


def tune_rates(
    specs: Sequence[RunSpec],
    folder: str | Path,
    *,
    share: float = 0.15,
    least_updates: int = 150,
    factor: float = 2.0,
    widen: int = 2,
    workers: int = 2,
    executor: str = "local",
    device: str = "cpu",
    on_progress: OnProgress | None = None,
    cluster: RayCluster | None = None,
) -> RateSearch:
    """Find a learning rate for every size and batch size among the specs, by short runs.

    Each cell is tried at its own ``lr_peak`` and a ``factor`` below and above, for ``share`` of
    its tokens but ``least_updates`` at the least; while the best is at an edge, one more rate is
    tried beyond it, ``widen`` times at most. The losses compared are those of averaged weights.
    Trials are kept in ``folder``/rate-trials and the outcome in ``folder``/rates.json; a search
    that was interrupted goes on. Raises UsageError for a share or factor out of range,
    UnfitDataError when every rate of a cell diverged or a trial could not be finished.
    """
    if not 0 < share <= 1 or not factor > 1:
        raise UsageError(
            f"share={share}, factor={factor}.", hint="Give 0 < share <= 1 and a factor above 1."
        )
    firsts = {_cell(spec): spec for spec in reversed(specs)}
    names = _names(firsts)
    tried: dict[Cell, dict[int, float]] = {cell: {} for cell in firsts}
    wanted = [(cell, place) for cell in firsts for place in (-1, 0, 1)]
    warnings: dict[str, None] = {}
    for _ in range(1 + widen):
        trials = {
            (cell, place): _trial(firsts[cell], names[cell], place, factor, share, least_updates)
            for cell, place in wanted
        }
        result = train_all(
            list(trials.values()),
            Path(folder) / TRIALS,
            workers=workers,
            executor=executor,
            device=device,
            on_progress=on_progress,
            cluster=cluster,
        )
        warnings |= dict.fromkeys(result.warnings)
        ends = {str(row["run_id"]): row for row in result.rows}  # the last row of each run
        for (cell, place), spec in trials.items():
            tried[cell][place] = _score(ends.get(spec.run_id), spec)
        wanted = [(cell, edge) for cell in firsts for edge in _beyond(tried[cell])]
        if not wanted:
            break
    cells = tuple(_settled(firsts[cell], tried[cell], factor) for cell in sorted(firsts))
    search = RateSearch(cells=cells, rule=rate_rule(cells), warnings=tuple(warnings))
    atomic_write(Path(folder) / SEARCH, to_json(search, indent=1))
    return search


def rate_rule(cells: Sequence[CellRate]) -> RateRule:
    """The power law through the rates of all cells, by least absolute deviations in logs.

    One unlucky trial can put the rate of its cell off by several factors; the absolute value keeps
    such a cell from tilting the rule. An exponent is 0 where all cells share their batch or size.
    """
    logs = np.log([[c.batch_tokens, c.params_nonembed, c.lr_peak] for c in cells])
    varies = [bool(np.ptp(logs[:, k]) > 0) for k in range(2)]
    columns = np.column_stack([np.ones(len(cells)), *(logs[:, k] * varies[k] for k in range(2))])
    weights = np.ones(len(cells))
    for _ in range(REWEIGHTINGS):
        solution = np.linalg.lstsq(columns * weights[:, None], logs[:, 2] * weights, rcond=None)[0]
        weights = np.abs(logs[:, 2] - columns @ solution).clip(min=LEAST_DEVIATION) ** -0.5
    constant, batch, size = solution
    return RateRule(scale=exp(constant), batch_exponent=float(batch), size_exponent=float(size))


def _cell(spec: RunSpec) -> Cell:
    return spec.shape.d_model, counting.params_nonembed(spec.shape), spec.batch_tokens


def _names(cells: Iterable[Cell]) -> dict[Cell, str]:
    """How trials are called: by width, and by size too where models of one width have several."""
    sizes = {(width, params) for width, params, _ in cells}
    widths = [width for width, _ in sizes]
    return {
        (width, params, batch): f"d{width}-b{batch}"
        if widths.count(width) == 1
        else f"d{width}-n{params}-b{batch}"
        for width, params, batch in cells
    }


def _trial(
    spec: RunSpec, name: str, place: int, factor: float, share: float, least: int
) -> RunSpec:
    updates = max(min(least, spec.steps), round(share * spec.steps))
    rate = spec.lr_peak * factor**place
    return replace(
        spec,
        run_id=f"rate-{name}-lr{rate:.3g}",
        token_budgets=(updates * spec.batch_tokens,),
        lr_peak=rate,
        schedule="constant",
        averaging=spec.averaging or AVERAGING,
        eval_points=0,
    )


def _score(end: Mapping[str, object] | None, spec: RunSpec) -> float:
    if end is None:
        raise UnfitDataError(
            f"Trial {spec.run_id!r} did not finish.",
            hint="Run the same search again: it goes on where it was left.",
        )
    loss = end["loss"]
    return float(loss) if isinstance(loss, float) and end["status"] == "ok" else inf


def _beyond(tried: Mapping[int, float]) -> tuple[int, ...]:
    """The next place to try where the best one has no neighbour."""
    best = min(tried, key=lambda place: tried[place])
    return tuple(place for place in (best - 1, best + 1) if place not in tried)


def _settled(spec: RunSpec, tried: Mapping[int, float], factor: float) -> CellRate:
    best = min(tried, key=lambda place: tried[place])
    if not isfinite(tried[best]):
        raise UnfitDataError(
            f"Every rate tried for width {spec.shape.d_model} at batch {spec.batch_tokens} "
            "diverged.",
            hint="Start from a lower lr_peak.",
        )
    rates = {place: spec.lr_peak * factor**place for place in sorted(tried)}
    return CellRate(
        d_model=spec.shape.d_model,
        params_nonembed=counting.params_nonembed(spec.shape),
        batch_tokens=spec.batch_tokens,
        lr_peak=rates[best] * exp(log(factor) * _vertex(tried, best)),
        loss=tried[best],
        trials=tuple((rate, tried[place]) for place, rate in rates.items()),
        is_edge=best in (min(tried), max(tried)),
    )


def _vertex(tried: Mapping[int, float], best: int) -> float:
    """Where the parabola through the best trial and its neighbours is lowest, in [-1/2, 1/2]."""
    low, mid, high = (tried.get(best + k, inf) for k in (-1, 0, 1))
    bend = low - 2 * mid + high
    return 0.5 * (low - high) / bend if isfinite(bend) and bend > 0 else 0.0
