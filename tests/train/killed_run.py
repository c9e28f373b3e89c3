"""What the killed processes of test_resume do; imported by them, so it imports little."""

from __future__ import annotations

from pathlib import Path

from scalewise.runs.spec import RunSpec
from scalewise.train.process import settle_process
from scalewise.train.tokenizer import load_tokens
from scalewise.train.trainer import train_run


def train(spec: RunSpec, tokens: Path, queue: Path) -> None:
    settle_process()
    train_run(spec, load_tokens(tokens), queue, checkpoint_seconds=0.0)
