"""Files and objects that are no run table: each a clear error, with what to do."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from scalewise.core.errors import RunDataError
from scalewise.runs.read import read_runs


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty"),
        ("blank.jsonl", b"\n \n", "is empty"),
        ("header.csv", b"N,loss\n", "holds no rows: 'N', 'loss'"),
        ("noise.csv", bytes(range(256)) * 4, "not text in UTF-8|binary file"),
        ("nul.csv", b"N,loss\n1\x00,2\n", "NUL bytes"),
        ("noise.parquet", b"not parquet at all", "begins with b'not parq'"),
        ("cut.parquet", b"PAR1" + b"\x15" * 40, "damaged Parquet"),
        ("packed.csv", b"\x1f\x8b\x08" + b"x" * 20, "compressed"),
        ("wide.csv", b"N,loss\n1e6,3\n1e6,3,4\n", r"Line 3 of .* has 3 cells under 2 columns"),
        ("twice.csv", b"N,N\n1e6,3\n", "more than one column named 'N'"),
        ("quote.csv", b'N,loss\n1e6,"3\n', "odd number of quotation marks"),
        ("text.txt", b"dear reader,\nthis is a letter\n", "none of the columns of a run table"),
        ("bad.jsonl", b'{"N": 1}\n{"N": \n', "Line 2 of .* is not JSON"),
        ("list.jsonl", b"[1, 2]", "Record 1 of .* is 1, not an object"),
        ("deep.json", b"[" * 100_000, "is not JSON"),
        ("word.jsonl", b"hello", "holds no JSON object"),
    ],
)
def test_an_unreadable_file_is_a_clear_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RunDataError, match=message) as error:
        read_runs(path)
    assert error.value.hint


def test_a_file_under_a_wrong_extension_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    pl.DataFrame({"N": [1, 2, 4], "val_loss": [4.0, 3.5, 3.0]}).write_parquet(path)
    runs = read_runs(path)
    assert len(runs) == 3
    assert any("was read as Parquet" in text for text in runs.assumptions)


def test_a_folder_a_missing_file_and_an_address_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("N,loss\n1e6,3\n")
    with pytest.raises(RunDataError, match=r"is a folder. .*'runs.csv'"):
        read_runs(tmp_path)
    with pytest.raises(RunDataError, match=r"There is no file .*Tables in that folder: 'runs.csv'"):
        read_runs(tmp_path / "run.csv")
    with pytest.raises(RunDataError, match="is an address"):
        read_runs("https://example.org/runs.csv")


@pytest.mark.parametrize("source", [3, None, b"N,loss", {1, 2}])
def test_what_is_no_table_is_a_clear_error(source: object) -> None:
    with pytest.raises(RunDataError, match="Runs cannot be read from"):
        read_runs(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"N": 3.0}, "is one value, not a list"),
        ({"N": [1.0], "loss": [1.0, 2.0]}, "differ in length"),
        ([], "holds no rows"),
        ({}, "holds no rows and no columns"),
    ],
)
def test_a_malformed_mapping_is_a_clear_error(source: object, message: str) -> None:
    with pytest.raises(RunDataError, match=message):
        read_runs(source)


def test_a_last_record_cut_short_is_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"N": 1e6, "loss": 4.0}\n{"N": 2e6, "lo')
    runs = read_runs(path)
    assert runs.column("params").tolist() == [1e6]
    assert "the last line, 14 bytes, is cut short and left out" in runs.assumptions


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("N;loss\n1e6;4,25\n2e6;4,125\n", [4.25, 4.125]),
        ("sep=;\r\nN;loss\r\n1e6;4.25\r\n2e6;4.125\r\n", [4.25, 4.125]),
    ],
)
def test_a_table_as_a_spreadsheet_writes_it_is_read(
    tmp_path: Path, text: str, loss: list[float]
) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes(text.encode())
    assert read_runs(path).column("loss").tolist() == loss


@pytest.mark.parametrize("cells", [("4,250", "4,125"), ("4,25", "4.125")])
def test_a_comma_that_may_be_either_is_not_guessed(tmp_path: Path, cells: tuple[str, str]) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(f"N;loss\n1e6;{cells[0]}\n2e6;{cells[1]}\n")
    with pytest.raises(RunDataError, match="where a comma may be a decimal point"):
        read_runs(path)


def test_a_dash_and_what_spreadsheets_write_for_missing_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("N,loss\n1e6,4\n2e6,-\n3e6,#N/A\n")
    assert read_runs(path).frame["loss"].to_list() == [4.0, None, None]
