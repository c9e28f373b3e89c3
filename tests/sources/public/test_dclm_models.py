"""DataComp-LM's CSV of models."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from scalewise.sources.public.dclm_models import DATA, FILE
from tests.sources.public.rebuilt import assert_same, shared, written


def raw(models: pl.DataFrame) -> pl.DataFrame:
    """The published layout, with an external model whose size is not told."""
    named = models.select(
        pl.format("evaluation_{}.json", "run_id").alias("Model JSON"),
        pl.col("data").alias("Dataset"),
        pl.col("arch").alias("model"),
        "params",
        "tokens",
        pl.col("core").alias("Core"),
        pl.col("extended").alias("Extended"),
        pl.lit("heavy").alias("name"),
        pl.exclude("run_id", "family", "params", "tokens", "context_length", "flops", "data",
                   "is_final", "arch", "core", "extended", "scale"),
    )  # fmt: skip
    external = pl.DataFrame({"Model JSON": ["evaluation_external.json"], "Extended": [0.5]})
    return pl.concat([named, external], how="diagonal")


def test_a_file_rebuilt_from_the_tidied_table_reads_back_without_external_models(
    tmp_path: Path,
) -> None:
    models = shared("dclm_models/models.parquet")
    path = written(tmp_path, FILE.name, raw(models).write_csv())
    assert_same(DATA, "models", {FILE.name: path}, models)


def test_the_multiple_of_20_tokens_per_parameter_is_in_the_scale() -> None:
    models = shared("dclm_models/models.parquet")
    least = models.filter(pl.col("params") == 411_616_256)
    assert least["scale"].unique().to_list() == ["400M-1.0x"]
