"""The single-model grid of Choshen et al. 2024 (Fig. 6): A and alpha fixed, one model fitted.

Printed in the authors' figures, and reproduced there to 0.01 points; here to 0.05.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

import scalewise
from scalewise.core.errors import UnfitDataError
from scalewise.forecast.policy import CHOSHEN2024
from tests.shared_data import shared_table

# Family, the model fitted, the share of its training, and the mean absolute relative error of the
# last 30 % of the largest model, in percent.
GRID = (
    ("OPT", 6.7e9, 0.3, 37.49),
    ("OPT", 6.7e9, 0.5, 36.79),
    ("OPT", 13e9, 1.0, 24.87),
    ("OPT", 30e9, 1.0, 15.02),
    ("OPT", 175e9, 0.3, 1.59),
    ("OPT", 175e9, 0.5, 4.28),
    ("OPT", 175e9, 1.0, 0.73),
    ("olmo", 1e9, 0.3, 1.68),
    ("olmo", 1e9, 1.0, 0.94),
    ("olmo", 7e9, 0.3, 1.40),
    ("olmo", 7e9, 0.5, 1.56),
    ("olmo", 7e9, 1.0, 1.21),
    ("gpt3", 1.3e9, 1.0, 12.01),
    ("gpt3", 13e9, 1.0, 6.92),
    ("gpt3", 175e9, 0.3, 13.81),
    ("gpt3", 175e9, 0.5, 7.81),
    ("gpt3", 175e9, 1.0, 1.78),
    ("pythia", 410e6, 1.0, 57.03),
    ("pythia", 6.9e9, 1.0, 6.94),
    ("pythia", 12e9, 0.3, 28.34),
    ("pythia", 12e9, 0.5, 10.80),
    ("pythia", 12e9, 1.0, 0.79),
    ("pythia-deduped", 12e9, 0.3, 6.99),
    ("pythia-deduped", 12e9, 0.5, 3.16),
    ("pythia-deduped", 12e9, 1.0, 1.21),
)


@cache
def family(name: str) -> pl.DataFrame:
    whole = pl.read_csv(shared_table("colpret/perf_slim.csv.gz"), infer_schema_length=None)
    return whole.filter(pl.col("family") == name).select(
        run_id="model", params="N", tokens="D", loss="perf"
    )


@pytest.mark.parametrize(("name", "params", "share", "printed"), GRID)
def test_the_printed_cell_is_reproduced(
    name: str, params: float, share: float, printed: float
) -> None:
    whole = family(name)
    run = whole.filter(pl.col("params") == params)
    # Their share ends before the checkpoint at its end, and the whole before the last of all.
    begin = run if share == 1 else run.filter(pl.col("tokens") < share * pl.col("tokens").max())
    policy = CHOSHEN2024 if share == 1 else replace(CHOSHEN2024, keeps_last=True)
    target = whole.filter(pl.col("params") == pl.col("params").max())
    late = target.filter(pl.col("tokens") >= 0.7 * pl.col("tokens").max())
    size, tokens, loss = (late[c].to_numpy() for c in ("params", "tokens", "loss"))
    found = scalewise.predict_from_one(
        begin, params=float(size[0]), tokens=float(tokens[-1]), borrow="choshen2024", policy=policy
    )
    c = found.constants
    predicted = c["E"] + c["A"] / size ** c["alpha"] + c["B"] / tokens ** c["beta"]
    assert found.loss == pytest.approx(predicted[-1], rel=1e-9)
    assert 100 * np.mean(np.abs(predicted - loss) / loss) == pytest.approx(printed, abs=0.05)


def test_where_the_grid_prints_212_percent_the_forecast_is_refused() -> None:
    run = family("t5-pile").filter(pl.col("params") == pl.col("params").min())
    told = r"alone, 0\.571 nats/token at 248M params, exceeds the observed loss, 0\.0716"
    with pytest.raises(UnfitDataError, match=told):
        scalewise.predict_from_one(run, params=1.1e10, tokens=2e12, borrow="choshen2024")
    with pytest.raises(UnfitDataError, match="size term alone exceeds the observed loss"):
        scalewise.predict_from_one(run, params=1.1e10, tokens=2e12)
