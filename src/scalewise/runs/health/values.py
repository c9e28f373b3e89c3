"""Checks of single cells: missing, impossible, or in another unit than the column says."""

from __future__ import annotations

import numpy as np

from scalewise.runs.columns import COLUMNS
from scalewise.runs.health.finding import (
    Finding,
    Findings,
    Mask,
    Severity,
    Values,
    finals_mask,
    numbers,
    rows_of,
    told,
)
from scalewise.runs.quote import listed
from scalewise.runs.table import SIZES, RunTable

# ln of the largest vocabularies in use (about 256k entries) is 12.5 nats: the loss of a uniform
# guess. A model above it knows less than nothing, so the number is no loss in nats per token.
UNIFORM_GUESS = 12.5
# The smallest language models worth the name have thousands of parameters.
FEWEST_PARAMS = 1e3
FEWEST_TOKENS = 1e5
MOST = 1e18  # params or tokens: ten thousand times the most ever trained on
# The lowest loss of a published BPE language model on general text is about 1.5 nats/token,
# while bits per byte lie between 0.5 and 1.3.
LOWEST_BPE_LOSS = 1.35


def required_columns(table: RunTable) -> Findings:
    """A fit needs a loss, and a size, a token count or a compute to explain it."""
    if not table.has("loss"):
        others = [n for n in ("bits_per_byte", "error", "train_loss") if table.has(n)]
        yield Finding(
            severity="error", name="no loss", rows=(),
            fact="There is no column loss"
            + (f" (but {', '.join(others)})." if others else "."),
            mend="Map the held-out loss in nats/token, such as mapping={'loss': 'val_loss'}; for "
            "bits per byte give a column bytes_per_token.",
        )  # fmt: skip
    if not any(table.has(name) for name in (*SIZES, "tokens", "flops", "step")):
        extras = [name for name in table.columns if name not in COLUMNS]
        yield Finding(
            severity="error", name="no scale", rows=(),
            fact="There is no column params, tokens, flops or step"
            + (f"; not understood: {listed(extras, 8)}." if extras else "."),
            mend="Map at least one of them, such as mapping={'params': '...'}.",
        )  # fmt: skip


def impossible_values(table: RunTable) -> Findings:
    """Loss and counts must be there, finite and positive."""
    for name in ("loss", *SIZES, "tokens", "flops"):
        values = numbers(table, name)
        if values is None:
            continue
        missing = table.frame[name].is_null().to_numpy()
        if missing.any():
            # Another count of the parameters may serve; a law of this one is told by the fit.
            counted = name in SIZES and bool(_sized(table)[missing].all())
            is_minor = counted or name in ("params_active", "flops")
            severity: Severity = "warning" if is_minor else "error"
            yield Finding(
                severity=severity, name=f"missing {name}", rows=rows_of(missing),
                fact=f"{name} is missing in {missing.sum()} of {len(table)} rows: "
                f"{told(missing, table.text('run_id'))}.",
                mend=f"Fill it in, or leave the rows out with .where('{name} > 0').",
            )  # fmt: skip
        unfit = ~missing & ~np.isfinite(values)
        if unfit.any():
            yield Finding(
                severity="error", name=f"{name} not finite", rows=rows_of(unfit),
                fact=f"{name} is NaN or infinite: {told(unfit, values)}.",
                mend=f"Leave the rows out with .where('{name} < 1e40'), or log the true value.",
            )  # fmt: skip
        yield from _not_positive(table, name, values)


def _sized(table: RunTable) -> Mask:
    """Rows with any count of parameters."""
    import polars as pl

    known = [pl.col(name).is_not_null() for name in SIZES if name in table.frame.columns]
    return np.asarray(table.frame.select(pl.any_horizontal(known)).to_series().to_numpy())


def _not_positive(table: RunTable, name: str, values: Values) -> Findings:
    untrained = (values == 0) & (name in ("tokens", "flops"))
    if untrained.any():
        yield Finding(
            severity="warning", name=f"zero {name}", rows=rows_of(untrained),
            fact=f"{name} is 0 (before the first update): "
            f"{told(untrained, table.text('run_id'))}.",
            mend="Laws diverge there; leave the rows out with .where('tokens > 0').",
        )  # fmt: skip
    wrong = (values <= 0) & ~untrained
    if wrong.any():
        yield Finding(
            severity="error", name=f"non-positive {name}", rows=rows_of(wrong),
            fact=f"{name} must be positive: {told(wrong, values)}.",
            mend=f"Mend the rows, or leave them out with .where('{name} > 0').",
        )  # fmt: skip


def perplexity_as_loss(table: RunTable) -> Findings:
    """Values too large for a loss in nats whose logarithms are plausible losses."""
    loss = numbers(table, "loss")
    if loss is None:
        return
    finite = np.isfinite(loss) & (loss > 0)
    vocab = numbers(table, "vocab_size")
    guess = np.log(np.where(vocab > 1, vocab, np.nan)) if vocab is not None else np.nan
    ceiling = np.where(np.isnan(guess), UNIFORM_GUESS, guess + 1.0)
    if not finite.any():
        return
    above = finite & (loss > ceiling)
    bound = (
        f"{UNIFORM_GUESS} nats, a uniform guess over 256k tokens"
        if vocab is None
        else f"ln(vocab_size) + 1 = {float(np.nanmax(ceiling)):.3g} nats"
    )
    if above.sum() > 0.5 * finite.sum():
        logs = np.log(loss[above])
        yield Finding(
            severity="error", name="perplexity as loss", rows=rows_of(above),
            fact=f"{above.sum()} of {finite.sum()} losses exceed {bound}: "
            f"{told(above, loss)}; their logarithms, {logs.min():.3g} to {logs.max():.3g}, "
            "would be plausible losses.",
            mend="If they are perplexities, read with mapping={'perplexity': ...}, which "
            "converts them.",
        )  # fmt: skip
    elif above.any():
        yield Finding(
            severity="error", name="loss above a uniform guess", rows=rows_of(above),
            fact=f"A loss above {bound}, is worse than guessing: {told(above, loss)}.",
            mend="These are diverged checkpoints or another unit; leave them out with "
            f".where('loss < {UNIFORM_GUESS}').",
        )  # fmt: skip


def bits_as_loss(table: RunTable) -> Findings:
    """A loss that equals a column in bits, or that is too low for nats per token."""
    loss = numbers(table, "loss")
    if loss is None:
        return
    for name, unit in (("bits_per_byte", "bits per byte"), ("bits_per_token", "bits per token")):
        other = numbers(table, name)
        if other is not None and _agree(loss, other):
            yield _same_as(name, f"loss equals {name}, so it is in {unit}.")
    perplexity = numbers(table, "perplexity")
    if perplexity is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            bits = np.log2(perplexity)
        if _agree(loss, perplexity):
            yield _same_as("perplexity", "loss equals perplexity.")
        elif _agree(loss, bits):
            yield _same_as("perplexity", "loss is log2(perplexity), so it is in bits per token.")
    low = finals_mask(table) & (loss > 0)
    tokenizers = " ".join(table.text("tokenizer")) if table.has("tokenizer") else ""
    by_character = any(word in tokenizers.casefold() for word in ("byte", "char"))
    if low.any() and loss[low].max() < LOWEST_BPE_LOSS and not by_character:
        yield Finding(
            severity="warning", name="bits per byte as loss", rows=(),
            fact=f"Every final loss lies between {loss[low].min():.3g} and {loss[low].max():.3g}; "
            "nats per token of text under a BPE tokenizer stay above 1.5, bits per byte do not.",
            mend="If it is bits per byte, map it as bits_per_byte and give bytes_per_token; if "
            "the tokens are bytes or the text is code, all is well: name it in tokenizer.",
        )  # fmt: skip


def _agree(loss: Values, other: Values) -> bool:
    both = np.isfinite(loss) & np.isfinite(other)
    return bool(both.any() and np.allclose(loss[both], other[both], rtol=1e-4, atol=0.0))


def _same_as(name: str, fact: str) -> Finding:
    return Finding(
        severity="error", name="bits or perplexity as loss", rows=(), fact=fact,
        mend=f"Read without mapping loss: it is then computed from {name}.",
    )  # fmt: skip


def scaled_counts(table: RunTable) -> Findings:
    """Counts written in millions or billions."""
    for name in SIZES:
        values = numbers(table, name)
        if values is None:
            continue
        positive = np.isfinite(values) & (values > 0)
        fraction = positive & (values != np.round(values)) & (values < 1e5)
        small = positive & ((values < FEWEST_PARAMS) | fraction)
        if small.any():
            yield Finding(
                severity="error", name=f"{name} in millions or billions", rows=rows_of(small),
                fact=f"{name} is a count, yet reads {told(small, values)}; even toy models have "
                f"{FEWEST_PARAMS:g} parameters, and no model a fraction of one.",
                mend="Multiply by 1e6 or 1e9, or write the unit into the cells: 70.5M, 7B.",
            )  # fmt: skip
    tokens = numbers(table, "tokens")
    if tokens is not None:
        positive = np.isfinite(tokens) & (tokens > 0)
        final = positive & (finals_mask(table) | ~finals_mask(table).any())
        small = final & (tokens < FEWEST_TOKENS) & ~_counted_by_steps(table, tokens)
        if small.any():
            yield Finding(
                severity="error", name="tokens in millions or billions", rows=rows_of(small),
                fact=f"tokens is a count, yet finished runs read {told(small, tokens)}; "
                f"nothing is learnt from fewer than {FEWEST_TOKENS:g} tokens.",
                mend="Multiply by 1e6 or 1e9, or write the unit into the cells: 300B, 2T.",
            )  # fmt: skip


def boundless_counts(table: RunTable) -> Findings:
    """Counts beyond anything that was or will be trained."""
    for name in (*SIZES, "tokens"):
        values = numbers(table, name)
        large = None if values is None else np.isfinite(values) & (values > MOST)
        if values is not None and large is not None and large.any():
            yield Finding(
                severity="error", name=f"{name} beyond measure", rows=rows_of(large),
                fact=f"{name} reads {told(large, values)}; nobody trains beyond {MOST:g}.",
                mend=f"Correct the unit, or leave the rows out with .where('{name} < {MOST:g}').",
            )  # fmt: skip


def _counted_by_steps(table: RunTable, tokens: Values) -> Mask:
    """Where tokens are what steps and batches amount to: a short run, but no other unit."""
    step, batch = numbers(table, "step"), numbers(table, "batch_tokens")
    if step is None or batch is None or any("step * batch_tokens" in a for a in table.assumptions):
        return np.zeros(len(tokens), dtype=bool)
    return np.isclose(tokens, step * batch, rtol=0.01)


def lopsided_counts(table: RunTable) -> Findings:
    """Tokens per parameter beyond anything trained: one of the two is in another unit."""
    ratio = numbers(table, "tokens_per_param")
    if ratio is None:
        return
    odd = finals_mask(table) & np.isfinite(ratio) & (ratio > 0)
    odd &= (ratio > 1e5) | (ratio < 1e-2)
    if odd.any():
        yield Finding(
            severity="warning", name="tokens per parameter out of range", rows=rows_of(odd),
            fact=f"tokens / params lies outside 0.01 to 100,000: {told(odd, ratio)}.",
            mend="Check the units of params and tokens in these rows.",
        )  # fmt: skip
