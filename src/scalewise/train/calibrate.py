"""How fast this machine trains, against the one that the cost estimates were made on."""

from __future__ import annotations

import time

import numpy as np

from scalewise.runs.spec import RunSpec
from scalewise.train.cost import step_seconds
from scalewise.train.shape import shape_from_width

SECONDS = 0.5
WARM_UP = 10


def measured_speed() -> float:
    """Speed of one core against the reference, by half a second of training at width 32.

    Above 1 is faster. Counts processor time, so that other users of the machine matter little.
    """
    from scalewise.train.process import settled

    spec = RunSpec(
        run_id="calibration",
        shape=shape_from_width(32),
        token_budgets=(512,),
        batch_tokens=512,
        lr_peak=0.005,
    )
    with settled():
        return step_seconds(spec) / _seconds_per_update(spec)


def _seconds_per_update(spec: RunSpec) -> float:
    from scalewise.train.learner import Learner

    learner = Learner(spec)
    draws = np.random.default_rng(0)
    inputs, targets = draws.integers(0, 256, (8, 64)), draws.integers(0, 256, 512)
    for _ in range(WARM_UP):
        learner.update(inputs, targets, 0.0)
    updates, start = 0, time.process_time()
    while time.process_time() - start < SECONDS:
        learner.update(inputs, targets, 0.0)
        updates += 1
    return (time.process_time() - start) / updates
