"""RegMix's pairs of losses and mixtures."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from scalewise.sources.public.regmix import DATA, PARTS
from tests.sources.public.rebuilt import assert_same, proven, shared


def csv(frame: pl.DataFrame, columns: list[str], names: list[str], end: str) -> str:
    index = frame["run_id"].str.split("-").list.last()
    lines = [",".join(("index", *names))]
    lines += [
        ",".join(map(str, (i, *row)))
        for i, row in zip(index, frame.select(columns).iter_rows(), strict=True)
    ]
    return end.join(lines)


def test_the_published_files_read_as_the_tidied_table(tmp_path: Path) -> None:
    runs = shared("regmix/runs.parquet")
    by_name = {file.name: file for file in DATA.files}
    paths = {}
    for split, size in PARTS:
        part = runs.filter((pl.col("split") == split) & (pl.col("size") == size))
        # One of the eight files has the line ends of another system, and none at its end.
        end, last = ("\r\n", "") if size == "1B" else ("\n", "\n")
        losses = [name for name in runs.columns if name.startswith("loss_")]
        names = [f"metric/the_pile_{name[5:]}_val_loss" for name in losses]
        loss = by_name[f"data/{split}_pile_loss_{size}.csv"]
        paths[loss.name] = proven(tmp_path, loss, (csv(part, losses, names, end) + last).encode())
        weights = [name for name in runs.columns if name.startswith("w_")]
        names = [f"train_the_pile_{name[2:]}" for name in weights]
        mixture = by_name[f"data/{split}_mixture_{size}.csv"]
        paths[mixture.name] = proven(
            tmp_path, mixture, (csv(part, weights, names, "\n") + "\n").encode()
        )
    assert_same(DATA, "runs", paths, runs)


def test_the_loss_is_that_of_the_papers_main_target() -> None:
    runs = shared("regmix/runs.parquet")
    assert runs["loss"].to_list() == runs["loss_pile_cc"].to_list()
