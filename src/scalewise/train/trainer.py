"""The training loop: one RunSpec in, the rows of one run out, resumable at any moment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import isfinite, log
from pathlib import Path

from scalewise.core.errors import UsageError
from scalewise.runs.spec import RunSpec
from scalewise.train.batches import Batches
from scalewise.train.checkpoint import Arrays, Checkpoint, CheckpointPair
from scalewise.train.learner import Learner
from scalewise.train.measure import Ruler
from scalewise.train.noise import NoiseScale, parts_of, restored
from scalewise.train.noise import facts as noise_facts
from scalewise.train.progress import OnProgress, Progress, Status
from scalewise.train.run_folder import Row, RunFolder
from scalewise.train.schedule import Segment, eval_steps, lr_factor, segments, total_updates
from scalewise.train.team import ALONE, Team
from scalewise.train.tokenizer import TokenizedCorpus

CHECK_EVERY = 50  # updates between looks at the training loss, which wait for the device
REPORT_SECONDS = 0.5
HOPELESS = 1.0  # nats/token above ln(vocab_size), the loss of knowing nothing
TRUNK = "trunk/"


def train_run(
    spec: RunSpec,
    tokens: TokenizedCorpus,
    queue: Path,
    *,
    device: str = "cpu",
    checkpoint_seconds: float = 30.0,
    on_progress: OnProgress | None = None,
    team: Team = ALONE,
) -> list[Row]:
    """Train one run to its end, from where it was left; return its rows.

    A run that is already done is read, not trained. Interrupted at any moment and called again,
    it ends with the same weights and rows (but for ``cpu_seconds``) on the same machine. The
    processes of a ``team`` call it together; ``cpu_seconds`` are those of the first.
    Raises UsageError when spec and tokens do not belong together or the disk is full,
    RunBusyError when another process is training it.
    """
    _check_match(spec, tokens)
    folder = RunFolder(queue, spec)
    if not team.told(lambda: folder.is_done):
        team.told(folder.create)
        with team.entered(folder.claimed()):
            if not team.told(lambda: folder.is_done):
                trainer = _Trainer(
                    spec, tokens, folder, device, checkpoint_seconds, on_progress, team
                )
                trainer.resume()
                trainer.run()
    return team.told(folder.rows)


def _check_match(spec: RunSpec, tokens: TokenizedCorpus) -> None:
    if tokens.tokenizer != spec.tokenizer or tokens.vocab_size != spec.shape.vocab_size:
        raise UsageError(
            f"Run {spec.run_id!r} has vocab_size={spec.shape.vocab_size} and tokenizer "
            f"{spec.tokenizer!r}; the tokens are {tokens.tokenizer!r} ({tokens.vocab_size}).",
            hint="Build the shape with the vocab_size of the tokenizer.",
        )


@dataclass(slots=True)
class _Place:
    """Where a run is; with weights and moments, all that a checkpoint has to hold."""

    segment: int = 0
    step: int = 0  # of the trunk, or of the branch that is being trained
    updates: int = 0  # made so far, trunk and branches together


class _Trainer:
    def __init__(
        self,
        spec: RunSpec,
        tokens: TokenizedCorpus,
        folder: RunFolder,
        device: str,
        checkpoint_seconds: float,
        on_progress: OnProgress | None,
        team: Team,
    ) -> None:
        self._spec, self._team, self._fingerprint = spec, team, tokens.fingerprint
        self._folder = team.leading(folder)
        self._checkpoint_seconds, self._on_progress = checkpoint_seconds, on_progress
        self._learner = Learner(spec, device, team)
        self._ruler = Ruler(spec, tokens)
        self._batches = Batches(
            tokens.train,
            context_length=spec.shape.context_length,
            batch_tokens=spec.batch_tokens,
            seed=spec.seed,
        )
        self._segments, self._eval_steps = segments(spec), eval_steps(spec)
        self._checkpoints = team.leading(CheckpointPair(folder.path))
        self._at = _Place()
        self._trunk: Arrays | None = None  # what to go back to when the branch ends
        self._rows: list[Row] = []
        self._noise = NoiseScale()
        self._cpu_before, self._cpu_start = 0.0, time.process_time()
        self._last_save = self._last_report = time.monotonic()

    def resume(self) -> None:
        """Continue from the most advanced whole checkpoint, if there is one."""
        found = self._checkpoints.load()
        if found is None:
            return
        arrays = {name: a for name, a in found.arrays.items() if not name.startswith(TRUNK)}
        trunk = {
            name.removeprefix(TRUNK): a for name, a in found.arrays.items() if name not in arrays
        }
        self._learner.restore(arrays)
        self._trunk = trunk or None
        self._at = _Place(found.facts["segment"], found.facts["step"], found.progress)
        self._rows, self._cpu_before = list(found.facts["rows"]), found.facts["cpu_seconds"]
        self._noise = restored(found.facts.get("noise", (0.0, 0.0, 0)))
        # Rows measured after the checkpoint will be measured again.
        self._folder.write_rows(self._rows)

    def run(self) -> None:
        """Train every segment that is left, then mark the run as done."""
        status: Status = "ok"
        self._report("running")
        while self._at.segment < len(self._segments) and status == "ok" and not self._is_stopped:
            piece = self._segments[self._at.segment]
            status = self._train(piece)
            if status != "ok":
                self._measure(piece, status)
            elif not self._is_stopped:
                self._leave(piece)
        self._save()
        self._checkpoints.keep_newest()
        self._folder.finish(
            {
                "status": status,
                "rows": len(self._rows),
                "cpu_seconds": self._cpu_seconds(),
                "weights_sha256": self._learner.weights_sha256(),
                "corpus_fingerprint": self._fingerprint,
            }
        )
        self._report(status)

    def _train(self, piece: Segment) -> Status:
        """Make the updates up to the end of a segment; say whether the loss stayed sane."""
        spec, at = self._spec, self._at
        if piece.kind == "branch" and self._trunk is None:
            self._trunk = self._learner.arrays()
        while at.step < piece.last:
            self._update(piece)
            at.step += 1
            at.updates += 1
            is_end = at.step == piece.last
            is_check = at.step % CHECK_EVERY == 0
            if (is_end or is_check) and not self._is_sane():
                return "diverged"
            is_finished = is_end and spec.schedule != "wsd"  # measured when the segment is left
            if piece.kind == "trunk" and at.step in self._eval_steps and not is_finished:
                self._measure(piece, "ok")
                if self._is_stopped:
                    break
            if is_check:
                self._save_and_report_in_time()
        return "ok"

    def _update(self, piece: Segment) -> None:
        """One update on the batch of this step, its gradient noise measured when it is time."""
        spec, step = self._spec, self._at.step
        T = spec.shape.context_length
        count = spec.batch_at(step) // T
        inputs, targets = self._batches.span(spec.tokens_at(step) // T, count)
        lr = spec.lr_peak * lr_factor(spec, piece, step)
        if spec.noise_every and (step + 1) % spec.noise_every == 0 and count > 1:
            parts = parts_of(count)
            small_sq, big_sq = self._learner.update_in_parts(inputs, targets, lr, parts)
            self._noise = self._noise.add(
                small_sq=small_sq,
                big_sq=big_sq,
                small_tokens=count * T // parts,
                big_tokens=count * T,
            )
        else:
            self._learner.update(inputs, targets, lr)

    def _leave(self, piece: Segment) -> None:
        """Measure the finished model at the end of a branch, and go back to the trunk."""
        if piece.kind == "branch" or self._spec.schedule != "wsd":
            self._measure(piece, "ok", is_final=True)
        self._at.segment += 1
        is_last = self._at.segment == len(self._segments)
        if self._trunk is not None and not is_last:  # the last branch keeps its weights
            self._learner.restore(self._trunk)
            self._at.step = piece.first
        self._trunk = None
        if not is_last:
            self._save()

    @property
    def _is_stopped(self) -> bool:
        """Whether the last loss measured is the one that the run was to stop at."""
        loss = self._rows[-1]["loss"] if self._rows else None
        return loss is not None and loss <= self._spec.stop_loss

    def _is_sane(self) -> bool:
        loss = self._learner.mean_train_loss()
        return isfinite(loss) and loss < log(self._spec.shape.vocab_size) + HOPELESS

    def _measure(self, piece: Segment, status: Status, *, is_final: bool = False) -> None:
        """Add a row, write down all rows, and start a new mean of the training loss."""
        row = self._ruler.measure(self._learner, step=self._at.step, is_final=is_final)
        row["lr"] = self._spec.lr_peak * lr_factor(self._spec, piece, self._at.step - 1)
        row["status"] = status
        row["cpu_seconds"] = self._cpu_seconds()
        if self._spec.noise_every:
            row |= noise_facts(self._noise)
        self._rows.append(row)
        if self._is_stopped:
            row["is_final"] = True
        self._folder.write_rows(self._rows)
        self._learner.restart_train_loss()
        self._report("running", row["loss"])

    def _save(self) -> None:
        trunk = {f"{TRUNK}{name}": values for name, values in (self._trunk or {}).items()}
        facts = {
            "segment": self._at.segment,
            "step": self._at.step,
            "rows": self._rows,
            "cpu_seconds": self._cpu_seconds(),
            "noise": [self._noise.grad_sq, self._noise.trace, self._noise.count],
        }
        arrays = self._learner.arrays() | trunk
        self._checkpoints.save(Checkpoint(progress=self._at.updates, facts=facts, arrays=arrays))
        self._last_save = time.monotonic()

    def _save_and_report_in_time(self) -> None:
        now = time.monotonic()
        if self._team.told(lambda: now - self._last_save >= self._checkpoint_seconds):
            self._save()
        if now - self._last_report >= REPORT_SECONDS:
            self._report("running")

    def _cpu_seconds(self) -> float:
        return self._cpu_before + time.process_time() - self._cpu_start

    def _report(self, status: Status, loss: float | None = None) -> None:
        self._last_report = time.monotonic()
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    run_id=self._spec.run_id,
                    status=status,
                    updates=self._at.updates,
                    total_updates=total_updates(self._spec),
                    loss=loss,
                )
            )
