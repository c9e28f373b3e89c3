"""Which points of which runs a law is estimated from, and how: one printed object.

Choshen et al. (2024) found that these choices move a forecast as much as the law does: whether
checkpoints count or finished models only, how much of the beginning is left out, and what is
minimised. The default follows what was measured on public families: checkpoints from a tenth of
each run on, every run with the same weight however densely it was logged, a robust objective on
log loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from scalewise.core.errors import UnfitDataError, UsageError
from scalewise.core.quantities import format_count
from scalewise.fit.points import Points, points_of
from scalewise.laws.law import Law
from scalewise.runs.table import RunTable

Array = np.ndarray[Any, np.dtype[Any]]

PolicyRows = Literal["checkpoints", "finals"]
Window = Literal["run", "fitted"]
Weight = Literal["run", "point"]
Annealed = Literal["any", "only"]
Seeds = Literal["kept", "averaged"]
_WORDS: Mapping[str, tuple[str, ...]] = {
    "rows": get_args(PolicyRows), "window": get_args(Window), "weight": get_args(Weight),
    "annealed": get_args(Annealed), "seeds": get_args(Seeds),
}  # fmt: skip

_APART = "run kept apart"
_ROUNDING = 1e-9  # of a share of tokens; half of 100 is not to miss 50 by the last bit

# What two runs that differ by their seed alone have in common.
_RECIPE = (
    "family", "params", "params_nonembed", "params_active", "d_model", "n_layer", "vocab_size",
    "tokenizer", "batch_tokens", "context_length", "lr_peak", "schedule", "warmup_steps",
    "decay_fraction", "averaging", "corpus", "tokens_unique", "eval_set",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationPolicy:
    """Which points enter a fit, with what weight, and what is minimised.

    ``rows``: every checkpoint, or the finished models. ``cut_tokens`` leaves out checkpoints of
    at most so many tokens, ``cut_share`` those before this share of the run (``window="run"``) or
    of the longest fitted run (``"fitted"``), ``cut_warmups`` those before so many times the
    warmup, where it is known. ``keeps_last=False`` leaves out the checkpoints with the most
    tokens of all, as Choshen et al. do. ``annealed="only"`` keeps checkpoints after the decay.
    ``smoothing`` averages each curve over a window of so many e-folds of tokens; ``seeds``
    averages runs that differ by their seed alone. ``weight="run"`` gives each run the same
    weight. ``objective`` (None is the law's own), ``delta`` and ``bounds`` are those of the fit.

    >>> print(CHOSHEN2024)
    choshen2024: checkpoints of more than 10B tokens, without the last; every point counts the
    same; ls; losses in nats per token
    """

    name: str = "own"
    rows: PolicyRows = "checkpoints"
    cut_tokens: float = 0.0
    cut_share: float = 0.1
    cut_warmups: float = 1.0
    window: Window = "run"
    keeps_last: bool = True
    annealed: Annealed = "any"
    smoothing: float = 0.0
    seeds: Seeds = "kept"
    weight: Weight = "run"
    objective: str | None = None
    delta: float | None = None
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, known in _WORDS.items():
            if (word := getattr(self, name)) not in known:
                raise UsageError(f"{name}={word!r} is unknown.", hint=f"Use {' or '.join(known)}.")
        if not 0 <= self.cut_share < 1:
            raise UsageError(
                f"cut_share={self.cut_share:g} is not a share of a run.",
                hint="Give a number from 0 to below 1; 0.1 leaves out the first tenth.",
            )
        for name in ("cut_tokens", "cut_warmups", "smoothing"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise UsageError(f"{name}={value:g} is not 0 or more.", hint="Give 0 to leave out.")
        object.__setattr__(self, "bounds", MappingProxyType(dict(self.bounds)))

    def __str__(self) -> str:
        return f"{self.name}: {'; '.join(self._said())}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Policies travel to other processes; a mapping proxy does not.
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return _policy, ({**given, "bounds": dict(self.bounds)},)

    def prepared(self, table: RunTable) -> RunTable:
        """The table's usable rows under this policy, before any cut: seeds averaged, smoothed.

        Raises RunDataError if none is left, UnfitDataError if none says that it is annealed.
        """
        table = self.unsmoothed(table)
        if not (self.smoothing and self.is_of_curves):
            return table
        run = table.frame["run_id"].rank("dense").to_numpy()
        loss = self.smoothed(table.column("tokens"), table.column("loss"), run)
        note = f"losses averaged over a window of {self.smoothing:g} e-folds of tokens"
        return replace(table, frame=table.frame.with_columns(loss=loss),
                       assumptions=(*table.assumptions, note))  # fmt: skip

    def unsmoothed(self, table: RunTable) -> RunTable:
        """As ``prepared``, with losses as they were measured."""
        table = table if self.is_of_curves else table.finals()
        table = table.measured("loss", "tokens")
        if self.annealed == "only":
            if not table.has("is_annealed"):
                raise UnfitDataError(
                    "The policy keeps annealed checkpoints only; no run says which those are.",
                    hint="Map a column to is_annealed, or take annealed='any'.",
                )
            table = table.where("is_annealed")
        return _averaged(table) if self.seeds == "averaged" else table

    @property
    def is_of_curves(self) -> bool:
        """Whether checkpoints take part, not finished models alone."""
        return self.rows == "checkpoints"

    def keeps(
        self, tokens: Array, run: Array, warmup_tokens: Array | None = None, *, share: float = 1.0
    ) -> Array:
        """Which checkpoints the cuts leave, as a mask.

        ``run`` numbers the run of each from 0; ``warmup_tokens`` is NaN where unknown. With a
        ``share`` below 1 training is taken to have stopped at that share of the most tokens.
        """
        end = share * float(np.max(tokens, initial=0.0))
        seen = self.seen(tokens, share)
        if self.rows == "finals":
            return seen
        kept = (seen if self.keeps_last else tokens < end) & (tokens > self.cut_tokens)
        if self.cut_share:
            own = np.zeros(int(run.max(initial=-1)) + 1)
            np.maximum.at(own, run[seen], tokens[seen])
            kept &= tokens >= self.cut_share * (own[run] if self.window == "run" else end)
        if self.cut_warmups and warmup_tokens is not None:
            kept &= ~(tokens < self.cut_warmups * warmup_tokens)
        return kept

    def seen(self, tokens: Array, share: float) -> Array:
        """Which checkpoints there are when training has got to a share of the most tokens."""
        end = share * float(np.max(tokens, initial=0.0))
        return np.asarray(tokens <= end * (1 + _ROUNDING))

    def smoothed(self, tokens: Array, loss: Array, run: Array) -> Array:
        """Each run's losses averaged geometrically over a centred window of log tokens."""
        smooth = np.array(loss, dtype=float)
        for number in np.unique(run):
            rows = np.flatnonzero(run == number)
            rows = rows[np.argsort(tokens[rows], kind="stable")]
            at, place = np.log(tokens[rows]), np.arange(len(rows))
            low = np.searchsorted(at, at - self.smoothing / 2, side="left")
            high = np.searchsorted(at, at + self.smoothing / 2, side="right")
            # At the ends the window shrinks on both sides, or it would average a slope away.
            reach = np.minimum(place - low, high - 1 - place)
            total = np.concatenate([[0.0], np.cumsum(np.log(loss[rows]))])
            mean = (total[place + reach + 1] - total[place - reach]) / (2 * reach + 1)
            smooth[rows] = np.exp(mean)
        return smooth

    def weights(self, run: Array) -> Array:
        """The weight of each point, with mean one."""
        if self.weight == "point" or not len(run):
            return np.ones(len(run))
        _, index, count = np.unique(run, return_inverse=True, return_counts=True)
        return np.asarray(len(run) / len(count) / count[index])

    def every(self, law: Law, table: RunTable) -> tuple[Points, RunTable]:
        """The points of a law before any cut, and the rows that they come from, in their order.

        A table of many runs is read once this way, however many parts of it are fitted.
        """
        table = self.prepared(table)
        points = points_of(law, table, rows="all")
        if len(points) < len(table):  # a law's own inputs may be missing where tokens are not
            table = table.measured(*law.columns, law.quantity)
        return points, table

    def points(self, law: Law, table: RunTable) -> Points:
        """What a law is estimated from under this policy.

        Raises UnfitDataError if the cuts leave nothing.
        """
        rows = table if self.is_of_curves else table.finals()
        unusable = len(rows) - len(rows.measured("loss", "tokens"))
        every, table = self.every(law, table)
        kept = self.keeps(table.column("tokens"), every.cluster, warmup_tokens(table))
        if not kept.any():
            raise UnfitDataError(
                f"The policy leaves none of {len(kept)} checkpoints; the longest run has "
                f"{format_count(float(table.column('tokens').max()))} tokens.",
                hint="Lower cut_tokens or cut_share.",
            )
        points = every.take(kept)
        left_out = every.left_out
        if unusable:
            left_out = (f"{unusable} rows lack a positive loss or tokens", *left_out)
        if lost := int((~kept).sum()):
            left_out = (*left_out, f"{lost} checkpoints before the cut of policy {self.name!r}")
        return replace(points, weights=self.weights(points.cluster), left_out=left_out)

    def bounds_of(self, law: Law) -> dict[str, tuple[float, float]]:
        """The policy's bounds for the constants that a law has."""
        return {name: box for name, box in self.bounds.items() if name in law.constant_names}

    def _said(self) -> tuple[str, ...]:
        if self.rows == "finals":
            what = "finished models"
        else:
            whose = "each run" if self.window == "run" else "the longest fitted run"
            warmup = "its warmup" if self.cut_warmups == 1 else f"{self.cut_warmups:g} x its warmup"
            cuts = [
                f"of more than {format_count(self.cut_tokens)} tokens" if self.cut_tokens else "",
                f"from {self.cut_share:.0%} of {whose} on" if self.cut_share else "",
                f"after {warmup}" if self.cut_warmups else "",
            ]
            what = " ".join(("checkpoints", " and ".join(cut for cut in cuts if cut))).strip()
            what += "" if self.keeps_last else ", without the last"
        each = "model" if self.rows == "finals" else "point"
        each = "run" if self.weight == "run" else each
        goal = self.objective or "the law's own objective"
        goal += "" if self.delta is None else f", delta {self.delta:g}"
        said = [what, f"every {each} counts the same", goal, "losses in nats per token"]
        if self.annealed == "only":
            said.insert(1, "annealed only")
        if self.smoothing and self.rows == "checkpoints":
            said.insert(1, f"smoothed over {self.smoothing:g} e-folds of tokens")
        if self.seeds == "averaged":
            said.insert(1, "seeds averaged")
        return tuple(said)


def _policy(given: dict[str, Any]) -> EstimationPolicy:
    return EstimationPolicy(**given)


DEFAULT = EstimationPolicy(name="default", objective="huber-log")
FINALS = EstimationPolicy(
    name="finals", rows="finals", cut_share=0.0, cut_warmups=0.0, weight="point"
)
CHOSHEN2024 = EstimationPolicy(
    name="choshen2024",
    cut_tokens=1e10,
    cut_share=0.0,
    cut_warmups=0.0,
    keeps_last=False,
    weight="point",
    objective="ls",
    # Theirs are only kept from being negative; the search needs a box, and one so wide is none.
    bounds={"alpha": (0.0, 30.0), "beta": (0.0, 30.0)},
)
POLICIES: Mapping[str, EstimationPolicy] = MappingProxyType(
    {policy.name: policy for policy in (DEFAULT, FINALS, CHOSHEN2024)}
)


def policy_named(name: str | EstimationPolicy) -> EstimationPolicy:
    """A policy by its name. Raises UsageError for one that is not known.

    >>> policy_named("finals").rows
    'finals'
    """
    if isinstance(name, EstimationPolicy):
        return name
    if name not in POLICIES:
        raise UsageError(
            f"There is no estimation policy {name!r}.", hint=f"There are {', '.join(POLICIES)}."
        )
    return POLICIES[name]


def warmup_tokens(table: RunTable) -> Array | None:
    """How many tokens the learning rate rose for, by row; None if no run says."""
    if not (table.has("warmup_steps") and table.has("batch_tokens")):
        return None
    return table.column("warmup_steps") * table.column("batch_tokens")


def _averaged(table: RunTable) -> RunTable:
    """Runs that differ by their seed alone as one, whose loss is the mean over seeds.

    Runs of one recipe and one seed differ by something that has no column, and stay apart.
    """
    import polars as pl

    if not table.has("seed"):
        return table
    recipe = [name for name in _RECIPE if name in table.columns]
    differ = pl.col("seed").n_unique() == pl.col("run_id").n_unique()
    apart = pl.when(differ.over(recipe)).then(None).otherwise(pl.col("run_id"))
    frame = table.frame.with_columns(apart.alias(_APART))
    first = frame.group_by(*recipe, _APART, maintain_order=True).agg(pl.col("run_id").first())
    # A trunk and its annealed end may have seen as many tokens.
    keys = [name for name in (*recipe, _APART, "tokens", "is_annealed") if name in frame.columns]
    frame = frame.group_by(keys, maintain_order=True).agg(
        pl.col("loss").mean(), pl.exclude("loss").first()
    )
    frame = frame.drop("run_id").join(first, on=[*recipe, _APART], how="left", nulls_equal=True)
    if frame.height == len(table):
        return table
    note = f"seeds averaged: {len(table)} rows became {frame.height}"
    return replace(table, frame=frame.drop(_APART), assumptions=(*table.assumptions, note))
