"""Text logs of Megatron-LM, Megatron-DeepSpeed, GPT-NeoX and NeMo.

Megatron and NeoX print ``iteration 122/ 250000 | consumed samples: 124928 | ... | lm loss: ...``
and validation lines; NeMo prints ``Training epoch 0, iteration 28/99 | ... | consumed_samples:``
and repeats the last validation loss in every line. The arguments printed at the start give
sequence length, batch, learning rate and where checkpoints go.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from scalewise.sources.logs.log import Fact, Log, Meaning, Wanted
from scalewise.sources.logs.text_log import (
    FAILED,
    RANK,
    Attempts,
    identity,
    is_text_log,
    lines,
    nothing_in,
    number,
)  # fmt: skip

_SIGN = re.compile(
    r"\biteration\s+\d+\s*/\s*\d+\s*\|(?:\s*lr:|.*(?:elapsed time per iteration|consumed samples:))"
    r"|^using world size: \d+|> number of parameters on (?:\(tensor|model parallel rank)",
    re.MULTILINE,
)
_STEP = re.compile(r"\biteration\s+(\d{1,18})\s*/\s*(\d{1,18})\s*\|")
_EVAL = re.compile(
    r"\b(?P<kind>validation|valid|test) (?:loss|results) at "
    r"(?:iteration\s+(?P<step>\d{1,18})|(?:the )?end of training)(?P<set>[^|]*)\|(?P<fields>.*)"
)
_ARGUMENT = re.compile(r"\s*([A-Za-z]\w{0,100}) \.\.+ ?(.*)")
_ORIGIN = ("updated", "default")  # printed behind a value by GPT-NeoX
_SHARD = re.compile(
    r"number of parameters on (?:\(tensor, pipeline\) )?model parallel rank "
    r"\(?([\d, ]{1,40})\)?: (\d{1,18})"
)
_BILLIONS = re.compile(r"Total number of parameters in billions:\s*(\d{1,9}(?:\.\d{1,9})?)")
_DONE = "after training is done"

_TRAIN = "mean over the updates since the line before"
_MEASURED = {"lm loss value": "loss", "lm_loss value": "loss", "lm loss PPL": "perplexity",
             "lm_loss_ppl value": "perplexity"}  # fmt: skip
_PARTS = ("tensor_model_parallel_size", "pipeline_model_parallel_size")
_NEMO = {
    "reduced_train_loss": Meaning(column="train_loss", note="mean over one batch"),
    "val_loss": Meaning(column="loss", eval_set="validation"),
    "val_ppl": Meaning(column="perplexity", eval_set="validation"),
    "lr": Meaning(column="lr"),
}
_NEOX_BATCH = ("train_batch_size", "seq_length")  # over all devices, unlike elsewhere
_FACTS = {
    "seq_length": "context_length", "seed": "seed", "lr": "lr_peak", "lr_decay_style": "schedule",
    "num_layers": "n_layer", "hidden_size": "d_model", "padded_vocab_size": "vocab_size",
    "lr_warmup_iters": "warmup_steps",
}  # fmt: skip


class MegatronReader:
    """Standard output of Megatron-LM and its relatives."""

    key = "megatron"
    title = "Megatron-LM, GPT-NeoX or NeMo text log"

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
        self.arguments: dict[str, object] = {}
        self.shards: dict[str, int] = {}
        self.meanings: dict[str, Meaning] = {}
        self.attempts = Attempts(wanted, self.meanings)
        self.billions = 0.0
        self.last = 0
        self.validation: dict[str, float] = {}
        self.is_nemo = self.is_done = False

    def logs(self) -> list[Log]:
        lost: dict[str, int] = {}
        for line in lines(self.unit, lost):
            self._take(line)
        if not len(self.attempts):
            raise nothing_in(self.unit, "iteration of a Megatron log")
        run_id, name = self._identity()
        if self.arguments.get("rampup_batch_size") not in {None, "None"}:
            self.arguments["sequences_after_rampup"] = self.arguments.pop("global_batch_size", None)
        end = self.attempts.last_step + self.is_nemo
        return self.attempts.logs(
            run_id=run_id,
            name=name,
            kind=MegatronReader.key,
            source=str(self.unit),
            config=self.arguments,
            meanings=self.meanings,
            facts=self._facts(),
            lost=lost,
            state=self.attempts.state(is_finished=self.is_done or 0 < self.last <= end),
        )

    def _take(self, line: str) -> None:
        if "|" in line and "iteration" in line and (step := _STEP.search(line)):
            self._train(line, step)
            return
        if " at " in line and (found := _EVAL.search(line)):
            self._evaluate(line, found)
        elif FAILED in line:
            self.attempts.fail()
        elif _DONE in line:
            self.is_done = True
        elif "number of parameters" in line.casefold():
            self._count(line)
        elif " ..." in line and (argument := _ARGUMENT.match(RANK.sub("", line))):
            text = argument[2].strip()
            if text.endswith(_ORIGIN) and "...." in text:
                text = text[:-7].rstrip(".")
            value = number(text)
            self.arguments[argument[1]] = text if value is None else value

    def _train(self, line: str, step: re.Match[str]) -> None:
        values = _fields(line)
        self.last = int(step[2])
        if "global_step" in values:
            self._nemo(line, values)
            return
        for name in values.keys() & {"lm loss", "lm_loss", "loss"}:
            self.meanings[name] = Meaning(column="train_loss", note=_TRAIN)
        if "consumed tokens" in values:
            self.meanings["consumed tokens"] = Meaning(column="tokens")
        if "learning rate" in values:
            self.meanings["learning rate"] = Meaning(column="lr")
        self.attempts.train(int(step[1]), values, line=line)

    def _nemo(self, line: str, values: dict[str, float]) -> None:
        """A line of NeMo; its validation loss is news only when it changes."""
        self.is_nemo = True
        counted = values.pop("global_step")
        if not 0 <= counted < 2**53:
            return
        step = int(counted)
        told = {name: values.pop(name) for name in list(values) if name.startswith("val_")}
        self.meanings |= _NEMO
        self.attempts.train(step, values, line=line)
        if told != self.validation:
            self.validation = told
            self.attempts.measure(step, told, line=line)

    def _evaluate(self, line: str, found: re.Match[str]) -> None:
        step = int(found["step"]) if found["step"] else self.attempts.last_step
        where = _eval_set(found["kind"], found["set"])
        values = {}
        for name, value in _fields(found["fields"]).items():
            metric = f"{where}/{name.removesuffix(' value')}"
            values[metric] = value
            if column := _MEASURED.get(name):
                self.meanings[metric] = Meaning(column=column, eval_set=where)
        self.attempts.measure(max(step, 0), values, line=line)

    def _count(self, line: str) -> None:
        if shard := _SHARD.search(line):
            self.shards[shard[1].replace(" ", "")] = int(shard[2])
        elif found := _BILLIONS.search(line):
            self.billions = float(found[1])

    def _identity(self) -> tuple[str, str]:
        """Where the checkpoints go tells a run: a job that takes it up again saves there too."""
        save = self.arguments.get("save")
        if not isinstance(save, str) or save in {"None", ""}:
            return identity(self.unit)
        return save.rstrip("/"), PurePosixPath(save).name or save

    def _facts(self) -> dict[str, Fact]:
        facts = {
            column: Fact(value=value, how=f"argument {name}")
            for name, column in _FACTS.items()
            if isinstance(value := self.arguments.get(name), (float, str)) and value != "None"
        }
        if self.last > 0:
            facts["steps"] = Fact(value=float(self.last), how="iterations in the log's lines")
        if params := self._params():
            facts["params"] = params
        sequences, length = (self.arguments.get(name) for name in _NEOX_BATCH)
        if isinstance(sequences, float) and isinstance(length, float):
            how = f"train_batch_size {sequences:g} x seq_length {length:g}"
            facts["batch_tokens"] = Fact(value=sequences * length, how=how, confidence="derived")
        return facts

    def _params(self) -> Fact | None:
        """Total parameters, from the shards if all of them are printed, else as rounded."""
        known = [self.arguments.get(name) for name in _PARTS]
        sizes = [int(size) for size in known if isinstance(size, float)]
        parts = sizes[0] * sizes[1] if len(sizes) == 2 else None
        if self.shards and parts == len(self.shards) == 1:
            return Fact(value=float(*self.shards.values()), how="parameters on the only rank")
        if self.billions:
            how = f"Total number of parameters in billions: {self.billions:g}, rounded"
            return Fact(value=float(round(self.billions * 1e9)), how=how, confidence="derived")
        if self.shards and parts in {None, len(self.shards)}:
            how = f"sum over {len(self.shards)} model parallel ranks; shared weights count twice"
            return Fact(value=float(sum(self.shards.values())), how=how, confidence="assumed")
        return None


def _fields(line: str) -> dict[str, float]:
    """The numbers of a line ``name: value | name: value |``."""
    found = {}
    for part in line.split("|"):
        name, colon, value = part.rpartition(":")
        name = name.strip()
        if colon and name and not name.casefold().startswith("number of parameters"):
            logged = number(value)
            if logged is not None:
                found[name] = logged
    return found


def _eval_set(kind: str, told: str) -> str:
    """The validation set that a line names: ``on test set``, ``for val data``, ``[german]``."""
    named = re.search(r"\[([^\]]+)\]", told)
    if named:
        return named[1]
    return "test" if kind == "test" or "test" in told else "validation"
