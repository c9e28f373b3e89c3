"""Runs that differ in nothing but their seed: what training the same model twice makes of loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.core.quantities import check_level
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

# What must agree for two runs to be the same experiment, of those that a table has.
ALIKE = (
    "family", "corpus", "tokenizer", "eval_set", "params", "params_nonembed", "params_active",
    "tokens", "tokens_unique", "step", "batch_tokens", "context_length", "vocab_size", "d_model",
    "n_layer", "lr_peak", "lr", "schedule", "warmup_steps", "decay_fraction", "is_annealed",
)  # fmt: skip
_PROGRESS = ("tokens", "step", "flops")
_SIZES = ("params", "params_nonembed", "d_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A standard deviation with its interval by chi-squared, and the degrees of freedom of both."""

    sd: float
    low: float
    high: float
    degrees: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One experiment that was run several times: its columns, the mean loss, and the scatter.

    ``sd`` is in log loss, or in nats/token if ``RunNoise.in_logs`` is false.
    """

    columns: Mapping[str, Any]
    runs: int
    loss: float
    sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNoise:
    """Scatter between runs that agree in the columns ``alike``, pooled over experiments.

    ``trend`` is the scatter among the experiments of higher loss over that among those of lower
    loss, with ``trend_p`` the probability of as much by chance; None below four experiments.
    """

    spread: Spread
    repeats: tuple[Repeat, ...]
    alike: tuple[str, ...]
    level: float
    in_logs: bool
    trend: float | None
    trend_p: float | None


def run_noise(
    table: RunTable, *, by: Sequence[str] | None = None, level: float = 0.9, in_logs: bool = True
) -> RunNoise:
    """Pooled standard deviation between runs that are one experiment, with its interval.

    Runs are one experiment if they agree in size, progress and every other column of ``ALIKE``
    that the table has, or in the columns ``by``. Runs that share their seed and branch from one
    trunk deviate together, so degrees of freedom are counted in runs, not in rows.
    Raises UnfitDataError if no experiment was run twice.

    >>> from scalewise.runs.read import read_runs
    >>> runs = read_runs({"params": [1e6] * 3, "tokens": [2e7] * 3, "loss": [4.0, 4.04, 3.96]})
    >>> round(run_noise(runs, in_logs=False).spread.sd, 3)
    0.04
    """
    alike = _alike(table, by)
    loss = table.column("loss")
    usable = np.isfinite(loss) & (loss > 0)
    experiment, run = (codes[usable] for codes in (experiments(table, alike), runs_of(table)))
    rows, loss = np.flatnonzero(usable), loss[usable]
    values = np.log(loss) if in_logs else loss
    # The mean of each run, so that a row written twice is not taken for a repeat.
    pairs, first, where = np.unique(
        np.stack([experiment, run]), axis=1, return_index=True, return_inverse=True
    )
    where = where.reshape(-1)
    each = np.bincount(where, weights=values) / np.bincount(where)
    codes, start, member, size = np.unique(
        pairs[0], return_index=True, return_inverse=True, return_counts=True
    )
    mean = np.bincount(member, weights=each) / size
    squares = np.bincount(member, weights=(each - mean[member]) ** 2)
    chosen = np.flatnonzero(size > 1)
    if not len(chosen):
        raise UnfitDataError(
            f"No two of {table.run_count} runs agree in {', '.join(alike)}.",
            hint="Train one size twice with another seed; a small one will do.",
        )
    squares, free = squares[chosen], size[chosen] - 1
    if not np.any(squares > 1e-24):
        raise UnfitDataError(
            f"The {int(size[chosen].sum())} runs that agree in {', '.join(alike)} have equal "
            "losses to the last digit: copies, not repeats.",
            hint="Remove the copies, or log more digits.",
        )
    found = tuple(
        Repeat(
            columns={n: table.frame[n][int(rows[first[start[i]]])] for n in alike},
            runs=int(size[i]),
            loss=float(loss[experiment == codes[i]].mean()),
            sd=float(np.sqrt(squares[k] / free[k])),
        )
        for k, i in enumerate(chosen)
    )
    sd = float(np.sqrt(squares.sum() / free.sum()))
    degrees = min(int(free.sum()), len(np.unique(run)) - components(experiment, run))
    ratio, p = _trend(np.array([repeat.loss for repeat in found]), squares, free)
    return RunNoise(
        spread=spread(sd, max(degrees, 1), level),
        repeats=found,
        alike=alike,
        level=level,
        in_logs=in_logs,
        trend=ratio,
        trend_p=p,
    )


def seed_noise(table: RunTable) -> float | None:
    """Standard deviation of log loss between seeds at equal size and tokens, None without any."""
    if not table.has("seed"):
        return None
    try:
        return run_noise(table).spread.sd
    except UnfitDataError:
        return None


def spread(sd: float, degrees: int, level: float) -> Spread:
    """A standard deviation from ``degrees`` degrees of freedom with its chi-squared interval.

    >>> made = spread(1.0, 10, 0.9)
    >>> round(made.low, 3), round(made.high, 3)
    (0.739, 1.593)
    """
    from scipy.special import chdtri

    tail = (1 - check_level(level)) / 2
    low, high = (float(sd * np.sqrt(degrees / chdtri(degrees, p))) for p in (tail, 1 - tail))
    return Spread(sd=sd, low=low, high=high, degrees=degrees)


def experiments(table: RunTable, alike: Sequence[str]) -> Array:
    """The number of the experiment that each row belongs to; unknown cells agree."""
    rows = table.frame.with_row_index("_row").group_by(alike, maintain_order=True).agg("_row")
    codes = np.empty(len(table), dtype=int)
    sizes = rows["_row"].list.len().to_numpy()
    codes[rows["_row"].explode().to_numpy()] = np.repeat(np.arange(len(sizes)), sizes)
    return codes


def runs_of(table: RunTable) -> Array:
    """The number of the run that each row belongs to."""
    return np.unique(np.asarray(table.text("run_id")), return_inverse=True)[1]


def components(experiment: Array, run: Array) -> int:
    """How many sets of runs share no experiment with each other.

    >>> components(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 2, 3]))
    2
    """
    experiment, run = (np.unique(x, return_inverse=True)[1] for x in (experiment, run))
    root = np.arange(int(run.max()) + 1)
    while True:
        least = np.full(int(experiment.max()) + 1, len(root))
        np.minimum.at(least, experiment, root[run])
        now = root.copy()
        np.minimum.at(now, run, least[experiment])
        if np.array_equal(now, root):
            return len(np.unique(root))
        root = now


def _alike(table: RunTable, by: Sequence[str] | None) -> tuple[str, ...]:
    if by is not None:
        unknown = [name for name in by if name not in table.columns]
        if unknown or not by:
            raise UsageError(
                f"The table has no column {', '.join(unknown) or 'to compare runs by'}.",
                hint=f"It has {', '.join(table.columns)}.",
            )
        return tuple(by)
    for names in (_SIZES, _PROGRESS):
        if not any(table.has(name) for name in names):
            raise UnfitDataError(
                f"The table has none of {', '.join(names)}, so equal runs cannot be told.",
                hint="Name the columns in which repeats agree.",
            )
    return tuple(name for name in ALIKE if table.has(name))


def _trend(loss: Array, squares: Array, free: Array) -> tuple[float | None, float | None]:
    """Scatter at high loss over scatter at low loss, with a two-sided F probability."""
    if len(loss) < 4:
        return None, None
    from scipy.special import fdtrc

    high = loss > np.median(loss)
    (upper, a), (lower, b) = ((squares[s].sum(), free[s].sum()) for s in (high, ~high))
    if not (upper > 0 and lower > 0):
        return None, None
    ratio = (upper / a) / (lower / b)
    p = float(fdtrc(a, b, ratio))
    return float(np.sqrt(ratio)), 2 * min(p, 1 - p)
