"""A log understood: which metric is which column, what tokens follow from, and how sure that is.

Every choice is an `Understanding`, told to the user and corrected by a mapping (`mapping`). Tokens
are the axis: logged ones are taken, else they follow from what comes first of consumed samples
times sequence length, logged batches, and steps times batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from scalewise.runs.columns import COLUMNS
from scalewise.sources.logs.limits import MAX_NAME
from scalewise.sources.logs.log import Fact, Log, Meaning
from scalewise.sources.logs.mapping import Corrections
from scalewise.sources.logs.metric_names import guess
from scalewise.sources.logs.points import WALL_TIME
from scalewise.sources.logs.settings import facts_of

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Confidence = Literal["told", "logged", "named", "derived", "assumed", "unknown"]

HELD_OUT = ("loss", "perplexity", "bits_per_token", "bits_per_byte")
_COUNT_CALLS = ("wandb", "trackio")  # formats whose own step counts calls of log()
_BY_NAME = ("named", "assumed")  # how sure a choice is that rests on a metric's name
_SAME = 0.01  # batches that differ by less are one batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Understanding:
    """One choice: a column, what it was taken from, how, and how sure that is.

    ``told`` by the user, ``logged`` by a format that says what it is, ``named`` so that it is
    plain, ``derived`` from what was logged, ``assumed``, or ``unknown``: there is nothing to take.
    """

    column: str
    from_: str
    how: str
    confidence: Confidence


@dataclass(slots=True)
class Understood:
    """A log with the metrics that stand for columns, its facts, and the choices behind both."""

    log: Log
    columns: dict[str, str] = field(default_factory=dict)  # tokens, lr, train_loss, ... -> metric
    measures: dict[tuple[str, str], str] = field(default_factory=dict)  # (eval_set, column)
    scales: dict[str, float] = field(default_factory=dict)
    smoothing: str = ""
    facts: dict[str, Fact] = field(default_factory=dict)
    choices: list[Understanding] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def chose(self, column: str, from_: str, how: str, confidence: Confidence) -> None:
        """Note a choice."""
        self.choices.append(
            Understanding(column=column, from_=from_, how=how, confidence=confidence)
        )

    def cells(self, column: str) -> tuple[Floats, Floats] | None:
        """Steps and values at which a column was logged, in the column's unit."""
        metric = self.columns.get(column)
        return None if metric is None else self.values(metric)

    def values(self, metric: str) -> tuple[Floats, Floats]:
        """Steps and values of a metric, scaled."""
        # The step itself may be named as a metric, where it counts tokens.
        kept = self.log.points.select(list(dict.fromkeys(("step", metric)))).drop_nulls()
        steps = kept["step"].cast(_float64()).to_numpy()
        return steps, kept[metric].cast(_float64()).to_numpy() * self.scales.get(metric, 1.0)


def _float64() -> type[pl.Float64]:
    import polars as pl

    return pl.Float64


def understand(log: Log, corrections: Corrections | None = None) -> Understood:
    """Decide what each metric and setting of a log stands for."""
    corrections = corrections or Corrections()
    found = Understood(log=log)
    _choose_metrics(found, corrections)
    _recount(found)
    _gather_facts(found, corrections.of_run(log.run_id, log.name))
    _tell_tokens(found)
    return found


def plausible(name: str, corrections: Corrections | None = None) -> bool:
    """Whether a metric may stand for a column, so that the others need not be read."""
    told = corrections is not None and name in corrections.columns.values()
    return told or guess(name) is not None


@dataclass(frozen=True, slots=True)
class _Rival:
    rank: tuple[int, int]
    metric: str
    meaning: Meaning
    confidence: Confidence


def _choose_metrics(found: Understood, corrections: Corrections) -> None:
    told = {metric: column for column, metric in corrections.columns.items()}
    points, log = found.log.points, found.log
    rivals: dict[tuple[str, str], list[_Rival]] = {}
    measure_told = bool(set(HELD_OUT) & set(corrections.columns) & set(told.values())) and any(
        corrections.columns[c] in points.columns for c in HELD_OUT if c in corrections.columns
    )
    for metric in points.columns:
        if metric in ("step", WALL_TIME) and metric not in told:
            continue
        meaning, rank, confidence = _meaning(metric, log, told)
        is_measure = meaning is not None and meaning.column in HELD_OUT
        if meaning is None or (measure_told and is_measure and metric not in told):
            found.unused.append(metric)
            continue
        count = points.height - points[metric].null_count()
        key = (meaning.eval_set, meaning.column)
        rivals.setdefault(key, []).append(_Rival((rank, count), metric, meaning, confidence))
    for (eval_set, column), several in rivals.items():
        best = max(several, key=lambda rival: rival.rank)
        found.unused += [rival.metric for rival in several if rival is not best]
        _take(found, eval_set, column, best)


def _take(found: Understood, eval_set: str, column: str, best: _Rival) -> None:
    metric, meaning = best.metric, best.meaning
    if column in HELD_OUT or eval_set:
        found.measures[(eval_set, column)] = metric
    else:
        found.columns[column] = metric
    if meaning.scale != 1.0:
        found.scales[metric] = meaning.scale
    how = f"{metric} times {meaning.scale:g}" if meaning.scale != 1.0 else ""
    if column == "train_loss":
        found.smoothing = meaning.note
    how = "; ".join(text for text in (how, meaning.note) if text)
    on = f" on {eval_set}" if eval_set else ""
    if column in (*COLUMNS, "samples"):
        found.chose(f"{column}{on}", metric, how, best.confidence)


def _recount(found: Understood) -> None:
    """Take ``tokens`` for those of one update where it is only named so and does not grow."""
    logged = found.cells("tokens")
    named = [c for c in found.choices if c.column == "tokens" and c.confidence in _BY_NAME]
    if logged is None or not named or "batch_tokens" in found.columns:
        return
    steps, values = logged
    good = np.isfinite(values) & (values > 0)
    steps, values = steps[good], values[good]
    # What is counted from the start grows as the steps do.
    if len(steps) < 3 or steps[-1] < 3 * max(steps[0], 1) or values.max() > 1.5 * values.min():
        return
    metric = found.columns["batch_tokens"] = found.columns.pop("tokens")
    found.choices.remove(named[0])
    found.chose("batch_tokens", metric, f"{metric} does not grow with the steps", "assumed")


def _meaning(
    metric: str, log: Log, told: Mapping[str, str]
) -> tuple[Meaning | None, int, Confidence]:
    guessed = guess(metric)
    if metric in told:
        known = log.meanings.get(metric) or (guessed.meaning if guessed else None)
        column = told[metric]
        if known is not None and known.column == column:
            return known, 9, "told"  # with its unit, which the user has not taken back
        eval_set = known.eval_set if known else ""
        in_set = eval_set if column in (*HELD_OUT, "accuracy", "error") else ""
        return Meaning(column=column, eval_set=in_set), 9, "told"
    if metric in log.meanings:
        return log.meanings[metric], 5, "logged"
    if guessed is None:
        return None, 0, "unknown"
    return guessed.meaning, guessed.plainness, "named" if guessed.plainness > 1 else "assumed"


def _gather_facts(found: Understood, told: Mapping[str, float | str]) -> None:
    """What holds for the run: what the user says, what was logged, what the settings say."""
    facts = dict(facts_of(found.log.config))
    facts |= {
        name: fact for name, given in found.log.facts.items() if (fact := _sound(name, given))
    }
    for column in ("params", "params_nonembed", "params_active", "batch_tokens"):
        cells = found.cells(column)
        if cells is not None and len(cells[1]) and column not in found.log.facts:
            values = cells[1]
            if column != "batch_tokens" or np.ptp(values) <= _SAME * abs(values[-1]):
                metric = found.columns[column]
                guessed = any(
                    (c.column, c.confidence) == (column, "assumed") for c in found.choices
                )
                given = Fact(
                    value=float(values[-1]),
                    how=f"metric {metric}",
                    confidence="assumed" if guessed else "logged",
                )
                facts |= {column: fact} if (fact := _sound(column, given)) else {}
    for column, value in told.items():
        facts[column] = Fact(value=value, how="the mapping")
    for column, fact in facts.items():
        if column in COLUMNS and (COLUMNS[column].kind == "text") != isinstance(fact.value, str):
            continue
        confidence: Confidence = "told" if column in told else fact.confidence
        found.facts[column] = fact
        value = f"{fact.value:.6g}" if isinstance(fact.value, float) else str(fact.value)
        found.chose(column, value, fact.how, confidence)


def _sound(column: str, fact: Fact) -> Fact | None:
    """A reader's fact as a finite count or as text; None if a damaged log made it anything else."""
    value = fact.value
    if isinstance(value, str):
        return replace(fact, value=value[:MAX_NAME].encode("utf-8", "replace").decode())
    if isinstance(value, bool) or not -1e300 < value < 1e300:
        return None
    return replace(fact, value=float(value)) if value > 0 or column == "seed" else None


def _tell_tokens(found: Understood) -> None:
    """The axis: which of the ways to tokens this log allows, the surest first."""
    if "tokens" in found.columns or "tokens" in found.facts:
        return
    batch, context = found.facts.get("batch_tokens"), found.facts.get("context_length")
    if "samples" in found.columns and context is not None:
        how = f"{found.columns['samples']} * context_length ({context.how})"
        found.chose("tokens", found.columns["samples"], how, "derived")
    elif "batch_tokens" in found.columns and batch is None:
        metric = found.columns["batch_tokens"]
        guessed = any((c.from_, c.confidence) == (metric, "assumed") for c in found.choices)
        sure: Confidence = "assumed" if guessed else "derived"
        found.chose("tokens", metric, f"sum of {metric} over steps", sure)
    elif batch is not None and _has_steps(found):
        axis = found.columns.get("step", "step")
        how, is_sure = f"{axis} * batch_tokens ({batch.how})", batch.confidence != "assumed"
        if counts_calls(found):
            how, is_sure = f"{how}, if every step of the log is one update", False
        found.chose("tokens", axis, how, "derived" if is_sure else "assumed")
    else:
        missing = "context_length" if "samples" in found.columns else "batch_tokens"
        found.chose("tokens", "", f"neither tokens nor {missing} is known", "unknown")


def _has_steps(found: Understood) -> bool:
    points = found.log.points
    return "step" in found.columns or points["step"].null_count() < points.height


def counts_calls(found: Understood) -> bool:
    """Whether the steps of the log may count calls rather than updates, as W&B's and trackio's."""
    return found.log.kind in _COUNT_CALLS and "step" not in found.columns


def tokens_at(found: Understood, at: Floats) -> Floats | None:
    """Tokens seen at steps of the log; None where nothing tells them."""
    logged = found.cells("tokens")
    if logged is not None and len(logged[0]):
        return _counted(found, "tokens", at, *logged)
    context, batch = (_number(found, name) for name in ("context_length", "batch_tokens"))
    samples = found.cells("samples")
    if samples is not None and len(samples[0]) and context:
        return _counted(found, "samples", at, samples[0], samples[1] * context)
    batches = found.cells("batch_tokens")
    if batches is not None and len(batches[0]) and not batch:
        steps, sizes = batches
        taken = np.diff(steps, prepend=0.0)
        return along(at, steps, np.cumsum(taken * sizes))
    return updates_at(found, at) * batch if batch and _has_steps(found) else None


def updates_at(found: Understood, at: Floats) -> Floats:
    """Optimizer updates at steps of the log, whose own count may be of calls."""
    logged = found.cells("step")
    return _counted(found, "step", at, *logged) if logged is not None and len(logged[0]) else at


def _counted(found: Understood, column: str, at: Floats, steps: Floats, values: Floats) -> Floats:
    """A counter at steps of the log.

    Where steps count calls of ``log``, an evaluation has a step of its own, at which nothing was
    trained: the counter stands as it was last logged.
    """
    points = found.log.points
    train = found.columns.get("train_loss")
    if found.log.kind not in _COUNT_CALLS or points.height < 2 or train is None:
        return along(at, steps, values)
    whole = points["step"].drop_nulls()
    is_calls = len(whole) and whole[-1] - whole[0] + 1 == points.height
    told = points[found.columns[column]].is_not_null()
    if not is_calls or (points[train].is_not_null() & ~told).any():
        return along(at, steps, values)
    last = np.searchsorted(steps, at, side="right") - 1
    return np.where(last < 0, 0.0, values[np.maximum(last, 0)])


def along(at: Floats, steps: Floats, values: Floats) -> Floats:
    """A counter read between the steps it was logged at, and beyond them at its last pace.

    >>> along(np.array([5.0, 40.0]), np.array([10.0, 20.0]), np.array([100.0, 200.0])).tolist()
    [50.0, 400.0]
    """
    good = np.isfinite(values)
    steps, values = steps[good], values[good]
    if not len(steps):
        return np.full(len(at), np.nan)
    read = np.interp(at, steps, values)
    first = values[0] / steps[0] if steps[0] > 0 else 0.0
    run = steps[-1] - steps[0]
    pace = (values[-1] - values[0]) / run if run > 0 else first
    read = np.where(at < steps[0], at * first, read)
    return np.where(at > steps[-1], values[-1] + (at - steps[-1]) * pace, read)


def _number(found: Understood, column: str) -> float:
    fact = found.facts.get(column)
    return fact.value if fact is not None and isinstance(fact.value, float) else 0.0
