"""SQLite files opened so that nothing is written beside them, and no query runs for long."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scalewise.core.errors import RunDataError
from scalewise.runs.quote import bare
from scalewise.sources.logs.limits import MAX_FILE_BYTES, head_of, size_of

MAGIC = b"SQLite format 3\0"
_WAL = b"\2"  # byte 18 of the header: the newest pages are in a file beside it
_OPCODES = 5_000_000
_MOST_CALLS = 20_000  # times _OPCODES: some minutes


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection; text that is not UTF-8 is read with marks for what is lost.

    A database with a write-ahead log is copied first, log included, because reading it in place
    would write beside it. Raises RunDataError if it is damaged, too large, or answers too slowly.
    """
    size_of(path, MAX_FILE_BYTES)
    try:
        with tempfile.TemporaryDirectory(prefix="scalewise-") as scratch:
            readable = _copied(path, Path(scratch)) if head_of(path, 19)[18:19] == _WAL else path
            uri = f"file:{quote(str(readable.absolute()))}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                _hardened(connection)
                yield connection
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise RunDataError(
            f"{bare(str(path), 200)} cannot be read as SQLite: {bare(str(error), 120)}.",
            hint="If a job still writes to it, try again; else copy it anew with its -wal file.",
        ) from error


def tables(path: Path) -> Mapping[str, frozenset[str]]:
    """Columns by table; nothing if it is no SQLite file or damaged. Views are no tables."""
    if not path.is_file() or head_of(path, 16) != MAGIC:
        return {}
    try:
        with opened(path) as connection:
            return columns(connection)
    except RunDataError:
        return {}


def columns(connection: sqlite3.Connection) -> dict[str, frozenset[str]]:
    """Columns by table of an open database."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchmany(999)
    ask = "SELECT name FROM pragma_table_info(?)"
    return {
        str(name): frozenset(str(column) for (column,) in connection.execute(ask, (name,)))
        for (name,) in names
    }


def rows(connection: sqlite3.Connection, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
    """Rows of a query, up to the first that is damaged."""
    try:
        yield from connection.execute(query, values)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
            raise


def _copied(path: Path, scratch: Path) -> Path:
    copy = scratch / "copy.db"
    shutil.copyfile(path, copy)
    wal = path.with_name(f"{path.name}-wal")
    if wal.is_file() and not wal.is_symlink():
        size_of(wal, MAX_FILE_BYTES)
        shutil.copyfile(wal, scratch / "copy.db-wal")
    return copy


def _hardened(connection: sqlite3.Connection) -> None:
    calls = 0

    def too_long() -> int:
        nonlocal calls
        calls += 1
        return int(calls > _MOST_CALLS)

    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.set_progress_handler(too_long, _OPCODES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 64 * 2**20)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA query_only = ON")
