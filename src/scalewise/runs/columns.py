"""The words of a run table: its columns, their units, and the foreign names they answer to.

Everything that reads, checks or shows a run table takes its words from here. A foreign name
counts as an alias when it equals an alias once case and punctuation are set aside
(``Eval/Loss`` is ``eval_loss``); single letters are exact, because ``N`` is a parameter count
and ``n`` could be anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal

Kind = Literal["number", "text", "flag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One canonical column: its unit, what it means, and the names others give it."""

    name: str
    unit: str
    note: str
    kind: Kind = "number"
    aliases: tuple[str, ...] = ()


def _catalogue(*columns: Column) -> Mapping[str, Column]:
    return MappingProxyType({column.name: column for column in columns})


COLUMNS: Mapping[str, Column] = _catalogue(
    Column(
        name="run_id", unit="", note="one training run of one model", kind="text",
        aliases=("run", "run_name", "run_uuid", "run_key"),
    ),
    Column(name="family", unit="", note="models built by one recipe", kind="text"),
    Column(
        name="corpus", unit="", note="what the run was trained on", kind="text",
        aliases=("data", "train_data", "training_data", "train_set", "train_corpus"),
    ),
    Column(
        name="tokenizer", unit="", note="what a token is; loss depends on it", kind="text",
        aliases=("tokeniser", "tokenizer_name"),
    ),
    Column(
        name="eval_set", unit="", note="the text that the loss was measured on", kind="text",
        aliases=("eval_data", "val_set", "validation_set"),
    ),
    Column(
        name="params", unit="count", note="N, total, embeddings included",
        aliases=("N", "n_params", "num_params", "params_total", "total_params", "n_params_total",
                 "model_size", "parameters", "n_parameters", "num_parameters", "parameter_count",
                 "param_count", "model_num_parameters"),
    ),
    Column(
        name="params_nonembed", unit="count", note="N without embeddings (Kaplan, Su)",
        aliases=("n_params_nonembed", "non_embedding_params", "nonembedding_params",
                 "params_non_embedding", "num_non_embedding_params", "non_embed_params",
                 "n_nonembed", "non_embedding_parameters", "num_parameters_non_embedding"),
    ),
    Column(
        name="params_active", unit="count", note="N used by one token (mixture of experts)",
        aliases=("active_params", "n_params_active", "num_active_params", "activated_params"),
    ),
    Column(
        name="tokens", unit="tokens", note="D, seen in training, repeats included",
        aliases=("D", "n_tokens", "num_tokens", "train_tokens", "training_tokens",
                 "total_tokens", "tokens_seen", "n_tokens_seen", "num_input_tokens_seen",
                 "tokens_trained", "throughput_total_tokens"),
    ),
    Column(
        name="tokens_unique", unit="tokens", note="distinct tokens of the corpus",
        aliases=("unique_tokens", "n_unique_tokens"),
    ),
    Column(
        name="epochs", unit="passes", note="tokens / tokens_unique",
        aliases=("num_epochs", "n_epochs", "epochs_seen"),
    ),
    Column(name="tokens_per_param", unit="tokens/param", note="D/N"),
    Column(
        name="step", unit="steps", note="optimizer updates so far",
        aliases=("iteration", "iter", "global_step", "train_step", "training_step"),
    ),
    Column(
        name="steps", unit="steps", note="optimizer updates planned for the run",
        aliases=("total_steps", "num_steps", "max_steps", "n_steps"),
    ),
    Column(
        name="steps_min", unit="steps",
        note="least updates to this loss: step / (1 + B_crit / B) at batch B",
    ),
    Column(
        name="critical_batch_tokens", unit="tokens", note="B_crit, tokens per optimizer update",
    ),
    Column(
        name="batch_tokens", unit="tokens", note="B, tokens per optimizer update",
        aliases=("batch_size_tokens", "batch_size_in_tokens", "tokens_per_batch",
                 "tokens_per_step", "global_batch_tokens"),
    ),
    Column(
        name="context_length", unit="tokens", note="tokens per sequence",
        aliases=("seq_len", "sequence_length", "seq_length", "ctx_len", "n_ctx", "context_len",
                 "block_size", "max_seq_len"),
    ),
    Column(
        name="flops", unit="FLOP", note="C, training compute, counted by flop_rule",
        aliases=("C", "compute", "train_flops", "training_flops", "total_flops", "total_flos",
                 "compute_flops", "flops_total", "flops_6nd"),
    ),
    Column(
        name="flop_rule", unit="", note="6nd, 6nd+attention, exact or unstated", kind="text",
    ),
    Column(
        name="loss", unit="nats/token", note="L, held-out cross-entropy",
        aliases=("L", "val_loss", "valid_loss", "eval_loss", "validation_loss", "test_loss",
                 "cross_entropy", "ce_loss", "heldout_loss", "held_out_loss", "final_loss",
                 "eval_ce_loss", "lm_loss", "nll_per_token"),
    ),
    Column(
        name="loss_se", unit="nats/token",
        note="standard error of loss from the finite evaluation set",
        aliases=("loss_std_err", "loss_stderr", "loss_standard_error", "val_loss_se",
                 "val_loss_stderr", "eval_loss_se", "eval_loss_stderr"),
    ),
    Column(
        name="loss_low95", unit="nats/token", note="lower end of the 95 % interval behind loss_se",
        aliases=("loss_lo95", "val_loss_low95", "eval_loss_low95"),
    ),
    Column(
        name="loss_high95", unit="nats/token",
        note="upper end of the 95 % interval behind loss_se",
        aliases=("loss_hi95", "val_loss_high95", "eval_loss_high95"),
    ),
    Column(
        name="train_loss", unit="nats/token", note="training loss, smoothed as logged",
        aliases=("training_loss", "train_ce_loss"),
    ),
    Column(
        name="perplexity", unit="ratio", note="exp(loss)",
        aliases=("ppl", "val_ppl", "eval_ppl", "valid_ppl", "test_ppl", "val_perplexity",
                 "eval_perplexity", "validation_perplexity", "test_perplexity"),
    ),
    Column(
        name="bits_per_token", unit="bits/token", note="loss / ln 2", aliases=("bpt",),
    ),
    Column(
        name="bits_per_byte", unit="bits/byte", note="loss / (ln 2 * bytes_per_token)",
        aliases=("bpb", "val_bpb", "eval_bpb", "validation_bpb", "test_bpb"),
    ),
    Column(name="bytes_per_token", unit="bytes/token", note="mean length of a token"),
    Column(
        name="error", unit="[0, 1]", note="1 - accuracy, downstream", aliases=("error_rate",),
    ),
    Column(name="accuracy", unit="[0, 1]", note="downstream", aliases=("acc",)),
    Column(
        name="vocab_size", unit="count", note="entries of the vocabulary",
        aliases=("vocab", "n_vocab", "vocabulary_size"),
    ),
    Column(
        name="d_model", unit="count", note="width",
        aliases=("hidden_size", "n_embd", "embedding_dim", "hidden_dim"),
    ),
    Column(
        name="n_layer", unit="count", note="depth",
        aliases=("n_layers", "num_layers", "num_hidden_layers", "num_blocks", "depth"),
    ),
    Column(
        name="lr_peak", unit="1/step", note="highest learning rate of the run",
        aliases=("peak_lr", "max_lr", "learning_rate_peak", "lr_max"),
    ),
    Column(
        name="lr", unit="1/step", note="learning rate at the checkpoint",
        aliases=("learning_rate", "lr_now", "current_lr"),
    ),
    Column(name="schedule", unit="", note="learning-rate schedule", kind="text",
           aliases=("lr_schedule", "lr_scheduler", "lr_scheduler_type")),
    Column(name="warmup_steps", unit="steps", note="updates of rising rate",
           aliases=("num_warmup_steps", "n_warmup_steps")),
    Column(name="decay_fraction", unit="[0, 1]", note="decayed share of the run",
           aliases=("decay_frac",)),
    Column(name="noise_scale_tokens", unit="tokens",
           note="gradient noise scale grad_noise / grad_sq: a local hint at the critical batch"),
    Column(name="grad_sq", unit="nats^2", note="squared norm of the true gradient, unbiased"),
    Column(name="grad_noise", unit="nats^2 * tokens",
           note="trace of the covariance of one token's gradient, unbiased"),
    Column(name="averaging", unit="[0, 1]", note="share of the updates averaged in the weights"),
    Column(name="seed", unit="", note="random seed", aliases=("random_seed",)),
    Column(name="is_final", unit="", note="a finished model", kind="flag", aliases=("final",)),
    Column(name="is_annealed", unit="", note="its learning rate has decayed", kind="flag",
           aliases=("annealed", "is_decayed")),
    Column(name="status", unit="", note="ok, diverged, ...", kind="text",
           aliases=("run_status",)),
    Column(name="cpu_seconds", unit="s", note="processor time spent"),
)  # fmt: skip

PARAM_COUNTS = ("params", "params_nonembed", "params_active")
MEASURES = (*PARAM_COUNTS, "tokens", "flops", "step", "steps", "loss", "perplexity",
            "bits_per_token", "bits_per_byte", "error", "accuracy")  # fmt: skip


def plain_name(name: str) -> str:
    """A column name with case and punctuation set aside.

    >>> plain_name("Eval/Loss")
    'eval_loss'
    """
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


def _aliases() -> Mapping[str, str]:
    known: dict[str, str] = {}
    for column in COLUMNS.values():
        for alias in (column.name, *column.aliases):
            if known.setdefault(alias, column.name) != column.name:
                msg = f"{alias!r} is an alias of both {known[alias]!r} and {column.name!r}"
                raise AssertionError(msg)
    return MappingProxyType(known)


ALIASES: Mapping[str, str] = _aliases()


def canonical_name(name: str) -> str | None:
    """The canonical column that a foreign name stands for, or None for an extra column.

    >>> canonical_name("Train Tokens"), canonical_name("N"), canonical_name("n")
    ('tokens', 'params', None)
    """
    return ALIASES.get(name) or (ALIASES.get(plain_name(name)) if len(name) > 1 else None)


def nearest(name: str, known: list[str]) -> str:
    """A phrase that names the nearest known word, or an empty text.

    >>> nearest("parms", ["params", "tokens"])
    "Did you mean 'params'? "
    """
    match = get_close_matches(name, known, n=1)
    return f"Did you mean {match[0]!r}? " if match else ""
