"""Checks of columns against each other: counts, steps and FLOPs that cannot all be right."""

from __future__ import annotations

import numpy as np

from scalewise.core.flops import training_flops
from scalewise.runs.health.finding import Finding, Findings, Mask, Values, numbers, rows_of, told
from scalewise.runs.table import RunTable

_WRAP = 2**64
# A wrapped product that passed through float64 is off by at most half its last place.
_ROUNDING = 2.0**11


def tokens_against_steps(table: RunTable) -> Findings:
    """``tokens`` must be ``step * batch_tokens``, give or take one batch."""
    tokens, step, batch = (numbers(table, n) for n in ("tokens", "step", "batch_tokens"))
    if tokens is None or step is None or batch is None:
        return
    expected = step * batch
    usable = np.isfinite(tokens) & np.isfinite(expected) & (expected > 0) & (tokens > 0)
    off = usable & (np.abs(tokens - expected) > np.maximum(0.01 * expected, batch))
    if not off.any():
        return
    ratio = np.divide(tokens, expected, out=np.ones_like(tokens), where=usable)
    far = off & ((ratio > 2.0) | (ratio < 0.5))
    yield Finding(
        severity="error" if far.any() else "warning",
        name="tokens contradict step * batch_tokens", rows=rows_of(off),
        fact=f"tokens / (step * batch_tokens) is not 1: {told(off, ratio)}."
        + _in_sequences(table, ratio, off),
        mend="Find out which is right: batch_tokens counts tokens, not sequences, over all "
        "devices and accumulation; a batch that grew makes the product too large.",
    )  # fmt: skip


def _in_sequences(table: RunTable, ratio: Values, off: Mask) -> str:
    context = numbers(table, "context_length")
    if context is not None and np.allclose(ratio[off], context[off], rtol=0.02):
        return " The ratio is context_length: batch_tokens holds sequences."
    return ""


def overflowed_flops(table: RunTable) -> Findings:
    """FLOPs computed as 6 N D in 64-bit integers wrap round, often to a negative number."""
    params, tokens, flops = (numbers(table, n) for n in ("params", "tokens", "flops"))
    if params is None or tokens is None or flops is None:
        return
    true = training_flops(params, tokens)
    # A wrapped product is no larger than the words it was kept in, and far from the true one.
    large = np.isfinite(true) & (true >= 2.0**63) & (np.abs(flops) <= _WRAP)
    large &= np.abs(flops - true) > _WRAP / 4
    wrapped = np.zeros(len(table), dtype=bool)
    for row in np.flatnonzero(large):
        # Exact in Python's integers; the cells came through float64, exact below 2**53.
        product = 6 * int(params[row]) * int(tokens[row])
        signed = (product + _WRAP // 2) % _WRAP - _WRAP // 2
        seen = {signed, signed % _WRAP} - {product}
        wrapped[row] = any(abs(flops[row] - value) <= _ROUNDING for value in seen)
    if wrapped.any():
        yield Finding(
            severity="error", name="flops overflowed", rows=rows_of(wrapped),
            fact=f"flops is 6 * params * tokens wrapped round at 64 bits: {told(wrapped, flops)}; "
            f"the first should be {true[wrapped][0]:.3g}.",
            mend="Leave the column flops out: it is then computed in floats.",
        )  # fmt: skip


def flops_against_6nd(table: RunTable) -> Findings:
    """FLOPs far from 6 N D are counted by another rule, or of something else."""
    params, tokens, flops = (numbers(table, n) for n in ("params", "tokens", "flops"))
    if params is None or tokens is None or flops is None or table.has("params_active"):
        return
    true = training_flops(params, tokens)
    usable = np.isfinite(true) & np.isfinite(flops) & (true > 0) & (flops > 0)
    ratio = np.divide(flops, true, out=np.ones_like(true), where=usable)
    off = usable & ((ratio > 3.0) | (ratio < 1.0 / 3.0))
    if off.any():
        yield Finding(
            severity="note", name="flops far from 6ND", rows=rows_of(off),
            fact=f"flops / (6 * params * tokens) is beyond 3-fold: {told(off, ratio)}.",
            mend="Check which rule and which parameters they count, and name it in flop_rule; "
            "small models with long contexts do exceed 6ND.",
        )  # fmt: skip


def nonembed_against_total(table: RunTable) -> Findings:
    """The parameters without embeddings are fewer than all parameters."""
    total = numbers(table, "params")
    for name in ("params_nonembed", "params_active"):
        part = numbers(table, name)
        if total is None or part is None:
            continue
        both = np.isfinite(total) & np.isfinite(part)
        more = both & (part > total)
        if more.any():
            yield Finding(
                severity="error", name=f"{name} exceeds params", rows=rows_of(more),
                fact=f"{name} / params exceeds 1: {told(more, part / np.maximum(total, 1.0))}.",
                mend="The two are swapped, or from different models.",
            )  # fmt: skip
        elif name == "params_nonembed" and both.any() and (part == total)[both].all():
            yield Finding(
                severity="note", name="params equal params_nonembed", rows=(),
                fact="params and params_nonembed are equal in every row: one is a copy.",
                mend="Know which count it is: total or non-embedding shifts a forecast by "
                "percents.",
            )  # fmt: skip
