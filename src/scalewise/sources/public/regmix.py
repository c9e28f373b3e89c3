"""RegMix: losses on the domains of the Pile of many small models, each on its own mixture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_files

if TYPE_CHECKING:
    import polars as pl

PARTS = (("train", "1m"), ("test", "1m"), ("test", "60m"), ("test", "1B"))
NOMINAL = MappingProxyType({"1m": (1e6, 1e9), "60m": (6e7, 1e9), "1B": (1e9, 2.5e10)})
"""Size -> params and tokens, as the paper names them."""


def _part(files: Mapping[str, Path], split: str, size: str) -> pl.DataFrame:
    import polars as pl

    loss = pl.read_csv(files[f"data/{split}_pile_loss_{size}.csv"]).rename(
        lambda name: (
            name.replace("metric/the_pile_", "loss_").removesuffix("_val_loss")
            if name.startswith("metric/")
            else name
        )
    )
    mixture = pl.read_csv(
        files[f"data/{split}_mixture_{size}.csv"],
        infer_schema_length=None,
    ).rename(lambda name: name.replace("train_the_pile_", "w_"))
    joined = loss.join(mixture, on="index", how="inner", maintain_order="left")
    params, tokens = NOMINAL[size]
    return joined.select(
        pl.format("regmix-{}-{}-{}", pl.lit(split), pl.lit(size), "index").alias("run_id"),
        pl.lit("regmix").alias("family"),
        pl.lit(params).alias("params"),
        pl.lit(tokens).alias("tokens"),
        pl.col("loss_pile_cc").alias("loss"),
        pl.lit("Pile-CC validation").alias("eval_set"),
        pl.lit("The Pile (re-weighted)").alias("data"),
        pl.lit(value=True).alias("is_final"),
        pl.col("^loss_.*$").cast(pl.Float64),
        pl.col("^w_.*$").cast(pl.Float64),
        pl.lit(split).alias("split"),
        pl.lit(size).alias("size"),
    )


def runs(files: Mapping[str, Path]) -> pl.DataFrame:
    """One row per model; a mixture without a loss is left out."""
    import polars as pl

    return pl.concat([_part(files, split, size) for split, size in PARTS])


DATA = PublicData(
    key="regmix",
    title="RegMix: 1088 models of 1M to 1B on random mixtures of the Pile",
    citation="Liu et al. (2025), RegMix: Data Mixture as Regression for Language Model "
    "Pre-training, ICLR, arXiv:2407.01492",
    url="https://github.com/sail-sg/regmix",
    licence="MIT",
    permissive=True,
    units="params and tokens: nominal; loss: nats/token on Pile-CC, loss_<domain> on 13 domains",
    files=github_files(
        "sail-sg/regmix",
        "b004d3a3f39846dcec6b3740da22bcd1ba95a5d0",
        (
            ("data/train_pile_loss_1m.csv", 121_898,
             "49a959aa07ce5c20831d5abe3a7896ff0cd90a398bd407c8913fd5588be0465a"),
            ("data/train_mixture_1m.csv", 46_412,
             "04a32ef4ab594376bf90e11404c033668f887c351d6a03ad3744824c7296a2d8"),
            ("data/test_pile_loss_1m.csv", 61_175,
             "e027b1674f60140a65a87b5e4a59ab5f09dc33e8fd02c080682678074b160f53"),
            ("data/test_mixture_1m.csv", 23_537,
             "197267b7d6f15367e2f46c881e564c35b0d34e51b1754bb09d07e650cf8e1ce8"),
            ("data/test_pile_loss_60m.csv", 61_827,
             "8fe69d59ab7dd4fae4736459f4265ec93c7ed1ad1eca407346052560edc72b5b"),
            ("data/test_mixture_60m.csv", 23_537,
             "197267b7d6f15367e2f46c881e564c35b0d34e51b1754bb09d07e650cf8e1ce8"),
            ("data/test_pile_loss_1B.csv", 10_639,
             "b2451e2b7fa15400688edc39e4d32f21ccbe0fb356e07d62a0e9ccddf247114f"),
            ("data/test_mixture_1B.csv", 6_393,
             "dd38052949c0a5f84165bdcb3ae3a331c7f07efd9bb83848bd579dfc4ce75a2c"),
        ),
    ),
    tables={"runs": Table(parse=runs, rows=1_088, runs=1_088)},
    default_table="runs",
    notes=(
        "Every run has its own mixture (w_<domain>): params and tokens alone explain nothing.",
        "The two test sets of 1M and 60M share their mixtures.",
    ),
)  # fmt: skip
