"""nanochat: standard output of ``base_train`` and the ``results.csv`` of its scaling-law script.

``step 00100/01200 (8.33%) | loss: ... | lrm: ...`` is printed before the update of that step, so
step 100 has seen 100 batches; ``Step 00250 | Validation bpb: ...`` likewise. The loss is a moving
average, its start corrected for bias.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from scalewise.sources.logs.limits import MAX_TEXT_BYTES, head_of, read_bytes
from scalewise.sources.logs.log import Fact, Log, Meaning, Wanted
from scalewise.sources.logs.points import Points
from scalewise.sources.logs.text_log import (
    FAILED,
    Attempts,
    identity,
    is_text_log,
    lines,
    nothing_in,
    number,
)

_SIGN = re.compile(
    r"\bstep \d+(?:/\d+)? \([\d.]+%\) \| loss: \S+ \| lrm: |Step \d+ \| Validation bpb: "
)
_STEP = re.compile(r"\bstep (\d{1,18})(?:/(\d{1,18}))? \([\d.]+%\) \|(.*)")
_MEASURE = re.compile(r"\bStep (\d{1,18}) \| (Validation bpb|CORE metric|val_loss): (\S+)")
_PART = re.compile(r"^\s*(\w+)\s*: ([\d,]+)$")
_ALL_PARTS = "Parameter counts:"
_OLD_PARAMS = re.compile(r"Number of parameters: ([\d,]+)")
_BATCH = re.compile(r"Total batch size ([\d,]+) => gradient accumulation steps")
_SETTING = re.compile(r'^\s*"(\w+)": ("?)([^",]+)\2,?$')
_FLOPS = re.compile(r"Estimated FLOPs per token: (\S+)")
_VOCAB = re.compile(r"Vocab size: ([\d,]+)")

_CORE = Meaning(column="centered_accuracy", eval_set="core", note="0 is chance, 1 is all right")
_MEANINGS = {
    "loss": Meaning(column="train_loss", note="moving average of decay 0.9, bias corrected"),
    "Validation bpb": Meaning(column="bits_per_byte", eval_set="validation"),
    "CORE metric": _CORE,
}
_MODEL = {"n_layer": "n_layer", "n_embd": "d_model", "sequence_len": "context_length"}

_RESULTS = b"tokens_trained,val_bpb"
_COLUMNS = {
    "tokens_trained": Meaning(column="tokens"),
    "val_bpb": Meaning(column="bits_per_byte", eval_set="validation"),
    "core_score": _CORE,
}


class NanochatReader:
    """Standard output of nanochat's pre-training, or ``results.csv`` of its ladders."""

    key = "nanochat"
    title = "nanochat log"

    def units(self, path: Path) -> list[Path]:
        """The file, if it has a line of such a log or the header of such a table."""
        if path.suffix == ".csv":
            return [path] if path.is_file() and _RESULTS in _first_line(path) else []
        return [path] if is_text_log(path, _SIGN) else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The run of a log, one log for each attempt, or every run of a table.

        Raises RunDataError if there is none.
        """
        return _table(unit) if unit.suffix == ".csv" else _Run(unit, wanted).logs()


class _Run:
    """One log while it is read."""

    def __init__(self, unit: Path, wanted: Wanted | None) -> None:
        self.unit = unit
        self.attempts = Attempts(wanted, _MEANINGS)
        self.config: dict[str, object] = {}
        self.parts: dict[str, float] = {}
        self.facts: dict[str, Fact] = {}
        self.last = -1
        self.is_counting = False

    def logs(self) -> list[Log]:
        lost: dict[str, int] = {}
        measured = -1
        for line in lines(self.unit, lost):
            if step := _STEP.search(line):
                self.last = int(step[2] or -1)
                self.attempts.train(int(step[1]), _fields(step[3]), line=line)
            elif found := _MEASURE.search(line):
                value = number(found[3])
                if value is not None:
                    self.attempts.measure(int(found[1]), {found[2]: value}, line=line)
                    measured = int(found[1])
            elif FAILED in line:
                self.attempts.fail()
            else:
                self._take(line)
        if not len(self.attempts):
            raise nothing_in(self.unit, "step of a nanochat log")
        self._count()
        if self.last > 0:
            self._fact("steps", str(self.last), "steps in the log's lines")
        run_id, name = identity(self.unit)
        is_finished = 0 <= self.last <= max(measured, self.attempts.last_step + 1)
        return self.attempts.logs(
            run_id=run_id,
            name=name,
            kind=NanochatReader.key,
            source=str(self.unit),
            config=self.config,
            meanings=_MEANINGS,
            facts=self.facts,
            lost=lost,
            state=self.attempts.state(is_finished=is_finished),
        )

    def _take(self, line: str) -> None:
        """A line before training: the model, the batch, the counts of parameters."""
        if part := self.is_counting and _PART.match(line):
            self.parts[part[1]] = number(part[2]) or 0.0
            return
        self.is_counting = _ALL_PARTS in line
        if batch := _BATCH.search(line):
            self._fact("batch_tokens", batch[1], "Total batch size")
        elif old := _OLD_PARAMS.search(line):
            self._fact("params", old[1], "Number of parameters")
        elif vocab := _VOCAB.search(line):
            self._fact("vocab_size", vocab[1], "Vocab size")
        elif flops := _FLOPS.search(line):
            self.config["flops_per_token"] = number(flops[1])
        elif setting := _SETTING.match(line):
            value = number(setting[3])
            self.config[setting[1]] = setting[3] if value is None else value
            if setting[1] in _MODEL:
                self._fact(_MODEL[setting[1]], setting[3], f"model config, {setting[1]}")

    def _fact(self, column: str, text: str, how: str) -> None:
        value = number(text)
        if value is not None:
            self.facts[column] = Fact(value=value, how=how)

    def _count(self) -> None:
        """Parameter counts from the printed groups; embeddings and head are groups of their own."""
        self.config |= {f"params.{part}": count for part, count in self.parts.items()}
        if "total" in self.parts:
            self.facts["params"] = Fact(value=self.parts["total"], how="parameter counts, total")
        if "transformer_matrices" in self.parts:
            count = self.parts["transformer_matrices"] + self.parts.get("scalars", 0.0)
            how = "parameter counts, transformer_matrices + scalars (no embeddings, no head)"
            self.facts["params_nonembed"] = Fact(value=count, how=how)


def _fields(line: str) -> dict[str, float]:
    """The numbers of ``name: value | name: value``, with their units cut off."""
    found = {}
    for part in line.split("|"):
        name, colon, text = part.partition(":")
        value = number(re.sub(r"(?:ms|m|%)$", "", text.strip())) if colon else None
        if value is not None:
            found[name.strip()] = value
    return found


def _first_line(path: Path) -> bytes:
    return head_of(path).split(b"\n", 1)[0]


def _table(unit: Path) -> list[Log]:
    """One run per line of ``results.csv``."""
    text = read_bytes(unit, MAX_TEXT_BYTES).decode("utf-8", "replace")
    logs = []
    for index, row in enumerate(csv.DictReader(text.splitlines()), 1):
        values = {name: value for name, cell in row.items() if name and cell
                  and (value := number(cell)) is not None}  # fmt: skip
        steps = values.get("num_iterations", 0.0)
        if not {"val_bpb", "tokens_trained"} <= values.keys() or not 0 < steps < 2**53:
            continue
        step = int(steps)
        points = Points()
        for name in _COLUMNS.keys() & values.keys():
            points.add(step, name, values[name])
        named = row.get("run_name") or row.get("label") or row.get("depth") or str(index)
        facts = {"params": Fact(value=values["params_total"], how="params_total")} \
            if "params_total" in values else {}  # fmt: skip
        if {"params_transformer", "params_scalars"} <= values.keys():
            facts["params_nonembed"] = Fact(
                value=values["params_transformer"] + values["params_scalars"],
                how="params_transformer + params_scalars",
            )
        logs.append(
            Log(
                run_id=f"{unit.parent.as_posix()}/{index}-{named}",
                name=f"d{named}-{index}" if row.get("depth") == named else str(named),
                kind=NanochatReader.key,
                source=str(unit),
                points=points.frame(),
                config=dict(row),
                meanings=_COLUMNS,
                facts=facts,
                state="finished",
            )
        )
    if not logs:
        raise nothing_in(unit, "run with val_bpb and tokens_trained")
    return logs
