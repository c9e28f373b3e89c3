"""Writing and reading back: nothing lost, nothing changed, nothing half written."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalewise.core.errors import UsageError
from scalewise.runs.guard import guarded, unguarded
from scalewise.runs.read import read_runs
from scalewise.runs.table import RunTable
from scalewise.runs.write import write_runs

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
NAMES = TEXT.filter(lambda text: text != "")
FORMATS = ("csv", "jsonl", "parquet")


@st.composite
def tables(draw: st.DrawFn) -> RunTable:
    n = draw(st.integers(1, 5))

    def column(cells: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(cells, min_size=n, max_size=n))

    columns = {
        "run_id": column(NAMES),
        "corpus": column(st.none() | TEXT),
        "params": column(st.none() | st.integers(-(2**62), 2**62)),
        "tokens": column(st.none() | st.floats()),
        "loss": column(st.floats() | st.none()),
        "is_final": column(st.booleans() | st.none()),
        "extra": column(st.floats(allow_nan=False) | st.none()),
    }
    return read_runs(columns)


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(FORMATS))
def test_what_is_written_reads_back_the_same(table: RunTable, kind: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"runs.{kind}"
        write_runs(table, path)
        again = read_runs(path)
    assert again.sha256 == table.sha256
    assert again.text("run_id") == table.text("run_id")
    for name in ("params", "tokens", "loss"):
        for one, other in (
            zip(table.column(name), again.column(name), strict=True) if again.has(name) else ()
        ):
            assert one == other or (math.isnan(one) and math.isnan(other))


@pytest.mark.parametrize("kind", FORMATS)
def test_reading_our_own_file_assumes_nothing_more(tmp_path: Path, kind: str) -> None:
    table = read_runs({"N": [1e6, 2e6], "D": [2e7, 4e7], "val_loss": [4.0, 3.5]})
    write_runs(table, tmp_path / f"runs.{kind}")
    again = read_runs(tmp_path / f"runs.{kind}")
    assert again.assumptions == ()
    assert again.sha256 == table.sha256


@given(TEXT)
def test_guarding_is_undone_exactly(text: str) -> None:
    assert unguarded(guarded(text)) == text


def test_no_text_cell_of_our_csv_starts_a_formula(tmp_path: Path) -> None:
    names = ["=cmd()", "+1", "-1", "@x", "\t=1", "'=1", "''", "plain", "'quoted'"]
    table = read_runs({"run_id": names, "N": [1e6] * 9, "loss": [-3.0] * 9})
    path = tmp_path / "runs.csv"
    write_runs(table, path)
    with path.open(newline="") as file:
        cells = [row["run_id"] for row in csv.DictReader(file)]
    assert not any(cell[0] in "=+-@\t\r" for cell in cells)
    assert read_runs(path).text("run_id") == tuple(names)
    assert read_runs(path).column("loss")[0] == -3.0


def test_another_extension_is_refused(tmp_path: Path) -> None:
    table = read_runs({"N": [1e6], "loss": [3.0]})
    with pytest.raises(UsageError, match=r"the extension is '.xlsx'. Use .parquet, .csv or .jsonl"):
        write_runs(table, tmp_path / "runs.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    table = read_runs({"N": [1e6], "loss": [3.0]})
    with pytest.raises(UsageError, match="Cannot write"):
        write_runs(table, tmp_path / "absent" / "runs.csv")
