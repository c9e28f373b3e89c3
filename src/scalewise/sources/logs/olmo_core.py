"""OLMo and OLMo-core: console blocks, ``metrics.json``, and the tables of the ladder paper.

The console prints ``[step=300/2385,epoch=1,eta=...]`` and below it one metric a line. Metrics of
an evaluation come before the marker of their step. Printed numbers are rounded, large ones to a
few digits and a unit.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.core.errors import RunDataError
from scalewise.sources.logs.limits import head_of, read_bytes
from scalewise.sources.logs.log import Fact, Log, Meaning, Wanted
from scalewise.sources.logs.points import Points, without_step
from scalewise.sources.logs.text_log import (
    FAILED,
    Attempts,
    identity,
    is_text_log,
    lines,
    nothing_in,
    number,
)

if TYPE_CHECKING:
    import polars as pl

_SIGN = re.compile(r"\[step=\d+/(?:\d+|\?+)(?:,epoch=\d+)?[^\]\n]*\]")
_MARKER = re.compile(r"\[step=(\d{1,18})/(\d{1,18}|\?+)(?:,epoch=(\d+))?[^\]]*\]$")
_METRIC = re.compile(r"^(?:\[rank\d+\]:|\d+:)?\s{4}(\S[^=]*)=(\S+)$")
_EVALS = re.compile(r"Finished (\S+) evals in")
_DONE = re.compile(r"Training complete")
_FILE = re.compile(r"metrics(?:_step(\d{1,18}))?\.json")
_HEADS = (b'"throughput/total tokens"', b'"train/CE loss"', b'"train/CrossEntropyLoss"')
_ACCURACIES = ("accuracy", "length-normalized accuracy", "accuracy v2",
               "length-normalized accuracy v2")  # fmt: skip

_PLAIN = {
    "train/CE loss": Meaning(column="train_loss", note="mean over one batch"),
    "train/CrossEntropyLoss": Meaning(column="train_loss", note="mean over one batch"),
    "throughput/total tokens": Meaning(column="tokens"),
    "throughput/total_tokens": Meaning(column="tokens"),
    "throughput/total petaflops": Meaning(column="flops", scale=1e15),
    "throughput/total_training_Gflops": Meaning(column="flops", scale=1e9),
    "optim/learning_rate_group0": Meaning(column="lr"),
}
_CONSTANTS = {"learning_rate_peak": "lr_peak", "batch_size_in_tokens": "batch_tokens"}
_LOSS = re.compile(r"(?:eval/)?(?:lm/)?(?P<set>.+?)/"
                   r"(?:CE loss|CrossEntropyLoss|(?P<ppl>PPL|Perplexity))")  # fmt: skip
_TASK = re.compile(r"(?:eval/)?(?:downstream/)?(?P<task>[^/]+) \((?P<what>[^()]+)\)")
_LADDER = re.compile(r"eval/downstream(?P<what>|_bpb)/(?P<task>.+)")
_LR = re.compile(r"optim/LR\b.*")


def meaning_of(metric: str) -> Meaning | None:
    """What a metric of OLMo or OLMo-core is, where its name says so.

    >>> meaning_of("eval/lm/c4_en-validation/CE loss").eval_set
    'c4_en-validation'
    >>> meaning_of("eval/downstream/arc_easy (BPB)").column
    'bits_per_byte'
    """
    if metric in _PLAIN:
        return _PLAIN[metric]
    if metric.startswith(("train/", "system/", "gpu_memory/")):
        return None
    if _LR.fullmatch(metric):
        return Meaning(column="lr")
    if loss := _LOSS.fullmatch(metric):
        return Meaning(column="perplexity" if loss["ppl"] else "loss", eval_set=loss["set"])
    if task := _TASK.fullmatch(metric):
        return _task(task["task"], task["what"])
    if ladder := _LADDER.fullmatch(metric):
        name = re.sub(r"_(?:bpb|acc|len_norm)$", "", ladder["task"])
        return _task(name, "BPB" if ladder["what"] else "accuracy")
    return None


def _task(name: str, what: str) -> Meaning | None:
    if what.removesuffix(" v2") == "BPB":
        return Meaning(column="bits_per_byte", eval_set=name, note="of the right answer")
    if what in _ACCURACIES:
        return Meaning(column="accuracy", eval_set=name, note=what)
    return None


class OlmoReader:
    """Console logs, metric files and ladder tables of OLMo and OLMo-core."""

    key = "olmo"
    title = "OLMo or OLMo-core log"

    def units(self, path: Path) -> list[Path]:
        """The file, if its name and first bytes, or a line of it, tell one of the formats."""
        if not path.is_file():
            return []
        if path.suffix == ".csv":
            header = head_of(path).split(b"\n", 1)[0]
            is_one = b"_step" in header.split(b",") and b"/CrossEntropyLoss" in header
        elif path.suffix == ".json":
            head = head_of(path) if _FILE.fullmatch(path.name) else b""
            is_one = any(sign in head for sign in _HEADS)
        else:
            is_one = is_text_log(path, _SIGN)
        return [path] if is_one else []

    def read(self, unit: Path, *, wanted: Wanted | None = None) -> list[Log]:
        """The run of one file. Raises RunDataError if it holds none."""
        if unit.suffix == ".csv":
            return [_table(unit, wanted)]
        return [_metrics(unit, wanted)] if unit.suffix == ".json" else _console(unit, wanted)


def _console(unit: Path, wanted: Wanted | None) -> list[Log]:
    attempts, lost = Attempts(_kept(wanted)), dict[str, int]()
    block, pending = dict[str, float](), dict[str, float]()
    step, last, evaluator, is_done, told = 0, 0, "", False, set[str]()
    for line in lines(unit, lost):
        if marker := _MARKER.search(line):
            _close(attempts, step, block)
            step, block, evaluator = int(marker[1]), {}, ""
            last = int(marker[2]) if marker[2].isdigit() else 0
            attempts.measure(step, pending)
            pending = {}
        elif evals := _EVALS.search(line):
            evaluator = evals[1]
        elif metric := _METRIC.match(line):
            value = number(metric[2])
            if value is not None:
                name = f"eval/{evaluator}/{metric[1]}" if evaluator else metric[1]
                (pending if evaluator else block)[name] = value
                told.add(name)
        else:
            evaluator = ""
            if FAILED in line:
                attempts.fail()
            is_done = is_done or bool(_DONE.search(line))
    _close(attempts, step, block)
    attempts.measure(step, pending)
    if not len(attempts):
        raise nothing_in(unit, "metrics below a [step=...] line")
    run_id, name = identity(unit)
    return attempts.logs(
        run_id=run_id,
        name=name,
        kind=OlmoReader.key,
        source=str(unit),
        meanings={name: meaning for name in told if (meaning := meaning_of(name))},
        notes=("printed numbers are rounded; the W&B log of the run has them in full",),
        lost=lost,
        state=attempts.state(is_finished=is_done or 0 < last <= step),
    )


def _kept(wanted: Wanted | None) -> Wanted:
    return lambda name: (
        wanted is None or wanted(name) or name in _CONSTANTS or meaning_of(name) is not None
    )


def _close(attempts: Attempts, step: int, block: dict[str, float]) -> None:
    if block:
        attempts.train(step, block)


def _metrics(unit: Path, wanted: Wanted | None) -> Log:
    """The newest value of every metric, as the metric saver writes it at the end or at a step."""
    try:
        held = json.loads(read_bytes(unit))
    except (ValueError, RecursionError) as error:
        raise RunDataError(
            f"{unit.name} is not whole JSON.", hint="Wait until it is written, or leave it out."
        ) from error
    items = held.items() if isinstance(held, dict) else ()
    values = {
        name: float(value)
        for name, value in items
        if isinstance(value, (int, float)) and _kept(wanted)(name)
    }
    if not values:
        raise nothing_in(unit, "metrics")
    found = _FILE.fullmatch(unit.name)
    step = found[1] if found else None
    points = Points()
    if step is not None:
        points.add_row(int(step), values)
    return Log(
        run_id=unit.parent.as_posix(),
        name=unit.parent.name,
        kind=OlmoReader.key,
        source=str(unit),
        points=without_step(values) if step is None else points.frame(),
        meanings={name: meaning for name in values if (meaning := meaning_of(name))},
        state="unknown" if step else "finished",
    )


def _table(unit: Path, wanted: Wanted | None) -> Log:
    """One run of the ladder paper: a row for each evaluation during training."""
    points, bad = Points(), 0
    text = read_bytes(unit).decode("utf-8", "replace")
    kept: list[str] = []
    for row in csv.DictReader(text.splitlines()):
        kept = kept or [name for name in row if name and _kept(wanted)(name)]
        step = number(row.get("_step") or "")
        if step is None or not 0 <= step < 2**53:
            bad += 1
            continue
        for name in kept:
            value = number(row.get(name) or "") if name != "_step" else None
            if value is not None:
                points.add(int(step), name, value)
    if not len(points):
        raise nothing_in(unit, "row with a _step")
    run_id, name = identity(unit)
    frame = points.frame()
    return Log(
        run_id=run_id,
        name=name,
        kind=OlmoReader.key,
        source=str(unit),
        points=frame,
        meanings={metric: meaning for metric in frame.columns if (meaning := meaning_of(metric))},
        facts=_constants(frame),
        lost=points.lost() | ({"unreadable records": bad} if bad else {}),
    )


def _constants(frame: pl.DataFrame) -> dict[str, Fact]:
    """What the table repeats in every row."""
    return {
        column: Fact(value=float(frame[name].drop_nulls()[0]), how=f"column {name}")
        for name, column in _CONSTANTS.items()
        if name in frame.columns and frame[name].drop_nulls().n_unique() == 1
    }
