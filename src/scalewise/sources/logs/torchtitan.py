"""Text logs of torchtitan: coloured lines ``step: 10  loss: 4.1  grad_norm: ...``.

Every rank may print; the first is read. Tokens are not in the text (the TensorBoard and W&B logs
have ``n_tokens_seen``), but the global batch and the sequence length are printed at the start.
"""

from __future__ import annotations

import re
from pathlib import Path

from scalewise.sources.logs.log import Fact, Log, Meaning, Wanted
from scalewise.sources.logs.text_log import (
    FAILED,
    Attempts,
    identity,
    is_text_log,
    lines,
    nothing_in,
    number,
)

_SIGN = re.compile(r"\bstep:\s+\d+\s+loss:\s+\S+\s.*\bmemory:\s|\btps:\s+[\d,]+\s+tflops:\s")
_STEP = re.compile(r"(\bvalidate )?\bstep:\s*(\d{1,18})\s+(loss:\s.*)")
_FIELD = re.compile(r"([A-Za-z_]+):\s*([^\s(%]+)")
_SIZE = re.compile(r"\bsize: ([\d,]+) total parameters")
_START = re.compile(r"global batch size (\d{1,15}),.*?sequence length (\d{1,15})"
                    r"(?:, total steps (\d{1,15}))?(?: \(warmup (\d{1,15})\))?")  # fmt: skip
_MODEL = re.compile(r"\b(dim|n_layers|vocab_size|max_seq_len)=(\d{1,15})\b")
_DONE = "Training completed"

_MEANINGS = {
    "loss": Meaning(column="train_loss", note="mean over the devices at one step"),
    "validate/loss": Meaning(column="loss", eval_set="validation"),
}
_COLUMNS = {"dim": "d_model", "n_layers": "n_layer", "vocab_size": "vocab_size"}


class TorchtitanReader:
    """Standard output of torchtitan."""

    key = "torchtitan"
    title = "torchtitan text log"

    def units(self, path: Path) -> list[Path]:
        """The file, if it has a line of such a log."""
        return [path] if is_text_log(path, _SIGN) else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The run of one file, one log for each attempt. Raises RunDataError without any step."""
        return _Run(unit, wanted).logs()


class _Run:
    """One file while it is read."""

    def __init__(self, unit: Path, wanted: Wanted | None) -> None:
        self.unit = unit
        self.attempts = Attempts(wanted, _MEANINGS)
        self.facts: dict[str, Fact] = {}
        self.config: dict[str, object] = {}
        self.steps = 0
        self.is_done = False

    def logs(self) -> list[Log]:
        lost: dict[str, int] = {}
        for line in lines(self.unit, lost):
            self._take(line)
        if not len(self.attempts):
            raise nothing_in(self.unit, "step of a torchtitan log")
        run_id, name = identity(self.unit)
        is_finished = self.is_done or 0 < self.steps <= self.attempts.last_step
        return self.attempts.logs(
            run_id=run_id,
            name=name,
            kind=TorchtitanReader.key,
            source=str(self.unit),
            config=self.config,
            meanings=_MEANINGS,
            facts=self.facts,
            lost=lost,
            state=self.attempts.state(is_finished=is_finished),
        )

    def _take(self, line: str) -> None:
        if "step:" in line and (step := _STEP.search(line)):
            values = {name: value for name, text in _FIELD.findall(step[3])
                      if (value := number(text.removesuffix("GiB"))) is not None}  # fmt: skip
            if step[1]:
                told = {f"validate/{name}": value for name, value in values.items()}
                self.attempts.measure(int(step[2]), told, line=line)
            else:
                self.attempts.train(int(step[2]), values, line=line)
        elif FAILED in line:
            self.attempts.fail()
        elif _DONE in line:
            self.is_done = True
        elif size := _SIZE.search(line):
            self.facts["params"] = Fact(value=number(size[1]) or 0.0, how="total parameters")
        elif start := _START.search(line):
            self._start(start)
        elif "Building " in line:
            for name, text in _MODEL.findall(line):
                self.config[f"model.{name}"] = int(text)
                if name in _COLUMNS:
                    fact = Fact(value=float(text), how=f"model argument {name}")
                    self.facts[_COLUMNS[name]] = fact

    def _start(self, start: re.Match[str]) -> None:
        """The line in which training starts tells batch, sequence length and steps."""
        batch, context, steps, warmup = (float(text) if text else 0.0 for text in start.groups())
        how = f"global batch size {batch:g} x sequence length {context:g}"
        self.facts["batch_tokens"] = Fact(value=batch * context, how=how)
        self.facts["context_length"] = Fact(value=context, how="sequence length")
        if steps:
            self.steps = int(steps)
            self.facts["steps"] = Fact(value=steps, how="total steps")
        if warmup:
            self.facts["warmup_steps"] = Fact(value=warmup, how="warmup")
