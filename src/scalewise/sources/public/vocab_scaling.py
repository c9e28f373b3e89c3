"""Models of six sizes with ten vocabularies each, and their unigram-normalised losses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalewise.sources.public.entry import PublicData, Table, github_file

if TYPE_CHECKING:
    import polars as pl

POINTS = "exp_data.csv"


def _points(files: Mapping[str, Path]) -> pl.DataFrame:
    """Every checkpoint; tokens from the file's own 6 (N_nv + V d) D."""
    import polars as pl

    raw = pl.read_csv(files[POINTS], infer_schema=False).cast(pl.Float64)
    nonvocab, vocabulary = pl.col("Non_vocab_parameters"), pl.col("vocab_size")
    params = nonvocab + vocabulary * pl.col("embed_dim")
    tokens = pl.col("FLOPs") / (6.0 * params)
    return raw.select(
        run_id=pl.format("vocab-N{}-V{}", nonvocab.cast(pl.Int64), vocabulary.cast(pl.Int64)),
        family=pl.lit("vocab"),
        params=params,
        params_nonembed=nonvocab,
        tokens=tokens,
        flops=pl.col("FLOPs"),
        data=pl.lit("SlimPajama"),
        is_final=tokens == tokens.max().over("Non_vocab_parameters", "vocab_size"),
        vocab_size=vocabulary,
        d_model=pl.col("embed_dim"),
        characters=pl.col("num_characters"),
        loss_unigram_normalised=pl.col("Lossu"),
    )


DATA = PublicData(
    key="vocab_scaling",
    title="Vocabulary sizes 4k to 96k, 33M to 1.1B non-vocabulary parameters",
    citation=(
        "Tao et al. (2024), Scaling Laws with Vocabulary: Larger Models Deserve Larger "
        "Vocabularies, NeurIPS, arXiv:2407.13623"
    ),
    url="https://github.com/sail-sg/scaling-with-vocab",
    licence="none stated",
    permissive=False,
    units=(
        "params: non-vocabulary plus one vocabulary matrix; loss_unigram_normalised: nats/token "
        "relative to a unigram model, negative"
    ),
    files=(
        github_file(
            "sail-sg/scaling-with-vocab",
            "6701cc202af8b075a46eef8e9d263b3f2ebe012c",
            POINTS,
            97_273,
            "6571e877469a44cb50b2d05e1fa485587369ee1c47941a4b3b2bfef80496f1b2",
        ),
    ),
    tables={"points": Table(parse=_points, rows=1_200, runs=60)},
    default_table="points",
    notes=(
        "loss_unigram_normalised is a log-likelihood ratio and no cross-entropy: it is not put "
        "under loss, and laws of the loss do not fit it.",
        "tokens are flops / (6 params): the file gives characters.",
    ),
)
