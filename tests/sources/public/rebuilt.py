"""Raw files made again from the tidied tables, in the layout that each source publishes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from scalewise.sources.public.entry import PublicData, RawFile
from tests.shared_data import shared_table


def shared(name: str) -> pl.DataFrame:
    return pl.read_parquet(shared_table(name))


def written(folder: Path, name: str, text: str | bytes) -> Path:
    """A raw file under a name that the folder can hold."""
    path = folder / name.replace("/", "_")
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def published(
    folder: Path, file: RawFile, names: Sequence[str], rows: Iterable[Sequence[object]], end: str
) -> Path:
    """A CSV file made from rows that is, by its hash, the published file to the last byte."""
    lines = [",".join(names)]
    lines += [",".join(map(str, row)) for row in rows]
    return proven(folder, file, (end.join(lines) + end).encode())


def proven(folder: Path, file: RawFile, content: bytes) -> Path:
    """These bytes under the file's name, after checking that they are the pinned ones."""
    assert len(content) == file.bytes
    assert hashlib.sha256(content).hexdigest() == file.sha256
    return written(folder, file.name, content)


def assert_same(
    data: PublicData, table: str, files: Mapping[str, Path], expected: pl.DataFrame
) -> None:
    """The parsed table has the expected columns, kinds and numbers, to the last bit or two."""
    got = data.tables[table](files)
    assert got.height == data.tables[table].rows
    assert got["run_id"].n_unique() == data.tables[table].runs
    assert_frame_equal(got, expected, rel_tol=4e-16, abs_tol=0.0)
