"""What is known of one public data set: where its files lie, whose they are, how they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

Parser = Callable[[Mapping[str, Path]], "pl.DataFrame"]
"""From the local path of each raw file, by name, to one tidy table."""


# The mend where a file of known content does not hold what its parser looks for.
GET_ANEW = "Remove the kept file; `scalewise data get NAME` fetches and verifies it anew."


def read_rows(path: Path) -> pl.DataFrame:
    """A CSV file, the kinds of its columns judged by all of its rows."""
    import polars as pl

    return pl.read_csv(path, infer_schema_length=None)


@dataclass(frozen=True, slots=True)
class RawFile:
    """One published file, pinned: its bytes can be nothing but these, whoever serves them."""

    name: str
    url: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One tidy table of a data set, how to make it, and how large it is.

    ``runs`` is None where no column names the run. ``mapping`` gives canonical columns their
    source column where the names alone would mislead, as in ``read_runs``; ``lr`` is taken for
    the peak and ``lr_now`` for the rate at the checkpoint unless it says otherwise. ``needs``
    names the raw files it is made from; empty means all. ``are_runs`` is false for a table about
    something else, such as authors' fits.
    """

    parse: Parser
    rows: int
    runs: int | None
    mapping: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    are_runs: bool = True

    def __call__(self, files: Mapping[str, Path]) -> pl.DataFrame:
        """The tidy table, from the raw files by name."""
        return self.parse(files)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicData:
    """A public data set: citation, licence, pinned raw files, and the tables made from them.

    ``permissive`` says whether the licence lets small excerpts be kept elsewhere. ``units`` says
    which count ``params`` is and what ``loss`` is measured in; ``notes`` are its traps.
    """

    key: str
    title: str
    citation: str
    url: str
    licence: str
    permissive: bool
    units: str
    files: tuple[RawFile, ...]
    tables: Mapping[str, Table]
    default_table: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.default_table not in self.tables:
            msg = f"{self.key}: default_table {self.default_table!r} is none of its tables"
            raise ValueError(msg)
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.key}: two raw files have one name")

    @property
    def pins(self) -> tuple[str, ...]:
        """Each source with the commit that its files are pinned at, ``owner/repo@commit``."""
        parts = (file.url.split("/") for file in self.files)
        return tuple(dict.fromkeys(f"{p[3]}/{p[4]}@{p[5]}" for p in parts if len(p) > 6))

    @property
    def bytes(self) -> int:
        """Size of all raw files."""
        return sum(file.bytes for file in self.files)

    def files_of(self, table: str) -> tuple[RawFile, ...]:
        """The raw files that one of its tables is made from."""
        needs = self.tables[table].needs
        return tuple(file for file in self.files if not needs or file.name in needs)


def github_file(
    repo: str, commit: str, path: str, size: int, sha256: str, *, name: str | None = None
) -> RawFile:
    """A file of a GitHub repository at one commit; its name is its path unless given.

    >>> github_file("a/b", "0" * 40, "data/c d.csv", 3, "f" * 64).url
    'https://raw.githubusercontent.com/a/b/0000000000000000000000000000000000000000/data/c%20d.csv'
    """
    from urllib.parse import quote

    return RawFile(
        name=name or path,
        url=f"https://raw.githubusercontent.com/{repo}/{commit}/{quote(path)}",
        bytes=size,
        sha256=sha256,
    )


def github_files(
    repo: str, commit: str, files: Iterable[tuple[str, int, str]]
) -> tuple[RawFile, ...]:
    """Several files of one repository at one commit: (path, bytes, sha256) each."""
    return tuple(github_file(repo, commit, *file) for file in files)


def listed_files(repo: str, commit: str, listing: str) -> tuple[RawFile, ...]:
    """Files of one repository from a list kept beside this module, for sets of many.

    Each line of ``listings/<listing>.txt`` is ``sha256 bytes path``; the path may hold spaces.
    """
    text = Path(__file__).with_name("listings").joinpath(f"{listing}.txt").read_text("utf-8")
    rows = (line.split(" ", 2) for line in text.splitlines())
    return github_files(repo, commit, ((path, int(size), sha256) for sha256, size, path in rows))
