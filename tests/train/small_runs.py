"""A text of one's own and runs small enough to be trained in a test."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from scalewise.runs.spec import RunSpec
from scalewise.train.corpus import load_corpus
from scalewise.train.run_folder import Row, RunFolder
from scalewise.train.shape import shape_from_width
from scalewise.train.tokenizer import TokenizedCorpus, tokenize


def write_text(path: Path, *, lines: int = 600, seed: int = 0) -> Path:
    """Lines of a few words: easy to learn, and not the same throughout."""
    draw = random.Random(seed)  # noqa: S311
    words = ["alpha", "beta", "gamma", "delta", "loss", "tokens", "params", "law"]
    text = "\n".join(" ".join(draw.choices(words, k=6)) for _ in range(lines))
    path.write_text(text)
    return path


def small_tokens(folder: Path) -> TokenizedCorpus:
    return tokenize(load_corpus(str(write_text(folder / "words.txt"))), "bytes")


def small_spec(**changes: Any) -> RunSpec:
    settings: dict[str, Any] = {
        "run_id": "small",
        "shape": shape_from_width(16, context_length=32),
        "token_budgets": (4_096, 8_192, 16_384),
        "batch_tokens": 128,
        "lr_peak": 0.01,
        "warmup_steps": 10,
        "eval_tokens": 256,
        "eval_points": 6,
        "corpus": "words.txt",
    }
    return RunSpec(**(settings | changes))


def outcome(queue: Path, spec: RunSpec) -> tuple[str, list[Row]]:
    """The weights' checksum and the rows of a finished run, but for the time they took."""
    folder = RunFolder(queue, spec)
    rows = [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in folder.rows()]
    return folder.outcome()["weights_sha256"], rows
