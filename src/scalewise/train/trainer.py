"""The training loop: one RunSpec in, the rows of one run out, resumable at any moment."""

from __future__ import annotations

import time
from math import isfinite, log
from pathlib import Path

import numpy as np

from scalewise.core import counting
from scalewise.core.errors import UsageError
from scalewise.core.flops import flops_per_token, training_flops
from scalewise.core.records import sha256_of_bytes
from scalewise.runs.spec import RunSpec
from scalewise.train.batches import Batches, Windows
from scalewise.train.checkpoint import (
    Checkpoint,
    drop_older_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from scalewise.train.learner import Learner
from scalewise.train.progress import OnProgress, Progress, Status
from scalewise.train.run_folder import Row, RunFolder
from scalewise.train.schedule import Segment, eval_steps, lr_factor, segments, total_updates
from scalewise.train.tokenizer import TokenizedCorpus

CHECK_EVERY = 50  # updates between looks at the training loss, which wait for the device
HOPELESS = 1.0  # nats/token above ln(vocab_size): worse than knowing nothing, by far
NOISE_BLOCKS = 64


def train_run(
    spec: RunSpec,
    tokens: TokenizedCorpus,
    queue: Path,
    *,
    device: str = "cpu",
    checkpoint_seconds: float = 30.0,
    on_progress: OnProgress | None = None,
) -> list[Row]:
    """Train one run to its end, from where it was left; return its rows.

    A run that is already done is read, not trained. Interrupted at any moment and called again,
    it ends with the same weights and rows (but for ``cpu_seconds``) on the same machine.
    Raises UsageError when spec and tokens do not belong together or the disk is full,
    RunBusyError when another process is training it.
    """
    _check_match(spec, tokens)
    folder = RunFolder(queue, spec)
    if folder.is_done:
        return folder.rows()
    folder.create()
    with folder.claimed():
        if not folder.is_done:
            trainer = _Trainer(spec, tokens, folder, device, checkpoint_seconds, on_progress)
            trainer.resume()
            trainer.run()
    return folder.rows()


def _check_match(spec: RunSpec, tokens: TokenizedCorpus) -> None:
    if tokens.tokenizer != spec.tokenizer or tokens.vocab_size != spec.shape.vocab_size:
        raise UsageError(
            f"Run {spec.run_id!r} has vocab_size={spec.shape.vocab_size} and tokenizer "
            f"{spec.tokenizer!r}; the tokens are {tokens.tokenizer!r} ({tokens.vocab_size}).",
            hint="Build the shape with the vocab_size of the tokenizer.",
        )


class _Trainer:
    def __init__(
        self,
        spec: RunSpec,
        tokens: TokenizedCorpus,
        folder: RunFolder,
        device: str,
        checkpoint_seconds: float,
        on_progress: OnProgress | None,
    ) -> None:
        self._spec, self._tokens, self._folder = spec, tokens, folder
        self._checkpoint_seconds, self._on_progress = checkpoint_seconds, on_progress
        self._learner = Learner(spec, device)
        self._batches = Batches(
            tokens.train,
            context_length=spec.shape.context_length,
            batch_tokens=spec.batch_tokens,
            seed=spec.seed,
        )
        self._val = Windows(tokens.val, spec.shape.context_length)
        self._segments = segments(spec)
        self._eval_steps = eval_steps(spec)
        self._total = total_updates(spec)
        self._segment, self._step, self._updates = 0, 0, 0
        self._trunk: dict[str, np.ndarray] | None = None  # the trunk's state while a branch runs
        self._rows: list[Row] = []
        self._cpu_before = 0.0
        self._cpu_start = time.process_time()
        self._last_save = time.monotonic()

    # -- saving and resuming ----------------------------------------------------------------

    def resume(self) -> None:
        """Continue from the most advanced whole checkpoint, if there is one."""
        found = load_checkpoint(self._folder.path)
        if found is None:
            return
        facts, arrays = found.facts, dict(found.arrays)
        trunk = {name[6:]: arrays.pop(name) for name in list(arrays) if name.startswith("trunk/")}
        self._trunk = trunk or None
        self._learner.restore(arrays)
        self._updates = found.progress
        self._segment, self._step = facts["segment"], facts["step"]
        self._rows, self._cpu_before = list(facts["rows"]), facts["cpu_seconds"]
        self._folder.write_rows(self._rows)

    def _save(self) -> None:
        trunk = {f"trunk/{name}": values for name, values in (self._trunk or {}).items()}
        facts = {
            "segment": self._segment,
            "step": self._step,
            "rows": self._rows,
            "cpu_seconds": self._cpu_seconds(),
        }
        save_checkpoint(
            self._folder.path,
            Checkpoint(
                progress=self._updates, facts=facts, arrays=self._learner.arrays() | trunk
            ),
        )
        self._last_save = time.monotonic()

    def _cpu_seconds(self) -> float:
        return self._cpu_before + time.process_time() - self._cpu_start

    # -- the loop -----------------------------------------------------------------------------

    def run(self) -> None:
        """Train every segment that is left, then mark the run as done."""
        status: Status = "ok"
        self._report("running")
        while self._segment < len(self._segments) and status == "ok":
            piece = self._segments[self._segment]
            status = self._train(piece)
            if status == "ok":
                self._leave(piece)
        if status == "diverged":
            self._measure(self._segments[self._segment], status)
        self._save()
        drop_older_checkpoint(self._folder.path)
        self._folder.finish(
            {
                "status": status,
                "rows": len(self._rows),
                "cpu_seconds": self._cpu_seconds(),
                "weights_sha256": weights_sha256(self._learner),
                "corpus_fingerprint": self._tokens.fingerprint,
            }
        )
        self._report(status)

    def _train(self, piece: Segment) -> Status:
        """Updates up to the end of a segment; says whether the loss stayed sane."""
        spec = self._spec
        if piece.kind == "branch" and self._trunk is None:
            self._trunk = self._learner.arrays()
        while self._step < piece.last:
            inputs, targets = self._batches.batch(self._step)
            self._learner.update(inputs, targets, spec.lr_peak * lr_factor(spec, piece, self._step))
            self._step += 1
            self._updates += 1
            ends = self._step == piece.last
            if (ends or self._step % CHECK_EVERY == 0) and not self._is_sane():
                return "diverged"
            if piece.kind == "trunk" and self._step in self._eval_steps and not self._ends(piece):
                self._measure(piece, "ok")
            if self._step % CHECK_EVERY == 0 and self._is_time_to_save():
                self._save()
                self._report("running")
        return "ok"

    def _ends(self, piece: Segment) -> bool:
        """Whether this is the last step of a run that has no branches."""
        return self._spec.schedule != "wsd" and self._step == piece.last

    def _leave(self, piece: Segment) -> None:
        """Measure a finished model; after a branch, go back to the trunk."""
        is_end = piece.kind == "branch" or self._spec.schedule != "wsd"
        if is_end:
            self._measure(piece, "ok", is_final=True)
        self._segment += 1
        if piece.kind == "branch" and self._trunk is not None:
            if self._segment < len(self._segments):  # else keep the finished weights
                self._learner.restore(self._trunk)
                self._step = piece.first
            self._trunk = None
        if self._segment < len(self._segments):
            self._save()

    def _is_sane(self) -> bool:
        loss = self._learner.mean_train_loss()
        return isfinite(loss) and loss < log(self._spec.shape.vocab_size) + HOPELESS

    def _is_time_to_save(self) -> bool:
        return time.monotonic() - self._last_save >= self._checkpoint_seconds

    # -- measuring ----------------------------------------------------------------------------

    def _measure(self, piece: Segment, status: Status, *, is_final: bool = False) -> None:
        """Add a row: on the whole validation split for finished models, on a slice otherwise."""
        windows = self._val.count
        if not is_final:
            windows = min(windows, max(1, self._spec.eval_tokens // self._val.context_length))
        losses = self._learner.losses(*self._val.take(slice(0, windows)))
        loss = float(losses.mean(dtype=np.float64))
        row = self._facts() | {
            "step": self._step,
            "tokens": self._step * self._spec.batch_tokens,
            "lr": self._lr_after(piece),
            "loss": loss if isfinite(loss) else None,
            "loss_stderr": _standard_error(losses),
            "train_loss": self._learner.mean_train_loss(),
            "eval_set": f"{self._tokens.name}:val" + ("" if windows == self._val.count else f"[:{windows * self._val.context_length}]"),
            "is_final": is_final,
            "is_annealed": is_final and self._spec.schedule != "constant",
            "status": status,
            "cpu_seconds": self._cpu_seconds(),
        }
        row["flops"] = training_flops(row["params"], row["tokens"])
        row["flops_exact"] = row["tokens"] * flops_per_token(self._spec.shape, "exact")
        self._rows.append(row)
        self._folder.write_rows(self._rows)
        self._learner.restart_train_loss()
        self._report("running", row["loss"])

    def _lr_after(self, piece: Segment) -> float:
        spec = self._spec
        return spec.lr_peak * lr_factor(spec, piece, min(self._step, piece.last) - 1)

    def _facts(self) -> Row:
        spec, shape = self._spec, self._spec.shape
        return {
            "run_id": spec.run_id,
            "family": spec.family,
            "corpus": self._tokens.name,
            "corpus_fingerprint": self._tokens.fingerprint,
            "tokenizer": spec.tokenizer,
            "bytes_per_token": self._tokens.bytes_per_token,
            "params": counting.params(shape),
            "params_nonembed": counting.params_nonembed(shape),
            "d_model": shape.d_model,
            "n_layer": shape.n_layer,
            "vocab_size": shape.vocab_size,
            "context_length": shape.context_length,
            "batch_tokens": spec.batch_tokens,
            "tokens_unique": len(self._tokens.train),
            "lr_peak": spec.lr_peak,
            "schedule": spec.schedule,
            "warmup_steps": spec.warmup_steps,
            "decay_fraction": spec.decay_fraction,
            "seed": spec.seed,
            "flop_rule": "6nd",
        }

    def _report(self, status: Status, loss: float | None = None) -> None:
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    run_id=self._spec.run_id,
                    status=status,
                    updates=self._updates,
                    total_updates=self._total,
                    loss=loss,
                )
            )


def _standard_error(losses: np.ndarray) -> float:
    """Standard error of the mean loss, from blocks of neighbouring windows.

    Neighbouring tokens err together, so single tokens would understate it.
    """
    blocks = np.array_split(losses.mean(axis=1, dtype=np.float64), min(NOISE_BLOCKS, len(losses)))
    means = np.array([block.mean() for block in blocks])
    return float(means.std(ddof=1) / len(means) ** 0.5) if len(means) > 1 else 0.0


def weights_sha256(learner: Learner) -> str:
    """A checksum of all weights, to compare two runs to the bit."""
    arrays = learner.arrays()
    names = sorted(name for name in arrays if name.endswith(".weight"))
    return sha256_of_bytes(b"".join(arrays[name].tobytes() for name in names))
