"""The embedded example: a ladder of small byte-level models, trained by this package's trainer.

``ladder.csv`` holds every checkpoint and every finished model; ``ladder.toml`` is its card: the
command, machine, versions and date of the training, and the fingerprint of the corpus.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

_FOLDER = Path(__file__).parent
HELD_OUT_SIZES = 2  # the largest sizes, kept aside as the target of the demo


def example_runs() -> RunTable:
    """The run table of the embedded ladder, checkpoints and finished models.

    >>> example_runs().finals().run_count >= 7
    True
    """
    return read_runs(_FOLDER / "ladder.csv")


def example_card() -> dict[str, Any]:
    """How the embedded ladder was made."""
    return tomllib.loads((_FOLDER / "ladder.toml").read_text(encoding="utf-8"))
