"""Checks of the table as a whole: what must not be mixed, and what is too little to fit."""

from __future__ import annotations

from typing import Final

import numpy as np

from scalewise.runs.health.finding import (
    Finding,
    Findings,
    Severity,
    finals_mask,
    numbers,
    rows_of,
)
from scalewise.runs.quote import listed
from scalewise.runs.table import SIZES, RunTable

FEWEST_SIZES = 3

_MUST_NOT_MIX: Final[tuple[tuple[str, Severity, str], ...]] = (
    ("tokenizer", "error", "nats per token of different tokenizers do not compare"),
    ("eval_set", "error", "losses on different texts do not compare"),
    ("corpus", "error", "models of different training data follow different laws"),
    ("corpus_fingerprint", "error", "the same name stands for texts that differ"),
    ("family", "warning", "models of different recipes may follow different laws"),
    ("flop_rule", "warning", "FLOPs by different rules do not compare"),
)


def mixtures(table: RunTable) -> Findings:
    """One fit is of one tokenizer, one evaluation set, one corpus.

    Judged by the finished models where there are any: checkpoints are often measured on a part
    of the evaluation set, and a fit leaves them out.
    """
    final = finals_mask(table)
    frame = table.frame.filter(final) if final.any() else table.frame
    for name, severity, why in _MUST_NOT_MIX:
        if not table.has(name):
            continue
        counts = frame[name].drop_nulls().value_counts(sort=True)
        if counts.height > 1:
            values = counts[name].to_list()
            yield Finding(
                severity=severity, name=f"mixed {name}", rows=(),
                fact=f"There are {len(values)} values of {name}: {listed(values, 8)}; {why}.",
                mend=f"Choose one, such as .where({_condition(name, values[0])}).",
            )  # fmt: skip


def _condition(name: str, value: str) -> str:
    return repr(f"{name} == {value!r}")


def few_sizes(table: RunTable) -> Findings:
    """A law in N takes three sizes at least, and one in N and D several token counts."""
    name = next((size for size in SIZES if table.has(size)), None)
    values = numbers(table, name) if name else None
    if name is None or values is None:
        return
    count = len(np.unique(values[np.isfinite(values)]))
    if count < FEWEST_SIZES:
        found = {0: "is no value", 1: "is 1 value"}.get(count, f"are {count} different values")
        yield Finding(
            severity="error", name="fewer than three sizes", rows=(),
            fact=f"There {found} of {name}; an exponent in N and an offset take at least "
            f"{FEWEST_SIZES}.",
            mend="Add runs of other sizes; a factor of 30 between smallest and largest serves "
            "well.",
        )  # fmt: skip


def _one_loss(table: RunTable) -> Findings:
    """A loss that is the same whatever the size is a placeholder, or no loss of these models."""
    loss = numbers(table, "loss")
    scales = [values for name in (*SIZES, "tokens", "flops", "step")
              if (values := numbers(table, name)) is not None]  # fmt: skip
    if loss is None or not scales:
        return
    final = finals_mask(table)
    used = np.isfinite(loss) & (final if final.any() else True)
    varies = any(len(np.unique(values[used & np.isfinite(values)])) > 1 for values in scales)
    if varies and used.sum() > 2 and np.ptp(loss[used]) == 0:
        yield Finding(
            severity="warning", name="one value of loss", rows=(),
            fact=f"The loss is {loss[used][0]:.6g} in all {used.sum()} finished models, whatever "
            "their size and tokens: no exponent can be seen in it.",
            mend="Check which column the loss was read from, and that it is not rounded or filled "
            "in.",
        )  # fmt: skip


def one_value(table: RunTable) -> Findings:
    """What is the same in every finished model tells nothing, or cannot be told."""
    yield from _one_token_count(table)
    yield from _one_loss(table)


def _one_token_count(table: RunTable) -> Findings:
    """With D the same everywhere, B / D**beta is a constant that E absorbs."""
    tokens = numbers(table, "tokens")
    if tokens is None:
        return
    final = finals_mask(table)
    used = tokens[final if final.any() else slice(None)]
    distinct = np.unique(used[np.isfinite(used)])
    if len(distinct) == 1 and len(used) > 1:
        yield Finding(
            severity="warning", name="one value of tokens", rows=(),
            fact=f"Every finished run saw {distinct[0]:.4g} tokens: E and B / D**beta cannot be "
            "told apart.",
            mend="Add runs with other token budgets, or fit a law in N alone.",
        )  # fmt: skip


def curves_without_runs(table: RunTable) -> Findings:
    """Rows that share a size yet were each taken for a run of their own."""
    assumed = any("each row is its own run" in text for text in table.assumptions)
    name = next((size for size in SIZES if table.has(size)), None)
    if not assumed or not (table.has("step") or (name and table.has("tokens"))):
        return
    size = table.frame[name].n_unique() if name else 1
    if len(table) >= 10 * size:
        sizes = f"{size} size{'s' if size > 1 else ''}" if name else "unknown size"
        yield Finding(
            severity="warning", name="checkpoints taken for runs", rows=(),
            fact=f"Without run_id, {len(table)} rows of {sizes} count as {len(table)} "
            "independent runs.",
            mend="If they are checkpoints of the same runs, add a column run_id: intervals are "
            "too narrow otherwise.",
        )  # fmt: skip


def identical_rows(table: RunTable) -> Findings:
    """Rows without a run_id that repeat each other would count as independent runs."""
    import polars as pl

    assumed = any("each row is its own run" in text for text in table.assumptions)
    names = [n for n in (*SIZES, "tokens", "flops", "loss", "eval_set") if table.has(n)]
    if not assumed or "loss" not in names or len(names) < 2:
        return
    first = table.frame.select(pl.struct(names).is_first_distinct()).to_series()
    again = ~np.asarray(first.to_numpy(), dtype=bool)
    if again.any():
        yield Finding(
            severity="warning", name="identical rows", rows=rows_of(again),
            fact=f"{int(again.sum())} of {len(table)} rows repeat an earlier one in "
            f"{', '.join(names)}, and count as runs of their own.",
            mend="Drop the copies, or add run_id and seed if they are separate runs: intervals "
            "are too narrow otherwise.",
        )  # fmt: skip
