"""Chinchilla's Figure 4 as Epoch AI read it off the page: 245 points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_file

if TYPE_CHECKING:
    import polars as pl

FILE = github_file(
    "epoch-research/analyzing-chinchilla",
    "92258837425e1b5f2851d624287f0120583a3d0e",
    "data/svg_extracted_data.csv",
    23_224,
    "193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30",
)


def points(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per marker; tokens follow from the figure's two axes as C / (6 N)."""
    import polars as pl

    raw = pl.read_csv(files[FILE.name])
    params, flops = pl.col("Model Size"), pl.col("Training FLOP")
    return raw.select(
        run_id=pl.format("chin-{}", pl.int_range(pl.len()).cast(pl.String).str.zfill(3)),
        family=pl.lit("chinchilla"),
        params=params,
        tokens=flops / (6.0 * params),
        loss=pl.col("loss"),
        eval_set=pl.lit("smoothed training loss (Fig. 4 of Hoffmann et al.)"),
        flops=flops,
        data=pl.lit("MassiveText"),
        is_final=pl.lit(value=True),
        x=pl.col("x"),
        y=pl.col("y"),
        color=pl.col("color"),
        hex_color=pl.col("hex_color"),
    )


DATA = PublicData(
    key="chinchilla_epoch",
    title="Chinchilla's Figure 4, digitised: 245 runs up to 16B",
    citation="Besiroglu, Erdil, Barnett & You (2024), Chinchilla Scaling: A replication attempt, "
    "arXiv:2404.10102; figure of Hoffmann et al. (2022), arXiv:2203.15556",
    url="https://github.com/epoch-research/analyzing-chinchilla",
    licence="none stated in the repository",
    permissive=False,
    units="params: as read off the figure, nominal; loss: nats/token, read off a colour scale "
    "(about 0.01)",
    files=(FILE,),
    tables={"points": Table(parse=points, rows=245, runs=245)},
    default_table="points",
    notes=(
        "The published refit leaves out the five runs of fewest tokens per parameter.",
        "Final losses of cosine runs stand beside intermediate ones; the figure does not tell.",
    ),
)
