"""The families of Choshen et al. 2024 as their study reads them, if the tables are at hand."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import polars as pl

from scalewise.forecast.study import families_of
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from tests.shared_data import shared_table

LN_OPT = "OPT_lnppl"
_COLUMNS = {"run_id": "model", "params": "N", "tokens": "D", "loss": "perf"}


@cache
def families() -> dict[str, RunTable]:
    """All 46 families in their own units, and OPT's perplexities as losses in nats besides."""
    path = shared_table("colpret/perf_slim.csv.gz")
    frame = pl.read_csv(path, infer_schema_length=None).filter(pl.col("family") != "")
    opt = frame.filter(pl.col("family") == "OPT").with_columns(
        pl.lit(LN_OPT).alias("family"), pl.col("perf").log()
    )
    return families_of(read_runs(pl.concat([frame, opt]), mapping=_COLUMNS))


@cache
def acceptance() -> dict[str, Any]:
    """Errors by family, column and number of models, in percent."""
    whole: dict[str, Any] = json.loads(shared_table("colpret/acceptance_key.json").read_text())
    return whole["laws"]


def objectives() -> list[dict[str, Any]]:
    """Held-out errors by family and objective."""
    return pl.read_csv(shared_table("colpret/objectives.csv")).to_dicts()
