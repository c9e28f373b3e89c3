"""The embedded example: a ladder of small byte-level models, trained by this package's trainer.

``ladder.csv`` holds every checkpoint and every finished model; ``ladder.toml`` is its card: the
command, machine, versions and date of the training, and the fingerprint of the corpus.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable

HELD_OUT_SIZES = 2  # the largest sizes, kept aside as the target of the demo
LEAST_STEPS = 2000  # shorter runs are still in the transient of warm-up and learning rate

_FOLDER = Path(__file__).parent


def example_runs() -> RunTable:
    """The run table of the embedded ladder: every checkpoint and finished model.

    >>> example_runs().finals().run_count
    11
    """
    return replace(read_runs(_FOLDER / "ladder.csv"), source="the embedded ladder")


def settled_runs() -> RunTable:
    """The embedded ladder without what was measured before ``LEAST_STEPS`` updates.

    Laws describe models past the transient at the start of training; the decayed ends after
    1000 updates belong to it. How many rows this leaves out is recorded in the table.
    """
    return example_runs().where(f"step >= {LEAST_STEPS}")
