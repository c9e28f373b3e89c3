"""GPT-3's digitised curves."""

from __future__ import annotations

from pathlib import Path

from polars.testing import assert_frame_equal

from scalewise.sources.public.gpt3_curves import DATA, FILE, thinned
from tests.sources.public.rebuilt import assert_same, shared, written

# The first and last lines of the published file (MIT), with its ragged training rows.
LINES = (
    "model,step,train_loss,val_loss",
    "small,11.66757962,3.479039818,",
    "small,12.05258627,3.483370591,",
    "175b,293.6849519,,1.78725532",
    "175b,293.4924485,,1.78075475",
    "175b,299.652555,,1.789354555",
)


def test_lines_of_the_published_file_read_as_rows_of_the_tidied_table(tmp_path: Path) -> None:
    path = written(tmp_path, FILE.name, "\r\n".join(LINES))
    got = DATA.tables["raw"]({FILE.name: path})
    assert got["eval_set"].to_list() == ["train"] * 2 + ["val"] * 3
    assert got["tokens"].to_list()[2:4] == [293.4924485e9, 293.6849519e9]
    tidied = shared("gpt3_curves/raw.parquet")
    assert_frame_equal(got, tidied.join(got, on=got.columns, how="semi"))


def test_a_file_rebuilt_from_the_tidied_table_reads_back_the_same(tmp_path: Path) -> None:
    raw = shared("gpt3_curves/raw.parquet")
    lines = ["model,step,train_loss,val_loss"]
    for row in raw.iter_rows(named=True):
        comma = "" if row["eval_set"] == "train" else ","
        after = "," if row["eval_set"] == "train" else ""
        lines.append(f"{row['model']},{row['tokens'] / 1e9:.10g},{comma}{row['loss']!r}{after}")
    content = "\r\n".join(lines)
    assert len(content) == FILE.bytes
    files = {FILE.name: written(tmp_path, FILE.name, content)}
    assert_same(DATA, "raw", files, raw)
    assert_same(DATA, "curves", files, shared("gpt3_curves/curves.parquet"))


def test_thinning_keeps_every_point_counted() -> None:
    raw = shared("gpt3_curves/raw.parquet")
    assert thinned(raw)["n_raw"].sum() == raw.height
