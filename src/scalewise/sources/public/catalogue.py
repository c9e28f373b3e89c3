"""The public run tables by name: what there is, and how one is fetched and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from scalewise.core.errors import RunDataError, UsageError
from scalewise.sources.download import (
    data_folder,
    fetch_all,
    is_kept,
    kept_path,
    lies_there,
)
from scalewise.sources.public.unread import UNREAD

if TYPE_CHECKING:
    import polars as pl

    from scalewise.runs.table import RunTable
    from scalewise.sources.public.entry import PublicData, RawFile

MODULES = (
    "cbs_zhang",
    "chinchilla_epoch",
    "clark_routing",
    "colpret",
    "datablations",
    "dclm_models",
    "gadre_overtraining",
    "gemstones",
    "gpt3_curves",
    "isoflops_openathena",
    "large_runs_colpret",
    "misfitting",
    "mixinglaws",
    "modded_nanogpt",
    "mpl_schedules",
    "observational_llms",
    "olmo_ladder",
    "porian_isoflop",
    "pythia_evals",
    "regmix",
    "revisiting_nsl",
    "steplaw",
    "vocab_scaling",
)

# In public tables a bare lr is the run's peak; where both are given, lr_now is the current rate.
_MEANT = {"lr_peak": "lr", "lr": "lr_now"}


class _Catalogue(Mapping[str, "PublicData"]):
    """Name -> PublicData; the module of a data set is imported when it is asked for."""

    def __getitem__(self, name: str) -> PublicData:
        if name not in MODULES:
            raise KeyError(name)
        data: PublicData = import_module(f"scalewise.sources.public.{name}").DATA
        return data

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


PUBLIC: Mapping[str, PublicData] = _Catalogue()


def public_data(name: str) -> PublicData:
    """A public data set by name. Raises UsageError, naming the nearest, if there is none.

    >>> public_data("chinchilla_epoch").tables["points"].rows
    245
    """
    if name in MODULES:
        return PUBLIC[name]
    if name in UNREAD:
        raise UsageError(f"{name} is known and not offered: {UNREAD[name]}.")
    near = get_close_matches(name, MODULES, n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"There is no public data set {name!r}.",
        hint=f"{guess}`scalewise data list` shows all: {', '.join(MODULES)}.",
    )


def table_name(data: PublicData, table: str | None) -> str:
    """The asked-for or default table. Raises UsageError if the data set has none of that name."""
    if table is None:
        return data.default_table
    if table in data.tables:
        return table
    near = get_close_matches(table, [*data.tables], n=1)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"{data.key} has no table {table!r}.", hint=f"{guess}It has {', '.join(data.tables)}."
    )


def public_table(
    name: str,
    table: str | None = None,
    *,
    download: bool = True,
    done: Callable[[RawFile], None] = lambda _: None,
) -> pl.DataFrame:
    """One table of a public data set as its parser makes it, whether or not of runs.

    Raises RunDataError when a file is not kept and ``download`` is false, cannot be fetched, or
    does not give the number of rows it is known to have.
    """
    data = public_data(name)
    chosen = table_name(data, table)
    files = data.files_of(chosen)
    if download:
        paths = fetch_all(files, done=done)
    else:
        _require_kept(data, chosen)
        paths = {file.name: kept_path(file) for file in files}
    frame = data.tables[chosen](paths)
    if frame.height != (known := data.tables[chosen].rows):
        raise RunDataError(
            f"{name}/{chosen} was read as {frame.height} rows; it has {known}.",
            hint="The files are the pinned ones, so the reader is at fault: please report it.",
        )
    return frame


def public_runs(name: str, table: str | None = None, *, download: bool = True) -> RunTable:
    """Runs from a public data set, by name.

    Its files are fetched from their source once, verified and kept (see ``scalewise data``);
    with ``download`` false only kept files are used. The table's ``source`` says which commit it
    comes from. Raises UsageError for an unknown name, RunDataError when a file cannot be had or
    the table is not one of runs.
    """
    data = public_data(name)
    chosen = table_name(data, table)
    entry = data.tables[chosen]
    if not entry.are_runs:
        others = [key for key, other in data.tables.items() if other.are_runs]
        raise RunDataError(
            f"{name}/{chosen} is not a table of runs.",
            hint=f"Runs are in {', '.join(others)}; `scalewise data get {name} --table {chosen}` "
            "writes this one as it is.",
        )
    return as_runs(data, chosen, public_table(name, chosen, download=download))


def as_runs(data: PublicData, table: str, frame: pl.DataFrame) -> RunTable:
    """A parsed table under canonical names, with its source and units told."""
    from dataclasses import replace

    from scalewise.runs.read import read_runs

    stated = data.tables[table].mapping
    meant = {
        name: source
        for name, source in _MEANT.items()
        if source in frame.columns and name not in stated and source not in stated.values()
    }
    runs = read_runs(frame, mapping={**meant, **stated})
    commits = ", ".join(pin[: pin.index("@") + 8] for pin in data.pins)
    return replace(
        runs,
        source=f"public:{data.key}/{table} ({commits})",
        assumptions=(data.units, *runs.assumptions),
    )


def absent_files(data: PublicData, table: str | None = None) -> tuple[RawFile, ...]:
    """Raw files, of one table or of all, that are not on this machine; contents are not read."""
    files = data.files if table is None else data.files_of(table)
    return tuple(file for file in files if not lies_there(file))


def _require_kept(data: PublicData, table: str) -> None:
    missing = [file for file in data.files_of(table) if not is_kept(file)]
    if missing:
        count = len(data.files_of(table))
        raise RunDataError(
            f"{len(missing)} of the {count} files of {data.key}/{table} are not in "
            f"{data_folder()}.",
            hint=f"Fetch them once with: scalewise data get {data.key} --table {table}",
        )
