"""Likelihoods of the right answers, from the samples that lm-evaluation-harness logs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalewise.core.errors import RunDataError
from scalewise.core.units import NATS_PER_BIT
from scalewise.runs.quote import bare
from scalewise.sources.logs.limits import MAX_FILE_BYTES, size_of

SAMPLES = re.compile(r"samples_(?P<task>.+?)_(?P<when>\d{4}-\d\d-\d\dT[\d.+-]+)\.jsonl")

_MOST_LINE = 16 * 2**20
_MOST_DOCS = 5_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """What the samples of a task tell.

    Attributes:
        bits_per_byte: of the right answer, mean over samples; None if no sample tells it.
        chance: accuracy of guessing, mean of one over the number of choices; None without choices.
        counted: samples behind the mean, each document once.
        untold: samples whose right answer cannot be told from what is logged.
    """

    bits_per_byte: float | None
    chance: float | None
    counted: int
    untold: int


def task_of(path: Path) -> str:
    """The task that a file of samples is named after.

    >>> task_of(Path("samples_arc_easy_2026-11-22T06-02-17.585259.jsonl"))
    'arc_easy'
    """
    found = SAMPLES.fullmatch(path.name)
    return found["task"] if found else path.stem


def gold_of(path: Path, lost: dict[str, int]) -> Gold:
    """Read a file of samples; a document that several filters repeat counts once.

    Raises RunDataError if the file cannot be read.
    """
    size_of(path, MAX_FILE_BYTES)
    bits, chances, untold, bad, seen = [], [], 0, 0, set[str]()
    with path.open("rb") as file:
        while line := file.readline(_MOST_LINE):
            try:
                sample = json.loads(line)
                document = json.dumps(sample["doc_id"])
                if document in seen or len(seen) >= _MOST_DOCS:
                    continue
                seen.add(document)
                scores, texts = _likelihoods(sample), _continuations(sample)
                if len(scores) > 1:
                    chances.append(1 / len(scores))
                answer = _answer(sample, texts)
                if scores and answer is None:
                    untold += 1
                elif scores and answer is not None:
                    size = len(texts[answer].strip().encode())
                    bits.append(-scores[answer] / (NATS_PER_BIT * size))
            except (ValueError, KeyError, TypeError, IndexError, RecursionError, ZeroDivisionError):
                bad += 1
    if bad:
        lost["unreadable records"] = lost.get("unreadable records", 0) + bad
    if not seen:
        raise RunDataError(
            f"{bare(path.name, 120)} holds no samples.", hint="Check that it was copied whole."
        )
    return Gold(
        bits_per_byte=math.fsum(bits) / len(bits) if bits else None,
        chance=math.fsum(chances) / len(chances) if chances else None,
        counted=len(bits),
        untold=untold,
    )


def _likelihoods(sample: dict[str, Any]) -> list[float]:
    """Log-likelihood of every choice, in nats; numbers are kept as text. Empty if none."""
    scores = []
    for response in sample["resps"]:
        first = response[0]
        if not isinstance(first, (list, tuple)) or len(first) != 2:
            return []
        scores.append(float(first[0]))
    return scores


def _continuations(sample: dict[str, Any]) -> list[str]:
    """The text whose likelihood was asked for, by choice; in old files a list of pairs."""
    asked = sample["arguments"]
    if isinstance(asked, dict):
        asked = [[one.get("arg_0"), one.get("arg_1")] for one in asked.values()]
    return [str(pair[1]) for pair in asked if len(pair) > 1]


def _answer(sample: dict[str, Any], texts: Sequence[str]) -> int | None:
    """The index of the right choice: told as a number or as its text."""
    if len(texts) == 1:
        return 0
    target = sample["target"]
    if isinstance(target, (int, str)) and re.fullmatch(r"\d{1,6}", str(target)):
        index = int(target)
        return index if index < len(texts) else None
    named = [index for index, text in enumerate(texts) if text.strip() == str(target).strip()]
    return named[0] if len(named) == 1 else None
