"""Epoch's CSV of Chinchilla's figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalewise.sources.public.chinchilla_epoch import DATA, FILE
from tests.sources.public.rebuilt import assert_same, published, shared

HEADER = ("x", "y", "color", "Model Size", "Training FLOP", "hex_color", "loss")


def test_the_published_file_reads_as_the_tidied_table(tmp_path: Path) -> None:
    points = shared("chinchilla_epoch/points.parquet")
    rows = points.select("x", "y", "color", "params", "flops", "hex_color", "loss").rows()
    path = published(tmp_path, FILE, HEADER, rows, "\n")
    assert_same(DATA, "points", {FILE.name: path}, points)


def test_tokens_follow_from_the_axes_of_the_figure(tmp_path: Path) -> None:
    path = tmp_path / "made.csv"
    path.write_text(",".join(HEADER) + "\n1.0,2.0,#fff,1e9,1.2e20,#fff,2.5\n")
    got = DATA.tables["points"]({FILE.name: path})
    assert got["tokens"].item() == pytest.approx(2e10)
    assert got["run_id"].item() == "chin-000"
