"""Scaling with vocabulary: one CSV of checkpoints with a unigram-normalised loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.sources.public.vocab_scaling import DATA, POINTS
from tests.sources.public.rebuilt import assert_same, published, shared, written

# No licence is stated: the layout is the source's, the numbers are made up.
TEXT = (
    "vocab_size,embed_dim,num_characters,Non_vocab_parameters,FLOPs,Lossu\n"
    "4096.0,512.0,300.0,1000000.0,6.0e+17,-1.5\n"
    "4096.0,512.0,600.0,1000000.0,1.2e+18,-2.5\n"
    "8192.0,512.0,310.0,1000000.0,6.0e+17,-1.4\n"
)


def test_tokens_follow_from_compute_with_the_vocabulary_counted_once(tmp_path: Path) -> None:
    table = DATA.tables["points"]({POINTS: written(tmp_path, POINTS, TEXT)})
    assert table["params"].to_list() == [1e6 + 4096 * 512] * 2 + [1e6 + 8192 * 512]
    assert (6.0 * table["params"] * table["tokens"]).to_list() == pytest.approx([6e17, 12e17, 6e17])
    assert table["is_final"].to_list() == [False, True, True]


def test_a_log_likelihood_ratio_is_not_called_a_loss(tmp_path: Path) -> None:
    table = DATA.tables["points"]({POINTS: written(tmp_path, POINTS, TEXT)})
    assert "loss" not in table.columns
    assert table["loss_unigram_normalised"].to_list() == [-1.5, -2.5, -1.4]


def test_the_published_file_made_again_to_the_byte_reads_as_the_tidied_table(
    tmp_path: Path,
) -> None:
    points = shared("vocab_scaling/points.parquet")
    raw = points.select(
        vocab_size="vocab_size", embed_dim="d_model", num_characters="characters",
        Non_vocab_parameters="params_nonembed", FLOPs="flops", Lossu="loss_unigram_normalised",
    )  # fmt: skip
    files = {POINTS: published(tmp_path, DATA.files[0], raw.columns, raw.rows(), "\n")}
    assert_same(DATA, "points", files, points)
