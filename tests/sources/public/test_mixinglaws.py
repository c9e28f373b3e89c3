"""Data mixing laws: text files of checkpoint, validation file and loss."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from scalewise.sources.public.mixinglaws import BATCH_TOKENS, DATA
from tests.sources.public.rebuilt import assert_same, shared, written

# No licence is stated: the layout is the source's, the numbers are made up.
NAME = "data/3Mix/410M.txt"
DOMAIN = "store/valid.domains//pythia-pile.valid"
TEXT = (
    f"store/ckpts/three//30-0.75-0.0-0.25/20000\t{DOMAIN}.Pile-CC.bin\t3.5\n"
    f"store/ckpts/three/30-0.75-0.0-0.25/60000/\t{DOMAIN}.Pile-CC.bin\t3.0\n"
    f"store/ckpts/three//last\t{DOMAIN}.Books3.bin\t2.9\n"
    "store/ckpts/three//4-0.0-0.5-0.5/60000\tstore/ct_valid//starcoder.python.valid.bin\t1.5\n"
)


def table(folder: Path) -> pl.DataFrame:
    return DATA.tables["losses"]({NAME: written(folder, NAME, TEXT)})


def test_a_line_gives_mixture_step_and_domain_however_its_slashes_stand(tmp_path: Path) -> None:
    rows = table(tmp_path).select("run_id", "mix_weights", "step", "eval_set", "loss").rows()
    first = "3Mix-410M-30-0.75-0.0-0.25"
    assert rows == [
        (first, "0.75-0.0-0.25", 20_000.0, "Pile-CC", 3.5),
        (first, "0.75-0.0-0.25", 60_000.0, "Pile-CC", 3.0),
        ("3Mix-410M-last", None, None, "Books3", 2.9),
        ("3Mix-410M-4-0.0-0.5-0.5", "0.0-0.5-0.5", 60_000.0, "starcoder.python.valid", 1.5),
    ]


def test_a_model_named_by_no_step_has_no_tokens_and_is_not_called_final(tmp_path: Path) -> None:
    rows = table(tmp_path)
    assert rows["tokens"].to_list()[1:3] == [60_000.0 * BATCH_TOKENS, None]
    assert rows["is_final"].to_list() == [False, True, False, True]


def test_files_rebuilt_from_the_tidied_table_read_back_the_same(tmp_path: Path) -> None:
    losses = shared("mixinglaws/losses.parquet")
    files = {}
    for file in DATA.files:
        kind, size = file.name.removesuffix(".txt").split("/")[-2:]
        rows = losses.filter(pl.col("set") == kind, pl.col("size") == size)
        step = pl.format("/{}", pl.col("step").cast(pl.Int64)).fill_null("")
        inner = pl.col("eval_set").str.starts_with("starcoder")
        domain = pl.when(inner).then(pl.lit("ct//")).otherwise(pl.lit("pile/pythia-pile.valid."))
        lines = rows.select(
            pl.format("store//{}{}\t{}{}.bin\t{}", "mix_name", step, domain, "eval_set", "loss")
        )
        text = "\n".join(lines.to_series()) + "\n"
        files[file.name] = written(tmp_path, file.name, text)
    assert_same(DATA, "losses", files, losses)
