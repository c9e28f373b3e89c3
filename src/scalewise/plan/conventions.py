"""Why Kaplan and Chinchilla disagree: one run table, its exponent under each way of counting.

Kaplan et al. 2020 found N_opt ~ C**0.73 and Hoffmann et al. 2022 C**0.50. Porian et al. 2024
(2406.19146) and Pearce & Song 2024 (2406.12907) showed that most of the gap is bookkeeping: Kaplan
counted neither embeddings nor the output head, which in small models are most of the work.

Here the same runs are re-cut at constant compute under each convention. Each size's loss is
interpolated along compute as that convention counts it, read at common budgets, and the lowest
point of each valley regressed as in approach 2. The runs do not change between rows, so the whole
difference between rows is counting; what Porian et al. found besides (warm-up, decay, tuning) is
in how runs were trained and cannot be seen in one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalewise.core.errors import UnfitDataError
from scalewise.core.flops import training_flops
from scalewise.core.quantities import check_level
from scalewise.plan.allocate import Interval
from scalewise.plan.interpolation import akima
from scalewise.plan.isoflop import IsoFlop, from_profiles
from scalewise.plan.profiles import FEWEST_SIZES, Method, Profile
from scalewise.plan.readings import Readings, Rows, readings
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

DEFAULT_BOOTSTRAP = 200
_BUDGETS = 12  # as many as Porian et al. read off
_RULES = {"6ND": "6 N D", "attention": "6 N D + attention", "given": "flops as given"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """One way of counting and the exponent it gives.

    ``size`` and ``flops`` say what is counted, ``a`` is the exponent of N_opt ~ C**a, ``shift`` its
    change from the convention ``against``, which counts one thing less (itself for the first), and
    ``reason`` one sentence on why. The interval of the shift is over the same resamples of both, so
    it can be narrow where both exponents are uncertain. ``left_out`` budgets did not bracket their
    minimum.
    """

    key: str
    size: str
    flops: str
    a: Interval
    shift: Interval
    against: str
    budgets: int
    reason: str
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    """The table of conventions. ``missing`` names those that the run table has no columns for."""

    rows: tuple[Convention, ...]
    missing: tuple[str, ...]
    method: Method
    level: float
    runs: int
    sizes: int
    seed: int
    warnings: tuple[str, ...]
    details: tuple[IsoFlop, ...]


_REASONS = {
    "nonembed": "Kaplan's count leaves embeddings and head out, which are most of a small model: "
    "small optima look smaller than they are, so size seems to grow faster with compute.",
    "nonembed-attention": "Attention scores join the compute but not the size: small budgets gain "
    "most, so the same growth in size is spread over a shorter range of compute.",
    "head": "The output head joins size and compute: small models gain most, so their size rises "
    "less steeply.",
    "head-attention": "Attention scores join the compute of models counted with their head: nearly "
    "every matrix product is counted, and the attention term is a small share of it.",
    "total": "Every parameter counts, embeddings too, as in Hoffmann's run tables.",
    "given": "The table's own flops, whatever they count, against all params.",
}
_AGAINST = {
    "nonembed-attention": ("nonembed",),
    "head": ("nonembed",),
    "head-attention": ("head",),
    "total": ("head", "nonembed"),
    "given": ("total", "head"),
}


def conventions(
    runs: RunTable,
    *,
    rows: Rows | None = None,
    method: Method = "interpolated",
    budgets: int = _BUDGETS,
    level: float = 0.9,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
) -> Conventions:
    """The exponent of N_opt ~ C**a under each convention that the table's columns allow.

    Needs several token counts for each size: finished runs, or with ``rows="all"`` checkpoints,
    which are turned to where finished runs do not suffice unless ``rows`` is given.
    ``params_nonembed`` brings Kaplan's count; ``vocab_size`` and ``d_model`` the head; ``n_layer``,
    ``d_model`` and ``context_length`` the attention term. ``method`` finds the vertices as in
    `plan.profiles`. Raises UnfitDataError if no convention can be evaluated.
    """
    check_level(level)
    cut = _Cut(budgets=budgets, method=method, level=level, bootstrap=bootstrap, seed=seed)
    if rows is not None:
        return _evaluated(runs.finals() if rows == "finals" else runs, cut)
    finals = runs.finals()
    try:
        return _evaluated(finals, cut)
    except UnfitDataError:
        if len(finals) == len(runs):
            raise
        found = _evaluated(runs, cut)
    note = "Read off checkpoints: there are too few finished runs, and unfinished ones lie higher."
    return replace(found, warnings=(note, *found.warnings))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """How the runs are cut at constant compute."""

    budgets: int
    method: Method
    level: float
    bootstrap: int
    seed: int


def _evaluated(table: RunTable, how: _Cut) -> Conventions:
    counted, missing = _counted(table)
    found: list[tuple[str, IsoFlop]] = []
    refused: list[str] = []
    sizes = runs_seen = 0
    for key, pair in counted.items():
        try:
            data = readings(table, counted=pair)
            cut = from_profiles(
                _recut(data, how.budgets), size=key, method=how.method, level=how.level,
                bootstrap=how.bootstrap, seed=how.seed,
            )  # fmt: skip
        except UnfitDataError as error:
            refused.append(f"{_words(key)}: {error.message}")
            continue
        sizes, runs_seen = len(np.unique(data.size)), len(np.unique(data.run))
        found.append((key, cut))
    if not found:
        raise UnfitDataError(
            f"No convention gives an exponent. {' '.join(refused[:1])}".rstrip()
            + "".join(f" {what[0].upper()}{what[1:]}." for what in missing),
            hint="Train at least four sizes, each to several token counts that overlap in compute.",
        )
    return Conventions(
        rows=tuple(_row(key, cut, dict(found)) for key, cut in found),
        missing=(*missing, *refused),
        method=how.method,
        level=how.level,
        runs=runs_seen,
        sizes=sizes,
        seed=how.seed,
        warnings=_doubts(found),
        details=tuple(cut for _, cut in found),
    )


def _row(key: str, cut: IsoFlop, found: Mapping[str, IsoFlop]) -> Convention:
    against = next((other for other in _AGAINST.get(key, ()) if other in found), key)
    size, flops = _words(key).split(" | ")
    return Convention(
        key=key,
        size=size,
        flops=flops,
        a=cut.params.exponent,
        shift=_shift(cut, found[against]),
        against=against,
        budgets=len(cut.vertices),
        reason=_REASONS[key],
        left_out=len(cut.left_out),
    )


def _shift(cut: IsoFlop, other: IsoFlop) -> Interval:
    """How much the exponent moves, with the percentiles of its move in each resample."""
    value = cut.params.slope - other.params.slope
    moved = cut.params.draws[:, 1] - other.params.draws[:, 1]
    moved = moved[np.isfinite(moved)]
    if not len(moved):
        return Interval(value=value, low=value, high=value)
    low, high = np.quantile(moved, [(1 - cut.level) / 2, (1 + cut.level) / 2])
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value))


def _counted(table: RunTable) -> tuple[dict[str, tuple[Array, Array]], list[str]]:
    """(size, flops) by convention, from the least to the most that is counted."""
    missing: list[str] = []
    out: dict[str, tuple[Array, Array]] = {}
    tokens = table.column("tokens")
    attention = _attention(table)
    if table.has("params_nonembed"):
        bare = table.column("params_nonembed")
        out["nonembed"] = bare, 6.0 * bare * tokens
        if attention is not None:
            out["nonembed-attention"] = bare, (6.0 * bare + attention) * tokens
        if table.has("vocab_size") and table.has("d_model"):
            head = bare + table.column("vocab_size") * table.column("d_model")
            out["head"] = head, 6.0 * head * tokens
            if attention is not None:
                out["head-attention"] = head, (6.0 * head + attention) * tokens
        else:
            missing.append("the output head needs vocab_size and d_model")
    else:
        missing.append("Kaplan's count needs params_nonembed")
    if attention is None:
        missing.append("the attention term needs n_layer, d_model and context_length")
    if table.has("params"):
        total = table.column("params")
        flops = training_flops(total, tokens)
        if not any(np.allclose(total, size) for size, _ in out.values()):
            out["total"] = total, flops
        if table.has("flops") and not np.allclose(table.column("flops"), flops, rtol=0.01):
            out["given"] = total, table.column("flops")
    return out, missing


def _attention(table: RunTable) -> Array | None:
    """Training FLOPs per token of Kaplan's context term, 6 n_layer context_length d_model."""
    names = ("n_layer", "d_model", "context_length")
    if not all(table.has(name) for name in names):
        return None
    layers, width, context = (table.column(name) for name in names)
    return np.asarray(6.0 * layers * width * context)


def _words(key: str) -> str:
    size = {"nonembed": "params_nonembed", "head": "params_nonembed + head"}
    rule = "attention" if key.endswith("attention") else "given" if key == "given" else "6ND"
    return f"{size.get(key.removesuffix('-attention'), 'params')} | {_RULES[rule]}"


def _recut(data: Readings, budgets: int) -> list[Profile]:
    """Isoflop profiles at common budgets, each size's loss interpolated along its own compute."""
    curves = {}
    for code, size in enumerate(np.unique(data.size)):
        own = data.take(data.size == size)
        if len(np.unique(own.flops)) >= 2:
            curves[code] = (float(size), _along(own))
    if len(curves) < FEWEST_SIZES:
        raise UnfitDataError(
            f"{len(curves)} sizes have two token counts or more; {FEWEST_SIZES} are needed.",
            hint="Train each size to several token counts, or use checkpoints.",
        )
    starts = np.sort([c[0][0] for _, c in curves.values()])
    ends = np.sort([c[0][-1] for _, c in curves.values()])
    if starts[FEWEST_SIZES - 1] >= ends[-FEWEST_SIZES]:
        raise UnfitDataError(
            f"There is no compute that {FEWEST_SIZES} of the {len(curves)} sizes were all trained "
            "to.",
            hint="Train small sizes longer or large ones shorter, so that they overlap in compute.",
        )
    # From where a fourth size joins in to where the fourth last one leaves.
    grid = np.linspace(starts[FEWEST_SIZES - 1], ends[-FEWEST_SIZES], budgets)
    cuts = [_cut(curves, float(at)) for at in grid]
    return [cut for cut in cuts if cut is not None]


def _along(own: Readings) -> tuple[Array, Array, Array]:
    """(log C, log loss, log D) of one size; equal compute, as between seeds, is averaged."""
    flops, where = np.unique(own.flops, return_inverse=True)
    count = np.bincount(where)
    loss = np.bincount(where, weights=np.log(own.loss)) / count
    tokens = np.bincount(where, weights=np.log(own.tokens)) / count
    return np.log(flops), loss, tokens


def _cut(
    curves: Mapping[int, tuple[float, tuple[Array, Array, Array]]], at: float
) -> Profile | None:
    """The sizes that were trained at a compute, each at its loss there; None if there are none."""
    rows = []
    for code, (size, (log_flops, log_loss, log_tokens)) in curves.items():
        if log_flops[0] - 1e-9 <= at <= log_flops[-1] + 1e-9:
            here = np.clip(np.array([at]), log_flops[0], log_flops[-1])
            loss = float(np.exp(akima(log_flops, log_loss, here))[0])
            tokens = float(np.interp(at, log_flops, log_tokens))
            rows.append((np.log(size), loss, tokens, code))
    if not rows:
        return None
    x, loss_at, tokens_at, cluster = (np.array(column) for column in zip(*rows, strict=True))
    return Profile(
        log_flops=at, x=x, loss=loss_at, log_tokens=tokens_at, cluster=cluster.astype(int)
    )


def _doubts(found: list[tuple[str, IsoFlop]]) -> tuple[str, ...]:
    said = []
    if len(found) == 1:
        said.append("The table allows one convention only, so no shift can be shown.")
    for key, cut in found:
        if len(cut.vertices) < len(cut.left_out):
            said.append(
                f"{_words(key)}: most budgets are left out, because their lowest loss is not "
                "between two sampled sizes."
            )
    return tuple(said)
