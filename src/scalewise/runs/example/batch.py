"""The embedded batch-size experiment: whole curves at constant rate, over sizes and batch sizes.

``batch_ladder.csv`` holds the runs to fit on, ``batch_held_out.csv`` a model nine times larger
than the largest of them at a batch size that none of them has, ``batch_rates.csv`` the short runs
that chose the learning rates, ``batch_branches.json`` local critical batches measured from two
checkpoints, and ``batch_ladder.toml`` says how, when and where all of it was made.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

_FOLDER = Path(__file__).parent


def batch_runs() -> RunTable:
    """The curves to fit on: seven sizes at one batch size (six twice), two at others too."""
    return replace(read_runs(_FOLDER / "batch_ladder.csv"), source="the embedded batch ladder")


def batch_held_out_runs() -> RunTable:
    """The curve of the larger model, trained after the runs that forecast it."""
    return replace(
        read_runs(_FOLDER / "batch_held_out.csv"), source="the held-out run of the batch ladder"
    )


def batch_branches() -> list[dict[str, Any]]:
    """Local critical batches by branched training, as `train.branches.BranchedBatch` fields."""
    found: list[dict[str, Any]] = json.loads((_FOLDER / "batch_branches.json").read_text("utf-8"))
    return found
