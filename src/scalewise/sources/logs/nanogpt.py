"""Text logs of nanoGPT: lines ``iter 100: loss 3.2, time ...`` and ``step 250: train loss ...``.

Both are printed before the update of their number, so step 250 has seen 250 batches. The settings
are printed only where they differ from those in the program, and so are not always there.
"""

from __future__ import annotations

import re
from pathlib import Path

from scalewise.sources.logs.log import Fact, Log, Meaning, State, Wanted
from scalewise.sources.logs.text_log import (
    FAILED,
    Attempts,
    identity,
    is_text_log,
    lines,
    nothing_in,
    number,
)

_SIGN = re.compile(r"\biter \d+: loss \S+, time \S+ms|\bstep \d+: train loss \S+, val loss \S")
_TRAIN = re.compile(r"\biter (\d{1,18}): loss ([^\s,]+), time ")
_EVAL = re.compile(r"\bstep (\d{1,18}): train loss ([^\s,]+), val loss ([^\s,]+)")
_BATCH = re.compile(r"\btokens per iteration will be: ([\d,]+)")
# Weights that decay are matrices and embeddings, the others vectors: together, all of them.
_PARTS = re.compile(r"\bnum (non-)?decayed parameter tensors: [\d,]+, with ([\d,]+) parameters")
_SETTING = re.compile(r"^(?:Overriding: )?(\w+) = ([\d.e+-]+)\s*(?:#.*)?$")

_MEANINGS = {
    "loss": Meaning(column="train_loss", note="one batch of one device"),
    "val loss": Meaning(column="loss", eval_set="validation"),
}
_COLUMNS = {"n_layer": "n_layer", "n_embd": "d_model", "block_size": "context_length",
            "max_iters": "steps", "warmup_iters": "warmup_steps"}  # fmt: skip


class NanoGptReader:
    """Standard output of nanoGPT's ``train.py``."""

    key = "nanogpt"
    title = "nanoGPT text log"

    def units(self, path: Path) -> list[Path]:
        """The file, if it has a line of such a log."""
        return [path] if is_text_log(path, _SIGN) else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The run of one file, one log for each attempt. Raises RunDataError without any step."""
        attempts, facts, parts = Attempts(wanted, _MEANINGS), dict[str, Fact](), dict[str, float]()
        lost: dict[str, int] = {}
        measured = -1
        for line in lines(unit, lost):
            if step := _TRAIN.search(line):
                loss = number(step[2])
                attempts.train(int(step[1]), {} if loss is None else {"loss": loss}, line=line)
            elif found := _EVAL.search(line):
                loss, measured = number(found[3]), int(found[1])
                attempts.measure(measured, {} if loss is None else {"val loss": loss}, line=line)
            elif FAILED in line:
                attempts.fail()
            elif part := _PARTS.search(line):
                parts[part[1] or ""] = number(part[2]) or 0.0
            else:
                facts |= _told(line)
        if not len(attempts):
            raise nothing_in(unit, "step of a nanoGPT log")
        if len(parts) == 2:
            how = "parameters that decay + those that do not"
            facts["params"] = Fact(value=sum(parts.values()), how=how)
        run_id, name = identity(unit)
        last, steps = max(measured, attempts.last_step), facts.get("steps")
        is_finished = steps is not None and last >= float(steps.value)
        state: State = attempts.state(is_finished=is_finished)
        return attempts.logs(
            run_id=run_id,
            name=name,
            kind=self.key,
            source=str(unit),
            meanings=_MEANINGS,
            facts=facts,
            lost=lost,
            state=state if steps is not None or state == "failed" else "unknown",
        )


def _told(line: str) -> dict[str, Fact]:
    """What a line before training says of the run."""
    if batch := _BATCH.search(line):
        return {"batch_tokens": Fact(value=number(batch[1]) or 0.0, how="tokens per iteration")}
    setting = _SETTING.match(line)
    value = number(setting[2]) if setting and setting[1] in _COLUMNS else None
    if setting is None or value is None:
        return {}
    return {_COLUMNS[setting[1]]: Fact(value=value, how=f"setting {setting[1]}")}
