"""The points that Besiroglu et al. 2024 read off a figure of Hoffmann et al. 2022."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from tests.shared_data import shared_table

Array = np.ndarray[Any, np.dtype[Any]]


def chinchilla_points(*, dropped: int = 5) -> dict[str, Array]:
    """Columns of the 245 points; without ``dropped`` of the largest losses, as the authors did."""
    frame = pl.read_parquet(shared_table("chinchilla_epoch/points.parquet"))
    if dropped:
        cut = frame["loss"].sort(descending=True)[dropped - 1]
        frame = frame.filter(pl.col("loss") < cut)
    return {column: frame[column].to_numpy() for column in ("params", "tokens", "loss")}


def authors_resamples() -> Array:
    """Row numbers of the authors' 4000 resamples of 240 points, shape (4000, 240).

    One call draws what their loop over ``np.random.choice`` under ``np.random.seed(42)`` draws.
    """
    return np.random.RandomState(42).choice(240, size=(4000, 240))
