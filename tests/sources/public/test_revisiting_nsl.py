"""Revisiting neural scaling laws: two CSV files of learning curves."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from scalewise.sources.public.revisiting_nsl import DATA, PARTS
from tests.sources.public.rebuilt import assert_same, proven, shared, written

HEAD = "Domain,Task,Model,Seen Examples,Loss,Training\n"
# Lines of the published files (Apache-2.0): the ends of two curves and of the file.
LANG = (
    'NMT,log_perplexity,"6 Enc, 6 Dec",256000000.0,0.3402780576923077,1\n'
    'NMT,log_perplexity,"6 Enc, 6 Dec",512000000.0,0.3401562576923077,0\n'
    "LM,val_loss,1.68e+07,310614425600.0,0.9300532748277676,0\n"
    "BB,\"('unit', '2-shot')\",262M,256393136619.0,0.5201953125,0"
)
VISION = "IC,inet_25,BiT/101/3,1032192000.0,0.25558000802993774,0"


def table(folder: Path) -> pl.DataFrame:
    texts = {"lang": LANG, "vision": VISION}
    return DATA.tables["curves"](
        {name: written(folder, name, HEAD + texts[part]) for part, name in PARTS.items()}
    )


def test_an_excerpt_reads_as_the_rows_of_the_tidied_table(tmp_path: Path) -> None:
    got = table(tmp_path)
    keys = ["run_id", "examples"]
    tidy = shared("revisiting_nsl/curves.parquet").join(got.select(keys), on=keys, how="semi")
    assert got.equals(tidy.unique(maintain_order=True))


def test_a_model_that_looks_like_a_number_keeps_its_name(tmp_path: Path) -> None:
    assert table(tmp_path)["model"].to_list()[2] == "1.68e+07"


def quoted(domain: str, name: str) -> str:
    return f'"{name}"' if "," in name or domain == "NMT" else name


def test_the_published_files_made_again_to_the_byte_read_as_the_tidied_table(
    tmp_path: Path,
) -> None:
    curves = shared("revisiting_nsl/curves.parquet")
    files = {}
    for part, file in zip(PARTS, DATA.files, strict=True):
        rows = curves.filter(pl.col("part") == part)
        rows = rows.select("domain", "task", "model", "examples", "loss", "is_train")
        lines = [
            f"{domain},{task if domain == 'NMT' else quoted(domain, task)},"
            f"{quoted(domain, model)},{examples},{loss},{training}"
            for domain, task, model, examples, loss, training in rows.rows()
        ]
        files[file.name] = proven(tmp_path, file, (HEAD + "\n".join(lines)).encode())
    assert_same(DATA, "curves", files, curves)
