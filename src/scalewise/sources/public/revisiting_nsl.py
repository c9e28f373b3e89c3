"""The learning curves of Revisiting Neural Scaling Laws, with the authors' train/test split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_files

if TYPE_CHECKING:
    import polars as pl

PARTS = MappingProxyType(
    {
        "lang": "aggregated_eval/revisiting_lang.csv",
        "vision": "aggregated_eval/revisiting_vision.csv",
    }
)


def _curves(files: Mapping[str, Path]) -> pl.DataFrame:
    """Both benchmarks, language first."""
    import polars as pl

    tables = []
    for part, name in PARTS.items():
        # Read as text: a model may be called 1.68e+07.
        raw = pl.read_csv(files[name], infer_schema=False)
        tables.append(
            raw.select(
                run_id=pl.format("{}|{}|{}", "Domain", "Task", "Model"),
                family=pl.lit("revisiting-nsl"),
                loss=pl.col("Loss").cast(pl.Float64),
                domain=pl.col("Domain"),
                task=pl.col("Task"),
                model=pl.col("Model"),
                examples=pl.col("Seen Examples").cast(pl.Float64),
                is_train=pl.col("Training").cast(pl.Int64),
                part=pl.lit(part),
            )
        )
    return pl.concat(tables)


DATA = PublicData(
    key="revisiting_nsl",
    title="Revisiting neural scaling laws: 92 learning curves of vision and language",
    citation=(
        "Alabdulmohsin, Neyshabur & Zhai (2022), Revisiting Neural Scaling Laws in Language and "
        "Vision, NeurIPS, arXiv:2209.06640"
    ),
    url="https://github.com/IBM/ColPret",
    licence="Apache-2.0 (original), MIT (copy)",
    permissive=True,
    units="loss: 1 - accuracy (IC), log-perplexity (NMT, LM) or task error (BB); examples, no N",
    files=github_files(
        "IBM/ColPret",
        "16f23bbe054277ddc4afd07a972dd7cfbe3f48c3",
        (
            (
                PARTS["lang"],
                82_032,
                "63c346db00a66b692e1ea9a0f71a2f2b267e55f74be5b863a92e199dffbf0983",
            ),
            (
                PARTS["vision"],
                993_655,
                "23b00692d71e58aa5a2a941e831d57688e0977fdcf5f5125ff7b64283b5d9e83",
            ),
        ),
    ),
    tables={"curves": Table(parse=_curves, rows=20_282, runs=92, mapping={"tokens": "examples"})},
    default_table="curves",
    notes=(
        "The x axis is examples seen, mapped to tokens; it is tokens for no curve but LM.",
        "is_train is the authors' split: 1 to fit, 0 to predict.",
        "The LM block repeats rows: one model's curve stands several times.",
        "loss is a task error for vision: it lies in [0, 1].",
    ),
)
