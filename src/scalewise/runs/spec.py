"""What a training run should be, before it exists: plans emit it, the trainer obeys it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import PurePath
from typing import Literal

from scalewise.core.errors import UsageError
from scalewise.core.shape import ModelShape

Schedule = Literal["constant", "wsd", "cosine", "linear"]
Precision = Literal["fp32", "bf16"]


_ADDED = ("averaging", "batch_stages", "stop_loss", "noise_every")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One training run of one model, complete enough to be repeated to the bit.

    ``token_budgets`` are the points (in tokens) at which a finished model is wanted. Under the
    ``wsd`` schedule one trunk at constant rate serves them all: before each budget a branch
    leaves the trunk and decays over the last ``decay_fraction`` of that budget's steps. Other
    schedules take a single budget.

    With ``averaging`` above 0 the model that is measured is a running average of the weights, of
    about that share of the updates so far: at a constant rate it takes the noise of the last
    updates out of the loss (Zhang et al. 2024, 2410.21676, sec. 2). ``batch_stages`` are pairs
    (batch_tokens, steps) that come before ``batch_tokens`` takes over for the rest; the rate of a
    stage is ``lr_peak`` times the square root of its share of ``batch_tokens``. A run at constant
    rate ends early once a measured loss is at most ``stop_loss`` (0: never). Every
    ``noise_every`` updates (0: never) the gradient noise scale is measured.
    """

    run_id: str
    shape: ModelShape
    token_budgets: tuple[int, ...]
    batch_tokens: int
    lr_peak: float
    schedule: Schedule = "wsd"
    warmup_steps: int = 100
    decay_fraction: float = 0.2
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    grad_clip: float = 1.0
    seed: int = 0
    family: str = ""
    corpus: str = "stdlib"
    tokenizer: str = "bytes"
    eval_tokens: int = 262_144
    eval_points: int = 24
    precision: Precision = "fp32"
    averaging: float = 0.0
    batch_stages: tuple[tuple[int, int], ...] = ()
    stop_loss: float = 0.0
    noise_every: int = 0

    def __post_init__(self) -> None:
        if not self.token_budgets or list(self.token_budgets) != sorted(set(self.token_budgets)):
            raise UsageError(
                f"Run {self.run_id!r} has token_budgets={self.token_budgets}.",
                hint="Give one or more token counts, ascending and without repeats.",
            )
        if self.schedule != "wsd" and len(self.token_budgets) > 1:
            raise UsageError(
                f"Run {self.run_id!r} asks for {len(self.token_budgets)} budgets of a "
                f"{self.schedule!r} schedule.",
                hint="Only 'wsd' can branch; use one run per budget.",
            )
        self._check_batches()
        if not 0 < self.lr_peak < 10:
            raise UsageError(
                f"Run {self.run_id!r} has lr_peak={self.lr_peak}.",
                hint="A peak learning rate lies between 0 and 10.",
            )
        if not 0 <= self.averaging < 1:
            raise UsageError(
                f"Run {self.run_id!r} has averaging={self.averaging}.",
                hint="The share of the updates that is averaged lies in [0, 1); 0 is none.",
            )
        if not 0 < self.decay_fraction <= 1:
            raise UsageError(
                f"Run {self.run_id!r} has decay_fraction={self.decay_fraction}.",
                hint="The decayed share of a run lies in (0, 1].",
            )

        if self.stop_loss and self.schedule != "constant":
            raise UsageError(
                f"Run {self.run_id!r} has stop_loss={self.stop_loss} and schedule "
                f"{self.schedule!r}.",
                hint="Only a run at 'constant' rate is finished wherever it stops.",
            )
        if self.stop_loss < 0 or self.noise_every < 0:
            raise UsageError(
                f"Run {self.run_id!r} has stop_loss={self.stop_loss} and "
                f"noise_every={self.noise_every}.",
                hint="Neither is negative; 0 means never.",
            )

    def _check_batches(self) -> None:
        if any(len(stage) != 2 for stage in self.batch_stages):
            raise UsageError(
                f"Run {self.run_id!r} has batch_stages={self.batch_stages}.",
                hint="Each stage is a pair (batch_tokens, steps).",
            )
        batches = [(self.batch_tokens, 1), *self.batch_stages]
        if any(b < 1 or b % self.shape.context_length or n < 1 for b, n in batches):
            stages = f" and batch_stages={self.batch_stages}" if self.batch_stages else ""
            raise UsageError(
                f"Run {self.run_id!r} has batch_tokens={self.batch_tokens}{stages}, not a multiple "
                f"of context_length={self.shape.context_length}.",
                hint="A batch is a whole number of sequences, a stage (batch_tokens, steps).",
            )
        if self.token_budgets[0] < self.batch_at(0):
            raise UsageError(
                f"Run {self.run_id!r} has a budget of {self.token_budgets[0]} tokens, less than "
                f"one batch of {self.batch_at(0)}.",
                hint="Raise the budget or shrink the batch.",
            )

    @property
    def tokens(self) -> int:
        """Tokens of the longest budget."""
        return self.token_budgets[-1]

    @property
    def steps(self) -> int:
        """Optimizer updates of the longest budget."""
        return self.steps_within(self.tokens)

    def batch_at(self, step: int) -> int:
        """Tokens of the update that follows ``step`` updates."""
        for batch_tokens, steps in self.batch_stages:
            if step < steps:
                return batch_tokens
            step -= steps
        return self.batch_tokens

    def tokens_at(self, step: int) -> int:
        """Tokens seen in the first ``step`` updates."""
        tokens = 0
        for batch_tokens, steps in self.batch_stages:
            made = min(step, steps)
            tokens, step = tokens + made * batch_tokens, step - made
        return tokens + step * self.batch_tokens

    def steps_within(self, tokens: int) -> int:
        """Whole updates that ``tokens`` are enough for."""
        made = 0
        for batch_tokens, steps in self.batch_stages:
            if tokens < batch_tokens * steps:
                return made + tokens // batch_tokens
            tokens, made = tokens - batch_tokens * steps, made + steps
        return made + tokens // self.batch_tokens

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides the result; the run's directory is named by it.

        Of the path of a corpus only its last part counts, so that a plan is the same one from
        every folder; the runs of a queue are tied to one text by its contents. Fields that a
        later release added count only where they are used, so that the folders of earlier
        releases keep their names.
        """
        unused = {
            f.name for f in fields(self) if f.name in _ADDED and getattr(self, f.name) == f.default
        }
        told = {name: value for name, value in asdict(self).items() if name not in unused}
        told["corpus"] = PurePath(self.corpus).name
        facts = json.dumps(told, sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:16]
