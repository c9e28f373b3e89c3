"""Measuring a model under training: the rows that it adds to the run table."""

from __future__ import annotations

from math import isfinite

import numpy as np

from scalewise.core import counting
from scalewise.core.flops import flops_per_token, training_flops
from scalewise.runs.spec import RunSpec
from scalewise.train.batches import Tokens, Windows
from scalewise.train.cost import FINAL_EVAL_TOKENS
from scalewise.train.learner import Learner
from scalewise.train.run_folder import Row
from scalewise.train.tokenizer import TokenizedCorpus

NOISE_BLOCKS = 64


class Ruler:
    """One fixed validation set for every run of a corpus, and the facts that go with a loss."""

    def __init__(self, spec: RunSpec, tokens: TokenizedCorpus) -> None:
        self._spec = spec
        self._windows = Windows(tokens.val, spec.shape.context_length)
        self._name = tokens.name
        self._facts = run_facts(spec, tokens)

    def measure(self, learner: Learner, *, step: int, is_final: bool) -> Row:
        """The row of one checkpoint, but for learning rate, status and time.

        ``loss_stderr`` is the standard error that the choice of text leaves in the loss. All
        runs share the text, so differences between runs are known far better.
        """
        is_annealed = is_final and self._spec.schedule != "constant"
        # The end of a curve at constant rate is one more point of it, on the same text.
        wanted = max(self._spec.eval_tokens, FINAL_EVAL_TOKENS * is_annealed)
        count = min(self._windows.count, max(1, wanted // self._windows.context_length))
        losses = learner.losses(*self._windows.take(slice(0, count)))
        loss = float(losses.mean(dtype=np.float64))
        tokens = self._spec.tokens_at(step)
        return self._facts | {
            "step": step,
            "batch_tokens": self._spec.batch_at(max(0, step - 1)),
            "tokens": tokens,
            "flops": training_flops(self._facts["params"], tokens),
            "flops_exact": tokens * flops_per_token(self._spec.shape, "exact"),
            "loss": loss if isfinite(loss) else None,
            "loss_stderr": standard_error(losses),
            "train_loss": learner.mean_train_loss(),
            "eval_set": self._eval_set(count),
            "is_final": is_final,
            "is_annealed": is_annealed,
        }

    def _eval_set(self, count: int) -> str:
        if count == self._windows.count:
            return f"{self._name}:val"
        return f"{self._name}:val[:{count * self._windows.context_length}]"


def run_facts(spec: RunSpec, tokens: TokenizedCorpus) -> Row:
    """What all rows of a run have in common."""
    shape = spec.shape
    return {
        "run_id": spec.run_id,
        "family": spec.family,
        "corpus": tokens.name,
        "corpus_fingerprint": tokens.fingerprint,
        "tokenizer": spec.tokenizer,
        "bytes_per_token": tokens.bytes_per_token,
        "tokens_unique": len(tokens.train),
        "params": counting.params(shape),
        "params_nonembed": counting.params_nonembed(shape),
        "d_model": shape.d_model,
        "n_layer": shape.n_layer,
        "vocab_size": shape.vocab_size,
        "context_length": shape.context_length,
        "lr_peak": spec.lr_peak,
        "schedule": spec.schedule,
        "warmup_steps": spec.warmup_steps,
        "decay_fraction": spec.decay_fraction,
        "averaging": spec.averaging,
        "seed": spec.seed,
        "flop_rule": "6nd",
    }


def standard_error(losses: Tokens) -> float:
    """Standard error of the mean of losses (windows, T), from blocks of neighbouring windows.

    Neighbouring tokens err together; taken one by one they would understate it several times.

    >>> standard_error(np.ones((128, 64)))
    0.0
    """
    blocks = np.array_split(losses.mean(axis=1, dtype=np.float64), min(NOISE_BLOCKS, len(losses)))
    means = np.array([block.mean() for block in blocks])
    return float(means.std(ddof=1) / len(means) ** 0.5) if len(means) > 1 else 0.0
