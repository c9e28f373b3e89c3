"""What a metric is, by the name that people and tools log it under.

Names are read as words. A format that is sure of its metrics says so itself (`Log.meanings`);
this is for the rest, where anything goes: ``val/loss``, ``eval/lm/c4_en-validation/CE loss``,
``loss_metrics/global_avg_loss``, ``throughput/total tokens``, ``lm loss validation``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from scalewise.runs.columns import canonical_name
from scalewise.sources.logs.log import Meaning

_HELD_OUT = {"val", "valid", "validation", "eval", "evaluation", "test", "heldout", "held", "dev"}
_TRAIN = {"train", "training"}
_LOSS = {"loss", "nll", "xent", "crossentropy", "crossentropyloss", "languagecrossentropy"}
_ACCURACY = {"acc", "accuracy"}
_PERPLEXITY = {"ppl", "perplexity"}
_BITS = {"bpb": "bits_per_byte", "bpt": "bits_per_token"}
_LOG_PERPLEXITY = re.compile(r"\blog[_ -](?:ppl|perplexity)|_log[_ -](?:ppl|perplexity)")
# Other units that a loss may be counted per; their size in tokens is not known.
_PER = {"byte", "bytes", "char", "character", "word", "sample", "sequence", "doc", "document"}
# Words that say what is measured and how, not on which text.
_DESCRIBING = _HELD_OUT | _TRAIN | _LOSS | _ACCURACY | _PERPLEXITY | set(_BITS) | {
    "ce", "lm", "avg", "mean", "global", "metrics", "metric", "epoch", "cross", "entropy", "out",
    "downstream", "bits", "per", "byte", "token", "none", "word", "final", "smoothed", "smooth",
    "debiased", "ema", "model", "best", "mode", "norm", "normalized", "length", "raw", "last", "v2",
    "step", "losses", "language", "score", "uncond", "nats", "log",
}  # fmt: skip
# Losses of something else, or statistics of a loss.
_BESIDE = {
    "z", "aux", "auxiliary", "router", "balance", "balancing", "load", "lb", "moe", "kl", "reg",
    "std", "stderr", "se", "min", "max", "var", "variance", "grad", "norm", "scale", "time",
    "count", "mtp", "reward", "policy", "value", "mlm", "commitment", "weight", "decay", "soft",
    "vs", "best", "delta", "icl", "scaler", "skipped", "nan", "spike", "ppo", "distill", "log2",
    "sum", "diff", "gap", "rel", "ratio", "mse", "contrastive",
}  # fmt: skip
_SECONDARY = {"norm", "best", "max", "min", "std", "stderr", "se"}
_TOKENS = {
    "tokens", "total_tokens", "tokens_seen", "n_tokens_seen", "num_input_tokens_seen",
    "num_tokens", "num_tokens_seen", "consumed_tokens", "tokens_consumed", "tokens_processed",
    "consumed_train_tokens", "train_tokens", "trained_tokens", "tokens_trained",
    "total_tokens_seen",
    "cumulative_tokens", "n_tokens", "ntokens_seen", "token_count", "seen_tokens", "token_seen",
    "train_tokens_seen", "training_tokens", "time_token", "tokens_total", "global_tokens",
    "throughput_total_tokens", "train_total_tokens", "processed_tokens",
}  # fmt: skip
_TOKEN_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "million": 1e6, "millions": 1e6,
                "billion": 1e9, "billions": 1e9, "trillion": 1e12, "gt": 1e9}  # fmt: skip
_SAMPLES = {"consumed_samples", "consumed_train_samples", "samples_seen", "num_samples_seen",
            "train_samples_seen", "examples_seen", "sequences_seen", "samples_consumed",
            "consumed_sequences", "n_samples_seen"}  # fmt: skip
_STEPS = {"global_step", "train_global_step", "trainer_global_step", "iter", "iteration",
          "iterations", "train_step", "optimizer_step", "training_step", "step", "train_iter",
          "trainer_step", "update", "num_updates", "time_batch"}  # fmt: skip
_RATES = {"lr", "learning_rate", "train_lr", "train_learning_rate", "optim_lr", "lr_adamw",
          "optim_learning_rate", "lr_schedule_lr", "optimizer_lr", "lr_avg", "lr_0",
          "optim_lr_group_0", "learning_rate_avg", "metrics_lr", "lr_group_0"}  # fmt: skip
_FLOPS = {"flops": 1.0, "total_flops": 1.0, "train_flops": 1.0, "total_training_flops": 1.0,
          "total_petaflops": 1e15, "total_training_gflops": 1e9, "total_flos": 1.0,
          "total_training_tflops": 1e12}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guess:
    """What a name seems to mean, and how plainly it says so (more is plainer)."""

    meaning: Meaning
    plainness: int


@lru_cache(maxsize=50_000)
def guess(name: str) -> Guess | None:
    """The meaning of a metric by its name; None if it says nothing that a run table has.

    >>> guess("eval/lm/c4_en-validation/CE loss").meaning.eval_set
    'c4_en-validation'
    >>> guess("train/grad_norm")
    """
    words = tuple(_words(name))
    if not words:
        return None
    return _counter(name, words) or _measure(name, words)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", text.casefold()) if word]


def _counter(name: str, words: tuple[str, ...]) -> Guess | None:
    whole = "_".join(words)
    last = "_".join(_words(re.split(r"[/.]", name)[-1]))
    for column, names in (("tokens", _TOKENS), ("samples", _SAMPLES), ("step", _STEPS),
                          ("lr", _RATES), ("lr", {"optim_lr_group_0"})):  # fmt: skip
        if whole in names or last in names:
            return Guess(Meaning(column=column), 2 if whole in names else 1)
    scale = _FLOPS.get(last)
    if scale is not None:
        return Guess(Meaning(column="flops", scale=scale), 1)
    stem, _, unit = last.rpartition("_")
    if stem in _TOKENS and unit in _TOKEN_UNITS:
        return Guess(Meaning(column="tokens", scale=_TOKEN_UNITS[unit]), 1)
    if canonical_name(last) in ("params", "params_nonembed", "params_active", "batch_tokens"):
        return Guess(Meaning(column=str(canonical_name(last))), 2 if whole == last else 1)
    return None


def _measure(name: str, words: tuple[str, ...]) -> Guess | None:
    column = _measured(name.casefold(), words)
    if column is None:
        return None
    present = set(words)
    held_out, train = bool(present & _HELD_OUT), bool(present & _TRAIN)
    if (column == "loss" and present & _BESIDE) or present & {"stderr", "std"}:
        return None
    if column == "accuracy":
        task = _set_of(name)
        plain = 0 if present & _SECONDARY else 2
        return Guess(Meaning(column=column, eval_set=task), plain) if task else None
    if train and not held_out:
        return Guess(Meaning(column="train_loss"), 2) if column == "loss" else None
    if not held_out:
        if column == "loss":
            # What a trainer logs at each step under a bare name is its training loss.
            return Guess(Meaning(column="train_loss"), 1) if _is_bare(words) else None
        return Guess(Meaning(column=column, eval_set=_set_of(name)), 1)
    return Guess(Meaning(column=column, eval_set=_set_of(name)), 2)


def _is_bare(words: tuple[str, ...]) -> bool:
    return set(words) <= _DESCRIBING


def _measured(name: str, words: tuple[str, ...]) -> str | None:
    present = set(words)
    for word, column in _BITS.items():
        if word in present:
            return column
    if {"bits", "per", "byte"} <= present:
        return "bits_per_byte"
    if "per" in present and present & _PER:
        return None
    if present & _PERPLEXITY:
        if {"byte", "word", "log2"} & present:
            return None
        return "loss" if _LOG_PERPLEXITY.search(name) else "perplexity"
    if "bits" in present and (present & _LOSS or {"per", "token"} <= present or "cross" in present):
        return "bits_per_token"
    if present & _LOSS or {"cross", "entropy"} <= present or words[-1] == "ce":
        return "loss"
    return "accuracy" if present & _ACCURACY else None


def _set_of(name: str) -> str:
    """What of a name says on which text it was measured."""
    kept = []
    for part in re.split(r"[/]", re.sub(r"\(.*?\)", "", name)):
        pieces = [p for p in re.split(r"[\s_.:,]+", part) if p]
        if all(set(_words(piece)) <= _DESCRIBING for piece in pieces):
            continue
        while pieces and set(_words(pieces[0])) <= _DESCRIBING:
            pieces.pop(0)
        while pieces and set(_words(pieces[-1])) <= _DESCRIBING:
            pieces.pop()
        kept.append("_".join(pieces))
    return "/".join(kept)
